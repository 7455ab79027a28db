// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The whole data path through the engine's face: an NBD client writes to a
 * logger, the log is scanned while it grows, and its replay gives an equal disk.
 */
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { EmbeddedEngine } from '../../../src/engine/engine.js';
import { FILE_FLAGS } from '../../../src/engine/keys.js';
import { LogScanner, scanLogFile } from '../../../src/engine/logscan.js';
import type { LogIdent } from '../../../src/engine/types.js';
import { diskDir, power, remove, run, until } from './support.js';

const SIZE = 16 << 20;
const dir = diskDir('logger');
const engine = new EmbeddedEngine();
test.after.always(() => {
  engine.shutdown();
  rmSync(dir, { recursive: true, force: true });
});

function ident(number: bigint, salt: string): LogIdent {
  return {
    cluster: 'c'.repeat(32),
    resource: 'e'.repeat(32),
    salt: salt.repeat(32),
    number,
    timeline: 1,
    origin: 'hosta',
    prevNumber: 0n,
    prevOrigin: '',
    prevLength: 0n,
    prevDigest: '0'.repeat(32),
  };
}

function file(name: string, path: string, flags: bigint): void {
  engine.create('file', name);
  engine.set(name, 'file.path', { text: path });
  engine.set(name, 'file.flags', { value: flags });
}

async function io(...commands: string[]): Promise<void> {
  const url = `nbd+unix:///?socket=${join(dir, 'sock')}`;
  const result = await run('qemu-io', ['-f', 'raw', ...commands.flatMap((c) => ['-c', c]), url]);
  if (result.code !== 0 || /rror|failed/.test(result.output)) throw new Error(result.output);
}

test.serial('what a client writes is logged, scanned, rotated, replayed', async (t) => {
  const [data, log1, log2] = [join(dir, 'data'), join(dir, 'log-1'), join(dir, 'log-2')];
  writeFileSync(data, '');
  truncateSync(data, SIZE);
  file('r/data', data, FILE_FLAGS.excl);
  file('r/log-1', log1, FILE_FLAGS.direct | FILE_FLAGS.create | FILE_FLAGS.append);
  engine.create('logger', 'r/logger');
  engine.set('r/logger', 'logger.ident', { ident: ident(1n, '1') });
  engine.create('nbd', 'r/nbd');
  engine.set('r/nbd', 'nbd.socket', { text: join(dir, 'sock') });
  engine.connect('r/logger', 0, 'r/data');
  engine.connect('r/logger', 1, 'r/log-1');
  engine.connect('r/nbd', 0, 'r/logger');
  for (const name of ['r/data', 'r/log-1', 'r/logger', 'r/nbd']) await power(engine, name, true);

  // A flush makes everything before it durable: the scanner must find it all.
  await io('write -P 1 0 64k', 'write -P 2 4096 512', 'write -P 3 1m 1m', 'flush');
  const status = engine.status('r/logger');
  const scan = await scanLogFile(log1, { expect: ident(1n, '1') });
  t.is(scan.verdict, 'clean-end');
  t.true(scan.end >= (status.val['durable'] ?? 0n));
  // A group is stamped after the records in it.
  t.true(scan.lamport >= (status.val['lamport'] ?? 0n));
  t.true(scan.records >= 3n);

  // Going on from there finds only what is new, and the logger agrees with it.
  await io('write -f -P 4 8m 4k', 'discard 64k 64k', 'write -z 2m 128k', 'flush');
  const after = await until(engine, 'r/logger', (s) => s.val['durable'] === s.val['pos']);
  const more = await scanLogFile(log1, { from: scan.cursor });
  t.is(more.end, after.val['durable'] ?? -1n);
  t.is(more.digest, after.digest);
  t.true(more.records >= 3n);

  // Rotate under the open export; the chain continues by content.
  file('r/log-2', log2, FILE_FLAGS.direct | FILE_FLAGS.create | FILE_FLAGS.append);
  await power(engine, 'r/log-2', true);
  engine.connect('r/logger', 2, 'r/log-2');
  engine.set('r/logger', 'logger.rotate', { ident: ident(2n, '2'), value: 2n });
  await until(engine, 'r/logger', (s) => s.val['number'] === 2n);
  await io('write -P 5 3m 256k', 'flush');
  const last = await until(
    engine,
    'r/logger',
    (s) => s.val['durableNumber'] === 2n && s.val['durable'] === s.val['pos'],
  );
  t.is(last.val['prevEnd'], more.end);
  t.is(last.digest2, more.digest);
  const second = await scanLogFile(log2);
  t.like(second, { verdict: 'clean-end', end: last.val['durable'], digest: last.digest });
  t.like(second.ident, {
    number: 2n,
    prevNumber: 1n,
    prevOrigin: 'hosta',
    prevLength: more.end,
    prevDigest: more.digest,
  });

  // A planned stop leaves nothing dirty.
  await until(engine, 'r/nbd', (s) => s.val['clients'] === 0n);
  await power(engine, 'r/nbd', false);
  const off = await power(engine, 'r/logger', false);
  t.is(off.val['dirty'], 0n);
  await remove(engine, 'r/nbd');
  await remove(engine, 'r/logger');
  for (const name of ['r/log-1', 'r/log-2', 'r/data']) await remove(engine, name);

  // Replay of both logs onto an empty disk gives the same disk.
  const copy = join(dir, 'copy');
  writeFileSync(copy, '');
  truncateSync(copy, SIZE);
  file('s/data', copy, FILE_FLAGS.excl);
  await power(engine, 's/data', true);
  for (const [path, end, digest] of [
    [log1, more.end, more.digest],
    [log2, second.end, second.digest],
  ] as const) {
    file('s/log', path, FILE_FLAGS.rdonly);
    engine.create('replay', 's/replay');
    engine.set('s/replay', 'replay.ident', { ident: (await scanLogFile(path)).ident as LogIdent });
    engine.set('s/replay', 'replay.start', { value: 0n });
    engine.set('s/replay', 'replay.end', { value: end });
    engine.connect('s/replay', 0, 's/data');
    engine.connect('s/replay', 1, 's/log');
    await power(engine, 's/log', true);
    await power(engine, 's/replay', true);
    const done = await until(engine, 's/replay', (s) => s.state === 'replay-end');
    t.like(done.val, { applied: end, ckpt: end });
    t.is(done.digest2, digest);
    await remove(engine, 's/replay');
    await remove(engine, 's/log');
  }
  await remove(engine, 's/data');
  t.true(readFileSync(copy).equals(readFileSync(data)));
});

