// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Facts on their way into the tree.
 *
 * Facts that decide something (roles, switches, errors) are written at once;
 * positions that move all the time are gathered and written at a bounded rate,
 * since every write travels to every member. A gathered fact may lag behind the
 * truth, never run ahead of it.
 */
import { restAfter, type Timers } from '../timers.js';
import type { Changes, Tree } from '../tree/types.js';

/** A gathered fact waits so long, ms; so many times what writing took, where that is dear. */
const GATHER_MS = 200;
const GATHER_MAX_MS = 1000;
const GATHER_SHARE = 10;

export class Publisher {
  readonly #tree: Tree;
  readonly #timers: Timers;
  readonly #onError: (error: unknown) => void;
  #pending: Record<string, string | null> = {};
  #timer: { cancel(): void } | undefined;
  #quiet = true;

  constructor(tree: Tree, timers: Timers, onError: (error: unknown) => void) {
    this.#tree = tree;
    this.#timers = timers;
    this.#onError = onError;
  }

  /** Gather; the first after a quiet time is written at once. */
  put(changes: Changes): void {
    Object.assign(this.#pending, changes);
    if (this.#timer) return;
    const before = this.#timers.busy();
    if (this.#quiet) this.flush();
    this.#quiet = false;
    this.#wait(before);
  }

  /** Until the next time; `before`: how busy all was before this one. */
  #wait(before: number): void {
    const ms = restAfter(this.#timers.busy() - before, GATHER_MS, GATHER_MAX_MS, GATHER_SHARE);
    this.#timer = this.#timers.set(ms, () => {
      this.#timer = undefined;
      this.#quiet = Object.keys(this.#pending).length === 0;
      if (this.#quiet) return;
      const now = this.#timers.busy();
      this.flush();
      this.#wait(now);
    });
  }

  /** If any of these is news, write now, in one batch with what was gathered. Throws when the tree cannot be written. */
  now(changes: Changes): void {
    Object.assign(this.#pending, changes);
    if (this.#news(changes).length > 0) this.#write();
  }

  /** Write what was gathered; a failure is reported, the facts are kept for the next time. */
  flush(): void {
    try {
      this.#write();
    } catch (error) {
      this.#onError(error);
    }
  }

  /** What could not be written stays gathered. */
  #write(): void {
    const news = this.#news(this.#pending);
    if (news.length > 0) this.#tree.write(Object.fromEntries(news));
    this.#pending = {};
  }

  #news(changes: Changes): [string, string | null][] {
    const snap = this.#tree.snapshot();
    return Object.entries(changes).filter(([key, value]) => snap.value(key) !== (value ?? undefined));
  }

  /** Forget gathered facts below a prefix (the resource is gone). */
  drop(prefix: string): void {
    this.#pending = Object.fromEntries(
      Object.entries(this.#pending).filter(([key]) => !key.startsWith(prefix)),
    );
  }
}
