// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Replay of one log after the other onto the data disk of a replica.
 *
 *     replay --0--> [align -->] data
 *            --1--> log file
 *
 * Records have sectors of 512 bytes. Onto a data disk of larger blocks they go through an
 * align brick, as another node with smaller ones may have written them.
 *
 * A brick pair lives as long as its log; the end moves on while it runs. What
 * is `applied` is flushed on the data disk.
 */
import { FILE_FLAGS } from '../engine/keys.js';
import type { BrickStatus } from '../engine/types.js';
import { sameLog, type LogRef, type Point } from '../strategy/history.js';
import type { ApplyGoal } from '../strategy/resource.js';
import type { Context } from './context.js';
import type { BrickNames } from './names.js';
import type { Stand } from './inherit.js';
import type { LogStore } from './logstore.js';

/** What records are multiples of, bytes. */
const SECTOR = 512n;

export class Replay {
  readonly #ctx: Context;
  readonly #names: BrickNames;
  readonly #store: LogStore;
  #log: LogRef | undefined;
  #end = 0n;
  /** the brick is on, and nobody is about to switch it off */
  #steady = false;

  constructor(ctx: Context, resource: string, store: LogStore) {
    this.#ctx = ctx;
    this.#names = ctx.names.of(resource);
    this.#store = store;
  }

  get running(): boolean {
    return this.#log !== undefined;
  }

  /** The log that is being replayed, if any. */
  get log(): LogRef | undefined {
    return this.#log;
  }

  /** State of the brick, if a log is being replayed. */
  status(): BrickStatus | undefined {
    return this.#log && this.#ctx.bricks.find(this.#names.replay);
  }

  /** The flushed position, once the brick has one; with the digest there. */
  applied(): Point | undefined {
    const status = this.status();
    const pos = status?.val['ckpt'] ?? 0n;
    if (!this.#log || !status || pos === 0n) return undefined;
    return { number: this.#log.number, origin: this.#log.origin, pos, digest: known(status.digest2) };
  }

  /** Apply `goal.log` from `from` up to `goal.end`; later calls move the end on. */
  async run(goal: ApplyGoal, from: bigint): Promise<void> {
    if (this.#log && !sameLog(this.#log, goal.log)) await this.stop();
    if (!this.#log) return this.#start(goal, from);
    this.extend(goal.log, goal.end);
  }

  /** Move the end on, if this log is being replayed. Never waits. */
  extend(log: LogRef, end: bigint): void {
    if (!this.#steady || !this.#log || !sameLog(this.#log, log) || end <= this.#end) return;
    this.#end = end;
    this.#ctx.bricks.set(this.#names.replay, 'replay.end', { value: end });
  }

  async #start(goal: ApplyGoal, from: bigint): Promise<void> {
    const { bricks } = this.#ctx;
    const log = this.#store.get(goal.log);
    if (!log || (from >= goal.end && from > 0n)) return;
    const file = this.#names.log(goal.log.number);
    this.#log = goal.log;
    this.#end = goal.end;
    try {
      bricks.create('file', file, {
        'file.path': { text: this.#store.path(goal.log) },
        'file.flags': { value: FILE_FLAGS.rdonly },
      });
      await bricks.power(file, true);
      bricks.create('replay', this.#names.replay, {
        'replay.ident': { ident: log.ident },
        'replay.start': { value: from },
        'replay.end': { value: goal.end },
      });
      bricks.connect(this.#names.replay, 0, await this.#target());
      bricks.connect(this.#names.replay, 1, file);
      await bricks.power(this.#names.replay, true);
      this.#steady = true;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** The brick to replay onto. */
  async #target(): Promise<string> {
    const { bricks } = this.#ctx;
    const { align, data } = this.#names;
    if ((bricks.find(data)?.val['align'] ?? 0n) <= SECTOR) return data;
    bricks.create('align', align, {});
    bricks.connect(align, 0, data);
    await bricks.power(align, true);
    return align;
  }

  /**
   * Stop a replay that an earlier daemon has left. Returns where it stood, if it stood
   * anywhere; who wrote the log is for the caller to find out.
   */
  async inherit(): Promise<Stand | undefined> {
    const left = this.#ctx.bricks.find(this.#names.replay);
    if (!left) return undefined;
    const last = left.ledOff && !left.button ? left : await this.#ctx.bricks.power(left.name, false);
    await this.#ctx.bricks.remove(left.name);
    const { number = 0n, ckpt = 0n } = last.val;
    return ckpt > 0n ? { number, pos: ckpt, digest: known(last.digest2) } : undefined;
  }

  /** Stop at a flushed position and take the bricks away. Returns that position. */
  async stop(): Promise<Point | undefined> {
    const { bricks } = this.#ctx;
    this.#steady = false;
    const status = bricks.find(this.#names.replay);
    if (status && (status.button || !status.ledOff)) await bricks.power(this.#names.replay, false);
    const last = this.applied();
    for (const name of [this.#names.replay, this.#names.align]) await bricks.remove(name);
    if (this.#log) await bricks.remove(this.#names.log(this.#log.number));
    this.#log = undefined;
    this.#end = 0n;
    return last;
  }
}

/** A digest of zeros means that none is known yet. */
const known = (digest: string): string => (/^0*$/.test(digest) ? '' : digest);
