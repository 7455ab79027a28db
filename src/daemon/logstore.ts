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
import { scanLogFile } from '../engine/logscan.js';
import { logName, sameLog, type LogRef } from '../strategy/history.js';
import type { LocalLog } from '../strategy/resource.js';
import { parseLogName } from '../tree/catalogue.js';

/** Identity of a resource and its cluster, as it stands in log headers. */
export interface Ids {
  readonly cluster: string;
  readonly resource: string;
}

export class LogStore {
  readonly #dir: string;
  readonly #logs = new Map<string, LocalLog>();
  readonly #listeners = new Set<(ref: LogRef) => void>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Verify every log file found; files without a valid header of this resource are not logs and stay unlisted. */
  async load(ids: Ids): Promise<void> {
    this.#logs.clear();
    for (const name of await fs.readdir(this.#dir)) {
      const ref = parseLogName(name);
      if (!ref) continue;
      const file = path.join(this.#dir, name);
      if (!(await fs.lstat(file)).isFile()) continue;
      const scan = await scanLogFile(file);
      if (!scan.ident || !sameLog(scan.ident, ref)) continue;
      if (scan.ident.cluster !== ids.cluster || scan.ident.resource !== ids.resource) continue;
      this.#logs.set(name, {
        number: scan.ident.number,
        origin: scan.ident.origin,
        end: scan.end,
        digest: scan.digest,
        ident: scan.ident,
      });
    }
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

  /** Resolves when `ref` changes or the signal aborts. */
  changed(ref: LogRef, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        stop();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const stop = this.onChange((other) => {
        if (sameLog(ref, other)) done();
      });
      if (signal.aborted) done();
      else signal.addEventListener('abort', done);
    });
  }

  #tell(ref: LogRef): void {
    for (const l of [...this.#listeners]) l(ref);
  }
}
