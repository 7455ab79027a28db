// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Bulk IO on disks, images and logs past the page cache.
 *
 * A DirectFile is one file or block device opened twice: with O_DIRECT for what
 * is aligned in memory, position and length, and through the page cache for
 * the rest (and for everything where the file system refuses O_DIRECT). The
 * kernel keeps both views coherent for requests that do not overlap in time.
 * Nothing is durable before {@link DirectFile.datasync} returns. Failures
 * reject with errors in the manner of node:fs.
 */
import { constants, promises as fs } from 'node:fs';
import { sysBinding, type Geometry } from './bindings.js';

/** Zeroed memory that starts at a page boundary, as direct IO wants it. */
export function alignedBuffer(size: number): Buffer {
  return sysBinding().alignedBuffer(size);
}

/** How {@link DirectFile.open} opens. */
export interface OpenOptions {
  /** also write; default read only */
  readonly write?: boolean;
  /** create when missing, mode 0600 */
  readonly create?: boolean;
  /** bypass the page cache where possible; default true */
  readonly direct?: boolean;
}

/** Size and alignment of the file or block device behind a descriptor. Throws like node:fs. */
export function geometryOf(fd: number): Geometry {
  return sysBinding().fdGeometry(fd);
}

/** Size of a file or block device, bytes. Rejects like node:fs. */
export async function deviceSize(path: string): Promise<bigint> {
  const file = await fs.open(path, 'r');
  try {
    return geometryOf(file.fd).size;
  } finally {
    await file.close();
  }
}

/** An open file or block device. Any number of operations may run at once. */
export class DirectFile {
  readonly path: string;
  readonly #buffered: fs.FileHandle;
  readonly #direct: fs.FileHandle | undefined;
  readonly #geometry: Geometry;
  /** memory alignment of direct IO, bytes */
  readonly #align: number;

  private constructor(path: string, buffered: fs.FileHandle, direct: fs.FileHandle | undefined) {
    this.path = path;
    this.#buffered = buffered;
    this.#direct = direct;
    this.#geometry = sysBinding().fdGeometry(buffered.fd);
    this.#align = Math.max(512, this.#geometry.block);
  }

  static async open(path: string, options: OpenOptions = {}): Promise<DirectFile> {
    const mode = options.write ? constants.O_RDWR : constants.O_RDONLY;
    const buffered = await fs.open(path, mode | (options.create ? constants.O_CREAT : 0), 0o600);
    try {
      const direct = options.direct === false ? undefined : await openDirect(path, mode);
      return new DirectFile(path, buffered, direct);
    } catch (error) {
      await buffered.close();
      throw error;
    }
  }

  /** Whether aligned requests bypass the page cache. */
  get direct(): boolean {
    return this.#direct !== undefined;
  }

  /** Positions and lengths that are multiples of it go direct, bytes. */
  get block(): number {
    return this.#geometry.block;
  }

  /** Present size, bytes; of a block device too. */
  size(): bigint {
    return sysBinding().fdGeometry(this.#buffered.fd).size;
  }

  /** Fill `buffer` from `pos`; returns the bytes read, fewer only at the end of the file. */
  async read(buffer: Uint8Array, pos: bigint): Promise<number> {
    let got = 0;
    while (got < buffer.length) {
      const file = this.#choose(buffer.subarray(got), pos + BigInt(got));
      const { bytesRead } = await file.read(buffer, got, buffer.length - got, Number(pos) + got);
      if (bytesRead === 0) break;
      got += bytesRead;
    }
    return got;
  }

  /** Write all of `buffer` at `pos`. */
  async write(buffer: Uint8Array, pos: bigint): Promise<void> {
    let put = 0;
    while (put < buffer.length) {
      const file = this.#choose(buffer.subarray(put), pos + BigInt(put));
      put += (await file.write(buffer, put, buffer.length - put, Number(pos) + put)).bytesWritten;
    }
  }

  /** Everything written before is durable when it resolves. */
  async datasync(): Promise<void> {
    await this.#buffered.datasync();
  }

  async truncate(size: bigint): Promise<void> {
    await this.#buffered.truncate(Number(size));
  }

  /** Waits for operations in flight. */
  async close(): Promise<void> {
    await this.#direct?.close();
    await this.#buffered.close();
  }

  #choose(buffer: Uint8Array, pos: bigint): fs.FileHandle {
    const { block } = this.#geometry;
    if (!this.#direct || pos % BigInt(block) !== 0n || buffer.length % block !== 0) return this.#buffered;
    return sysBinding().alignment(buffer) >= this.#align ? this.#direct : this.#buffered;
  }
}

/** `undefined` where the file system has no direct IO. */
async function openDirect(path: string, mode: number): Promise<fs.FileHandle | undefined> {
  try {
    return await fs.open(path, mode | constants.O_DIRECT);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
    throw error;
  }
}
