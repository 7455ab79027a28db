// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The log scanner on the golden logs: in one piece, in pieces, cut, corrupted.
 *
 * The golden files are written by the C side and described in
 * docs/formats/log.md; nothing here knows how a group looks inside.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { crc32c, LogScanner, scanLogFile, type LogScan } from '../../../src/engine/logscan.js';
import type { LogIdent } from '../../../src/engine/types.js';

const FIRST = 'native/test/golden/log-000000001-hosta';
const SECOND = 'native/test/golden/log-000000002-hostb';
const BLOCK = 4096;
const first = readFileSync(FIRST);
const second = readFileSync(SECOND);

const dir = mkdtempSync(join(tmpdir(), 'mars-scan-'));
test.after.always(() => rmSync(dir, { recursive: true, force: true }));

const seed = Number(process.env['MARS_TEST_SEED'] ?? Date.now() % 1_000_000);
let state = BigInt(seed) | 1n;
function random(below: number): number {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
  return Number((state >> 33n) % BigInt(below));
}

/** Ends of the header and of every group, found by pushing block by block. */
function groupEnds(log: Buffer): LogScan[] {
  const scanner = new LogScanner();
  const ends: LogScan[] = [];
  for (let at = 0; at < log.length; at += BLOCK) {
    const scan = scanner.push(log.subarray(at, at + BLOCK));
    if (scan.verdict === 'ok') ends.push(scan);
  }
  return ends;
}

test('checksums are the usual CRC-32C, in one piece or several', (t) => {
  t.is(crc32c(Buffer.from('123456789')), 0xe3069283);
  t.is(crc32c(Buffer.from('56789'), crc32c(Buffer.from('1234'))), 0xe3069283);
  t.is(crc32c(Buffer.alloc(0)), 0);
});

test('a file is verified to its end, and logs form a chain by content', async (t) => {
  const one = await scanLogFile(FIRST);
  const two = await scanLogFile(SECOND);
  t.is(one.verdict, 'clean-end');
  t.true(one.end > BigInt(BLOCK) && one.end < BigInt(first.length));
  t.true(first.subarray(Number(one.end)).every((byte) => byte === 0));
  t.true(one.records > 0n);
  t.is(two.ident?.prevNumber, one.ident?.number);
  t.is(two.ident?.prevOrigin, one.ident?.origin);
  t.is(two.ident?.prevLength, one.end);
  t.is(two.ident?.prevDigest, one.digest);
});

test('any portioning gives the same result as the file', async (t) => {
  const whole = await scanLogFile(FIRST);
  for (let round = 0; round < 200; round++) {
    const scanner = new LogScanner();
    let last: LogScan | undefined;
    let at = 0;
    while (at < Number(whole.end)) {
      const len = Math.min(1 + random(round % 2 ? 100 : 20_000), Number(whole.end) - at);
      // A copy at an odd place: alignment must not matter.
      const skew = random(8);
      const bytes = Buffer.alloc(len + skew).subarray(skew);
      first.copy(bytes, 0, at, at + len);
      last = scanner.push(bytes);
      bytes.fill(0xee);
      at += len;
      t.is(scanner.received, BigInt(at));
      t.true(last.verdict === 'ok' || last.verdict === 'more', `seed ${seed}`);
      t.true(last.end <= BigInt(at));
    }
    t.deepEqual({ ...last, verdict: 'clean-end' }, { ...whole }, `seed ${seed} round ${round}`);
  }
});

test('zeros behind the last group end it for good', async (t) => {
  const whole = await scanLogFile(FIRST);
  const scanner = new LogScanner();
  t.is(scanner.push(first).verdict, 'clean-end');
  t.like(scanner.push(second.subarray(BLOCK)), {
    verdict: 'clean-end',
    end: whole.end,
    digest: whole.digest,
  });
});

test('a scan goes on from any group, in memory and on disk', async (t) => {
  const whole = await scanLogFile(FIRST);
  for (const stop of groupEnds(first)) {
    const file = await scanLogFile(FIRST, { from: stop.cursor });
    t.like(file, { verdict: 'clean-end', end: whole.end, digest: whole.digest, lamport: whole.lamport });
    t.deepEqual(file.ident, whole.ident);
    t.is(file.records + stop.records, whole.records);
    const scanner = new LogScanner({ from: stop.cursor }, stop.ident);
    t.is(scanner.received, stop.end);
    const rest = scanner.push(first.subarray(Number(stop.end), Number(whole.end)));
    t.is(rest.end, whole.end);
    t.is(rest.digest, whole.digest);
    t.deepEqual(rest.ident, whole.ident);
  }
});