test.serial('a long log is verified the same by file and by stream', async (t) => {
  const [data, log] = [join(dir, 'data'), join(dir, 'log-long')];
  file('l/data', data, FILE_FLAGS.excl);
  file('l/log', log, FILE_FLAGS.direct | FILE_FLAGS.create | FILE_FLAGS.append);
  engine.create('logger', 'l/logger');
  engine.set('l/logger', 'logger.ident', { ident: ident(1n, '3') });
  engine.create('nbd', 'l/nbd');
  engine.set('l/nbd', 'nbd.socket', { text: join(dir, 'sock') });
  engine.connect('l/logger', 0, 'l/data');
  engine.connect('l/logger', 1, 'l/log');
  engine.connect('l/nbd', 0, 'l/logger');
  for (const name of ['l/data', 'l/log', 'l/logger', 'l/nbd']) await power(engine, name, true);
  const sock = `nbd+unix:///?socket=${join(dir, 'sock')}`;
  for (const [size, count] of [
    ['4096', '3000'],
    ['65536', '400'],
    ['1048576', '40'],
    ['512', '500'],
  ] as const) {
    const bench = await run('qemu-img', [
      'bench',
      '-w',
      '-f',
      'raw',
      '-d',
      '16',
      '-s',
      size,
      '-c',
      count,
      sock,
    ]);
    t.is(bench.code, 0, bench.output);
  }
  await io('flush');
  const status = await until(engine, 'l/logger', (s) => s.val['durable'] === s.val['pos']);
  await until(engine, 'l/nbd', (s) => s.val['clients'] === 0n);
  const scan = await scanLogFile(log);
  t.like(scan, { verdict: 'clean-end', end: status.val['durable'], digest: status.digest });
  t.is(scan.records, status.val['records'] ?? -1n);
  const bytes = readFileSync(log).subarray(0, Number(scan.end));
  for (const portion of [4096, 100_000, 1 << 20, 5_000_001]) {
    const scanner = new LogScanner();
    let last = scanner.push(new Uint8Array(0));
    for (let at = 0; at < bytes.length; at += portion) last = scanner.push(bytes.subarray(at, at + portion));
    t.deepEqual({ ...last, verdict: 'clean-end' }, scan, `portion ${portion}`);
  }
  for (const name of ['l/nbd', 'l/logger', 'l/log', 'l/data']) await remove(engine, name);
});
