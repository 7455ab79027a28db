// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The symlink tree of one node: local writes, merging, watching.
 *
 * The links on disk are shared by several processes (the daemon, any number of
 * marsadm), each with its own picture in memory. All writing happens under the lock
 * of disk.ts: the writer first looks at the keys it touches, so nobody's newer
 * version is lost, then writes with one fresh stamp, bigger than every stamp of
 * these keys and than the high-water mark of the host. A weak write takes the least
 * stamp bigger than those of its keys: it loses against all that happened elsewhere
 * since they were written (see WriteOptions).
 *
 * One process, the daemon, is the *guard* of the tree. What hands do to it:
 *  - a link made by hand newer than our version is adopted as a new version;
 *  - one that is older, does not fit its key or has a stamp far in the future is
 *    replaced by our version, if there is one;
 *  - a replicated link removed by hand is put back; with no daemon running it is
 *    gone here, and peers send it again;
 *  - a link at or below the collection horizon whose key is unknown (deleted, then
 *    forgotten everywhere; back by way of a backup) is removed again; see manifest.ts
 *    for how that is told when no daemon was running.
 * All of that is reported. Without the guard, a process takes the disk as it is.
 *
 * Deletion writes a tombstone. A tombstone is forgotten (collect()) once every
 * member is known to have it; which these are is decided in cluster/collector.ts.
 * `local/horizon` remembers the newest one: tombstones up to there are never taken
 * in for keys that are unknown here. Above it they are, because an older live
 * version may still be on its way over a third host.
 *
 * Stamps too far in the future are as good as absent: the next legal write replaces
 * them. The guard gives its own host's keys a legal stamp and keeps the value, since
 * nobody knows it better. If this host's own mark lies in the future, the clock is
 * wrong now or was then: opening is refused (`clock-behind`) until somebody decides.
 *
 * Durability: on return everything is on disk, except progress facts (isVolatile).
 * Not safe across threads. A failed write leaves memory as the disk is.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MarsError } from '../errors.js';
import { formatStamp, LamportClock, realNow } from '../lamport/clock.js';
import {
  checkEntry,
  fitsKey,
  isKey,
  isReplicated,
  isTreeDir,
  isVolatile,
  keyOwner,
  keys,
  parseCount,
} from './catalogue.js';
import { Disk, systemCalls, type TreeNative } from './disk.js';
import { loadManifest, saveManifest, type Manifest } from './manifest.js';
import { StampFile } from './stampfile.js';
import { isNewer, Store } from './store.js';
import { DELETED, type Changes, type Entry, type Snapshot, type Tree, type WriteOptions } from './types.js';
import { ChangeQueue, DirWatcher } from './watch.js';

/** Something an operator should know. */
export interface TreeNote {
  readonly kind:
    | 'restored'
    | 'adopted'
    | 'stamp-in-future'
    | 'bad-value'
    | 'stale-removed'
    | 'watch-failed'
    | 'failed';
  readonly key: string;
  readonly text: string;
}

/** What a tree is opened with. */
export interface TreeOptions {
  /** MARS_DIR */
  readonly dir: string;
  /** own host name */
  readonly host: string;
  readonly clock: LamportClock;
  readonly native?: TreeNative;
  /** watch from the start and undo damage: the daemon only */
  readonly guard?: boolean;
  /** make the directory if it is not there */
  readonly create?: boolean;
  /** go on although this host's own mark lies far in the future */
  readonly acceptClock?: boolean;
  readonly report?: (note: TreeNote) => void;
  /** how often everything is looked at in case an event was lost, ms; default 30000 */
  readonly rescanMs?: number;
  /** identifies the boot of the machine */
  readonly boot?: string;
  readonly pid?: number;
}

/** Told of changes; `source` is what was given to merge(), undefined for local changes. */
export type ChangeListener = (entries: readonly Entry[], source: unknown) => void;

/** Open the tree. Throws MarsError `no-cluster`, `clock-behind`, `tree-damaged`, `tree-not-writable`. */
export function openTree(options: TreeOptions): LinkTree {
  if (options.create) mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  if (!existsSync(options.dir)) throw new MarsError('no-cluster', `${options.dir} does not exist`);
  return new LinkTree(options);
}

/** Open the tree of this machine with a clock of its own. */
export function openLocalTree(options: Omit<TreeOptions, 'clock'>): LinkTree {
  return openTree({ ...options, clock: new LamportClock({ now: realNow }) });
}

const MANIFEST = 'local/manifest';
/** how often a moved horizon makes a new manifest */
const MANIFEST_MS = 3_600_000;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

