// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The tree in memory: directories of entries, immutable snapshots, digests.
 *
 * A snapshot costs nothing until something changes after it; then only the
 * touched directory and the list of directories are copied. Digests by bucket are
 * kept up to date with every change, so that two nodes can compare trees without
 * walking them.
 */
import { createHash } from 'node:crypto';
import { isReplicated, splitKey } from './catalogue.js';
import { DELETED, type Entry, type Snapshot } from './types.js';

type Dir = ReadonlyMap<string, Entry>;

/** Number of buckets of keys; part of the protocol. */
export const BUCKETS = 1024;
/** Bytes of one digest. */
export const DIGEST_BYTES = 16;

/** Is version `a` newer than `b`? Order is (stamp, value); nothing is older than any version. */
export function isNewer(a: Entry, b: Entry | undefined): boolean {
  if (b === undefined || a.stamp !== b.stamp) return b === undefined || a.stamp > b.stamp;
  return a.value > b.value;
}

/** The bucket of a key, 0 .. BUCKETS-1 (FNV-1a). */
export function bucketOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % BUCKETS;
}

/** Identifies one version of one key. */
export function entryHash(entry: Entry): Buffer {
  return createHash('sha256')
    .update(`${entry.key}\0${entry.value}\0${entry.stamp}`)
    .digest()
    .subarray(0, DIGEST_BYTES);
}

function byKey(a: Entry, b: Entry): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

class Picture implements Snapshot {
  readonly #dirs: ReadonlyMap<string, Dir>;

  constructor(dirs: ReadonlyMap<string, Dir>) {
    this.#dirs = dirs;
  }

  raw(key: string): Entry | undefined {
    const { dir, leaf } = splitKey(key);
    return this.#dirs.get(dir)?.get(leaf);
  }

  get(key: string): Entry | undefined {
    const entry = this.raw(key);
    return entry?.value === DELETED ? undefined : entry;
  }

  value(key: string): string | undefined {
    return this.get(key)?.value;
  }

  list(prefix: string): readonly Entry[] {
    const { dir, leaf } = splitKey(prefix);
    const found: Entry[] = [];
    for (const [name, entry] of this.#dirs.get(dir) ?? [])
      if (entry.value !== DELETED && name.startsWith(leaf)) found.push(entry);
    for (const [name, entries] of this.#dirs) {
      if (!name.startsWith(prefix) || name === dir) continue;
      for (const entry of entries.values()) if (entry.value !== DELETED) found.push(entry);
    }
    return found.sort(byKey);
  }
}

/** The entries of one tree, tombstones and local keys included. */
export class Store {
  #dirs = new Map<string, Map<string, Entry>>();
  #picture: Picture | undefined;
  /** directories copied since the picture was taken */
  #fresh = new Set<string>();
  readonly #digests = Buffer.alloc(BUCKETS * DIGEST_BYTES);
  readonly #tombstones = new Map<string, Entry>();

  snapshot(): Snapshot {
    if (this.#picture === undefined) {
      this.#picture = new Picture(this.#dirs);
      this.#fresh.clear();
    }
    return this.#picture;
  }

  raw(key: string): Entry | undefined {
    const { dir, leaf } = splitKey(key);
    return this.#dirs.get(dir)?.get(leaf);
  }

  put(entry: Entry): void {
    const { dir, leaf } = splitKey(entry.key);
    const entries = this.#writable(dir);
    this.#account(entries.get(leaf));
    entries.set(leaf, entry);
    this.#account(entry);
    if (entry.value === DELETED && isReplicated(entry.key)) this.#tombstones.set(entry.key, entry);
    else this.#tombstones.delete(entry.key);
  }

  remove(key: string): void {
    const { dir, leaf } = splitKey(key);
    const entries = this.#writable(dir);
    this.#account(entries.get(leaf));
    entries.delete(leaf);
    if (entries.size === 0) this.#dirs.delete(dir);
    this.#tombstones.delete(key);
  }

  dirs(): string[] {
    return [...this.#dirs.keys()];
  }

  /** Entries of one directory, tombstones included. */
  entriesOf(dir: string): Entry[] {
    return [...(this.#dirs.get(dir)?.values() ?? [])];
  }

  /** Replicated keys that have a version at or below the stamp. */
  upTo(stamp: bigint): string[] {
    const found: string[] = [];
    for (const entries of this.#dirs.values())
      for (const entry of entries.values())
        if (entry.stamp <= stamp && isReplicated(entry.key)) found.push(entry.key);
    return found;
  }

  /** Replicated tombstones. */
  tombstones(): Entry[] {
    return [...this.#tombstones.values()];
  }

  /** Replicated entries of some buckets, without tombstones at or below the horizon. */
  inBuckets(buckets: ReadonlySet<number>, horizon: bigint): Entry[] {
    const found: Entry[] = [];
    for (const entries of this.#dirs.values()) {
      for (const entry of entries.values()) {
        if (!buckets.has(bucketOf(entry.key)) || !isReplicated(entry.key)) continue;
        if (entry.value !== DELETED || entry.stamp > horizon) found.push(entry);
      }
    }
    return found;
  }

  /** One digest per bucket over the replicated entries, without tombstones at or below the horizon. */
  digests(horizon: bigint): Buffer {
    const digests = Buffer.from(this.#digests);
    for (const entry of this.#tombstones.values()) if (entry.stamp > horizon) mix(digests, entry);
    return digests;
  }

  #account(entry: Entry | undefined): void {
    if (entry !== undefined && entry.value !== DELETED && isReplicated(entry.key)) mix(this.#digests, entry);
  }

  #writable(dir: string): Map<string, Entry> {
    if (this.#picture !== undefined) {
      this.#dirs = new Map(this.#dirs);
      this.#picture = undefined;
    }
    let entries = this.#dirs.get(dir);
    if (entries === undefined || !this.#fresh.has(dir)) {
      entries = new Map(entries);
      this.#dirs.set(dir, entries);
      this.#fresh.add(dir);
    }
    return entries;
  }
}

/** Adding and taking away are the same: exclusive or. */
function mix(digests: Buffer, entry: Entry): void {
  const hash = entryHash(entry);
  const base = bucketOf(entry.key) * DIGEST_BYTES;
  for (let i = 0; i < DIGEST_BYTES; i++) digests[base + i] = (digests[base + i] ?? 0) ^ (hash[i] ?? 0);
}
