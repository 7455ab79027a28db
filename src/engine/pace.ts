// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * How often a busy engine is looked at.
 *
 * The first news after a quiet time are taken at once. After each look follows a rest, in
 * which news pile up in the engine: so many small steps become one piece on the wire, one
 * write and one flush at the other end. A rest is as long as keeps this process from
 * spending more than a part of a processor on steps, within fixed bounds: short where a
 * round is cheap, longer where it is dear. When a look finds nothing, the engine has to
 * say when there is something again.
 */
import { restAfter, systemTimers, type Timers } from '../timers.js';

/** Shortest and longest rest, ms. */
export const REST_MIN_MS = 2;
export const REST_MAX_MS = 10;
/** The longest where writers need nothing of this process but the processor it runs on. */
export const REST_MAX_KERNEL_MS = 50;

export class Pace {
  readonly #look: () => boolean;
  readonly #idle: () => void;
  readonly #longest: number;
  readonly #clock: Timers;
  #rest = REST_MIN_MS;
  #timer: { cancel(): void } | undefined;
  #stopped = false;

  /**
   * @param look takes all news; were there any?
   * @param idle there were none: whoever has some must call {@link wake}
   * @param longest rest, ms
   */
  constructor(look: () => boolean, idle: () => void, longest = REST_MAX_MS, clock: Timers = systemTimers) {
    this.#look = look;
    this.#idle = idle;
    this.#longest = longest;
    this.#clock = clock;
  }

  /** There may be news: look now, or when the present rest is over. */
  wake(): void {
    if (!this.#stopped && !this.#timer) this.#round();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #round(): void {
    const before = this.#clock.busy();
    if (!this.#look()) {
      this.#idle();
      return;
    }
    this.#timer = this.#clock.set(this.#rest, () => {
      this.#timer = undefined;
      this.#rest = restAfter(this.#clock.busy() - before, REST_MIN_MS, this.#longest);
      this.#round();
    });
  }
}
