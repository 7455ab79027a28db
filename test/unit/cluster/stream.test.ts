// SPDX-License-Identifier: GPL-2.0-or-later
/** Frames and streams: the codec, back-pressure, how streams end. */
import { PassThrough } from 'node:stream';
import test from 'ava';
import {
  encodeEnd,
  encodeHead,
  FrameDecoder,
  FULL_LIMITS,
  HELLO_LIMITS,
} from '../../../src/cluster/frame.js';
import { SocketStream } from '../../../src/cluster/stream.js';
import type { Frame, FrameStream } from '../../../src/cluster/types.js';
import { MarsError } from '../../../src/errors.js';
import { Net, type Node } from './support.js';

function pair(net: Net): [Node, Node] {
  const [a, b] = net.nodes;
  if (a === undefined || b === undefined) throw new Error('two nodes');
  return [a, b];
}

test('frames come out as they went in, however the bytes are cut', (t) => {
  const bodies = [Buffer.alloc(0), Buffer.from('x'), Buffer.alloc(70_000, 7)];
  const bytes = Buffer.concat([
    ...bodies.flatMap((b, i) => [encodeHead({ i, text: 'ä"\n' }, b.length), b]),
    encodeEnd(),
  ]);
  for (const step of [1, 3, 7, 1000, 65_536, bytes.length]) {
    const decoder = new FrameDecoder(FULL_LIMITS);
    const frames: Frame[] = [];
    for (let at = 0; at < bytes.length; at += step)
      decoder.push(bytes.subarray(at, at + step), (f) => frames.push(f));
    t.deepEqual(
      frames.map((f) => f.head),
      bodies.map((_, i) => ({ i, text: 'ä"\n' })),
    );
    frames.forEach((f, i) => t.deepEqual(Buffer.from(f.body), bodies[i]));
    t.true(decoder.ended);
    t.false(decoder.inside);
  }
});

test('memory that is given back serves for the next body that fits, small ones included', (t) => {
  const decoder = new FrameDecoder(FULL_LIMITS);
  const through = (length: number): Uint8Array => {
    const got: Frame[] = [];
    decoder.push(Buffer.concat([encodeHead({}, length), Buffer.alloc(length, 5)]), (f) => got.push(f));
    t.true(Buffer.from(got[0]?.body ?? []).equals(Buffer.alloc(length, 5)));
    return got[0]?.body ?? new Uint8Array(0);
  };
  const first = through(5000);
  const second = through(5000);
  t.not(second.buffer, first.buffer, 'not before it is given back');
  decoder.recycle(first);
  t.is(through(40_000).buffer, first.buffer);
  decoder.recycle(second);
  t.not(through(200_000).buffer, second.buffer, 'what is too small is let go');
  decoder.recycle(through(100));
  t.is(through(5000).byteOffset, 0, 'shared memory of small bodies never comes back');
});

test('lengths are checked before anything is kept', (t) => {
  const head = (total: number, length: number): Buffer => {
    const b = Buffer.alloc(8);
    b.writeUInt32LE(total, 0);
    b.writeUInt32LE(length, 4);
    return b;
  };
  const code = (bytes: Buffer, limits = FULL_LIMITS): string =>
    t.throws(() => new FrameDecoder(limits).push(bytes, () => undefined), { instanceOf: MarsError }).code;
  t.is(code(head(0xffffffff, 2)), 'message-too-big');
  t.is(code(head(4 + 65_537, 65_537)), 'message-too-big');
  t.is(code(head(4 + 2 + 1, 2), HELLO_LIMITS), 'message-too-big');
  t.is(code(head(5, 2)), 'bad-message');
  t.is(code(head(0, 0)), 'bad-message');
  t.is(code(head(5, 0)), 'bad-message');
  t.is(code(Buffer.concat([encodeEnd(), Buffer.from([1])])), 'bad-message');
  t.is(code(Buffer.concat([head(4 + 2, 2), Buffer.from('[]')])), 'bad-message');
  t.is(code(Buffer.concat([head(4 + 2, 2), Buffer.from('{{')])), 'bad-message');
  t.is(
    t.throws(() => encodeHead({ x: 'y'.repeat(70_000) }, 0), { instanceOf: MarsError }).code,
    'message-too-big',
  );
});

