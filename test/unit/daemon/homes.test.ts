// SPDX-License-Identifier: GPL-2.0-or-later
/** What differs by engine, whose bricks are whose, and which engine is taken. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Backoff } from '../../../src/daemon/backoff.js';
import { explained, openEngine } from '../../../src/daemon/engine.js';
import { newer } from '../../../src/daemon/inherit.js';
import { TreeNames } from '../../../src/daemon/names.js';
import { parseOptions } from '../../../src/daemon/options.js';
import { engineBinding } from '../../../src/engine/bindings.js';
import { EmbeddedEngine, mismatch } from '../../../src/engine/engine.js';
import { homeOf } from '../../../src/engine/homes.js';
import { ABI_VERSION, decodeAbi, encodeVersion } from '../../../src/engine/structs.js';
import type { LogIdent } from '../../../src/engine/types.js';
import type { LocalLog } from '../../../src/strategy/resource.js';

const place = { dir: '/mars', resource: 'r1', device: 'mydata' };

test('the kernel serves a disk of the wished name, the daemon a socket of the resource', (t) => {
  const [kernel, embedded] = [homeOf('kernel'), homeOf('embedded')];
  t.is(kernel.devicePath(place), '/dev/mars/mydata');
  t.deepEqual(kernel.exportParams(place), { 'if.name': { text: 'mydata' } });
  t.is(embedded.devicePath(place), '/mars/dev/r1.sock');
  t.deepEqual(embedded.exportParams(place), {
    'nbd.socket': { text: '/mars/dev/r1.sock' },
    'nbd.export': { text: 'r1' },
  });
  t.deepEqual([kernel.dataType(true), kernel.dataType(false)], ['bdev', 'file']);
  t.deepEqual([embedded.dataType(true), embedded.dataType(false)], ['file', 'file']);
  t.deepEqual([kernel.bypassCache(true), kernel.bypassCache(false)], [true, false]);
  t.is(homeOf('other' as string), undefined);
});

test('bricks name their tree: cluster and host', (t) => {
  const [uuid, other] = ['a'.repeat(32), 'b'.repeat(32)];
  const names = new TreeNames(uuid, 'hosta');
  const mine = names.of('r1');
  for (const brick of [mine.data, mine.logger, mine.device, mine.replay, mine.log(7n)]) {
    t.true(brick.startsWith(mine.all));
    t.is(names.resourceOf(brick), 'r1');
    t.is(new TreeNames(uuid, 'hosta').resourceOf(brick), 'r1');
    t.is(new TreeNames(uuid, 'hostb').resourceOf(brick), undefined);
    t.is(new TreeNames(other, 'hosta').resourceOf(brick), undefined);
  }
  t.is(names.resourceOf('r1/data'), undefined);
  t.true(mine.log(7n).startsWith(mine.logs));
  // 127 bytes are what the engine takes.
  t.true(names.of('r'.repeat(63)).log(999_999_999n).length <= 127);
});

test.serial('without mars.ko auto takes the embedded engine, and kernel is refused', (t) => {
  const driven = openEngine('auto', '/dev/mars-control-absent');
  t.is(driven.engine.kind, 'embedded');
  driven.end(true);
  t.throws(() => openEngine('kernel', '/dev/mars-control-absent'), { code: 'no-engine' });
  t.throws(() => openEngine('kernel', '/dev/null'), { code: 'no-engine' });
});

test.serial('an engine of another age is told from the answer to a call it does not understand', (t) => {
  const engine = new EmbeddedEngine();
  const call = encodeVersion();
  call.writeUInt16LE(ABI_VERSION + 1, 4);
  t.true(engineBinding().control(call) < 0);
  t.is(decodeAbi(call), ABI_VERSION);
  engine.shutdown();
  t.like(explained(mismatch('ABI', 1, 2)), { code: 'engine-too-old', exit: 7 });
  t.like(explained(mismatch('ABI', 3, 2)), { code: 'engine-too-new', exit: 7 });
});

test('the engine is chosen by option, then environment, then what is there', (t) => {
  const env = { MARS_HOST: 'hosta' };
  t.is(parseOptions([], env).engine, 'auto');
  t.is(parseOptions([], { ...env, MARS_ENGINE: 'embedded' }).engine, 'embedded');
  t.is(parseOptions(['--engine=kernel'], { ...env, MARS_ENGINE: 'embedded' }).engine, 'kernel');
  t.throws(() => parseOptions(['--engine=none'], env), { code: 'usage' });
  const program = new URL('../../../../bin/marsd', import.meta.url).pathname;
  t.regex(execFileSync(process.execPath, [program, '--help'], { encoding: 'utf8' }), /--engine KIND/);
});

test('pauses grow up to a limit, and begin anew after a success', (t) => {
  const pauses = new Backoff(200, 1000);
  t.deepEqual(
    [1, 2, 3, 4, 5].map(() => pauses.failed()),
    [200, 400, 800, 1000, 1000],
  );
  for (let i = 0; i < 2000; i++) pauses.failed();
  t.is(pauses.failed(), 1000);
  pauses.reset();
  t.is(pauses.failed(), 200);
});

const ident: LogIdent = {
  cluster: 'a'.repeat(32),
  resource: 'b'.repeat(32),
  salt: 'c'.repeat(32),
  number: 2n,
  timeline: 1,
  origin: 'hosta',
  prevNumber: 0n,
  prevOrigin: '',
  prevLength: 0n,
  prevDigest: '0'.repeat(32),
};
const log = (number: bigint, origin: string, end: bigint): LocalLog => ({
  number,
  origin,
  end,
  digest: '',
  ident: { ...ident, number, origin },
});
const told = { number: 2n, origin: 'hosta', pos: 8192n, digest: '' };

test('a replay that went on alone counts, unless it is in doubt which log it was', (t) => {
  const further = { number: 2n, pos: 16384n, digest: 'd'.repeat(32) };
  const next = { number: 3n, pos: 4096n, digest: '' };
  const logs = [log(2n, 'hosta', 20480n), log(3n, 'hosta', 8192n)];
  t.deepEqual(newer(further, told, logs), { ...further, origin: 'hosta' });
  t.deepEqual(newer(next, told, logs), { ...next, origin: 'hosta' });
  t.is(newer({ ...further, pos: 4096n }, told, logs), told);
  t.is(newer({ ...further, number: 1n }, told, logs), told);
  t.is(newer({ ...further, pos: 24576n }, told, logs), told);
  t.is(newer(further, told, [...logs, log(2n, 'hostb', 20480n)]), told);
  t.is(newer(further, told, [log(2n, 'hostb', 20480n)]), told);
  t.is(newer(further, undefined, logs), undefined);
});
