// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * When may a tombstone be forgotten?
 *
 * A tombstone with stamp t goes when for every other member N
 *  - N has acknowledged a mark of ours made after the tombstone came here (so N has
 *    it on disk), and
 *  - N has sent a mark of its own later than t (so whatever N wrote before t is here).
 * Then no member can hold an older live version of the key any more, nor write one.
 * The horizon is raised before the tombstone is removed; because N keeps our marks
 * on disk, N's mark of us is never older than our horizon, unless N was away or
 * came back from a backup: session.ts makes it drop what was deleted meanwhile.
 *
 * A member that was silent longer than the retention is not waited for, but only
 * for tombstones older than the retention: what the lonely host itself has written
 * in the last weeks is not at stake. It is flagged in actual-ME/away-N.
 *
 * The horizon also spreads: a host that has everything a member has may take over
 * that member's horizon, once all members have acknowledged a later mark.
 */
import { isReplicated, keys, parseCount } from '../tree/catalogue.js';
import type { LinkTree } from '../tree/tree.js';
import { DELETED, type Entry } from '../tree/types.js';

/** 30 days, ns. */
export const RETENTION = 30n * 86_400_000_000_000n;

const EVERY_MS = 600_000;
const IP = keys.ip('');

export class Collector {
  readonly #tree: LinkTree;
  readonly #retention: bigint;
  /** our newest mark that a member has acknowledged in this run of the program */
  readonly #acked = new Map<string, bigint>();
  /** own stamp when a tombstone was first seen in this run */
  readonly #arrived = new Map<string, bigint>();
  readonly #started: bigint;
  readonly #unsubscribe: () => void;
  readonly #timer: NodeJS.Timeout;
  /** newest horizon of a member that is not yet ours */
  #theirHorizon = 0n;

  constructor(tree: LinkTree, retention: bigint) {
    this.#tree = tree;
    this.#retention = retention;
    this.#started = tree.clock.tick();
    this.#unsubscribe = tree.subscribe((entries) => {
      this.#note(entries);
    });
    // Marks make it run; the timer is for members that fall silent, and for nobody else being there.
    this.#timer = setInterval(() => {
      try {
        this.run();
      } catch {
        // The tree cannot be written just now, which every writer is told; the next run tries again.
      }
    }, EVERY_MS).unref();
  }

  close(): void {
    this.#unsubscribe();
    clearInterval(this.#timer);
  }

  /** The member has everything we had at `stamp`, on disk. */
  acknowledged(host: string, stamp: bigint): void {
    if (stamp > (this.#acked.get(host) ?? 0n)) this.#acked.set(host, stamp);
    this.run();
  }

  /** The member has sent everything it had; it has collected up to `horizon`. */
  complete(horizon: bigint, first: boolean): void {
    if (first) this.#tree.raiseHorizon(horizon);
    else if (horizon > this.#theirHorizon) this.#theirHorizon = horizon;
    this.run();
  }

  /** Members that were silent longer than the retention. */
  away(): string[] {
    const limit = this.#tree.clock.real() - this.#retention;
    return this.#members().filter((host) => this.#lastHeard(host) < limit);
  }

  /** Collect what can be collected now. */
  run(): void {
    const tombstones = this.#tree.tombstones();
    if (tombstones.length === 0 && this.#theirHorizon <= this.#tree.horizon()) return;
    const away = new Set(this.away());
    this.#flag(away);
    const waitFor = this.#members().filter((host) => !away.has(host));
    const old = away.size === 0 ? undefined : this.#tree.clock.real() - this.#retention;
    const done = tombstones.filter(
      (e) => (old === undefined || e.stamp < old) && this.#everywhere(e, waitFor),
    );
    const newest = done.reduce((max, e) => (e.stamp > max ? e.stamp : max), 0n);
    this.#tree.raiseHorizon(newest);
    this.#tree.forget(done);
    for (const e of done) this.#arrived.delete(e.key);
    if (waitFor.every((host) => (this.#acked.get(host) ?? 0n) >= this.#theirHorizon))
      this.#tree.raiseHorizon(this.#theirHorizon);
  }

  #everywhere(tombstone: Entry, members: readonly string[]): boolean {
    const arrived = this.#arrived.get(tombstone.key) ?? this.#started;
    return members.every(
      (host) => (this.#acked.get(host) ?? 0n) >= arrived && this.#synced(host) >= tombstone.stamp,
    );
  }

  #members(): string[] {
    const all = this.#tree
      .snapshot()
      .list(IP)
      .map((e) => e.key.slice(IP.length));
    return all.filter((host) => host !== this.#tree.host);
  }

  #synced(host: string): bigint {
    return parseCount(this.#tree.snapshot().value(keys.synced(host))) ?? 0n;
  }

  #lastHeard(host: string): bigint {
    const joined = this.#tree.snapshot().get(keys.ip(host))?.stamp ?? 0n;
    const synced = this.#synced(host);
    return synced > joined ? synced : joined;
  }

  #flag(away: ReadonlySet<string>): void {
    const changes: Record<string, string | null> = {};
    for (const host of this.#members()) {
      const key = keys.nodeActual(this.#tree.host, `away-${host}`);
      changes[key] = away.has(host) ? this.#lastHeard(host).toString() : null;
    }
    this.#tree.write(changes);
  }

  #note(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.value === DELETED && isReplicated(entry.key))
        this.#arrived.set(entry.key, this.#tree.clock.tick());
    }
    if (this.#members().length === 0) this.run();
  }
}
