// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A FrameStream over one socket.
 *
 * Back-pressure both ways: send() resolves while less than 2 MiB wait to be written,
 * reading stops while 4 MiB of frames wait to be taken. What waits is copied into one
 * buffer of the stream and goes to the socket in pieces of that size: encryption works on
 * memory that is hot, and a body is free for other use as soon as it is copied.
 *
 * The stream ends normally when the other side said so (end frame) or we closed
 * it ourselves; everything else is `stream-broken`. Hostile bytes close it at once.
 */
import type { Duplex } from 'node:stream';
import { asClusterError, ClusterError } from './errors.js';
import { encodeEnd, encodeHead, FrameDecoder, type FrameLimits } from './frame.js';
import type { Frame, FrameStream, JsonObject } from './types.js';

const SEND_AHEAD = 2 * 1024 * 1024;
const READ_AHEAD = 4 * 1024 * 1024;
/** what a frame that waits takes besides its bytes, about */
const FRAME_BYTES = 256;
/** bytes given to the socket at once: several TLS records, few enough to stay in the cache */
const PIECE = 128 * 1024;
/** streams that never have more to say make do with this */
const SMALL_PIECE = 4 * 1024;
/** after close(), how long the other side may take to close too, ms */
const LINGER = 5000;
/** after close(), how long a piece that still waits to be sent may take, ms */
const PATIENCE = 60_000;

interface Waiting {
  resolve(frame: Frame | undefined): void;
  reject(error: Error): void;
}

/** Bytes that wait to be written, and who wants to know that they do no longer. */
interface Part {
  readonly bytes: Uint8Array;
  readonly taken: (() => void) | undefined;
}

/** See {@link FrameStream}. One reader at a time. */
export class SocketStream implements FrameStream {
  /** empty until the other side is authenticated */
  peer = '';
  protocol = 0;
  readonly closed: Promise<void>;
  readonly #socket: Duplex;
  readonly #decoder: FrameDecoder;
  /** not yet taken, and what each counts; #readyBytes is the sum */
  readonly #frames: { readonly frame: Frame; readonly bytes: number }[] = [];
  #readyBytes = 0;
  /** to be written; #unsent counts their bytes and those being written */
  readonly #out: Part[] = [];
  /** how much of the first part is written or being written */
  #begun = 0;
  #unsent = 0;
  #piece = Buffer.alloc(0);
  #writing = false;
  #senders: (() => void)[] = [];
  #reader: Waiting | undefined;
  #closing = false;
  #lingering: NodeJS.Timeout | undefined;
  /** set when no more frames will come: an error, or 'end' */
  #finished: Error | 'end' | undefined;

  /** @param fed the bytes come through feed(), not as events of the socket */
  constructor(socket: Duplex, limits: FrameLimits, fed = false) {
    this.#socket = socket;
    this.#decoder = new FrameDecoder(limits);
    this.closed = new Promise((resolve) =>
      socket.once('close', () => {
        this.#finish(this.#closing ? 'end' : new ClusterError('stream-broken', 'the connection was closed'));
        resolve();
      }),
    );
    if (fed) socket.resume();
    else socket.on('data', (chunk: Buffer) => this.feed(chunk));
    socket.on('end', () => {
      const regular = this.#decoder.ended || (this.#closing && !this.#decoder.inside);
      this.#finish(regular ? 'end' : new ClusterError('stream-broken', 'the connection ended in the middle'));
    });
    socket.on('error', (error) => {
      this.#finish(asClusterError(error, 'stream-broken'));
    });
  }

  /** Bounds of the frames from now on. */
  set limits(limits: FrameLimits) {
    this.#decoder.limits = limits;
  }

