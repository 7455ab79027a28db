// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A plan: what a command is going to do, as a value.
 *
 * Planners are pure functions of a situation; they refuse, or say which keys to
 * write in one batch and which conditions to wait for then. A plan with several
 * steps names a planner for the next one, which looks at the tree as it is by
 * then. Nothing here touches a file, a clock or the network: `--dry-run` prints
 * the plan, tests compare it, and execute.ts is the only one that acts.
 */
import type { MarsError } from '../../errors.js';
import { DELETED, type Changes, type Entry, type Snapshot } from '../../tree/types.js';

/** How a condition stands. */
export type Verdict =
  | { readonly state: 'met' }
  | { readonly state: 'waiting'; readonly why: string }
  | { readonly state: 'failed'; readonly error: MarsError };

/** A named predicate over the tree that can say for what and for whom it waits. */
export interface Condition {
  readonly name: string;
  readonly judge: (snap: Snapshot) => Verdict;
}

export type Step = (snap: Snapshot) => Plan;

export interface Plan {
  /** said when the plan is done */
  readonly message: string;
  /** said before anything is done */
  readonly warnings: readonly string[];
  /** one batch, one stamp (but for the weak ones) */
  readonly writes: Changes;
  /** keys of `writes` that get a weak stamp, written last: see WriteOptions of the tree */
  readonly weak: readonly string[];
  readonly waitFor: readonly Condition[];
  /** regular files of the state directory that are of no use any more (relative names) */
  readonly removeFiles: readonly string[];
  /** planned when the conditions hold */
  readonly next?: Step;
  /** what to take back when they do not hold in time; undefined = nothing */
  readonly compensate?: (snap: Snapshot) => Changes | undefined;
}

/** Everything a planner may know. */
export interface Situation {
  readonly snap: Snapshot;
  /** the host the command acts for */
  readonly me: string;
  /** does the daemon of this state directory run? */
  readonly daemon: boolean;
  readonly force: boolean;
  /** a fresh stamp as text, unique to this command */
  readonly stamp: string;
}

/** A plan with the parts given; the rest is empty. */
export function plan(message: string, parts: Partial<Omit<Plan, 'message'>> = {}): Plan {
  return { message, warnings: [], writes: {}, weak: [], waitFor: [], removeFiles: [], ...parts };
}

export const met: Verdict = { state: 'met' };
export const waiting = (why: string): Verdict => ({ state: 'waiting', why });
export const failed = (error: MarsError): Verdict => ({ state: 'failed', error });

/** A snapshot as it would be after the changes, for looking ahead. */
export function applied(snap: Snapshot, changes: Changes): Snapshot {
  const raw = (key: string): Entry | undefined => {
    const value = changes[key];
    if (value === undefined) return snap.raw(key);
    return { key, value: value ?? DELETED, stamp: snap.raw(key)?.stamp ?? 0n };
  };
  const get = (key: string): Entry | undefined => {
    const entry = raw(key);
    return entry && entry.value !== DELETED ? entry : undefined;
  };
  return {
    raw,
    get,
    value: (key) => get(key)?.value,
    list(prefix) {
      const names = new Set(snap.list(prefix).map((e) => e.key));
      for (const key of Object.keys(changes)) if (key.startsWith(prefix)) names.add(key);
      return [...names].sort().flatMap((key) => get(key) ?? []);
    },
  };
}
