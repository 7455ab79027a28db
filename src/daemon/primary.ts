// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A resource while its device exists here: logger, log files, export.
 *
 *     nbd --> logger --0--> data
 *                    --1--> log file (and 2 during a rotation)
 *
 * Opened only by the strategy's decision; closing it is refused while the
 * device is in use, and drains everything: afterwards the data disk holds the
 * whole log.
 */
import { promises as fs } from 'node:fs';
import path from 'node:path';
import { FILE_FLAGS } from '../engine/keys.js';
import type { BrickStatus, LogIdent } from '../engine/types.js';
import { logName, type LogRef, type Point } from '../strategy/history.js';
import type { OpenGoal } from '../strategy/resource.js';
import type { Context } from './context.js';
import type { Timers } from './publisher.js';
import type { Ids, LogStore } from './logstore.js';

const EMPTY = '0'.repeat(32);
/** How long a daemon that is stopped waits for an open device to be written back, ms. */
const DRAIN_MS = 10_000;

/** Where the export of a resource listens. */
export const devicePath = (dir: string, resource: string): string =>
  path.join(dir, 'dev', `${resource}.sock`);

export class Primary {
  readonly #ctx: Context;
  readonly #resource: string;
  readonly #store: LogStore;
  readonly #ids: Ids;
  readonly #timeline: number;
  /** log input now written: 1 or 2 */
  #slot = 1;
  #log: LogRef;
  /** the log before, until the logger has let it go */
  #old: { readonly ref: LogRef; readonly slot: number } | undefined;
  #rotating = false;
  /** bytes of the device: it grows with the disk, when a new log begins */
  #size = 0n;

  private constructor(ctx: Context, resource: string, store: LogStore, ids: Ids, goal: OpenGoal) {
    this.#ctx = ctx;
    this.#resource = resource;
    this.#store = store;
    this.#ids = ids;
    this.#timeline = goal.timeline;
    this.#log = { number: goal.number, origin: ctx.host };
  }

  /** Start the logger with a fresh log, then the export. On failure nothing is left behind. */
  static async open(
    ctx: Context,
    resource: string,
    store: LogStore,
    ids: Ids,
    goal: OpenGoal,
  ): Promise<Primary> {
    const primary = new Primary(ctx, resource, store, ids, goal);
    try {
      await primary.#startLogger(goal);
      await primary.#startExport();
      return primary;
    } catch (error) {
      await primary.#tearDown();
      throw error;
    }
  }

  get logger(): string {
    return `${this.#resource}/logger`;
  }

  get nbd(): string {
    return `${this.#resource}/nbd`;
  }

  /** The log now written. */
  get log(): LogRef {
    return this.#log;
  }

  /** Bytes of the exported device. */
  get size(): bigint {
    return this.#size;
  }

