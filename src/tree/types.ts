// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The symlink tree as the rest of the program sees it.
 *
 * A key is a path relative to MARS_DIR, a value is the target of the symlink
 * there, its version is the Lamport stamp in the link's own mtime (ns). Versions
 * of one key are totally ordered by (stamp, value): equal in both means equal.
 */

/** One version of one key. The value `.deleted` is a tombstone. */
export interface Entry {
  readonly key: string;
  readonly value: string;
  readonly stamp: bigint;
}

/** Value of a tombstone. */
export const DELETED = '.deleted';
/** Value that says: explicitly nobody. */
export const NONE = '(none)';

/** An immutable picture of the tree. */
export interface Snapshot {
  /** The live entry; a tombstone counts as absent. */
  get(key: string): Entry | undefined;
  /** Shorthand for `get(key)?.value`. */
  value(key: string): string | undefined;
  /** The entry even if it is a tombstone. */
  raw(key: string): Entry | undefined;
  /** Live entries whose key starts with `prefix`, sorted by key. */
  list(prefix: string): readonly Entry[];
}

/** What a write wants: key to value; `null` deletes (leaves a tombstone). */
export type Changes = Readonly<Record<string, string | null>>;

/** How a write is stamped. */
export interface WriteOptions {
  /**
   * Give the keys the least stamp that is newer than what they hold, instead of a
   * fresh one. Such a write replaces what this host knows, and loses against
   * everything else that was written since, even before this write. It is for
   * wishes that only take back (`secondary`): a wish somebody made on the other side
   * of a cut link shall win over them. Keys that hold nothing get a fresh stamp.
   */
  readonly weak?: boolean;
}

/** The tree on disk, open in this process. */
export interface Tree {
  /** MARS_DIR */
  readonly dir: string;
  /** own host name */
  readonly host: string;
  snapshot(): Snapshot;
  /**
   * Write all changes with one fresh stamp, durable on return. A key that
   * already has the wished value is left alone. Returns the stamp, or the
   * newest stamp involved if nothing had to change.
   */
  write(changes: Changes, options?: WriteOptions): bigint;
  /** Adopt what is newer than ours; returns what was adopted. */
  merge(entries: readonly Entry[]): readonly Entry[];
  /**
   * Changes from now on, whoever made them: this process, another process, a
   * hand with `ln -s`. Coalesced; ends when `signal` aborts.
   */
  changes(signal?: AbortSignal): AsyncIterable<readonly Entry[]>;
  close(): void;
}
