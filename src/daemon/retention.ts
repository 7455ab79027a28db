// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Deleting the logs of one resource that nobody needs, as strategy/retention.ts decides.
 *
 * What is given up with them stands in the tree first. Syncs that are being served
 * pin the log they began at.
 */
import { deletableLogs, type Shortage } from '../strategy/retention.js';
import type { ResourceView } from '../strategy/resource.js';
import type { Context } from './context.js';
import type { LogStore } from './logstore.js';

/** Longest time to the next look at who may be given up, ms. */
const LOOK_MAX_MS = 3_600_000;

/** What deleting needs of the daemon. */
type Needs = Pick<Context, 'cluster' | 'engine' | 'publisher' | 'timers'>;

export class Retention {
  readonly #ctx: Needs;
  readonly #store: LogStore;
  readonly #look: () => void;
  readonly #pins = new Set<{ readonly number: bigint }>();
  #waiting = false;

  /** `look` is called when a member may be given up: nothing else tells. */
  constructor(ctx: Needs, store: LogStore, look: () => void) {
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
    const { publisher } = this.#ctx;
    const shortage = shortOfSpace ? this.#shortage() : undefined;
    const own = needed ?? view.applied?.number;
    const pinned = [...this.#pins].map((p) => p.number);
    const gone = deletableLogs(view, own, pinned, shortage);
    if (Object.keys(gone.lost).length > 0) publisher.now(gone.lost);
    if (shortage && gone.again !== undefined) this.#lookAgain(gone.again - shortage.now);
    for (const log of gone.logs) await this.#store.remove(log);
    if (gone.versions.length > 0)
      publisher.put(Object.fromEntries(gone.versions.map((key) => [key, null] as const)));
  }

  #shortage(): Shortage {
    const { cluster, engine } = this.#ctx;
    const away = cluster.peers().filter((p) => !p.connected);
    return {
      now: engine.lamport().real,
      awaySince: new Map(away.map((p) => [p.host, BigInt(p.since) * 1_000_000n])),
    };
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
