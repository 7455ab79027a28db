// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Lamport clock of one node, in nanoseconds since the epoch.
 *
 * It shows real time unless a stamp from somewhere else has pushed it ahead; then
 * it runs at half speed until real time has caught up, so it never goes back and
 * never stands still. If real time is set back, it goes on from where it was, at
 * half speed as well. Stamps given out by tick() are unique and strictly
 * increasing. A stamp too far in the future is refused: one host with a wrong
 * clock must not infect the others.
 *
 * No I/O here: the tree persists the high-water mark (see tree/stampfile.ts).
 */
import { MarsError } from '../errors.js';

/** 24 hours. */
export const DEFAULT_MAX_FUTURE = 86_400_000_000_000n;

/** What a clock is made from. */
export interface ClockOptions {
  /** real time, ns since the epoch */
  readonly now: () => bigint;
  /** how far ahead of real time a stamp may be, ns; default 24 h */
  readonly maxFuture?: bigint;
  /** the clock starts behind this stamp, ns */
  readonly start?: bigint;
}

/** A strictly increasing clock that real time pulls and other hosts push. */
export class LamportClock {
  readonly maxFuture: bigint;
  readonly #now: () => bigint;
  /** last stamp given out, observed or shown; nothing smaller follows */
  #shown: bigint;
  /** real time when #shown was set */
  #anchor: bigint;

  constructor(options: ClockOptions) {
    this.#now = options.now;
    this.maxFuture = options.maxFuture ?? DEFAULT_MAX_FUTURE;
    this.#anchor = options.now();
    const start = options.start ?? 0n;
    this.#shown = start > this.#anchor ? start : this.#anchor;
  }

  /** Real time, ns. */
  real(): bigint {
    return this.#now();
  }

  /** The newest stamp that is accepted now, ns. */
  limit(): bigint {
    return this.#now() + this.maxFuture;
  }

  /** Is this stamp too far in the future to be believed? */
  isFuture(stamp: bigint): boolean {
    return stamp > this.limit();
  }

  /** Current Lamport time, ns; never smaller than any stamp given out or observed. */
  read(): bigint {
    const real = this.#now();
    const elapsed = real - this.#anchor;
    const slow = elapsed > 0n ? this.#shown + elapsed / 2n : this.#shown;
    // Move the anchor only when half of it was counted, or the half nanosecond is lost each time.
    if (elapsed < 0n || elapsed > 1n) {
      this.#shown = real > slow ? real : slow;
      this.#anchor = real;
    }
    return this.#shown;
  }

  /** A fresh stamp, ns: bigger than every stamp given out or observed before. */
  tick(): bigint {
    const before = this.#shown;
    const now = this.read();
    this.#shown = now > before ? now : before + 1n;
    return this.#shown;
  }

  /**
   * Advance just past a stamp that came from elsewhere.
   *
   * @param stamp ns since the epoch
   * @throws MarsError `stamp-in-future` when it is beyond the limit; nothing has changed then
   */
  observe(stamp: bigint): void {
    const limit = this.limit();
    if (stamp > limit) {
      throw new MarsError('stamp-in-future', {
        found: `${formatStamp(stamp)} while the clock here shows ${formatStamp(this.#now())}`,
      });
    }
    if (stamp > this.read()) this.#shown = stamp;
  }
}

/** A stamp for people: `2026-11-22T12:00:00.000000001Z`; plain digits when it is no date. */
export function formatStamp(stamp: bigint): string {
  const ms = stamp / 1_000_000n;
  if (stamp < 0n || ms > 8_640_000_000_000_000n) return stamp.toString();
  const nanos = (stamp % 1_000_000_000n).toString().padStart(9, '0');
  return `${new Date(Number(ms)).toISOString().slice(0, -5)}.${nanos}Z`;
}

/** Real time of this machine, ns since the epoch. */
export function realNow(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
