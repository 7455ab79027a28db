// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A writer as a database would be one: random 4 KiB writes, a flush now and
 * then, and a memory of what was promised. After a crash `verify` tells whether
 * everything that was flushed is there.
 */
import { randomInt } from 'node:crypto';
import { NbdClient } from '../lab/nbd.js';
import { Tally } from '../lab/tally.js';
import type { Region } from './image.js';

const BLOCK = 4096;
/** Writes between two flushes. */
const BATCH = 32;
/** Pause after a flush, ms: a busy application, not a benchmark. */
const THINK = 20;

export class Writer {
  readonly #blocks: readonly number[];
  /** newest generation a flush has covered, by block */
  readonly #flushed = new Map<number, number>();
  /** newest generation written, by block */
  readonly #written = new Map<number, number>();
  #generation = 0;
  #stop = false;
  /** ends when told to, or with the error of the device */
  #running: Promise<void> = Promise.resolve();
  readonly #done = new Tally();
  flushes = 0;

  /** `random(n)` gives an integer from 0 to n - 1 */
  constructor(
    regions: readonly Region[],
    private readonly random: (below: number) => number = (below) => randomInt(below),
  ) {
    this.#blocks = regions.flatMap((r) =>
      Array.from({ length: r.length / BLOCK }, (_, i) => r.at + i * BLOCK),
    );
  }

  /** blocks written and flushed */
  get writes(): number {
    return this.#done.count;
  }

  /** Open the device and write until `stop`. If the device goes before that, whoever waits next is told. */
  async start(device: string): Promise<void> {
    const client = await NbdClient.open(device);
    this.#stop = false;
    this.#running = this.#write(client);
    this.#running.catch(() => undefined);
  }

  async #write(client: NbdClient): Promise<void> {
    try {
      while (!this.#stop) {
        await this.#batch(client);
        await new Promise((resolve) => setTimeout(resolve, THINK));
      }
      await client.close();
    } finally {
      client.destroy();
    }
  }

  async #batch(client: NbdClient): Promise<void> {
    const batch = new Map<number, number>();
    for (let i = 0; i < BATCH; i++) {
      const at = this.#blocks[this.random(this.#blocks.length)] ?? 0;
      if (batch.has(at)) continue;
      const generation = ++this.#generation;
      this.#written.set(at, generation);
      batch.set(at, generation);
    }
    await Promise.all([...batch].map(([at, generation]) => client.write(at, content(at, generation))));
    await client.flush();
    this.flushes++;
    for (const [at, generation] of batch) this.#flushed.set(at, generation);
    this.#done.add(batch.size);
  }

  /** Wait until `count` more blocks are written and flushed. Rejects with what ended the writer, if that comes first. */
  async more(count: number): Promise<void> {
    await this.#done.more(
      count,
      this.#running.then(() => 'it was told to'),
    );
  }

  /** Finish the batch under way and close the device. Rejects with what ended the writer before. */
  async stop(): Promise<void> {
    this.#stop = true;
    await this.#running;
  }

  /** Wait until the device is gone, as the caller has seen to. */
  async broken(): Promise<void> {
    await this.#running.catch(() => undefined);
  }

  /** Check every block against what was promised; returns how many were. */
  async verify(device: string): Promise<number> {
    const client = await NbdClient.open(device);
    try {
      for (const [at, flushed] of this.#flushed) {
        const found = generationOf(await client.read(at, BLOCK), at);
        const newest = this.#written.get(at) ?? flushed;
        if (found === undefined || found < flushed || found > newest)
          throw new Error(`block ${at}: generation ${found ?? 'none'}, but ${flushed} was flushed`);
      }
      return this.#flushed.size;
    } finally {
      await client.close();
    }
  }

  /** What others wrote meanwhile counts as unknown: start afresh. */
  forget(): void {
    this.#flushed.clear();
    this.#written.clear();
  }
}

/** A block that says where it belongs and which generation it is, all over. */
function content(at: number, generation: number): Buffer {
  const line = `block ${at} generation ${generation}\n`;
  return Buffer.from(line.repeat(Math.ceil(BLOCK / line.length)).slice(0, BLOCK), 'latin1');
}

function generationOf(block: Buffer, at: number): number | undefined {
  const match = /^block (\d+) generation (\d+)\n/.exec(block.toString('latin1', 0, 64));
  if (!match || Number(match[1]) !== at) return undefined;
  const generation = Number(match[2]);
  return block.equals(content(at, generation)) ? generation : undefined;
}
