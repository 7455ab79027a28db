// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Deleting the logs of one resource that nobody needs, as strategy/retention.ts decides.
 *
 * What is given up with them stands in the tree first. Syncs that are being served
 * pin the log they began at.
 */
import { deletableLogs } from '../strategy/retention.js';
import type { ResourceView } from '../strategy/resource.js';
import type { Context } from './context.js';
import type { LogStore } from './logstore.js';

/** Longest time to the next look at who may be given up, ms. */
const LOOK_MAX_MS = 3_600_000;

export class Retention {
  readonly #ctx: Context;
  readonly #store: LogStore;
  readonly #look: () => void;
  readonly #pins = new Set<{ readonly number: bigint }>();
  #waiting = false;

  /** `look` is called when a member may be given up: nothing else tells. */
  constructor(ctx: Context, store: LogStore, look: () => void) {
    this.#ctx = ctx;
    this.#store = store;
    this.#look = look;
  }

  /** Keep everything from log `number` on; returns the function that ends it. */
  pin(number: bigint): () => void {
    const pin = { number };
    this.#pins.add(pin);
    return () => void this.#pins.delete(pin);
  }

  /** Delete what can go; `needed` is the oldest log a primary needs itself. */
  async run(view: ResourceView, needed: bigint | undefined, shortOfSpace: boolean): Promise<void> {
    const { engine, publisher } = this.#ctx;
    const now = engine.lamport().lamport;
    const own = needed ?? view.applied?.number;
    const pinned = [...this.#pins].map((p) => p.number);
    const gone = deletableLogs(view, own, pinned, shortOfSpace ? now : undefined);
    if (Object.keys(gone.lost).length > 0) publisher.now(gone.lost);
    if (gone.again !== undefined) this.#lookAgain(gone.again - now);
    for (const log of gone.logs) await this.#store.remove(log);
    if (gone.versions.length > 0)
      publisher.put(Object.fromEntries(gone.versions.map((key) => [key, null] as const)));
  }

  #lookAgain(ns: bigint): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#ctx.timers.set(Math.min(Number(ns / 1_000_000n) + 1, LOOK_MAX_MS), () => {
      this.#waiting = false;
      this.#look();
    });
  }
}