function bootId(): string {
  return existsSync(BOOT_ID) ? readFileSync(BOOT_ID, 'latin1').trim() : '-'.repeat(36);
}

export class LinkTree implements Tree {
  readonly dir: string;
  readonly host: string;
  readonly clock: LamportClock;
  readonly #guard: boolean;
  readonly #report: (note: TreeNote) => void;
  readonly #rescanMs: number;
  readonly #disk: Disk;
  readonly #marks: StampFile;
  readonly #store = new Store();
  readonly #queues = new Set<ChangeQueue>();
  readonly #listeners = new Set<ChangeListener>();
  /** notes already given about a link as it stands */
  readonly #noted = new Set<string>();
  /** where to look: directory to leaves, undefined = everything */
  readonly #dirty = new Map<string, Set<string> | undefined>();
  #lookScheduled = false;
  #watcher: DirWatcher | undefined;
  #rescan: NodeJS.Timeout | undefined;
  #loaded = false;
  /** replicated links were met that cannot be accepted, and no version of ours is known */
  #holes = false;
  /** as of the last start; afterwards only its horizon is kept */
  #manifest: Manifest = { horizon: 0n, keys: new Set() };
  #manifestAt = performance.now();
  #closed = false;

  constructor(options: TreeOptions) {
    this.dir = options.dir;
    this.host = options.host;
    this.clock = options.clock;
    this.#guard = options.guard ?? false;
    this.#report = options.report ?? (() => undefined);
    this.#rescanMs = options.rescanMs ?? 30_000;
    this.#disk = new Disk(options.dir, options.native ?? systemCalls, options.pid ?? process.pid);
    this.#marks = new StampFile(join(options.dir, 'local/clock'), options.boot ?? bootId());
    try {
      this.#open(options.acceptClock ?? false);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  snapshot(): Snapshot {
    return this.#store.snapshot();
  }

  write(changes: Changes, options: WriteOptions = {}): bigint {
    const wishes = Object.entries(changes).map(([key, value]) => ({ key, value: value ?? DELETED }));
    for (const { key, value } of wishes) checkEntry(key, value);
    const done: Entry[] = [];
    try {
      return this.#disk.locked(() => {
        for (const { key } of wishes) this.#refresh(key, done);
        const missing = wishes.filter(({ key, value }) => (this.#store.raw(key)?.value ?? DELETED) !== value);
        if (missing.length === 0) return this.#newest(wishes.map((w) => w.key));
        const touched = missing.map((w) => w.key);
        const stamp = options.weak ? this.#weakStamp(touched) : this.#freshStamp(touched);
        for (const { key, value } of missing) this.#put({ key, value, stamp }, done);
        this.#settle(missing.map((w) => ({ ...w, stamp })));
        return stamp;
      });
    } finally {
      this.#emit(done, undefined);
    }
  }

  /**
   * Adopt what is newer than ours. Entries that are not of the catalogue, whose
   * value does not fit or whose stamp is too far in the future are left out and
   * reported.
   *
   * @param source handed to the listeners, so that nothing is echoed
   */
  merge(entries: readonly Entry[], source?: unknown): readonly Entry[] {
    const refreshed: Entry[] = [];
    const adopted: Entry[] = [];
    try {
      this.#disk.locked(() => {
        for (const entry of entries) {
          if (!this.#acceptable(entry)) continue;
          this.#refresh(entry.key, refreshed);
          if (!this.#wanted(entry)) continue;
          this.#put(entry, adopted);
          this.clock.observe(entry.stamp);
        }
        if (adopted.length === 0) return;
        this.#marks.store(this.clock.read());
        this.#settle(adopted);
      });
    } finally {
      this.#emit(refreshed, undefined);
      this.#emit(adopted, source);
    }
    return adopted;
  }

  changes(signal?: AbortSignal): AsyncIterable<readonly Entry[]> {
    const queue = new ChangeQueue(() => {
      this.#queues.delete(queue);
      signal?.removeEventListener('abort', onAbort);
      if (this.#queues.size === 0 && !this.#guard) this.#stopWatching();
    });
    const onAbort = (): void => {
      queue.end();
    };
    if (this.#closed || signal?.aborted) {
      queue.end();
      return queue;
    }
    this.#queues.add(queue);
    signal?.addEventListener('abort', onAbort);
    this.#startWatching();
    return queue;
  }

  /** Call `listener` after each change, not from within it. Returns how to end that. */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Replicated tombstones. */
  tombstones(): readonly Entry[] {
    return this.#store.tombstones();
  }

  /** Stamp of the newest tombstone ever collected here. */
  horizon(): bigint {
    return parseCount(this.#store.raw(keys.horizon)?.value) ?? 0n;
  }

  /** Remember that tombstones up to `stamp` have been collected in the cluster. */
  raiseHorizon(stamp: bigint): void {
    if (stamp > this.horizon()) this.write({ [keys.horizon]: stamp.toString() });
  }

  /** Forget versions that nobody can bring back: tombstones everybody has, or stale leftovers. */
  forget(entries: readonly Entry[]): void {
    const gone: Entry[] = [];
    this.#disk.locked(() => {
      for (const entry of entries) {
        const ours = this.#store.raw(entry.key);
        if (ours === undefined || ours.stamp !== entry.stamp || ours.value !== entry.value) continue;
        this.#store.remove(entry.key);
        this.#disk.remove(entry.key);
        gone.push({ ...entry, value: DELETED });
      }
      this.#disk.sync();
    });
    // Readers shall look again; there is no version to pass on, so listeners hear nothing.
    for (const queue of this.#queues) queue.push(gone);
  }

  /** See Store. */
  digests(horizon: bigint): Buffer {
    return this.#store.digests(horizon);
  }

  /** See Store. */
  inBuckets(buckets: ReadonlySet<number>, horizon: bigint): readonly Entry[] {
    return this.#store.inBuckets(buckets, horizon);
  }

  /** Look at everything on disk again. */
  refresh(): void {
    this.#look(() => {
      this.#scanTree('');
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#saveManifest();
    this.#closed = true;
    this.#stopWatching();
    for (const queue of [...this.#queues]) queue.end();
    this.#listeners.clear();
    this.#marks.close();
    this.#disk.close();
  }

  // ---- opening ----

  #open(acceptClock: boolean): void {
    const mark = this.#marks.load();
    if (this.clock.isFuture(mark) && !acceptClock) {
      throw new MarsError('clock-behind', {
        found: `the tree was written at ${formatStamp(mark)}, the clock shows ${formatStamp(this.clock.real())}`,
      });
    }
    if (!this.clock.isFuture(mark)) this.clock.observe(mark);
    if (this.#guard) {
      this.#disk.probe();
      const manifest = loadManifest(this.#disk.path(MANIFEST));
      // Without the horizon it belongs to, it is that of a cluster which this host has left.
      const horizon = parseCount(this.#disk.read(keys.horizon)?.value) ?? 0n;
      if (manifest.horizon <= horizon) this.#manifest = manifest;
      this.#startWatching();
    } else {
      this.#scanTree('');
    }
    this.#loaded = true;
    this.#forgetHorizon();
    this.#saveManifest();
  }

  /**
   * With keys here whose versions cannot be accepted, what is unknown here was not
   * deleted: claim no horizon, or members would drop their versions of these keys.
   */
  #forgetHorizon(): void {
    if (this.#guard && this.#holes && this.horizon() > 0n) this.write({ [keys.horizon]: null });
  }

  /** Note which keys are known, if the horizon has moved since it was last noted. */
  #saveManifest(): void {
    const horizon = this.horizon();
    if (!this.#guard || !this.#loaded || this.#manifest.horizon === horizon) return;
    this.#safely(() => {
      const known = this.#store.upTo(horizon);
      saveManifest(this.#disk.path(MANIFEST), { horizon, keys: known });
      this.#manifest = { horizon, keys: new Set() };
    });
  }

  // ---- writing, with the lock held ----

  /** Take in what another process wrote to the key. */
  #refresh(key: string, changed: Entry[]): void {
    const found = this.#disk.read(key);
    const ours = this.#store.raw(key);
    if (found === undefined) {
      if (!this.#guard && ours !== undefined) this.#store.remove(key);
      return;
    }
    if (found.stamp === ours?.stamp && found.value === ours.value) return;
    if (!this.#acceptable(found)) return;
    if (this.#guard && !isNewer(found, ours)) return;
    this.#adopt(found, changed);
  }

  #adopt(entry: Entry, changed: Entry[]): void {
    this.clock.observe(entry.stamp);
    this.#store.put(entry);
    changed.push(entry);
  }

  #put(entry: Entry, done: Entry[]): void {
    if (entry.value === DELETED && !isReplicated(entry.key)) {
      this.#disk.remove(entry.key);
      this.#store.remove(entry.key);
    } else {
      this.#disk.put(entry);
      this.#store.put(entry);
    }
    done.push(entry);
  }

  #freshStamp(touched: readonly string[]): bigint {
    const mark = this.#marks.load();
    if (!this.clock.isFuture(mark)) this.clock.observe(mark);
    for (const key of touched) this.clock.observe(this.#store.raw(key)?.stamp ?? 0n);
    const stamp = this.clock.tick();
    this.#marks.store(stamp);
    return stamp;
  }

  #weakStamp(touched: readonly string[]): bigint {
    const newest = this.#newest(touched);
    return newest === 0n ? this.#freshStamp(touched) : newest + 1n;
  }

  #newest(of: readonly string[]): bigint {
    let newest = 0n;
    for (const key of of) {
      const stamp = this.#store.raw(key)?.stamp ?? 0n;
      if (stamp > newest) newest = stamp;
    }
    return newest;
  }

  #settle(written: readonly Entry[]): void {
    if (written.some((e) => e.value === DELETED || !isVolatile(e.key))) this.#disk.sync();
    else this.#disk.skipSync();
  }

  /** Is a version from a peer news to us? */
  #wanted(entry: Entry): boolean {
    const ours = this.#store.raw(entry.key);
    if (ours === undefined && entry.value === DELETED && entry.stamp <= this.horizon()) return false;
    return isReplicated(entry.key) && isNewer(entry, ours);
  }

