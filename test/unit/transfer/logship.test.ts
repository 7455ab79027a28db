// SPDX-License-Identifier: GPL-2.0-or-later
/** Shipping: what leaves, in which pieces, with how much memory, and how it ends. */
import { promises as fs } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { Frame, FrameStream, JsonObject } from '../../../src/cluster/types.js';
import { LogStore } from '../../../src/daemon/logstore.js';
import type { LogIdent } from '../../../src/engine/types.js';
import { shipLog } from '../../../src/transfer/logship.js';
import { temporaryDir } from '../tree/support.js';

const LOG = { number: 1n, origin: 'a' };
const NEXT = { number: 2n, origin: 'a' };

const ident = (number: bigint, prevLength: bigint): LogIdent => ({
  cluster: '1'.repeat(32),
  resource: '2'.repeat(32),
  salt: '3'.repeat(32),
  number,
  timeline: 1,
  origin: 'a',
  prevNumber: number - 1n,
  prevOrigin: number > 1n ? 'a' : '',
  prevLength,
  prevDigest: '0'.repeat(32),
});

/** A stream that keeps what is sent until the test takes it. */
class Line implements FrameStream {
  readonly peer = 'b';
  readonly protocol = 1;
  readonly closed: Promise<void>;
  readonly sent: { head: JsonObject; body: Uint8Array; taken: () => void }[] = [];
  /** what bodies lay in */
  readonly memory = new Set<ArrayBufferLike>();
  wasClosed = false;
  end: () => void = () => undefined;
  #arrived: () => void = () => undefined;

  constructor() {
    this.closed = new Promise((resolve) => (this.end = resolve));
  }

  send(head: JsonObject, body: Uint8Array = new Uint8Array(0), taken = (): void => undefined): Promise<void> {
    this.sent.push({ head, body, taken });
    if (head['t'] === 'data') this.memory.add(body.buffer);
    this.#arrived();
    return Promise.resolve();
  }

  /** The next frame; its memory is given back at once when `copy`. */
  async next(copy = true): Promise<{ head: JsonObject; body: Buffer; taken: () => void }> {
    for (;;) {
      const frame = this.sent.shift();
      if (frame) {
        const body = Buffer.from(frame.body);
        if (copy) frame.taken();
        return { ...frame, body };
      }
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }

  recycle(): void {
    throw new Error('nothing is received');
  }
  close(): void {
    this.wasClosed = true;
  }
  destroy(): void {
    this.end();
  }
  // eslint-disable-next-line @typescript-eslint/require-await
  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void> {
    return;
  }
}

async function setUp(t: ExecutionContext, size: number) {
  const store = new LogStore(temporaryDir(t));
  const content = Buffer.alloc(size, 'abcdefghijk');
  await fs.writeFile(store.path(LOG), content);
  const line = new Line();
  const durable = (end: number): void => store.grow(LOG, BigInt(end), '', ident(1n, 0n));
  return { store, content, line, durable };
}

/** Takes frames until `end`; returns what came. */
async function upTo(line: Line, end: number): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  for (let at = 0; at < end; ) {
    const { head, body } = await line.next();
    if (head['t'] !== 'data' || head['at'] !== String(at)) throw new Error(JSON.stringify(head));
    pieces.push(body);
    at += body.length;
  }
  return pieces;
}

test('what is durable leaves at once, nothing behind it, and a successor ends the log', async (t) => {
  const { store, content, line, durable } = await setUp(t, 6 << 20);
  durable(4096);
  const shipping = shipLog(line, store, LOG, 0n, new AbortController().signal);
  t.deepEqual((await line.next()).body, content.subarray(0, 4096));
  t.is(line.sent.length, 0);
  durable(8192);
  const second = await line.next();
  t.deepEqual(second.head, { t: 'data', at: '4096' });
  t.deepEqual(second.body, content.subarray(4096, 8192));
  durable(12288);
  store.grow(NEXT, 4096n, '', ident(2n, 12288n));
  t.is((await line.next()).body.length, 4096);
  t.deepEqual((await line.next()).head, { t: 'closed', end: '12288' });
  await shipping;
  t.true(line.wasClosed);
});

test('whoever wants to know hears that the log is here before there is a byte of it', async (t) => {
  const { store, line, durable } = await setUp(t, 4096);
  durable(4096);
  const stop = new AbortController();
  const shipping = shipLog(line, store, LOG, 4096n, stop.signal, true);
  t.deepEqual((await line.next()).head, { t: 'accepted' });
  t.is(line.sent.length, 0);
  stop.abort();
  await shipping;
});

test('a successor that is heard of after everything was sent ends the log too', async (t) => {
  const { store, line, durable } = await setUp(t, 4096);
  durable(4096);
  const shipping = shipLog(line, store, LOG, 0n, new AbortController().signal);
  await line.next();
  // It waits now for more of this log, and none will come.
  await new Promise((resolve) => setImmediate(resolve));
  store.grow(NEXT, 4096n, '', ident(2n, 4096n));
  t.deepEqual((await line.next()).head, { t: 'closed', end: '4096' });
  await shipping;
});

test('while memory waits to be sent, steps gather; then they leave together', async (t) => {
  const { store, content, line, durable } = await setUp(t, 6 << 20);
  durable(1);
  const stop = new AbortController();
  const shipping = shipLog(line, store, LOG, 1n, stop.signal);
  const held = [];
  for (let step = 1; step <= 3; step++) {
    durable(step * 4096);
    held.push(await line.next(false));
  }
  const at = 3 * 4096;
  durable(32 * 4096);
  t.is(line.sent.length, 0, 'only so many pieces are read ahead');
  for (const frame of held) frame.taken();
  const rest = await line.next();
  t.deepEqual(rest.head, { t: 'data', at: at.toString() });
  t.is(rest.body.length, 32 * 4096 - at);
  t.deepEqual(rest.body, content.subarray(at, 32 * 4096));
  stop.abort();
  await shipping;
});

test('a long log comes in order, through a few buffers', async (t) => {
  const { store, content, line, durable } = await setUp(t, 6 << 20);
  durable(content.length);
  const stop = new AbortController();
  const shipping = shipLog(line, store, LOG, 0n, stop.signal);
  t.true(Buffer.concat(await upTo(line, content.length)).equals(content));
  t.true(line.memory.size <= 3, `${line.memory.size} buffers`);
  stop.abort();
  await shipping;
});

test('a stream that ends with everything unsent leaves nothing waiting', async (t) => {
  const { store, content, line, durable } = await setUp(t, 6 << 20);
  durable(content.length);
  const shipping = shipLog(line, store, LOG, 0n, new AbortController().signal);
  await line.next(false);
  line.end();
  await t.notThrowsAsync(shipping);
});

test('what is not to be had is refused in words that every version knows', async (t) => {
  const { store, line, durable } = await setUp(t, 4096);
  const { signal } = new AbortController();
  await shipLog(line, store, LOG, 0n, signal);
  t.deepEqual((await line.next()).head, { t: 'refused', reason: 'no-such-log' });
  durable(4096);
  await shipLog(line, store, LOG, 4097n, signal);
  t.deepEqual((await line.next()).head, { t: 'refused', reason: 'position-beyond-end' });
});

test('a log that was cut under the daemon is not shipped on, and the error says which it is', async (t) => {
  const { store, line, durable } = await setUp(t, 4096);
  durable(8192);
  const shipping = shipLog(line, store, LOG, 0n, new AbortController().signal);
  await line.next();
  await t.throwsAsync(shipping, { code: 'bad-log' });
});