  #diskSize(): bigint {
    return this.#ctx.bricks.find(`${this.#resource}/data`)?.val['size'] ?? 0n;
  }

  async #startLogger(goal: OpenGoal): Promise<void> {
    const { bricks, tuning } = this.#ctx;
    const ident = this.#ident(this.#log, goal.prev);
    // A file without a valid header is what a crash left of an earlier start.
    if (!this.#store.get(this.#log)) await fs.rm(this.#store.path(this.#log), { force: true });
    await this.#createLog(this.#log);
    bricks.create('logger', this.logger, {
      'logger.credits': { value: tuning.credits },
      'logger.segment': { value: tuning.segment },
      'logger.ident': { ident },
    });
    bricks.connect(this.logger, 0, `${this.#resource}/data`);
    bricks.connect(this.logger, 1, this.#brick(this.#log));
    this.#size = this.#diskSize();
    const status = await bricks.power(this.logger, true);
    this.#store.grow(this.#log, status.val['durable'] ?? 0n, status.digest, ident);
  }

  async #startExport(): Promise<void> {
    const { bricks } = this.#ctx;
    const socket = devicePath(this.#ctx.dir, this.#resource);
    await fs.mkdir(path.dirname(socket), { recursive: true, mode: 0o700 });
    bricks.create('nbd', this.nbd, {
      'nbd.socket': { text: socket },
      'nbd.export': { text: this.#resource },
    });
    bricks.connect(this.nbd, 0, this.logger);
    await bricks.power(this.nbd, true);
  }

  async #createLog(ref: LogRef): Promise<void> {
    const name = this.#brick(ref);
    this.#ctx.bricks.create('file', name, {
      'file.path': { text: this.#store.path(ref) },
      'file.flags': { value: FILE_FLAGS.direct | FILE_FLAGS.create | FILE_FLAGS.append },
    });
    try {
      await this.#ctx.bricks.power(name, true);
    } catch (error) {
      await this.#ctx.bricks.remove(name);
      throw error;
    }
  }

  #ident(ref: LogRef, prev: Point | undefined): LogIdent {
    return {
      cluster: this.#ids.cluster,
      resource: this.#ids.resource,
      salt: this.#ctx.randomHex(16),
      number: ref.number,
      timeline: this.#timeline,
      origin: ref.origin,
      prevNumber: prev?.number ?? 0n,
      prevOrigin: prev?.origin ?? '',
      prevLength: prev?.pos ?? 0n,
      prevDigest: prev?.digest || EMPTY,
    };
  }

  #brick(ref: LogRef): string {
    return `${this.#resource}/${logName(ref)}`;
  }

  /** State of the logger now. */
  status(): BrickStatus | undefined {
    return this.#ctx.bricks.find(this.logger);
  }

  /** How many clients have the device open. */
  openCount(): number {
    return Number(this.#ctx.bricks.find(this.nbd)?.val['clients'] ?? 0n);
  }

  /** Take the logger's progress into the store: what is durable may be shipped. */
  note(status: BrickStatus): void {
    const { durableNumber, durable = 0n, prevEnd = 0n } = status.val;
    const log = durableNumber === this.#log.number ? this.#log : this.#old?.ref;
    if (log && log.number === durableNumber) this.#store.grow(log, durable, status.digest);
    if (this.#old && log === this.#log) this.#store.grow(this.#old.ref, prevEnd, status.digest2);
  }

  /** Let the old log go once the logger has. */
  async progress(): Promise<void> {
    const status = this.status();
    if (!status) return;
    this.note(status);
    if (this.#old && !this.#rotating && status.val['oldSlot'] === 0n) await this.#releaseOld(this.#old);
  }

  async #releaseOld(old: { readonly ref: LogRef; readonly slot: number }): Promise<void> {
    this.#old = undefined;
    this.#ctx.bricks.disconnect(this.logger, old.slot);
    await this.#ctx.bricks.remove(this.#brick(old.ref));
    await this.#trim(old.ref);
  }

  /** Give back what was allocated ahead behind the end of a finished log. */
  async #trim(ref: LogRef): Promise<void> {
    const log = this.#store.get(ref);
    if (log) await fs.truncate(this.#store.path(ref), Number(log.end));
  }

  /** May a rotation start now? Only two logs are written at a time. */
  canRotate(): boolean {
    return !this.#old && !this.#rotating;
  }

  /** Go on in a fresh log; resolves once the new one is written. Writers do not wait. */
  async rotate(): Promise<void> {
    const next = { number: this.#log.number + 1n, origin: this.#log.origin };
    const slot = this.#slot === 1 ? 2 : 1;
    this.#rotating = true;
    try {
      if (!this.#store.get(next)) await fs.rm(this.#store.path(next), { force: true });
      await this.#createLog(next);
      this.#ctx.bricks.connect(this.logger, slot, this.#brick(next));
      const ident = this.#ident(next, undefined);
      const size = this.#diskSize();
      this.#ctx.bricks.set(this.logger, 'logger.rotate', { ident, value: BigInt(slot) });
      const status = await this.#ctx.bricks.wait(
        this.logger,
        (s) => s.val['durableNumber'] === next.number || s.state === 'log-write-error',
      );
      if (status.state === 'log-write-error') return;
      this.#size = size;
      const prevLength = status.val['prevEnd'] ?? 0n;
      this.#store.grow(this.#log, prevLength, status.digest2);
      this.#store.grow(next, status.val['durable'] ?? 0n, status.digest, {
        ...ident,
        prevNumber: this.#log.number,
        prevOrigin: this.#log.origin,
        prevLength,
        prevDigest: status.digest2,
      });
      this.#old = { ref: this.#log, slot: this.#slot };
      this.#log = next;
      this.#slot = slot;
    } finally {
      this.#rotating = false;
    }
    await this.progress();
  }

  /**
   * Take the device away and drain the logger. Throws EngineError `open` while
   * the device is in use; then everything stays as it is.
   */
  async close(): Promise<BrickStatus> {
    await this.#ctx.bricks.power(this.nbd, false);
    await this.#ctx.bricks.remove(this.nbd);
    const last = await this.#ctx.bricks.power(this.logger, false);
    await this.progress();
    await this.#tearDown();
    await this.#trim(this.#log);
    return last;
  }

  /** Write everything back as far as it goes in a bounded time; the device stays. */
  async drain(timers: Timers): Promise<void> {
    this.#ctx.bricks.set(this.logger, 'logger.checkpoint', { value: 0n });
    const clean = this.#ctx.bricks.wait(this.logger, (s) => s.val['dirty'] === 0n || s.state !== 'ok');
    let timer: { cancel(): void } | undefined;
    const late = new Promise<void>((resolve) => (timer = timers.set(DRAIN_MS, resolve)));
    await Promise.race([clean, late]);
    timer?.cancel();
  }

  async #tearDown(): Promise<void> {
    for (const name of [this.nbd, this.logger]) await this.#ctx.bricks.remove(name);
    for (const brick of this.#ctx.bricks.list(`${this.#resource}/log-`))
      await this.#ctx.bricks.remove(brick.name);
  }
}
