// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Fetching: receive a log, verify every group, keep it durably.
 *
 * Bytes are written only once the group they belong to is verified, and the
 * store hears of them only after fdatasync: what replay or another member sees
 * is verified and durable here. Receiving goes on while a batch is being
 * written, up to a bounded backlog.
 */
import { constants, promises as fs } from 'node:fs';
import path from 'node:path';
import { remoteReason } from '../cluster/schema.js';
import type { FrameStream } from '../cluster/types.js';
import type { LogStore } from '../daemon/logstore.js';
import { FILE_ROOM, FILE_SPARE } from '../engine/keys.js';
import { LogScanner, scanLogFile, VERDICT_REASON, type LogScan } from '../engine/logscan.js';
import type { LogIdent } from '../engine/types.js';
import type { ReasonCode } from '../errors.js';
import type { LogRef } from '../strategy/history.js';
import { LogMessage } from './messages.js';

/** Received but not yet durable bytes at most, bytes. */
const BACKLOG = 8 << 20;

/** Why a fetch ended. `bad` and `refused` tell against the source; `detail` is for messages. */
export type FetchEnd =
  | { readonly kind: 'closed' | 'ended' }
  | { readonly kind: 'refused'; readonly reason: ReasonCode }
  | { readonly kind: 'bad'; readonly reason: ReasonCode; readonly detail?: string };

/** What the log must be. */
export interface Expected {
  readonly cluster: string;
  readonly resource: string;
  /** where it must continue; undefined = anywhere */
  readonly prev: { readonly pos: bigint; readonly digest: string } | undefined;
}

interface Piece {
  readonly at: bigint;
  readonly bytes: Uint8Array;
  /** the body of the frame, to be recycled when these bytes, its last ones, are written */
  readonly body?: Uint8Array;
}

/**
 * Receive `ref` over `stream` into `store`; `from` is what was asked for, the store's end. The stream
 * ends with it in any case: left open it would hold the log and a connection at the source too.
 */
export async function fetchLog(
  stream: FrameStream,
  store: LogStore,
  ref: LogRef,
  from: bigint,
  expected: Expected,
  onProgress: (lamport: bigint) => void,
  onAccepted: () => void = () => undefined,
): Promise<FetchEnd> {
  let writer: LogWriter | undefined;
  try {
    // A known log may have been taken away: an empty one is as good, since none of it is where it was.
    const mode = store.get(ref) ? 0 : constants.O_TRUNC;
    const file = await fs.open(store.path(ref), constants.O_RDWR | constants.O_CREAT | mode, 0o600);
    writer = new LogWriter(store, ref, file, stream);
    const scanner = await resume(store, ref);
    if (!scanner) return { kind: 'bad', reason: 'bad-log' };
    // The log was dropped or cut since.
    if (scanner.received !== from) return { kind: 'bad', reason: 'bad-position' };
    const end = await receive(stream, scanner, writer, ref, expected, onProgress, onAccepted);
    await writer.drain();
    return end;
  } finally {
    await writer?.close();
    stream.destroy();
    if (!store.get(ref)) await fs.rm(store.path(ref), { force: true });
  }
}

/**
 * A scanner that stands at the verified end of what is here; undefined when the
 * file does not reach it any more: then the store knows, and it has to be asked for
 * from there.
 */
async function resume(store: LogStore, ref: LogRef): Promise<LogScanner | undefined> {
  const known = store.get(ref);
  if (!known) return new LogScanner();
  // Behind the end there may be what a write that failed has left.
  await fs.truncate(store.path(ref), Number(known.end));
  const scan = await scanLogFile(store.path(ref));
  if (scan.ident && scan.end === known.end) return new LogScanner({ from: scan.cursor }, scan.ident);
  if (scan.ident) await store.cut(ref, scan.end, scan.digest);
  else await store.remove(ref);
  return undefined;
}

async function receive(
  stream: FrameStream,
  scanner: LogScanner,
  writer: LogWriter,
  ref: LogRef,
  expected: Expected,
  onProgress: (lamport: bigint) => void,
  onAccepted: () => void,
): Promise<FetchEnd> {
  let next = scanner.received;
  let verified = next;
  for await (const frame of stream) {
    const parsed = LogMessage.safeParse(frame.head);
    if (!parsed.success) return { kind: 'bad', reason: 'bad-message' };
    const message = parsed.data;
    if (message.t === 'accepted') {
      onAccepted();
      continue;
    }
    if (message.t === 'refused') return { kind: 'refused', reason: remoteReason(message.reason) };
    if (message.t === 'closed') {
      // A log ends with a group; asking again at once for the rest of this one would never end.
      const whole = message.end === next && verified === next && next > 0n;
      return whole ? { kind: 'closed' } : { kind: 'bad', reason: 'short' };
    }
    if (message.at !== next) return { kind: 'bad', reason: 'bad-position' };
    // It would say nothing and cost memory, again and again.
    if (frame.body.length === 0) return { kind: 'bad', reason: 'bad-message' };
    const seen = scanner.push(frame.body);
    next += BigInt(frame.body.length);
    verified = seen.end;
    const wrong = seen.ident && mismatch(seen.ident, ref, expected);
    if (wrong) return { kind: 'bad', reason: wrong };
    await writer.add({ at: message.at, bytes: frame.body, body: frame.body }, seen, () =>
      onProgress(seen.lamport),
    );
    const reason = VERDICT_REASON[seen.verdict];
    if (reason) return { kind: 'bad', reason, detail: `${seen.verdict} at ${seen.end}` };
  }
  return { kind: 'ended' };
}

