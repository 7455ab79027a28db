// SPDX-License-Identifier: GPL-2.0-or-later
/** The target of a sync: what it asks, what it takes, when it tells of progress, and how it ends. */
import { promises as fs } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Frame, FrameStream, JsonObject } from '../../../src/cluster/types.js';
import { MarsError } from '../../../src/errors.js';
import { openDisk, type Disk } from '../../../src/transfer/disk.js';
import { DIGEST_SIZE, LEAF, RANGE } from '../../../src/transfer/messages.js';
import { serveSync } from '../../../src/transfer/syncsource.js';
import { runSync, type SyncTarget } from '../../../src/transfer/synctarget.js';
import { temporaryDir } from '../tree/support.js';

const START = 'log-000000001-a,4096';
const END = 'log-000000001-a,8192';

/** Frames that one side has sent and the other has not taken yet. */
class Queue {
  readonly #frames: Frame[] = [];
  #ended = false;
  #wake: () => void = () => undefined;

  put(head: JsonObject, body: Uint8Array): void {
    this.#frames.push({ head, body: Buffer.from(body) });
    this.#wake();
  }
  end(): void {
    this.#ended = true;
    this.#wake();
  }
  async *frames(): AsyncGenerator<Frame, void> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame) yield frame;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** One end of a connection; it keeps what it was given to send. */
class Line implements FrameStream {
  readonly peer = 'a';
  readonly protocol = 1;
  readonly closed = Promise.resolve();
  readonly sent: Frame[] = [];
  destroyed = false;
  readonly #there: Queue;
  readonly #here: Queue;

  constructor(there: Queue, here: Queue) {
    this.#there = there;
    this.#here = here;
  }

  send(head: JsonObject, body: Uint8Array = new Uint8Array(0), taken = (): void => undefined): Promise<void> {
    this.sent.push({ head, body: Buffer.from(body) });
    this.#there.put(head, body);
    taken();
    return Promise.resolve();
  }
  /** Whatever is used after it was given back shows. */
  recycle(body: Uint8Array): void {
    body.fill(0xee);
  }
  close(): void {
    this.#there.end();
  }
  destroy(): void {
    this.destroyed = true;
    this.#there.end();
    this.#here.end();
  }
  [Symbol.asyncIterator](): AsyncGenerator<Frame, void> {
    return this.#here.frames();
  }
}

function connection(): { target: Line; source: Line } {
  const [up, down] = [new Queue(), new Queue()];
  return { target: new Line(up, down), source: new Line(down, up) };
}

/** A disk of leaves; each is filled with one byte. */
async function disk(t: ExecutionContext, leaves: readonly number[]): Promise<string> {
  const file = path.join(temporaryDir(t), 'disk');
  await fs.writeFile(file, content(leaves));
  return file;
}

const content = (leaves: readonly number[]): Buffer =>
  Buffer.concat(leaves.map((byte) => Buffer.alloc(LEAF, byte)));

/** Bytes of the disk up to the end of the n-th range. */
const ranges = (n: number): bigint => BigInt(n * RANGE);

interface Told {
  readonly started: string[];
  readonly ended: string[];
  readonly progress: bigint[];
}

const onFile = (file: string) => (): Promise<Disk> => openDisk({ path: file, direct: false }, true);

function target(open: () => Promise<Disk>, size: bigint, from = 0n): SyncTarget & Told {
  const told: Told = { started: [], ended: [], progress: [] };
  return {
    ...told,
    open,
    size,
    from,
    onStart: (position) => Promise.resolve(void told.started.push(position)),
    onProgress: (done) => void told.progress.push(done),
    onEnd: (position) => void told.ended.push(position),
  };
}

const source = (file: string, size: bigint) => ({
  disk: { path: file, direct: false },
  size,
  pin: () => ({ position: START, release: () => undefined }),
  check: () => undefined,
  dirtyEnd: () => END,
});

/** A sync between two disks; what each side has sent. */
async function syncOf(
  from: string,
  to: SyncTarget,
): Promise<{ asked: readonly Frame[]; answered: readonly Frame[] }> {
  const line = connection();
  await Promise.all([serveSync(line.source, source(from, to.size)), runSync(line.target, to)]);
  return { asked: line.target.sent, answered: line.source.sent };
}

const SIZE = 2 * RANGE + LEAF;
const LEAVES = SIZE / LEAF;
const numbered = (first: number): number[] => Array.from({ length: LEAVES }, (_, i) => (first + i) % 250);

test('only leaves that differ are sent, of zeros none, and the disks are equal', async (t) => {
  const theirs = numbered(1);
  theirs[9] = 0;
  const mine = [...theirs];
  mine[3] = 200;
  mine[4] = 201;
  mine[9] = 202;
  mine[LEAVES - 1] = 203;
  const copy = await disk(t, mine);
  const to = target(onFile(copy), BigInt(SIZE));
  const from = await disk(t, theirs);
  const { asked, answered } = await syncOf(from, to);
  t.deepEqual(
    asked.map((f) => [f.head['t'], f.head['at'], f.head['len'], f.body.length / DIGEST_SIZE]),
    [
      ['range', '0', RANGE, RANGE / LEAF],
      ['range', `${RANGE}`, RANGE, RANGE / LEAF],
      ['range', `${2 * RANGE}`, LEAF, 1],
      ['finish', undefined, undefined, 0],
    ],
  );
  t.deepEqual(
    answered.filter((f) => f.head['t'] === 'range').map((f) => f.body.length),
    [2 * LEAF, 0, LEAF],
  );
  t.true((await fs.readFile(copy)).equals(content(theirs)));
  t.deepEqual([to.started, to.ended], [[START], [END]]);
  t.deepEqual(to.progress, [BigInt(SIZE)]);
});