  #acceptable(entry: Entry): boolean {
    if (!isKey(entry.key)) return false;
    if (!fitsKey(entry.key, entry.value)) {
      this.#note(
        'bad-value',
        entry,
        `the value ${JSON.stringify(entry.value.slice(0, 200))} does not fit the key`,
      );
      return false;
    }
    if (this.clock.isFuture(entry.stamp)) {
      this.#note('stamp-in-future', entry, `the stamp ${formatStamp(entry.stamp)} is too far in the future`);
      return false;
    }
    return true;
  }

  // ---- looking at the disk ----

  #look(body: () => void): void {
    this.#safely(() => {
      this.#inLook(body);
    });
  }

  /** For what nobody waits for: a failure is reported, and the next look tries again. */
  #safely(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#report({ kind: 'failed', key: '', text: error instanceof Error ? error.message : String(error) });
    }
  }

  /** Only the guard may have to repair what it sees; the others need no lock to look. */
  #inLook(body: () => void): void {
    if (this.#guard) this.#disk.locked(body);
    else body();
  }

  #scanTree(root: string): void {
    const changed: Entry[] = [];
    const seen = new Set<string>();
    const open = [root, ...this.#store.dirs().filter((d) => root === '' || d.startsWith(`${root}/`))];
    for (let dir = open.pop(); dir !== undefined; dir = open.pop()) {
      if (seen.has(dir)) continue;
      seen.add(dir);
      open.push(...this.#scanDir(dir, changed));
    }
    this.#emit(changed, undefined);
  }

  /** Returns the directories of the tree in it. */
  #scanDir(dir: string, changed: Entry[]): string[] {
    this.#watcher?.add(dir);
    const found = this.#disk.scan(dir);
    const present = new Set<string>();
    for (const entry of found?.entries ?? []) {
      present.add(entry.key);
      this.#meet(entry, changed);
    }
    if (this.#guard) for (const key of found?.stale ?? []) this.#disk.remove(key);
    for (const ours of this.#store.entriesOf(dir)) if (!present.has(ours.key)) this.#missed(ours, changed);
    return (found?.dirs ?? []).filter(isTreeDir);
  }

  /** A link stands on disk. */
  #meet(found: Entry, changed: Entry[]): void {
    const ours = this.#store.raw(found.key);
    if ((ours?.stamp === found.stamp && ours.value === found.value) || !isKey(found.key)) return;
    if (!this.#acceptable(found)) {
      if (this.#guard) this.#repair(found, ours, changed);
    } else if (!this.#guard) {
      this.#adopt(found, changed);
    } else if (!isNewer(found, ours)) {
      if (ours !== undefined) this.#restore(ours, 'an older link was put in its place');
    } else if (ours === undefined && this.#isStale(found)) {
      this.#disk.remove(found.key);
      this.#note('stale-removed', found, 'deleted in the cluster before; removed again');
    } else {
      this.#adopt(found, changed);
    }
  }

  /** Is this unknown link one that was deleted before, as far as can be told? */
  #isStale(found: Entry): boolean {
    if (!isReplicated(found.key)) return false;
    if (this.#loaded) return found.stamp <= this.horizon();
    return found.stamp <= this.#manifest.horizon && !this.#manifest.keys.has(found.key);
  }

  /** A link that cannot be accepted. */
  #repair(found: Entry, ours: Entry | undefined, changed: Entry[]): void {
    if (ours !== undefined) {
      this.#restore(ours, 'an illegal link was put in its place');
    } else if (
      fitsKey(found.key, found.value) &&
      (keyOwner(found.key) === this.host || !isReplicated(found.key))
    ) {
      const entry = { ...found, stamp: this.#freshStamp([]) };
      this.#put(entry, changed);
      this.#disk.sync();
      this.#note('adopted', found, `kept with the legal stamp ${formatStamp(entry.stamp)}`);
    } else {
      this.#holes = true;
    }
  }

  /** A link we know is not there. */
  #missed(ours: Entry, changed: Entry[]): void {
    if (this.#guard && isReplicated(ours.key)) {
      this.#restore(ours, 'the link was removed by hand');
    } else {
      this.#store.remove(ours.key);
      changed.push({ ...ours, value: DELETED });
    }
  }

  #restore(ours: Entry, why: string): void {
    this.#disk.put(ours);
    this.#disk.sync();
    this.#report({ kind: 'restored', key: ours.key, text: why });
  }

  #note(kind: TreeNote['kind'], entry: Entry, text: string): void {
    const id = `${kind}\0${entry.key}\0${entry.value}\0${entry.stamp}`;
    if (this.#noted.has(id)) return;
    if (this.#noted.size >= 10_000) this.#noted.clear();
    this.#noted.add(id);
    this.#report({ kind, key: entry.key, text });
  }

  // ---- watching ----

  #startWatching(): void {
    if (this.#watcher !== undefined) return;
    this.#watcher = new DirWatcher(
      this.dir,
      (dir, leaf) => {
        this.#suspect(dir, leaf);
      },
      (dir, error) => {
        this.#report({ kind: 'watch-failed', key: dir, text: error.message });
      },
    );
    // Watchers first, then the look: nothing falls between.
    this.#inLook(() => {
      this.#scanTree('');
    });
    this.#rescan = setInterval(() => {
      for (const dir of new Set(['', ...this.#store.dirs()])) this.#suspect(dir, undefined);
      if (performance.now() - this.#manifestAt > MANIFEST_MS) {
        this.#manifestAt = performance.now();
        this.#saveManifest();
      }
    }, this.#rescanMs).unref();
  }

  #stopWatching(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    clearInterval(this.#rescan);
    this.#dirty.clear();
  }

  #suspect(dir: string, leaf: string | undefined): void {
    const leaves = this.#dirty.get(dir);
    if (leaf === undefined) this.#dirty.set(dir, undefined);
    else if (leaves !== undefined) leaves.add(leaf);
    else if (!this.#dirty.has(dir)) this.#dirty.set(dir, new Set([leaf]));
    this.#scheduleLook();
  }

  #scheduleLook(): void {
    if (this.#lookScheduled) return;
    this.#lookScheduled = true;
    setImmediate(() => {
      this.#lookScheduled = false;
      const next = this.#dirty.entries().next();
      if (this.#closed || next.done) return;
      const [dir, leaves] = next.value;
      this.#dirty.delete(dir);
      this.#look(() => {
        this.#inspect(dir, leaves);
      });
      // One directory a turn: a look at everything must not hold up the rest.
      if (this.#dirty.size > 0) this.#scheduleLook();
    });
  }

  #inspect(dir: string, leaves: ReadonlySet<string> | undefined): void {
    if (leaves === undefined) {
      const changed: Entry[] = [];
      const subs = this.#scanDir(dir, changed);
      this.#emit(changed, undefined);
      for (const sub of subs) if (this.#store.entriesOf(sub).length === 0) this.#scanTree(sub);
      return;
    }
    const changed: Entry[] = [];
    for (const leaf of leaves) {
      const key = dir === '' ? leaf : `${dir}/${leaf}`;
      if (isTreeDir(key)) {
        // Another directory may stand under the name now.
        this.#watcher?.drop(key);
        this.#scanTree(key);
      } else if (isKey(key)) {
        const found = this.#disk.read(key);
        const ours = this.#store.raw(key);
        if (found !== undefined) this.#meet(found, changed);
        else if (ours !== undefined) this.#missed(ours, changed);
      }
    }
    this.#emit(changed, undefined);
  }

  #emit(entries: readonly Entry[], source: unknown): void {
    if (entries.length === 0 || this.#closed) return;
    for (const queue of this.#queues) queue.push(entries);
    for (const listener of this.#listeners) {
      queueMicrotask(() => {
        if (this.#listeners.has(listener)) this.#safely(() => listener(entries, source));
      });
    }
  }
}