test('a stream carries bulk both ways, in order, and ends regularly', async (t) => {
  const [a, b] = pair(await Net.of(t, ['hosta', 'hostb']));
  const MIB = 1024 * 1024;
  a.cluster.serve('sync', async (stream, params) => {
    t.is(stream.peer, 'hostb');
    t.deepEqual(params, { from: 3 });
    let n = 0;
    for await (const { head, body } of stream) {
      t.is(head['n'], n++);
      await stream.send(head, body);
    }
    stream.close();
  });
  const stream = await b.cluster.open('hosta', 'sync', { from: 3 });
  t.is(stream.protocol, 1);
  const sending = (async () => {
    for (let n = 0; n < 40; n++) await stream.send({ n }, Buffer.alloc(MIB + n, n));
  })();
  let back = 0;
  for await (const { body } of stream) {
    t.true(Buffer.alloc(MIB + back, back).equals(body));
    if (++back === 40) break;
  }
  await sending;
  stream.close();
  await stream.closed;
});

test('a reader that does not read stops the sender', async (t) => {
  const [a, b] = pair(await Net.of(t, ['hosta', 'hostb']));
  let got: FrameStream | undefined;
  const arrived = new Promise<void>((resolve) => {
    a.cluster.serve('sync', async (stream) => {
      got = stream;
      resolve();
      await stream.closed;
    });
  });
  const stream = await b.cluster.open('hosta', 'sync', {});
  await arrived;
  let sent = 0;
  const body = Buffer.alloc(1024 * 1024);
  const sender = (async () => {
    for (; sent < 200; sent++) await stream.send({}, body);
    stream.close();
  })();
  // The sender gets as far as buffers go: tree replication still runs meanwhile.
  a.tree.write({ 'userspace/a': '1' });
  await b.untilValue('userspace/a', '1');
  let stuck = -1;
  while (stuck !== sent) {
    stuck = sent;
    b.tree.write({ 'userspace/b': `${sent}` });
    await a.untilValue('userspace/b', `${sent}`);
  }
  t.true(sent < 100, `${sent} MiB were taken`);
  let n = 0;
  for await (const _ of got ?? []) if (++n === 200) break;
  await sender;
  t.is(n, 200);
});

test('frames without a body count too: a reader that does not read stops them', async (t) => {
  for (const head of [{}, { text: 'x'.repeat(60_000) }]) {
    const socket = new PassThrough();
    const stream = new SocketStream(socket, FULL_LIMITS);
    const bytes = encodeHead(head, 0);
    let frames = 0;
    for (; frames < 200_000 && !socket.isPaused(); frames++) stream.feed(bytes);
    t.true(frames * bytes.length <= 4 * 1024 * 1024 + bytes.length, `${frames} frames wait`);
    t.true(frames < 20_000, `${frames} frames wait`);
    for (let n = 0; n < frames; n++) t.deepEqual((await stream.take())?.head, head);
    t.false(socket.isPaused(), 'and when it has read they come again');
    socket.destroy();
    await stream.closed;
  }
});

test('a stream that breaks in the middle throws; nobody is left waiting', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb']);
  const [a, b] = pair(net);
  await net.relays();
  const served = new Promise<string>((resolve) => {
    a.cluster.serve('log', async (stream) => {
      try {
        for await (const _ of stream) await stream.send({ ok: true });
        resolve('end');
      } catch (error) {
        resolve(error instanceof MarsError ? error.code : String(error));
      }
    });
  });
  const stream = await b.cluster.open('hosta', 'log', {});
  await stream.send({ n: 1 });
  const reading = (async () => {
    for await (const _ of stream) await net.cut(a, b);
    return 'end';
  })().catch((error: unknown) => (error instanceof MarsError ? error.code : String(error)));
  t.is(await served, 'stream-broken');
  t.is(await reading, 'stream-broken');
  await stream.closed;
  const error = await t.throwsAsync(stream.send({ n: 2 }), { instanceOf: MarsError });
  t.is(error.code, 'stream-broken');
  const refused = await t.throwsAsync(b.cluster.open('hosta', 'log', {}), { instanceOf: MarsError });
  t.is(refused.code, 'peer-unreachable');
});

test('opening can be given up, and needs a handler', async (t) => {
  const [a, b] = pair(await Net.of(t, ['hosta', 'hostb']));
  const none = await t.throwsAsync(b.cluster.open('hosta', 'log', {}), { instanceOf: MarsError });
  t.is(none.code, 'no-handler');
  a.cluster.serve('log', (stream) => stream.closed);
  const given = await t.throwsAsync(b.cluster.open('hosta', 'log', {}, AbortSignal.abort()), {
    instanceOf: MarsError,
  });
  t.is(given.code, 'peer-unreachable');
  const unknown = await t.throwsAsync(b.cluster.open('hostz', 'log', {}), { instanceOf: MarsError });
  t.is(unknown.code, 'not-a-member');
});
