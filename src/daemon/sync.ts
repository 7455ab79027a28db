// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The running sync of one resource on the node that is being synced.
 *
 * Owns syncstatus-, syncpos- and, at the start of a fresh sync, replay-ME: the
 * position from which replay makes the copied blocks equal to one past state.
 */
import { MarsError, asMarsError, type ReasonCode } from '../errors.js';
import type { SyncGoal } from '../strategy/resource.js';
import { formatPosition, keys, parsePosition } from '../tree/catalogue.js';
import { runSync } from '../transfer/synctarget.js';
import { openDisk, type DiskPlace } from '../transfer/disk.js';
import { Backoff } from './backoff.js';
import type { Context } from './context.js';

/** First and longest pause after a failed attempt, ms. */
const RETRY_MS = 500;
const RETRY_MAX_MS = 10_000;

export class Sync {
  readonly #ctx: Context;
  readonly #resource: string;
  readonly #changed: () => void;
  readonly #begin: (position: string) => Promise<void>;
  #abort: AbortController | undefined;
  #source: string | undefined;
  #done: Promise<void> = Promise.resolve();
  readonly #pauses = new Backoff(RETRY_MS, RETRY_MAX_MS);
  #resting = false;
  /** why the last attempt ended; undefined while it goes well */
  problem: ReasonCode | undefined;

  /** `begin` discards the old replica and takes `position` as its new start. */
  constructor(
    ctx: Context,
    resource: string,
    begin: (position: string) => Promise<void>,
    changed: () => void,
  ) {
    this.#ctx = ctx;
    this.#resource = resource;
    this.#begin = begin;
    this.#changed = changed;
  }

  get active(): boolean {
    return this.#abort !== undefined;
  }

  /** Start or keep the sync; without a goal, end it. */
  async run(goal: SyncGoal | undefined, disk: DiskPlace, uuid: string): Promise<void> {
    // Another primary: what the old one reads from its disk now is not what its log says.
    if (!goal || (this.#abort && goal.source !== this.#source)) await this.stop();
    if (!goal || this.#abort || this.#resting) return;
    this.#source = goal.source;
    this.#abort = new AbortController();
    this.#done = this.#sync(goal, disk, uuid, this.#abort.signal);
  }

  async stop(): Promise<void> {
    this.#abort?.abort();
    await this.#done;
  }

  async #sync(goal: SyncGoal, disk: DiskPlace, uuid: string, signal: AbortSignal): Promise<void> {
    const { tree, host, cluster } = this.#ctx;
    const done = keys.syncstatus(this.#resource, host);
    try {
      const stream = await cluster.open(goal.source, 'sync', { resource: this.#resource, uuid }, signal);
      signal.addEventListener('abort', () => stream.destroy());
      if (signal.aborted) stream.destroy();
      this.#changed();
      await runSync(stream, {
        open: () => openDisk(disk, true),
        size: goal.size,
        from: goal.from,
        onStart: async (position) => {
          if (goal.from === 0n) await this.#begin(position);
          tree.write({ [keys.actual(this.#resource, host, 'sync-timeline')]: goal.timeline });
        },
        onProgress: (at) => {
          // The last step is published together with syncpos, by onEnd.
          if (at < goal.size) tree.write({ [done]: at.toString() });
          this.#pauses.reset();
          this.problem = undefined;
        },
        onEnd: (position) => {
          const end = parsePosition(position);
          if (!end) throw new MarsError('bad-message', { found: position });
          tree.write({
            [done]: goal.size.toString(),
            [keys.actual(this.#resource, host, 'sync-timeline')]: null,
            [keys.syncpos(this.#resource, host)]: formatPosition({
              number: end.number,
              origin: end.origin,
              pos: end.pos,
            }),
          });
        },
      });
    } catch (error) {
      if (!signal.aborted) this.#failed(asMarsError(error));
    } finally {
      this.#abort = undefined;
      this.#changed();
    }
  }

  #failed(error: MarsError): void {
    this.problem = error.code;
    this.#ctx.log(`${this.#resource}: sync failed: ${error.message}`);
    this.#resting = true;
    this.#ctx.timers.set(this.#pauses.failed(), () => {
      this.#resting = false;
      this.#changed();
    });
  }
}
