// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A FrameStream over one socket.
 *
 * Back-pressure both ways: send() resolves while less than 2 MiB wait to be written,
 * reading stops while 4 MiB of frames wait to be taken. Large bodies go to the socket
 * as they are, never copied together.
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
const SMALL = 16 * 1024;
/** after close(), how long the other side may take to close too, ms */
const LINGER = 5000;

interface Waiting {
  resolve(frame: Frame | undefined): void;
  reject(error: Error): void;
}

/** See {@link FrameStream}. One reader at a time. */
export class SocketStream implements FrameStream {
  /** empty until the other side is authenticated */
  peer = '';
  protocol = 0;
  readonly closed: Promise<void>;
  readonly #socket: Duplex;
  readonly #decoder: FrameDecoder;
  readonly #frames: Frame[] = [];
  #readyBytes = 0;
  /** pieces to be written; #unsent counts their bytes and those being written */
  readonly #out: Uint8Array[] = [];
  #unsent = 0;
  #writing = false;
  #senders: (() => void)[] = [];
  #reader: Waiting | undefined;
  #closing = false;
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

  async send(head: JsonObject, body?: Uint8Array): Promise<void> {
    this.#check();
    if (this.#closing || this.#socket.destroyed)
      throw new ClusterError('stream-broken', 'the stream is closed');
    const bytes = encodeHead(head, body?.length ?? 0);
    this.#enqueue(bytes);
    if (body !== undefined && body.length > 0) this.#enqueue(body);
    this.#pump();
    if (this.#unsent < SEND_AHEAD) return;
    await new Promise<void>((resolve) => this.#senders.push(resolve));
    this.#check();
  }

  /** The next frame; undefined when the other side has closed. Throws ClusterError. */
  take(): Promise<Frame | undefined> {
    const frame = this.#frames.shift();
    if (frame !== undefined) {
      this.#readyBytes -= frame.body.length;
      if (this.#socket.isPaused() && this.#readyBytes < READ_AHEAD / 4) this.#socket.resume();
      return Promise.resolve(frame);
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
    const timer = setTimeout(() => this.#socket.destroy(), LINGER);
    void this.closed.then(() => {
      clearTimeout(timer);
    });
    // Nobody may be reading any more, but the other side's end has to be seen.
    this.#socket.resume();
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
      this.#decoder.push(chunk, (frame) => {
        this.#deliver(frame);
      });
      if (this.#decoder.ended) this.#finish('end');
    } catch (error) {
      this.destroy(asClusterError(error, 'bad-message'));
    }
  }

  #deliver(frame: Frame): void {
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve(frame);
      return;
    }
    if (this.#closing) return;
    this.#frames.push(frame);
    this.#readyBytes += frame.body.length;
    if (this.#readyBytes >= READ_AHEAD) this.#socket.pause();
  }

  #enqueue(bytes: Uint8Array): void {
    this.#unsent += bytes.length;
    this.#out.push(bytes);
  }

  /**
   * One write at a time: what waits in a TLS socket is joined into one buffer there,
   * large bodies too. Small pieces are joined here.
   */
  #pump(): void {
    if (this.#writing || this.#socket.destroyed) return;
    const first = this.#out.shift();
    if (first === undefined) {
      if (this.#closing && !this.#socket.writableEnded) this.#socket.end(encodeEnd());
      return;
    }
    const pieces = [first];
    let length = first.length;
    for (let next = this.#out[0]; next !== undefined && length + next.length <= SMALL; next = this.#out[0]) {
      this.#out.shift();
      pieces.push(next);
      length += next.length;
    }
    this.#writing = true;
    this.#socket.write(pieces.length === 1 ? first : Buffer.concat(pieces, length), () => {
      this.#writing = false;
      this.#unsent -= length;
      if (this.#unsent < SEND_AHEAD) this.#wakeSenders();
      this.#pump();
    });
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