test('a wrong digest to go on from is found out', async (t) => {
  const stop = groupEnds(first)[1];
  t.truthy(stop);
  if (!stop) return;
  const scan = await scanLogFile(FIRST, { from: { ...stop.cursor, digest: '00'.repeat(16) } });
  t.like(scan, { verdict: 'bad-chain', end: stop.end });
});

test('a file cut anywhere is good up to the last whole group', async (t) => {
  const ends = groupEnds(first).map((scan) => scan.end);
  for (let cut = 0; cut <= first.length; cut += 512) {
    const path = join(dir, `cut-${cut}`);
    writeFileSync(path, first.subarray(0, cut));
    const scan = await scanLogFile(path);
    const expected = ends.filter((end) => end <= BigInt(cut)).at(-1) ?? 0n;
    t.is(scan.end, expected, `cut at ${cut}`);
    t.true(scan.verdict === 'clean-end' || scan.verdict === 'more');
  }
});

test('no flipped bit goes unnoticed', async (t) => {
  const whole = await scanLogFile(FIRST);
  for (let i = 0; i < 600; i++) {
    const at = random(Number(whole.end));
    const bad = Buffer.from(first);
    bad.writeUInt8(bad.readUInt8(at) ^ (1 << random(8)), at);
    const scan = new LogScanner().push(bad);
    t.true(scan.end <= BigInt(at), `seed ${seed}: byte ${at} changed, but verified to ${scan.end}`);
    t.regex(scan.verdict, /^bad-/, `seed ${seed}: byte ${at}`);
  }
});

test('a scanner can go on where a file is verified', async (t) => {
  const path = join(dir, 'torn');
  const ends = groupEnds(first);
  const stop = ends[2];
  t.truthy(stop);
  if (!stop) return;
  writeFileSync(path, first.subarray(0, Number(stop.end) + 1000));
  const torn = await scanLogFile(path);
  const scanner = new LogScanner({ from: torn.cursor }, torn.ident);
  t.is(scanner.received, stop.end);
  const scan = scanner.push(first.subarray(Number(stop.end)));
  t.is(scan.end, ends.at(-1)?.end ?? 0n);
  t.is(scan.ident?.origin, 'hosta');
});

test('a header of another log than expected is refused', async (t) => {
  const expect = (await scanLogFile(FIRST)).ident as LogIdent;
  const any: LogIdent = {
    cluster: '0'.repeat(32),
    resource: '0'.repeat(32),
    salt: '0'.repeat(32),
    number: 0n,
    timeline: 0,
    origin: '',
    prevNumber: 0n,
    prevOrigin: '',
    prevLength: 0n,
    prevDigest: '0'.repeat(32),
  };
  t.is((await scanLogFile(FIRST, { expect })).verdict, 'clean-end');
  t.is((await scanLogFile(FIRST, { expect: any })).verdict, 'clean-end');
  for (const wrong of [
    { cluster: '1'.repeat(32) },
    { number: 9n },
    { origin: 'other' },
    { salt: '2'.repeat(32) },
  ])
    t.like(await scanLogFile(FIRST, { expect: { ...any, ...wrong } }), { verdict: 'bad-ident', end: 0n });
  t.like(new LogScanner({ expect }).push(second), { verdict: 'bad-ident', ident: undefined });
});

test('what is no log at all', async (t) => {
  const path = join(dir, 'noise');
  writeFileSync(path, Buffer.alloc(100_000, 'not a log '));
  t.like(await scanLogFile(path), { verdict: 'bad-magic', end: 0n, digest: '', ident: undefined });
  writeFileSync(path, Buffer.alloc(100_000));
  t.like(await scanLogFile(path), { verdict: 'clean-end', end: 0n });
  writeFileSync(path, '');
  t.like(await scanLogFile(path), { verdict: 'more', end: 0n });
  await t.throwsAsync(scanLogFile(join(dir, 'absent')), { code: 'ENOENT' });
  await t.throwsAsync(scanLogFile(dir), { code: 'EISDIR' });
});
