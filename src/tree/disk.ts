// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Links on disk: reading, writing, locking, durability. No policy.
 *
 * A link is made under a temporary name in its directory, gets its stamp as
 * modification time, then is renamed over the final name: a reader sees the old or
 * the new version, never less. Every write happens under the lock on
 * local/tree.lock, which other processes (marsadm, marsd) take as well; it is held
 * for microseconds to milliseconds, so waiting for it blocks the thread. flock is
 * released by the system if the holder dies.
 *
 * Failures of the file system become MarsError `tree-not-writable` or `tree-damaged`.
 */
import { closeSync, mkdirSync, openSync, renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { MarsError, noEngineReason } from '../errors.js';
import * as linktime from '../engine/linktime.js';
import { splitKey } from './catalogue.js';
import type { Entry } from './types.js';

/** The system calls the tree needs beyond node:fs; see engine/linktime.ts. */
export type TreeNative = Pick<
  typeof linktime,
  'setLinkTime' | 'linkInfo' | 'readLinks' | 'syncDir' | 'flock'
>;

/** The addon. */
export const systemCalls: TreeNative = linktime;

/** Prefix of temporary names; only the holder of the lock has any. */
export const TMP = '.tmp-';

/** errno name of a thrown system error, or `` */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** The links of one MARS_DIR. Not safe across threads; safe across processes. */
export class Disk {
  readonly dir: string;
  readonly #native: TreeNative;
  readonly #tmp: string;
  /** descriptor of local/tree.lock; opened at the first write */
  #lockFd: number | undefined;
  #locked = false;
  /** directories with names that are not yet durable */
  readonly #unsynced = new Set<string>();

  constructor(dir: string, native: TreeNative, pid: number) {
    this.dir = dir;
    this.#native = native;
    this.#tmp = `${TMP}${pid}`;
  }

  path(key: string): string {
    return join(this.dir, key);
  }

  /** What stands at the key now; undefined if it is no link. */
  read(key: string): Entry | undefined {
    const info = this.#native.linkInfo(this.path(key));
    return info && { key, value: info.target, stamp: info.mtimeNs };
  }

  /** Links and sub-directories of one directory; undefined if it is not there. */
  scan(dir: string): { entries: Entry[]; stale: string[]; dirs: string[] } | undefined {
    let found;
    try {
      found = this.#native.readLinks(join(this.dir, dir));
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return undefined;
      // Without the addon nothing can be said about the directory.
      if (noEngineReason(errnoOf(error)) !== undefined) throw error;
      const denied = ['EACCES', 'EPERM'].includes(errnoOf(error));
      throw new MarsError(denied ? 'not-permitted' : 'tree-damaged', { found: String(error), cause: error });
    }
    const entries: Entry[] = [];
    const stale: string[] = [];
    const prefix = dir === '' ? '' : `${dir}/`;
    for (const link of found.links) {
      const key = prefix + link.name;
      if (link.name.startsWith(TMP)) stale.push(key);
      else entries.push({ key, value: link.target, stamp: link.mtimeNs });
    }
    return { entries, stale, dirs: found.dirs.map((name) => prefix + name) };
  }

  /** Run `body` with the lock held; nested calls are one section. */
  locked<T>(body: () => T): T {
    if (this.#locked) return body();
    const fd = this.#openLock();
    this.#native.flock(fd, 'exclusive', true);
    this.#locked = true;
    try {
      return body();
    } finally {
      this.#locked = false;
      this.#native.flock(fd, 'unlock');
    }
  }

  /** Write one version. Durable only after {@link sync}. Call with the lock held. */
  put(entry: Entry): void {
    const { dir } = splitKey(entry.key);
    const tmp = join(this.dir, dir, this.#tmp);
    this.#guarded(entry.key, () => {
      this.#symlink(entry.value, tmp, dir);
      try {
        this.#native.setLinkTime(tmp, entry.stamp);
        renameSync(tmp, this.path(entry.key));
      } catch (error) {
        unlinkSync(tmp);
        throw error;
      }
    });
    this.#unsynced.add(dir);
  }

  /** Remove a link without leaving a tombstone. Call with the lock held. */
  remove(key: string): void {
    this.#guarded(key, () => {
      try {
        unlinkSync(this.path(key));
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    });
    this.#unsynced.add(splitKey(key).dir);
  }

  /** Make everything written so far durable. */
  sync(): void {
    for (const dir of this.#unsynced) {
      this.#guarded(dir, () => {
        this.#native.syncDir(join(this.dir, dir));
      });
    }
    this.#unsynced.clear();
  }

  /** What was written since the last sync need not be durable yet. */
  skipSync(): void {
    this.#unsynced.clear();
  }

  /** Does the file system keep nanoseconds? Throws MarsError `tree-damaged` if not. */
  probe(): void {
    const tmp = join(this.dir, 'local', `${this.#tmp}-probe`);
    const odd = 1_000_000_000_123_456_789n;
    this.locked(() => {
      this.#guarded('local', () => {
        this.#symlink('probe', tmp, 'local');
        this.#native.setLinkTime(tmp, odd);
      });
      const got = this.#native.linkInfo(tmp)?.mtimeNs;
      unlinkSync(tmp);
      if (got !== odd)
        throw new MarsError(
          'tree-damaged',
          `the file system of ${this.dir} does not keep nanoseconds of link times`,
        );
    });
  }

  close(): void {
    if (this.#lockFd !== undefined) closeSync(this.#lockFd);
    this.#lockFd = undefined;
  }

  #openLock(): number {
    if (this.#lockFd === undefined) {
      this.#guarded('local/tree.lock', () => {
        mkdirSync(join(this.dir, 'local'), { recursive: true, mode: 0o700 });
        this.#lockFd = openSync(join(this.dir, 'local/tree.lock'), 'a', 0o600);
      });
    }
    return this.#lockFd ?? -1;
  }

  #symlink(value: string, path: string, dir: string): void {
    try {
      symlinkSync(value, path);
    } catch (error) {
      const code = errnoOf(error);
      if (code === 'EEXIST') unlinkSync(path);
      else if (code === 'ENOENT') this.#makeDir(dir);
      else throw error;
      symlinkSync(value, path);
    }
  }

  #makeDir(dir: string): void {
    const first = mkdirSync(join(this.dir, dir), { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let d = dir; d !== ''; d = splitKey(d).dir) this.#unsynced.add(splitKey(d).dir);
  }

  #guarded(what: string, body: () => void): void {
    try {
      body();
    } catch (error) {
      const code = errnoOf(error);
      const found = `${what}: ${error instanceof Error ? error.message : String(error)}`;
      if (['ENOTDIR', 'EISDIR', 'ENOTEMPTY', 'ELOOP'].includes(code))
        throw new MarsError('tree-damaged', { found, cause: error });
      if (code !== '') throw new MarsError('tree-not-writable', { found, cause: error });
      throw error;
    }
  }
}
