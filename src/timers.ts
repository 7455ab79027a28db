// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Timers, and how long to rest between pieces of work that come again and again.
 *
 * What is done for its own sake (telling how far something is, looking for news) may take a
 * part of a processor only: on a slow or busy machine it is done less often.
 */

/** Time enters as a parameter, so that tests decide about it. */
export interface Timers {
  /** how long the event loop of this thread has been busy, ever, ms */
  busy(): number;
  /** Call once, `ms` from now; does not keep the process alive. */
  set(ms: number, run: () => void): { cancel(): void };
}

export const systemTimers: Timers = {
  busy: () => performance.eventLoopUtilization().active,
  set(ms, run) {
    const handle = setTimeout(run, ms);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** How many times as long as the work before a rest is, when nothing else is said. */
export const REST_SHARE = 3;

/** How long to rest after having been busy for `cost`, within bounds; all in ms. */
export const restAfter = (cost: number, shortest: number, longest: number, share = REST_SHARE): number =>
  Math.min(longest, Math.max(shortest, share * cost));
