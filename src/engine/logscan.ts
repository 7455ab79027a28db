// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Verification of transaction logs: of a stream while it arrives, and of a file.
 *
 * Only whole groups count: `end` is always the end of a group that is verified
 * with everything in front of it. The first bad group ends a log for good.
 * {@link LogScanner.push} runs on the calling thread and costs about 0.1 ms a
 * mebibyte; {@link scanLogFile} runs on the thread pool.
 */
import { engineBinding, type RawScan, type ScannerBinding } from './bindings.js';
import {
  checkLayout,
  decodeCursor,
  decodeIdent,
  encodeCursor,
  encodeIdent,
  type LogCursor,
} from './structs.js';
import type { ReasonCode } from '../errors.js';
import type { LogIdent } from './types.js';

export type { LogCursor } from './structs.js';

/**
 * `ok`: the bytes end with a group. `more`: they end within one. `clean-end`:
 * zeros, or the end of the file, where a group would start. Any other word is
 * why the group at `end` is bad.
 */
export type LogVerdict =
  | 'ok'
  | 'more'
  | 'clean-end'
  | 'bad-magic'
  | 'bad-crc'
  | 'bad-size'
  | 'bad-salt'
  | 'bad-place'
  | 'bad-chain'
  | 'bad-record'
  | 'bad-payload'
  | 'bad-format'
  | 'bad-ident'
  | 'bad-time';

/** enum mars_log_verdict, by number */
export const VERDICTS: readonly LogVerdict[] = [
  'ok',
  'more',
  'clean-end',
  'bad-magic',
  'bad-crc',
  'bad-size',
  'bad-salt',
  'bad-place',
  'bad-chain',
  'bad-record',
  'bad-payload',
  'bad-format',
  'bad-ident',
  'bad-time',
];

/** What is wrong with a log where it should go on, and does so with this verdict; undefined = nothing is. */
export const VERDICT_REASON: Readonly<Record<LogVerdict, ReasonCode | undefined>> = {
  ok: undefined,
  more: undefined,
  'clean-end': 'bad-log',
  'bad-magic': 'bad-log',
  'bad-crc': 'bad-crc',
  'bad-size': 'bad-log',
  'bad-salt': 'bad-log',
  'bad-place': 'bad-log',
  'bad-chain': 'bad-chain',
  'bad-record': 'bad-log',
  'bad-payload': 'bad-crc',
  'bad-format': 'bad-format',
  'bad-ident': 'bad-ident',
  'bad-time': 'bad-log',
};

/** How far a log is verified. */
export interface LogScan {
  readonly verdict: LogVerdict;
  /** end of the verified part, bytes; 0 while the header is not */
  readonly end: bigint;
  /** running digest at `end`; empty while unknown */
  readonly digest: string;
  /** stamp of the last verified group, ns */
  readonly lamport: bigint;
  /** sequence number the next group must have; 0 = unknown */
  readonly sequence: bigint;
  /** records verified in this scan */
  readonly records: bigint;
  /** from the header, once it is verified */
  readonly ident: LogIdent | undefined;
  /** to go on from `end` later */
  readonly cursor: LogCursor;
}

function decode(raw: RawScan, ident: LogIdent | undefined): LogScan {
  const cursor = decodeCursor(raw.cursor);
  const verdict = VERDICTS[raw.verdict];
  if (!verdict) throw new RangeError(`unknown verdict ${raw.verdict} of the log scanner`);
  return {
    verdict,
    end: cursor.offset,
    digest: cursor.offset > 0n ? (cursor.digest ?? '') : '',
    lamport: cursor.lamport,
    sequence: cursor.sequence,
    records: raw.records,
    ident: raw.ident ? decodeIdent(raw.ident) : ident,
    cursor,
  };
}

function binding(): ReturnType<typeof engineBinding> {
  const loaded = engineBinding();
  checkLayout(loaded.layout);
  return loaded;
}

/** Where a scan begins. */
export interface ScanStart {
  /** what the header must say; all-zero and empty fields match anything */
  readonly expect?: LogIdent;
  /** go on from here instead of the header; as a result told it */
  readonly from?: LogCursor;
}

/** One log, verified as it arrives. Bytes must come in file order without gaps. */
export class LogScanner {
  readonly #scanner: ScannerBinding;
  #ident: LogIdent | undefined;
  #received: bigint;

  /** @param ident known identity when going on behind the header */
  constructor(start: ScanStart = {}, ident?: LogIdent) {
    this.#scanner = new (binding().Scanner)(
      start.expect && encodeIdent(start.expect),
      start.from && encodeCursor(start.from),
    );
    this.#received = start.from?.offset ?? 0n;
    this.#ident = ident;
  }

  /** File position of the byte expected next. */
  get received(): bigint {
    return this.#received;
  }

  /**
   * Take the next bytes, any number of them. They are looked at, not kept,
   * except for the incomplete group at their end (at most 2 MiB + 32 KiB).
   */
  push(bytes: Uint8Array): LogScan {
    const scan = decode(this.#scanner.push(bytes), this.#ident);
    this.#received += BigInt(bytes.length);
    this.#ident = scan.ident;
    return scan;
  }
}

/**
 * Find the verified end of a log file.
 *
 * The header is verified in any case; with `from` the groups in front of it are
 * taken for granted. `more` says that the file ends within a group (or within
 * the header). Rejects with the error of the system call when the file can't
 * be read.
 */
export async function scanLogFile(path: string, start: ScanStart = {}): Promise<LogScan> {
  const raw = await binding().scanFile(
    path,
    start.expect && encodeIdent(start.expect),
    start.from && encodeCursor(start.from),
  );
  return decode(raw, undefined);
}

/**
 * CRC-32C.
 *
 * @param seed result over what came before, 0 to begin
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return engineBinding().crc32c(bytes, seed);
}