  async send(head: JsonObject, body?: Uint8Array, taken?: () => void): Promise<void> {
    this.#check();
    if (this.#closing || this.#socket.destroyed)
      throw new ClusterError('stream-broken', 'the stream is closed');
    const bytes = encodeHead(head, body?.length ?? 0);
    this.#enqueue(bytes, undefined);
    if (body !== undefined) this.#enqueue(body, taken);
    this.#pump();
    if (this.#unsent < SEND_AHEAD) return;
    await new Promise<void>((resolve) => this.#senders.push(resolve));
    this.#check();
  }

  /** The next frame; undefined when the other side has closed. Throws ClusterError. */
  take(): Promise<Frame | undefined> {
    const ready = this.#frames.shift();
    if (ready !== undefined) {
      this.#readyBytes -= ready.bytes;
      if (this.#socket.isPaused() && this.#readyBytes < READ_AHEAD / 4) this.#socket.resume();
      return Promise.resolve(ready.frame);
    }
    if (this.#finished === 'end') return Promise.resolve(undefined);
    if (this.#finished !== undefined) return Promise.reject(this.#finished);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  recycle(body: Uint8Array): void {
    this.#decoder.recycle(body);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void> {
    for (;;) {
      const frame = await this.take();
      if (frame === undefined) return;
      yield frame;
    }
  }

  close(): void {
    if (this.#closing || this.#socket.destroyed) return;
    this.#closing = true;
    this.#pump();
    this.#linger();
    this.#socket.once('finish', () => {
      this.#linger();
    });
    void this.closed.then(() => {
      clearTimeout(this.#lingering);
    });
    // Nobody may be reading any more, but the other side's end has to be seen.
    this.#socket.resume();
  }

  /** Closing: give up when nothing happens for too long. */
  #linger(): void {
    clearTimeout(this.#lingering);
    const patience = this.#socket.writableFinished ? LINGER : PATIENCE;
    this.#lingering = setTimeout(() => this.#socket.destroy(), patience);
  }

  destroy(error?: Error): void {
    this.#finish(error ?? new ClusterError('stream-broken', 'closed here'));
    this.#socket.destroy();
  }

  #check(): void {
    if (this.#finished instanceof Error) throw this.#finished;
  }

  /** Bytes from the socket; they are copied before this returns. */
  feed(chunk: Uint8Array): void {
    try {
      this.#decoder.push(chunk, (frame, size) => {
        this.#deliver(frame, size);
      });
      if (this.#decoder.ended) this.#finish('end');
    } catch (error) {
      this.destroy(asClusterError(error, 'bad-message'));
    }
  }

  #deliver(frame: Frame, size: number): void {
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve(frame);
      return;
    }
    if (this.#closing) return;
    const bytes = size + FRAME_BYTES;
    this.#frames.push({ frame, bytes });
    this.#readyBytes += bytes;
    if (this.#readyBytes >= READ_AHEAD) this.#socket.pause();
  }

  #enqueue(bytes: Uint8Array, taken: (() => void) | undefined): void {
    this.#unsent += bytes.length;
    this.#out.push({ bytes, taken });
  }

  /** One write at a time: what waits in a TLS socket is joined there, into memory that is always new. */
  #pump(): void {
    if (this.#writing || this.#socket.destroyed) return;
    const piece = this.#fill();
    if (piece.length === 0) {
      if (this.#closing && !this.#socket.writableEnded) this.#socket.end(encodeEnd());
      return;
    }
    this.#writing = true;
    this.#socket.write(piece, () => {
      this.#writing = false;
      this.#unsent -= piece.length;
      if (this.#unsent < SEND_AHEAD) this.#wakeSenders();
      this.#pump();
      if (this.#closing && !this.#socket.destroyed) this.#linger();
    });
  }

  /** The next bytes to write, as many as fit; empty when there are none. */
  #fill(): Buffer {
    const waiting = this.#unsent;
    if (this.#piece.length < Math.min(waiting, PIECE))
      this.#piece = Buffer.allocUnsafeSlow(waiting > SMALL_PIECE ? PIECE : SMALL_PIECE);
    let filled = 0;
    for (let part = this.#out[0]; part !== undefined; part = this.#out[0]) {
      const room = this.#piece.length - filled;
      const bytes = part.bytes.subarray(this.#begun, this.#begun + room);
      this.#piece.set(bytes, filled);
      filled += bytes.length;
      this.#begun += bytes.length;
      if (this.#begun < part.bytes.length) break;
      this.#out.shift();
      this.#begun = 0;
      part.taken?.();
    }
    return this.#piece.subarray(0, filled);
  }

  #wakeSenders(): void {
    for (const wake of this.#senders.splice(0)) wake();
  }

  #finish(how: Error | 'end'): void {
    if (this.#finished !== undefined) return;
    this.#finished = how;
    this.#wakeSenders();
    const reader = this.#reader;
    this.#reader = undefined;
    if (how === 'end') reader?.resolve(undefined);
    else reader?.reject(how);
  }
}
