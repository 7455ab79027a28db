// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The tree of one simulated node: the real merge rule, a real Lamport clock, and the durability of the real tree: progress facts may fall back to an
 * older version after a power loss, everything else is on disk at once.
 */
import { LamportClock } from '../../src/lamport/clock.js';
import { isReplicated, isVolatile } from '../../src/tree/catalogue.js';
import { isNewer } from '../../src/tree/store.js';
import { DELETED, type Changes, type Entry, type Snapshot, type Tree } from '../../src/tree/types.js';

/** All versions; a live picture, since nothing in the simulation keeps one over a change. */
class Versions implements Snapshot {
  readonly #all = new Map<string, Entry>();
  readonly #lists = new Map<string, readonly Entry[]>();

  put(key: string, entry: Entry | undefined): void {
    if (entry) this.#all.set(key, entry);
    else this.#all.delete(key);
    for (const prefix of this.#lists.keys()) if (key.startsWith(prefix)) this.#lists.delete(prefix);
  }

  raw(key: string): Entry | undefined {
    return this.#all.get(key);
  }

  get(key: string): Entry | undefined {
    const entry = this.#all.get(key);
    return entry?.value === DELETED ? undefined : entry;
  }

  value(key: string): string | undefined {
    return this.get(key)?.value;
  }

  list(prefix: string): readonly Entry[] {
    const known = this.#lists.get(prefix);
    if (known) return known;
    const found = this.all().filter((e) => e.value !== DELETED && e.key.startsWith(prefix));
    found.sort((a, b) => (a.key < b.key ? -1 : 1));
    this.#lists.set(prefix, found);
    return found;
  }

  all(): Entry[] {
    return [...this.#all.values()];
  }
}

type Listener = (entries: readonly Entry[], source: string | undefined) => void;

export class SimTree implements Tree {
  readonly dir = '/sim';
  readonly host: string;
  readonly clock: LamportClock;
  readonly #store = new Versions();
  readonly #listener: Listener;
  /** versions before those that are not on disk yet, oldest first */
  #unsynced: { readonly key: string; readonly before: Entry | undefined }[] = [];

  constructor(host: string, now: () => bigint, listener: Listener) {
    this.host = host;
    this.clock = new LamportClock({ now });
    this.#listener = listener;
  }

  snapshot(): Snapshot {
    return this.#store;
  }

  write(changes: Changes, options?: { readonly weak?: boolean }): bigint {
    const wanted = Object.entries(changes)
      .map(([key, value]) => ({ key, value: value ?? DELETED }))
      .filter(({ key, value }) => (this.#store.raw(key)?.value ?? DELETED) !== value);
    const newest = wanted.reduce((max, { key }) => {
      const stamp = this.#store.raw(key)?.stamp ?? 0n;
      return stamp > max ? stamp : max;
    }, 0n);
    if (wanted.length === 0) return newest;
    this.clock.observe(newest);
    const stamp = options?.weak ? newest + 1n : this.clock.tick();
    this.#take(
      wanted.map((w) => ({ ...w, stamp })),
      undefined,
    );
    return stamp;
  }

  merge(entries: readonly Entry[], source?: string): readonly Entry[] {
    const news = entries.filter((e) => isReplicated(e.key) && isNewer(e, this.#store.raw(e.key)));
    for (const e of news) this.clock.observe(e.stamp);
    this.#take(news, source);
    return news;
  }

  /** Every replicated version, oldest first: what a session compares at its start. */
  replicated(): Entry[] {
    return this.#store
      .all()
      .filter((e) => isReplicated(e.key))
      .sort((a, b) => (a.stamp < b.stamp ? -1 : a.stamp > b.stamp ? 1 : 0));
  }

  /** Everything so far is on disk (any durable change of the same file system takes it along). */
  sync(): void {
    this.#unsynced = [];
  }

  /** The last `lost` unsynced versions never reached the disk. */
  losePower(lost: (count: number) => number): void {
    const gone = lost(this.#unsynced.length + 1);
    for (const { key, before } of this.#unsynced.splice(this.#unsynced.length - gone).reverse())
      this.#store.put(key, before);
    this.sync();
  }

  changes(): AsyncIterable<readonly Entry[]> {
    throw new Error('the simulation has no one who waits');
  }

  close(): void {
    throw new Error('the simulation never closes a tree');
  }

  #take(entries: readonly Entry[], source: string | undefined): void {
    if (entries.length === 0) return;
    for (const entry of entries) {
      this.#unsynced.push({ key: entry.key, before: this.#store.raw(entry.key) });
      this.#store.put(entry.key, entry);
    }
    if (entries.some((e) => e.value === DELETED || !isVolatile(e.key))) this.sync();
    this.#listener(entries, source);
  }
}
