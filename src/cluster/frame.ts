// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Frames on the wire.
 *
 *     u32 le  total   bytes that follow: 4 + head + body
 *     u32 le  head    bytes of head
 *     head    one JSON object, UTF-8
 *     body    raw bytes
 *
 * A frame with an empty head and no body means: nothing follows. Without it, the end
 * of a connection is a broken connection. Lengths are checked before anything is
 * allocated; every byte received is copied once, into the buffer that is handed out.
 */
import { ClusterError } from './errors.js';
import type { Frame, JsonObject } from './types.js';

/** Bounds of one frame, bytes. */
export interface FrameLimits {
  readonly head: number;
  readonly body: number;
}

export const FULL_LIMITS: FrameLimits = { head: 64 * 1024, body: 2 * 1024 * 1024 + 64 * 1024 };
/** Before the other side is known. */
export const HELLO_LIMITS: FrameLimits = { head: 16 * 1024, body: 0 };

const EMPTY = Buffer.alloc(0);
/** Bodies from this size on can be recycled; their memory has at least ROOM bytes, and so many are kept. */
const RECYCLED = 4 * 1024;
const ROOM = 64 * 1024;
const KEPT = 4;

/** The bytes before the body. Throws ClusterError `message-too-big`. */
export function encodeHead(head: JsonObject, bodyLength: number): Buffer {
  const json = Buffer.from(JSON.stringify(head));
  if (json.length > FULL_LIMITS.head || bodyLength > FULL_LIMITS.body)
    throw new ClusterError('message-too-big', `${json.length} + ${bodyLength} bytes to send`);
  const bytes = Buffer.allocUnsafe(8 + json.length);
  bytes.writeUInt32LE(4 + json.length + bodyLength, 0);
  bytes.writeUInt32LE(json.length, 4);
  json.copy(bytes, 8);
  return bytes;
}

/** The frame that says: nothing follows. */
export function encodeEnd(): Buffer {
  return Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]);
}

function parseHead(bytes: Buffer): JsonObject {
  let head: unknown;
  try {
    head = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new ClusterError('bad-message', { found: 'the head is not JSON', cause: error });
  }
  if (typeof head !== 'object' || head === null || Array.isArray(head))
    throw new ClusterError('bad-message', 'the head is not an object');
  return head as JsonObject;
}

/** `size`: bytes on the wire */
type Deliver = (frame: Frame, size: number) => void;

/** Takes bytes as they come, gives whole frames. After it has thrown it is of no more use. */
export class FrameDecoder {
  /** may be changed between frames */
  limits: FrameLimits;
  /** the end frame was seen */
  ended = false;
  #part: 'lengths' | 'head' | 'body' = 'lengths';
  readonly #lengths = Buffer.allocUnsafe(8);
  readonly #free: Buffer[] = [];
  #buffer: Buffer = this.#lengths;
  #filled = 0;
  #head: JsonObject = {};
  #headLength = 0;
  #bodyLength = 0;

  constructor(limits: FrameLimits) {
    this.limits = limits;
  }

  /** Is a frame half received? */
  get inside(): boolean {
    return this.#part !== 'lengths' || this.#filled > 0;
  }

  /** Hands each frame that becomes complete to `deliver`, with its size on the wire. Throws ClusterError `message-too-big` or `bad-message`. */
  push(chunk: Uint8Array, deliver: Deliver): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.ended) throw new ClusterError('bad-message', 'bytes behind the end');
      const take = Math.min(this.#buffer.length - this.#filled, chunk.length - at);
      this.#buffer.set(chunk.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
      if (this.#filled === this.#buffer.length) this.#complete(deliver);
    }
  }

  #complete(deliver: Deliver): void {
    switch (this.#part) {
      case 'lengths':
        this.#begin(this.#buffer.readUInt32LE(0), this.#buffer.readUInt32LE(4));
        return;
      case 'head':
        this.#head = parseHead(this.#buffer);
        if (this.#bodyLength > 0) this.#expect('body', this.#bodyLength);
        else this.#deliver(EMPTY, deliver);
        return;
      case 'body':
        this.#deliver(this.#buffer, deliver);
    }
  }

  #begin(total: number, head: number): void {
    const body = total - 4 - head;
    if (body < 0) throw new ClusterError('bad-message', `head of ${head} bytes in a frame of ${total}`);
    if (head > this.limits.head || body > this.limits.body)
      throw new ClusterError('message-too-big', `head ${head}, body ${body} bytes`);
    if (head === 0) {
      if (body > 0) throw new ClusterError('bad-message', 'a body without a head');
      this.ended = true;
      this.#expect('lengths', 8);
      return;
    }
    this.#headLength = head;
    this.#bodyLength = body;
    this.#expect('head', head);
  }

  /** A body that is no longer used: its memory serves for a later one. */
  recycle(body: Uint8Array): void {
    const { buffer, byteOffset, byteLength } = body;
    if (byteLength < RECYCLED || byteOffset !== 0 || buffer.byteLength < ROOM || this.#free.length >= KEPT)
      return;
    this.#free.push(Buffer.from(buffer as ArrayBuffer));
  }

  #expect(part: 'lengths' | 'head' | 'body', length: number): void {
    this.#part = part;
    this.#buffer = part === 'lengths' ? this.#lengths : this.#allocate(length);
    this.#filled = 0;
  }

  /** Fresh memory costs a page fault every 4 KiB, which is as much as the copy itself. */
  #allocate(length: number): Buffer {
    if (length < RECYCLED) return Buffer.allocUnsafe(length);
    const old = this.#free.pop();
    if (old !== undefined && old.length >= length) return old.subarray(0, length);
    return Buffer.allocUnsafeSlow(Math.max(ROOM, length)).subarray(0, length);
  }

  #deliver(body: Uint8Array, deliver: Deliver): void {
    const frame = { head: this.#head, body };
    this.#expect('lengths', 8);
    deliver(frame, 8 + this.#headLength + body.length);
  }
}