/** Is this the log that was asked for, and does it continue what is here? */
function mismatch(ident: LogIdent, ref: LogRef, expected: Expected): ReasonCode | undefined {
  if (ident.cluster !== expected.cluster || ident.resource !== expected.resource) return 'bad-ident';
  if (ident.number !== ref.number || ident.origin !== ref.origin) return 'bad-ident';
  const prev = expected.prev;
  if (prev && (ident.prevLength !== prev.pos || (prev.digest !== '' && ident.prevDigest !== prev.digest)))
    return 'bad-chain';
  return undefined;
}

/**
 * Writes verified bytes in batches: what arrives during one fdatasync forms the next. A write
 * that fails ends the stream with its error, since the source may have nothing more to say for long.
 */
class LogWriter {
  readonly #store: LogStore;
  readonly #ref: LogRef;
  readonly #file: fs.FileHandle;
  readonly #stream: FrameStream;
  #pieces: Piece[] = [];
  #backlog = 0;
  #mark: { end: bigint; digest: string; ident: LogIdent; done: () => void } | undefined;
  #running: Promise<void> | undefined;
  /** the batch being written */
  #batch: Promise<void> = Promise.resolve();

  constructor(store: LogStore, ref: LogRef, file: fs.FileHandle, stream: FrameStream) {
    this.#store = store;
    this.#ref = ref;
    this.#file = file;
    this.#stream = stream;
  }

  /** Take a piece, and how far the log is verified with it. Waits only when the backlog is full. */
  async add(piece: Piece, { end, digest, ident }: LogScan, done: () => void): Promise<void> {
    this.#pieces.push(piece);
    this.#backlog += piece.bytes.length;
    // Before the whole header is here nothing is verified.
    if (!ident) return;
    this.#mark = { end, digest, ident, done };
    if (!this.#running) {
      this.#running = this.#run();
      this.#running.catch((error: unknown) =>
        this.#stream.destroy(error instanceof Error ? error : undefined),
      );
    }
    if (this.#backlog > BACKLOG) await this.#batch;
  }

  async drain(): Promise<void> {
    await this.#running;
  }

  async close(): Promise<void> {
    await this.#running?.catch(() => undefined);
    await this.#file.close();
  }

  async #run(): Promise<void> {
    // First let the caller note that it runs: it may find nothing to do and end at once.
    await Promise.resolve();
    for (;;) {
      const mark = this.#mark;
      const batch = this.#take(mark?.end ?? 0n);
      if (!mark || batch.length === 0) break;
      this.#batch = this.#write(batch).then(() => this.#file.datasync());
      await this.#batch;
      this.#store.grow(this.#ref, mark.end, mark.digest, mark.ident);
      mark.done();
    }
    this.#running = undefined;
  }

  /** Cut off the pieces (or their front) that lie below `end`. */
  #take(end: bigint): Piece[] {
    const batch: Piece[] = [];
    const rest: Piece[] = [];
    for (const piece of this.#pieces) {
      const below = end - piece.at;
      if (below <= 0n) rest.push(piece);
      else if (below >= BigInt(piece.bytes.length)) batch.push(piece);
      else {
        batch.push({ at: piece.at, bytes: piece.bytes.subarray(0, Number(below)) });
        rest.push({ ...piece, at: end, bytes: piece.bytes.subarray(Number(below)) });
      }
    }
    this.#pieces = rest;
    this.#backlog = rest.reduce((sum, p) => sum + p.bytes.length, 0);
    return batch;
  }

  /** The tree must be writable when logs can't be, and this node must be able to begin a log of its own. */
  async #checkSpace(bytes: number): Promise<void> {
    const { bavail, bsize } = await fs.statfs(path.dirname(this.#store.path(this.#ref)));
    if (bavail * bsize >= bytes + FILE_SPARE + FILE_ROOM) return;
    throw Object.assign(new Error('no space for logs'), { code: 'ENOSPC' });
  }

  async #write(batch: readonly Piece[]): Promise<void> {
    const first = batch[0];
    if (!first) return;
    let left = batch.map((p) => p.bytes);
    let at = Number(first.at);
    await this.#checkSpace(left.reduce((sum, part) => sum + part.length, 0));
    while (left.length > 0) {
      const { bytesWritten } = await this.#file.writev(left, at);
      at += bytesWritten;
      left = skip(left, bytesWritten);
    }
    for (const piece of batch) if (piece.body) this.#stream.recycle(piece.body);
  }
}

function skip(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  for (const part of parts) {
    if (bytes >= part.length) bytes -= part.length;
    else {
      rest.push(bytes > 0 ? part.subarray(bytes) : part);
      bytes = 0;
    }
  }
  return rest;
}
