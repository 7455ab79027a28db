// SPDX-License-Identifier: GPL-2.0-or-later
/** Fetching: what is kept, and what ends it when this side cannot go on. */
import { promises as fs, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import type { Frame, FrameStream, JsonObject } from '../../../src/cluster/types.js';
import { LogStore } from '../../../src/daemon/logstore.js';
import { scanLogFile } from '../../../src/engine/logscan.js';
import { fetchLog, type FetchEnd } from '../../../src/transfer/logfetch.js';
import { temporaryDir } from '../tree/support.js';

const GOLDEN = 'native/test/golden/log-000000001-hosta';
const golden = readFileSync(GOLDEN);
const scan = await scanLogFile(GOLDEN);
const ident = scan.ident;
if (!ident) throw new Error('the golden log has no header');
const REF = { number: ident.number, origin: ident.origin };
const EXPECTED = { cluster: ident.cluster, resource: ident.resource, prev: undefined };

/** A source that sends these frames and then has nothing to say. */
class Source implements FrameStream {
  readonly peer = 'a';
  readonly protocol = 1;
  readonly closed = Promise.resolve();
  destroyed = false;
  readonly #frames: Frame[];
  #fail: (error: Error) => void = () => undefined;
  readonly #silence = new Promise<never>((_, reject) => (this.#fail = reject));

  constructor(frames: readonly [JsonObject, Uint8Array][]) {
    this.#frames = frames.map(([head, body]) => ({ head, body }));
    this.#silence.catch(() => undefined);
  }

  send(): Promise<void> {
    throw new Error('a fetch says nothing');
  }
  recycle(): void {
    // the bodies are the test's
  }
  close(): void {
    throw new Error('a fetch destroys its stream');
  }
  destroy(error?: Error): void {
    this.destroyed = true;
    this.#fail(error ?? new Error('destroyed'));
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void> {
    for (const frame of this.#frames) yield frame;
    await this.#silence;
  }
}

const data = (from: number, to: number): [JsonObject, Uint8Array] => [
  { t: 'data', at: String(from) },
  golden.subarray(from, to),
];
const END = Number(scan.end);
const closed: [JsonObject, Uint8Array] = [{ t: 'closed', end: `${END}` }, Buffer.alloc(0)];
const fetchFrom = (source: Source, store: LogStore, from = 0n): Promise<FetchEnd> =>
  fetchLog(source, store, REF, from, EXPECTED, () => undefined);

test('a log that came whole is kept, verified', async (t) => {
  const store = new LogStore(temporaryDir(t));
  const source = new Source([data(0, 5000), data(5000, END), closed]);
  t.deepEqual(await fetchFrom(source, store), { kind: 'closed' });
  t.is(store.get(REF)?.end, scan.end);
  t.is(store.get(REF)?.digest, scan.digest);
  t.true((await fs.readFile(store.path(REF))).equals(golden.subarray(0, END)));
});

test('a full disk ends it at once, though the source says nothing more', async (t) => {
  const store = new LogStore(temporaryDir(t));
  await fs.symlink('/dev/full', store.path(REF));
  await t.throwsAsync(fetchFrom(new Source([data(0, END)]), store), { code: 'ENOSPC' });
  t.is(store.get(REF), undefined);
});

test('a file that cannot be opened ends the stream', async (t) => {
  const store = new LogStore(path.join(temporaryDir(t), 'gone'));
  const source = new Source([data(0, END)]);
  await t.throwsAsync(fetchFrom(source, store), { code: 'ENOENT' });
  t.true(source.destroyed);
});

test('a log whose file was taken away is forgotten, and comes again from its start', async (t) => {
  const store = new LogStore(temporaryDir(t));
  await fetchFrom(new Source([data(0, END), closed]), store);
  await fs.rm(store.path(REF));
  const source = new Source([closed]);
  t.deepEqual(await fetchFrom(source, store, scan.end), { kind: 'bad', reason: 'bad-log' });
  t.true(source.destroyed);
  t.is(store.get(REF), undefined);
  t.deepEqual(await fetchFrom(new Source([data(0, END), closed]), store), { kind: 'closed' });
  t.true((await fs.readFile(store.path(REF))).equals(golden.subarray(0, END)));
});

test('a header that comes in pieces is kept whole', async (t) => {
  const store = new LogStore(temporaryDir(t));
  const pieces = [data(0, 100), data(100, 4000), data(4000, END), closed];
  t.deepEqual(await fetchFrom(new Source(pieces), store), { kind: 'closed' });
  t.is(store.get(REF)?.end, scan.end);
  t.true((await fs.readFile(store.path(REF))).equals(golden.subarray(0, END)));
});

test('a piece without bytes speaks against the source', async (t) => {
  const store = new LogStore(temporaryDir(t));
  const source = new Source([data(0, 100), data(100, 100), data(100, END), closed]);
  t.deepEqual(await fetchFrom(source, store), { kind: 'bad', reason: 'bad-message' });
  t.true(source.destroyed);
});

for (const end of [0, 100, 5000]) {
  test(`a log said to end at ${end}, where no group of it does, speaks against the source`, async (t) => {
    const store = new LogStore(temporaryDir(t));
    const said: [JsonObject, Uint8Array] = [{ t: 'closed', end: `${end}` }, Buffer.alloc(0)];
    const source = new Source(end > 0 ? [data(0, end), said] : [said]);
    t.deepEqual(await fetchFrom(source, store), { kind: 'bad', reason: 'short' });
    t.true((store.get(REF)?.end ?? 0n) < Math.max(end, 1));
  });
}

/** The golden log with a bit flipped. */
function flipped(at: number): [JsonObject, Uint8Array] {
  const bytes = Buffer.from(golden.subarray(0, END));
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  return [{ t: 'data', at: '0' }, bytes];
}
const zeros: [JsonObject, Uint8Array] = [{ t: 'data', at: String(END) }, Buffer.alloc(4096)];
const refusal = (reason: string): [JsonObject, Uint8Array] => [{ t: 'refused', reason }, Buffer.alloc(0)];
const FIRST = 4096;

for (const [what, frames, end] of [
  ['damaged in its header', [flipped(100)], { kind: 'bad', reason: 'bad-crc', detail: 'bad-crc at 0' }],
  ['without a magic', [flipped(0)], { kind: 'bad', reason: 'bad-log', detail: 'bad-magic at 0' }],
  [
    'whose first group is damaged',
    [flipped(FIRST)],
    { kind: 'bad', reason: 'bad-log', detail: `bad-magic at ${FIRST}` },
  ],
  [
    'with zeros in it',
    [data(0, END), zeros],
    { kind: 'bad', reason: 'bad-log', detail: `clean-end at ${END}` },
  ],
  ['a source does not have', [refusal('no-such-log')], { kind: 'refused', reason: 'no-such-log' }],
  [
    'a source has less of',
    [refusal('position-beyond-end')],
    { kind: 'refused', reason: 'position-beyond-end' },
  ],
  ['refused with a word unknown here', [refusal('moon-phase')], { kind: 'refused', reason: 'peer-refused' }],
] as const) {
  test(`a log ${what} ends with a reason of the catalogue`, async (t) => {
    const got = await fetchFrom(new Source(frames), new LogStore(temporaryDir(t)));
    t.deepEqual<FetchEnd, FetchEnd>(got, end);
  });
}

test('a log of another resource, or with another name, is not kept', async (t) => {
  const store = new LogStore(temporaryDir(t));
  const other = { ...EXPECTED, resource: 'f'.repeat(32) };
  const fetched = fetchLog(new Source([data(0, END)]), store, REF, 0n, other, () => undefined);
  t.deepEqual(await fetched, { kind: 'bad', reason: 'bad-ident' });
  const misnamed = { ...REF, number: REF.number + 1n };
  const again = fetchLog(new Source([data(0, END)]), store, misnamed, 0n, EXPECTED, () => undefined);
  t.deepEqual(await again, { kind: 'bad', reason: 'bad-ident' });
  t.deepEqual([store.list(), await fs.readdir(path.dirname(store.path(REF)))], [[], []]);
});
