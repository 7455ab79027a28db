// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A data disk as a sync reads and writes it, beside the engine.
 *
 * Where the engine passes the page cache by, so must a sync: cached blocks would
 * be older than what the engine wrote, and stay so. Then all IO is direct, through
 * aligned memory, and positions and lengths must be multiples of the block size
 * (those of a sync are: leaves, and the end of a disk).
 */
import { promises as fs } from 'node:fs';
import { alignedBuffer, DirectFile } from '../engine/files.js';
import { RANGE } from './messages.js';

/** Buffers that are used again; fresh memory costs more than the IO. Larger ones than a range are not kept. */
class Memory {
  readonly #make: (size: number) => Buffer;
  readonly #free: Buffer[] = [];

  constructor(make: (size: number) => Buffer) {
    this.#make = make;
  }

  take(len: number): Buffer {
    if (len > RANGE) return this.#make(len);
    return (this.#free.pop() ?? this.#make(RANGE)).subarray(0, len);
  }

  give(bytes: Buffer): void {
    if (bytes.buffer.byteLength < RANGE || bytes.length > RANGE || this.#free.length >= KEPT) return;
    this.#free.push(Buffer.from(bytes.buffer, bytes.byteOffset, RANGE));
  }
}

const KEPT = 4;

/** Which disk, and how. */
export interface DiskPlace {
  readonly path: string;
  /** pass the page cache by */
  readonly direct: boolean;
}

export interface Disk {
  /** Exactly `len` bytes; beyond the end of a file they are zeros. */
  read(at: bigint, len: number): Promise<Buffer>;
  /** What was read is used no more: its memory serves for what is read next. */
  release(bytes: Buffer): void;
  write(bytes: Uint8Array, at: number): Promise<void>;
  /** what was written before is durable when it resolves */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

export async function openDisk(place: DiskPlace, write: boolean): Promise<Disk> {
  if (!place.direct) return new CachedDisk(await fs.open(place.path, write ? 'r+' : 'r'));
  const file = await DirectFile.open(place.path, { write });
  if (file.direct) return new BareDisk(file);
  await file.close();
  throw new Error(`${place.path} has no direct IO`);
}

class CachedDisk implements Disk {
  readonly #file: fs.FileHandle;
  readonly #memory = new Memory((size) => Buffer.allocUnsafeSlow(size));

  constructor(file: fs.FileHandle) {
    this.#file = file;
  }

  async read(at: bigint, len: number): Promise<Buffer> {
    const buffer = this.#memory.take(len);
    let got = 0;
    while (got < len) {
      const { bytesRead } = await this.#file.read(buffer, got, len - got, Number(at) + got);
      if (bytesRead === 0) break;
      got += bytesRead;
    }
    return buffer.fill(0, got);
  }

  release(bytes: Buffer): void {
    this.#memory.give(bytes);
  }

  async write(bytes: Uint8Array, at: number): Promise<void> {
    let put = 0;
    while (put < bytes.length)
      put += (await this.#file.write(bytes, put, bytes.length - put, at + put)).bytesWritten;
  }

  datasync(): Promise<void> {
    return this.#file.datasync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

class BareDisk implements Disk {
  readonly #file: DirectFile;
  readonly #memory = new Memory(alignedBuffer);

  constructor(file: DirectFile) {
    this.#file = file;
  }

  async read(at: bigint, len: number): Promise<Buffer> {
    const buffer = this.#memory.take(len);
    return buffer.fill(0, await this.#file.read(buffer, at));
  }

  release(bytes: Buffer): void {
    this.#memory.give(bytes);
  }

  async write(bytes: Uint8Array, at: number): Promise<void> {
    const buffer = this.#memory.take(bytes.length);
    buffer.set(bytes);
    await this.#file.write(buffer, BigInt(at));
    this.#memory.give(buffer);
  }

  datasync(): Promise<void> {
    return this.#file.datasync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
