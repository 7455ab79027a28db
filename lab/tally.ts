// SPDX-License-Identifier: GPL-2.0-or-later
/** Counts what a writer in the background has done, and lets others wait for more of it. */
export class Tally {
  #count = 0;
  readonly #waiting = new Set<{ readonly goal: number; readonly done: () => void }>();

  get count(): number {
    return this.#count;
  }

  add(n: number): void {
    this.#count += n;
    for (const { goal, done } of this.#waiting) if (this.#count >= goal) done();
  }

  /**
   * Wait for `n` more. Rejects when the writer ends before: with what `ended` rejects with, or with
   * what it resolves to as the reason.
   */
  async more(n: number, ended: Promise<string>): Promise<void> {
    const goal = this.#count + n;
    let stop = (): void => undefined;
    const reached = new Promise<undefined>((resolve) => {
      const waiter = { goal, done: () => resolve(undefined) };
      this.#waiting.add(waiter);
      stop = () => this.#waiting.delete(waiter);
    });
    try {
      const why = await Promise.race([reached, ended]);
      if (why !== undefined) throw new Error(`the writer has ended: ${why}`);
    } finally {
      stop();
    }
  }
}
