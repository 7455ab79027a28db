// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The log files of one resource on this node, and how far each is verified.
 *
 * A log is known here once its header is verified; `end` is the end of the last
 * verified, durable group. It grows by the logger (own logs) or the fetcher
 * (others'). Readers of a log (shipping, replay) never look behind `end`.
 */
import { promises as fs } from 'node:fs';
import path from 'node:path';
import type { LogIdent } from '../engine/types.js';
import { LogScanner, scanLogFile, VERDICT_REASON, type LogScan } from '../engine/logscan.js';
import { logName, sameLog, type LogRef } from '../strategy/history.js';
import { prevOf, type LocalLog } from '../strategy/resource.js';
import { parseLogName } from '../tree/catalogue.js';
import { MarsError, type ReasonCode } from '../errors.js';

/** Identity of a resource and its cluster, as it stands in log headers. */
export interface Ids {
  readonly cluster: string;
  readonly resource: string;
}

/** What a file with the name of a log is worth. */
export interface Found {
  readonly log: LogRef;
  /** end of its verified part, bytes; 0 = none of it */
  readonly end: bigint;
  /** what is wrong with it, if there should be more */
  readonly reason: ReasonCode;
}

export class LogStore {
  readonly #dir: string;
  readonly #logs = new Map<string, LocalLog>();
  readonly #listeners = new Set<(ref: LogRef) => void>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * Verify every log file found; files without a valid header of this resource are not logs and
   * stay unlisted, as do those that are still written: `writing` says which. Returns all others.
   */
  async load(ids: Ids, writing: (ref: LogRef) => boolean = () => false): Promise<Found[]> {
    this.#logs.clear();
    const found: Found[] = [];
    for (const name of await fs.readdir(this.#dir)) {
      const ref = parseLogName(name);
      if (!ref || writing(ref)) continue;
      const file = path.join(this.#dir, name);
      if (!(await fs.lstat(file)).isFile()) continue;
      await makeDurable(file);
      const scan = await scanLogFile(file);
      const ours =
        scan.ident &&
        sameLog(scan.ident, ref) &&
        scan.ident.cluster === ids.cluster &&
        scan.ident.resource === ids.resource;
      const reason = scan.ident && !ours ? 'bad-ident' : (VERDICT_REASON[scan.verdict] ?? 'bad-log');
      found.push({ log: ref, end: ours ? scan.end : 0n, reason });
      if (!scan.ident || !ours) continue;
      this.#logs.set(name, {
        number: scan.ident.number,
        origin: scan.ident.origin,
        end: scan.end,
        digest: scan.digest,
        ident: scan.ident,
      });
    }
    return found;
  }

  /**
   * List a log that is being written: of the file only what the writer says is durable counts, and
   * that must be what the writer says it is. Returns the size of the device the log covers; rejects
   * with MarsError `foreign-bricks` when the file is another one.
   */
  async follow(ref: LogRef, end: bigint, digest: string): Promise<bigint> {
    const scan = await scanUpTo(this.path(ref), end);
    if (!scan?.ident || scan.end !== end || scan.digest !== digest || !sameLog(scan.ident, ref))
      throw new MarsError('foreign-bricks', { found: `${this.path(ref)} at ${end}` });
    this.#logs.delete(logName(ref));
    this.grow(ref, end, digest, scan.ident);
    return scan.cursor.deviceSize;
  }

  list(): LocalLog[] {
    return [...this.#logs.values()];
  }

  get(ref: LogRef): LocalLog | undefined {
    return this.#logs.get(logName(ref));
  }

  path(ref: LogRef): string {
    return path.join(this.#dir, logName(ref));
  }

  /** A log came into being, or more of it is durable. Ends never move back here. */
  grow(ref: LogRef, end: bigint, digest: string, ident?: LogIdent): void {
    const old = this.get(ref);
    if (old && old.end >= end) return;
    const known = ident ?? old?.ident;
    if (!known) throw new Error(`log ${logName(ref)} has no identity yet`);
    this.#logs.set(logName(ref), { number: ref.number, origin: ref.origin, end, digest, ident: known });
    this.#tell(ref);
  }

  /** Behind `end` the file is not what it was; take it for lost from there on. */
  async cut(ref: LogRef, end: bigint, digest: string): Promise<void> {
    const old = this.get(ref);
    if (!old || old.end <= end) return;
    this.#logs.set(logName(ref), { ...old, end, digest });
    await fs.truncate(this.path(ref), Number(end));
  }

  /** Was the file of a known log taken away? */
  async isLost(ref: LogRef): Promise<boolean> {
    if (!this.get(ref)) return false;
    try {
      await fs.access(this.path(ref));
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT';
    }
  }

  /** Delete a log, file and knowledge. */
  async remove(ref: LogRef): Promise<void> {
    this.#logs.delete(logName(ref));
    await fs.rm(this.path(ref), { force: true });
    this.#tell(ref);
  }

  /** Called after each change of a log; returns the function that ends it. */
  onChange(listener: (ref: LogRef) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when `ref` changes, a log that continues it does, or the signal aborts. */
  changed(ref: LogRef, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        stop();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const stop = this.onChange((other) => {
        if (sameLog(ref, other) || this.#continues(other, ref)) done();
      });
      if (signal.aborted) done();
      else signal.addEventListener('abort', done);
    });
  }

  #continues(next: LogRef, ref: LogRef): boolean {
    const log = this.get(next);
    const prev = log && prevOf(log.ident);
    return prev !== undefined && sameLog(prev, ref);
  }

  #tell(ref: LogRef): void {
    for (const l of [...this.#listeners]) l(ref);
  }
}

const CHUNK = 1 << 20;

/**
 * A writer that was killed may have left groups that are only in memory: what is read from now
 * on, and told of, and continued by another log, must not go with the next power cut.
 */
async function makeDurable(file: string): Promise<void> {
  const handle = await fs.open(file, 'r');
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** Verify the first `end` bytes of a log file; undefined when it is shorter or not there. */
async function scanUpTo(file: string, end: bigint): Promise<LogScan | undefined> {
  const scanner = new LogScanner();
  const handle = await fs.open(file, 'r').catch(() => undefined);
  if (!handle) return undefined;
  try {
    for (;;) {
      const rest = end - scanner.received;
      const len = rest < BigInt(CHUNK) ? Number(rest) : CHUNK;
      const { bytesRead, buffer } = await handle.read(
        Buffer.allocUnsafe(len),
        0,
        len,
        Number(scanner.received),
      );
      if (bytesRead === 0) return undefined;
      const scan = scanner.push(buffer.subarray(0, bytesRead));
      if (scanner.received === end) return scan;
    }
  } finally {
    await handle.close();
  }
}