test('a sync that goes on asks nothing below where it was', async (t) => {
  const size = ranges(3);
  const leaves = 3 * (RANGE / LEAF);
  const copy = await disk(t, Array<number>(leaves).fill(1));
  const to = target(onFile(copy), size, ranges(1));
  const from = await disk(t, Array<number>(leaves).fill(2));
  const { asked } = await syncOf(from, to);
  t.deepEqual(
    asked.map((f) => f.head['at']),
    [`${ranges(1)}`, `${ranges(2)}`, undefined],
  );
  const result = await fs.readFile(copy);
  t.true(result.subarray(0, RANGE).equals(content(Array<number>(RANGE / LEAF).fill(1))));
  t.true(result.subarray(RANGE).equals(content(Array<number>(leaves - RANGE / LEAF).fill(2))));
});

/** The end of a source that has said this, whatever it was asked, and nothing more. */
function scripted(...answers: readonly [JsonObject, Uint8Array?][]): Line {
  const line = connection();
  for (const [head, body] of answers) void line.source.send(head, body);
  line.source.close();
  return line.target;
}

const start = (size: number): [JsonObject] => [{ t: 'start', position: START, size: `${size}` }];
const leaf = Buffer.alloc(LEAF, 7);
const answer = (at: number, len: number, differ = 1): JsonObject => ({
  t: 'range',
  at: `${at}`,
  len,
  differ,
  zero: 0,
});

/** What a source must not say about a disk of one leaf. */
const WRONG: Readonly<Record<string, [JsonObject, Uint8Array?]>> = {
  'about another place': [answer(LEAF, LEAF), leaf],
  'about more than was asked': [answer(0, 2 * LEAF, 2), leaf],
  'about less than was asked': [answer(0, LEAF / 2), leaf.subarray(0, LEAF / 2)],
  'with too few bytes': [answer(0, LEAF), leaf.subarray(1)],
  'with too many bytes': [answer(0, LEAF, 0), leaf],
  'out of turn': [{ t: 'end', position: END }],
  'that is none': [{ t: 'song' }],
};

for (const [what, wrong] of Object.entries(WRONG)) {
  test(`an answer ${what} ends the sync, and nothing of it is written`, async (t) => {
    const file = await disk(t, [1]);
    const stream = scripted(start(LEAF), wrong);
    const to = target(onFile(file), BigInt(LEAF));
    await t.throwsAsync(runSync(stream, to), { instanceOf: MarsError, code: 'bad-message' });
    t.true(stream.destroyed);
    t.true((await fs.readFile(file)).equals(content([1])));
    t.deepEqual([to.progress, to.ended], [[], []]);
  });
}

test('a source that is larger, or refuses, ends the sync before anything is begun', async (t) => {
  const file = await disk(t, [1]);
  for (const [said, code] of [
    [start(2 * LEAF), 'device-too-small'],
    [[{ t: 'refused', reason: 'not-primary' }], 'sync-refused'],
  ] as const) {
    const stream = scripted([...said]);
    const to = target(onFile(file), BigInt(LEAF));
    await t.throwsAsync(runSync(stream, to), { instanceOf: MarsError, code });
    t.true(stream.destroyed);
    t.deepEqual(to.started, []);
  }
});

test('a disk that cannot be opened ends the stream', async (t) => {
  const stream = scripted(start(LEAF));
  const to = target(onFile(path.join(temporaryDir(t), 'missing')), BigInt(LEAF));
  await t.throwsAsync(runSync(stream, to), { code: 'ENOENT' });
  t.true(stream.destroyed);
});

/** A disk of zeros; what was written to it is durable once datasync has come to its end. */
class Volatile implements Disk {
  readonly #unsynced: number[] = [];
  writes = 0;

  /** places below `end` that a power cut would take back */
  volatileBelow(end: bigint): number[] {
    return this.#unsynced.filter((at) => BigInt(at) < end);
  }
  read(_at: bigint, len: number): Promise<Buffer> {
    return Promise.resolve(Buffer.alloc(len));
  }
  release(): void {
    // nothing is used again
  }
  async write(_bytes: Uint8Array, at: number): Promise<void> {
    this.writes++;
    await new Promise((resolve) => setImmediate(resolve));
    this.#unsynced.push(at);
  }
  async datasync(): Promise<void> {
    const all = this.#unsynced.length;
    await new Promise((resolve) => setImmediate(resolve));
    this.#unsynced.splice(0, all);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

test('progress is told in between, and never of what is not durable', async (t) => {
  const size = 66 * RANGE;
  const file = await disk(t, []);
  await fs.truncate(file, size);
  const handle = await fs.open(file, 'r+');
  for (const at of [0, 64 * RANGE - LEAF, 64 * RANGE, size - LEAF]) await handle.write(leaf, 0, LEAF, at);
  await handle.close();
  const copy = new Volatile();
  const to = target(() => Promise.resolve(copy), BigInt(size));
  const lost: number[] = [];
  await syncOf(file, {
    ...to,
    onProgress: (done) => {
      to.onProgress(done);
      lost.push(...copy.volatileBelow(done));
    },
  });
  t.is(copy.writes, 4);
  t.deepEqual(to.progress, [ranges(64), ranges(66)]);
  t.deepEqual(lost, []);
});
