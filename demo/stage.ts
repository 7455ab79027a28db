// SPDX-License-Identifier: GPL-2.0-or-later
/** What the demo shows: acts with their outcome, and what goes on meanwhile. */
import pc from 'picocolors';
import type { LabNode } from '../lab/lab.js';

/** How often the line of what goes on is renewed, ms. */
const TICK = 250;

/** What is written to. */
export type Screen = Pick<NodeJS.WriteStream, 'isTTY'> & { write(text: string): unknown };

export class Stage {
  readonly #out: Screen;
  readonly #start = performance.now();
  #meter: () => string = () => '';
  #news = '';
  #act = 0;
  #title = '';

  constructor(out: Screen) {
    this.#out = out;
  }

  /** Show these words while acts are under way. */
  meter(words: () => string): void {
    this.#meter = words;
  }

  /** Play one act; what it says comes below its title. */
  async act<T>(title: string, play: (say: (line: string) => void) => Promise<T>): Promise<T> {
    this.#title = title;
    this.#line(pc.bold(`${++this.#act}. ${title}`));
    const began = performance.now();
    const ticker = setInterval(() => this.#tick(), TICK);
    try {
      const result = await play((line) => this.#line(`   ${line}`));
      this.#line(pc.green(`   done in ${seconds(performance.now() - began)}`));
      return result;
    } finally {
      clearInterval(ticker);
      this.#news = '';
    }
  }

  /** Show how far a replica is until `work` is done. */
  async watch<T>(node: LabNode, resource: string, work: () => Promise<T>): Promise<T> {
    const ticker = setInterval(() => {
      const size = Number(node.link(`resource-${resource}/size`) ?? 1);
      const synced = Number(node.link(`resource-${resource}/syncstatus-${node.name}`) ?? 0);
      this.#news =
        synced < size ? `${node.name} synced ${Math.floor((100 * synced) / size)} %` : `${node.name} replays`;
    }, TICK);
    try {
      return await work();
    } finally {
      clearInterval(ticker);
    }
  }

  /**
   * Rejects when everything together takes longer than anybody waits, and says which act does not
   * end. `after` calls back later.
   */
  overrun(ms: number, after: (ms: number, run: () => void) => void): Promise<never> {
    return new Promise((_, reject) =>
      after(ms, () =>
        reject(new Error(`after ${seconds(ms)} act ${this.#act} has not ended: ${this.#title}`)),
      ),
    );
  }

  done(line: string): void {
    this.#line(pc.bold(pc.green(`${line} (${seconds(performance.now() - this.#start)})`)));
  }

  failed(error: unknown, details: string): void {
    this.#line(pc.red(error instanceof Error ? (error.stack ?? error.message) : String(error)));
    this.#line(details);
  }

  #tick(): void {
    if (!this.#out.isTTY) return;
    const words = [seconds(performance.now() - this.#start), this.#meter(), this.#news].filter(
      (w) => w !== '',
    );
    this.#out.write(`\r\x1b[K   ${pc.dim(words.join('  '))}`);
  }

  #line(text: string): void {
    if (this.#out.isTTY) this.#out.write('\r\x1b[K');
    this.#out.write(`${text}\n`);
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
