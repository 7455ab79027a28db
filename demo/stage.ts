// SPDX-License-Identifier: GPL-2.0-or-later
/** What the demo shows: acts with their outcome, and what goes on meanwhile. */
import pc from 'picocolors';
import type { LabNode } from '../lab/lab.js';

/** How often the line of what goes on is renewed, ms. */
const TICK = 250;

export class Stage {
  readonly #out: NodeJS.WriteStream;
  readonly #start = performance.now();
  #meter: () => string = () => '';
  #news = '';
  #act = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Show these words while acts are under way. */
  meter(words: () => string): void {
    this.#meter = words;
  }

  /** Play one act; what it says comes below its title. */
  async act<T>(title: string, play: (say: (line: string) => void) => Promise<T>): Promise<T> {
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

  /** Wait until something observable on this machine has come true. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  }

  done(line: string): void {
    this.#line(pc.bold(pc.green(line)));
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
