// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What really happened: every state the device ever had, on every branch.
 *
 * A state is named by the running digest at its place in the log, so whatever a
 * node claims to hold can be looked up here and compared. Disks are a few blocks,
 * a block is a number, a record sets one block and takes one page of log.
 */
import type { LogIdent } from '../../src/engine/types.js';
import type { LocalLog } from '../../src/strategy/resource.js';

export const BLOCKS = 6;
export const PAGE = 4096n;

/** The device after some record. */
export interface State {
  readonly digest: string;
  readonly parent: State | undefined;
  readonly blocks: readonly number[];
  /** the record that led here; a log header has none */
  readonly record: Write | undefined;
}

export interface Write {
  readonly block: number;
  readonly value: number;
}

/** A log file as far as it is durable: `chain[i]` is the state at page i + 1. */
export interface LogFile {
  readonly ident: LogIdent;
  readonly chain: readonly State[];
}

export class Truth {
  readonly #states = new Map<string, State>();
  #count = 0;

  /** A state behind `parent`, by a record or by the header of a new log. */
  next(parent: State | undefined, record: Write | undefined, blocks?: readonly number[]): State {
    const before = blocks ?? parent?.blocks ?? [];
    const after = record ? before.map((v, i) => (i === record.block ? record.value : v)) : before;
    const state = { digest: this.unique(), parent, record, blocks: after };
    this.#states.set(state.digest, state);
    return state;
  }

  /** 32 hex digits never used before. */
  unique(): string {
    return (++this.#count).toString(16).padStart(32, '0');
  }

  state(digest: string): State | undefined {
    return this.#states.get(digest);
  }
}

/** Does `b` continue `a`? */
export function isAncestor(a: State, b: State | undefined): boolean {
  for (let s = b; s; s = s.parent) if (s === a) return true;
  return false;
}

export const endOf = (file: LogFile): bigint => PAGE * BigInt(file.chain.length);

/** The state at `pos` of a log; undefined before its first page and behind its end. */
export const stateAt = (file: LogFile | undefined, pos: bigint): State | undefined =>
  pos < PAGE ? undefined : file?.chain[Number(pos / PAGE) - 1];

export function localLog(file: LogFile): LocalLog {
  const { ident } = file;
  return {
    number: ident.number,
    origin: ident.origin,
    end: endOf(file),
    digest: file.chain.at(-1)?.digest ?? '',
    ident,
  };
}

/** A disk with a volatile cache: what is written may or may not survive a power loss until it is flushed. */
export class Disk {
  #durable: number[];
  #cached: Write[] = [];

  constructor(blocks: readonly number[]) {
    this.#durable = [...blocks];
  }

  write(write: Write): void {
    this.#cached.push(write);
  }

  flush(): void {
    for (const w of this.#cached) this.#durable[w.block] = w.value;
    this.#cached = [];
  }

  /** What a reader sees. */
  blocks(): number[] {
    const seen = [...this.#durable];
    for (const w of this.#cached) seen[w.block] = w.value;
    return seen;
  }

  /** Any part of the cache may have reached the medium. */
  losePower(survives: () => boolean): void {
    this.#cached = this.#cached.filter(survives);
    this.flush();
  }
}
