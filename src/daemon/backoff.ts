// SPDX-License-Identifier: GPL-2.0-or-later
/** Pauses between attempts that fail: twice as long each time, up to a limit. */
export class Backoff {
  readonly #first: number;
  readonly #longest: number;
  #failures = 0;

  /** @param first pause after the first failure, ms @param longest of all pauses, ms */
  constructor(first: number, longest: number) {
    this.#first = first;
    this.#longest = longest;
  }

  /** It failed again: how long to wait, ms. */
  failed(): number {
    return Math.min(this.#first * 2 ** Math.min(this.#failures++, 30), this.#longest);
  }

  /** It went well. */
  reset(): void {
    this.#failures = 0;
  }
}
