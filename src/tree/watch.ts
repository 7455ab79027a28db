// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Watching the directories of the tree (inotify), and handing changes to readers.
 *
 * One watcher a directory: the set of directories is managed by the tree, since
 * recursive watching is emulated on Linux and loses new directories. Events only
 * say where to look; what happened is found out by looking.
 */
import { watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';
import { parseLogName } from './catalogue.js';
import { errnoOf } from './disk.js';
import type { Entry } from './types.js';

/** Watches single directories. */
export class DirWatcher {
  readonly #root: string;
  readonly #onEvent: (dir: string, leaf: string | undefined) => void;
  readonly #onError: (dir: string, error: Error) => void;
  readonly #watchers = new Map<string, FSWatcher>();

  /**
   * @param onEvent something happened to `leaf` (undefined: to anything) in `dir`
   * @param onError the directory cannot be watched (any more)
   */
  constructor(
    root: string,
    onEvent: (dir: string, leaf: string | undefined) => void,
    onError: (dir: string, error: Error) => void,
  ) {
    this.#root = root;
    this.#onEvent = onEvent;
    this.#onError = onError;
  }

  /** Watch a directory from now on; no effect if it already is or does not exist. */
  add(dir: string): void {
    if (this.#watchers.has(dir)) return;
    try {
      const watcher = watch(join(this.#root, dir), (event, leaf) => {
        // A log that is written to tells so with every write.
        if (event === 'change' && leaf !== null && parseLogName(leaf)) return;
        this.#onEvent(dir, leaf ?? undefined);
      });
      watcher.on('error', (error) => {
        this.drop(dir);
        this.#onError(dir, error);
      });
      this.#watchers.set(dir, watcher);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT')
        this.#onError(dir, error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Forget a directory; the next add() watches whatever then has the name. */
  drop(dir: string): void {
    this.#watchers.get(dir)?.close();
    this.#watchers.delete(dir);
  }

  close(): void {
    for (const dir of [...this.#watchers.keys()]) this.drop(dir);
  }
}

/** Changes on their way to one reader: the newest version of each key, in no order. */
export class ChangeQueue implements AsyncIterableIterator<readonly Entry[]> {
  readonly #onEnd: () => void;
  #pending = new Map<string, Entry>();
  #ended = false;
  #waiting: ((result: IteratorResult<readonly Entry[], undefined>) => void)[] = [];

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  push(entries: readonly Entry[]): void {
    if (this.#ended) return;
    for (const entry of entries) this.#pending.set(entry.key, entry);
    const waiter = this.#pending.size > 0 ? this.#waiting.shift() : undefined;
    waiter?.({ done: false, value: this.#take() });
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const waiter of this.#waiting.splice(0)) waiter({ done: true, value: undefined });
    this.#onEnd();
  }

  next(): Promise<IteratorResult<readonly Entry[], undefined>> {
    if (this.#pending.size > 0) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<readonly Entry[], undefined>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): readonly Entry[] {
    const entries = [...this.#pending.values()];
    this.#pending = new Map();
    return entries;
  }
}
