// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The high-water mark of this host's Lamport clock, in local/clock.
 *
 * One line: `MARK RESERVE BOOT`. MARK is the newest stamp any process of this
 * host has given out; it is rewritten in place at every write to the tree, under the
 * tree lock, without waiting for the disk. RESERVE is at least MARK and durable: it
 * moves a second ahead at a time. BOOT names the boot of the machine. A process
 * starting in the same boot goes on from MARK, after a crash of the machine from
 * RESERVE: no stamp is ever given out twice.
 */
import { closeSync, constants, fdatasyncSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { errnoOf } from './disk.js';

const AHEAD = 1_000_000_000n;
const LINE = /^(\d{20}) (\d{20}) ([0-9a-f-]{36})\n$/;
const LENGTH = 79;

/** local/clock. Every method is called with the tree lock held. */
export class StampFile {
  readonly #path: string;
  readonly #boot: string;
  #fd: number | undefined;
  #reserve = 0n;

  /** @param boot text of /proc/sys/kernel/random/boot_id, or anything of 36 hex digits and dashes that is new at each boot */
  constructor(path: string, boot: string) {
    this.#path = path;
    this.#boot = boot;
  }

  /** The mark of this host; 0 if none is known. Reads only: the file need not exist. */
  load(): bigint {
    const fd = this.#open(false);
    if (fd === undefined) return 0n;
    const buffer = Buffer.alloc(LENGTH);
    const length = readSync(fd, buffer, 0, LENGTH, 0);
    const m = LINE.exec(buffer.toString('latin1', 0, length));
    if (m?.[1] === undefined || m[2] === undefined) return 0n;
    this.#reserve = BigInt(m[2]);
    return m[3] === this.#boot ? BigInt(m[1]) : this.#reserve;
  }

  /** Note that `stamp` was given out. */
  store(stamp: bigint): void {
    const fd = this.#open(true);
    if (fd === undefined) return;
    // A reserve further away than it was ever put comes from a clock that was wrong.
    const durable = stamp > this.#reserve || this.#reserve > stamp + AHEAD;
    if (durable) this.#reserve = stamp + AHEAD;
    const digits = (n: bigint): string => n.toString().padStart(20, '0');
    writeSync(fd, `${digits(stamp)} ${digits(this.#reserve)} ${this.#boot}\n`, 0, 'latin1');
    if (durable) fdatasyncSync(fd);
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(create: boolean): number | undefined {
    if (this.#fd !== undefined) return this.#fd;
    try {
      this.#fd = openSync(this.#path, constants.O_RDWR | (create ? constants.O_CREAT : 0), 0o600);
      if (create) fsyncSync(this.#fd);
    } catch (error) {
      if (create || !['ENOENT', 'EACCES', 'EROFS', 'EPERM'].includes(errnoOf(error))) throw error;
    }
    return this.#fd;
  }
}
