// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Shipping: push a log to a member as it becomes durable.
 *
 * Serves any log this node holds, whoever wrote it. Only bytes below the
 * store's verified, durable end leave the node. Ends with `closed` when the log
 * has a successor and everything was sent, with `refused` when there is nothing
 * to serve; otherwise follows the log for as long as the stream lives.
 */
import { promises as fs } from 'node:fs';
import type { FrameStream } from '../cluster/types.js';
import type { LogStore } from '../daemon/logstore.js';
import { MarsError, type ReasonCode } from '../errors.js';
import { prevOf } from '../strategy/resource.js';
import { sameLog, type LogRef } from '../strategy/history.js';

/** Largest piece read and sent at once, bytes. */
const CHUNK = 1 << 20;
/** Pieces read and not yet sent at most. */
const WINDOW = 3;

/** Push log `ref` from byte `from` on until it is closed or the stream ends; `accept`: say first that it is here. */
export async function shipLog(
  stream: FrameStream,
  store: LogStore,
  ref: LogRef,
  from: bigint,
  signal: AbortSignal,
  accept = false,
): Promise<void> {
  const first = store.get(ref);
  if (!first) return refuse(stream, 'no-such-log');
  if (from > first.end) return refuse(stream, 'position-beyond-end');
  const gone = new AbortController();
  void stream.closed.then(
    () => gone.abort(),
    () => gone.abort(),
  );
  const stop = AbortSignal.any([signal, gone.signal]);
  const file = await fs.open(store.path(ref), 'r');
  const pieces = new Pieces(file, stop);
  try {
    // Bytes may not come for long.
    if (accept) await stream.send({ t: 'accepted' });
    let at = from;
    while (!stop.aborted) {
      const changed = store.changed(ref, stop);
      const log = store.get(ref);
      if (!log) {
        await refuse(stream, 'no-such-log');
        return;
      }
      at = await sendUpTo(stream, pieces, at, log.end, stop);
      if (isClosed(store, ref, at)) {
        await stream.send({ t: 'closed', end: at.toString() });
        stream.close();
        return;
      }
      await changed;
    }
  } finally {
    await file.close();
  }
}

/** Send what is there, reading the next piece while one is on its way. Returns how far it came. */
async function sendUpTo(
  stream: FrameStream,
  pieces: Pieces,
  from: bigint,
  end: bigint,
  stop: AbortSignal,
): Promise<bigint> {
  let at = from;
  let ahead = pieces.read(at, end);
  while (at < end && isLive(stop)) {
    const bytes = await ahead;
    if (bytes.length === 0) break;
    const next = at + BigInt(bytes.length);
    ahead = pieces.read(next, end);
    ahead.catch(() => undefined); // reported when it is waited for; nobody does if sending fails
    await stream.send({ t: 'data', at: at.toString() }, bytes, () => pieces.release(bytes));
    at = next;
  }
  await ahead;
  return at;
}

/**
 * Reads pieces of a file into memory that is used again: fresh memory costs more than the
 * reading. There is a fixed number of buffers; while all of them wait to be sent, what
 * comes gathers in the log.
 */
class Pieces {
  readonly #file: fs.FileHandle;
  readonly #stop: AbortSignal;
  readonly #free: Buffer[] = [];
  #made = 0;
  #wake: () => void = () => undefined;

  constructor(file: fs.FileHandle, stop: AbortSignal) {
    this.#file = file;
    this.#stop = stop;
    // A stream that has ended gives nothing back.
    stop.addEventListener('abort', () => this.#wake());
  }

  /** Bytes from `at` on, at most up to `end`; none when that is reached, or when everything ends. */
  async read(at: bigint, end: bigint): Promise<Buffer> {
    const buffer = at < end ? await this.#take() : undefined;
    if (!buffer) return EMPTY;
    const len = end - at < BigInt(CHUNK) ? Number(end - at) : CHUNK;
    const { bytesRead } = await this.#file.read(buffer, 0, len, Number(at));
    if (bytesRead === 0) throw new MarsError('bad-log', `shorter than its verified end, ${end}`);
    return buffer.subarray(0, bytesRead);
  }

  async #take(): Promise<Buffer | undefined> {
    while (isLive(this.#stop)) {
      const free = this.#free.pop();
      if (free) return free;
      if (this.#made < WINDOW) {
        this.#made++;
        return Buffer.allocUnsafeSlow(CHUNK);
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return undefined;
  }

  /** Nobody looks at these bytes any more. */
  release(bytes: Buffer): void {
    this.#free.push(Buffer.from(bytes.buffer));
    this.#wake();
  }
}

const EMPTY = Buffer.alloc(0);

/** A function, since the compiler takes a signal it has seen once for constant. */
const isLive = (signal: AbortSignal): boolean => !signal.aborted;

/** A successor in the store fixes the end of a log. */
function isClosed(store: LogStore, ref: LogRef, at: bigint): boolean {
  return store.list().some((log) => {
    const prev = prevOf(log.ident);
    return prev !== undefined && sameLog(prev, ref) && prev.pos === at;
  });
}

async function refuse(stream: FrameStream, reason: ReasonCode): Promise<void> {
  await stream.send({ t: 'refused', reason });
  stream.close();
}
