// SPDX-License-Identifier: GPL-2.0-or-later
/** The tree against real directories: what writers, other processes and hands do to it. */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'ava';
import { linkInfo, setLinkTime } from '../../../src/engine/linktime.js';
import { MarsError } from '../../../src/errors.js';
import { LamportClock, realNow } from '../../../src/lamport/clock.js';
import { keys } from '../../../src/tree/catalogue.js';
import { openLocalTree, openTree } from '../../../src/tree/tree.js';
import { DELETED } from '../../../src/tree/types.js';
import { temporaryDir, testTree, until } from './support.js';

const YEAR = 365n * 86_400n * 1_000_000_000n;
const K = keys.userspace('note');

function handMade(dir: string, key: string, value: string, stamp: bigint): void {
  symlinkSync(value, join(dir, '.hand'));
  setLinkTime(join(dir, '.hand'), stamp);
  renameSync(join(dir, '.hand'), join(dir, key));
}

test('a batch carries one stamp, in the links themselves, and survives reopening', (t) => {
  const dir = temporaryDir(t);
  const { tree } = testTree(t, dir);
  const stamp = tree.write({
    [keys.primary('r')]: 'hosta',
    [keys.todo('r', 'hosta', 'attach')]: '1',
    uuid: '0'.repeat(32),
  });
  t.is(linkInfo(join(dir, 'resource-r/primary'))?.mtimeNs, stamp);
  t.is(linkInfo(join(dir, 'resource-r/todo-hosta/attach'))?.mtimeNs, stamp);
  t.is(readlinkSync(join(dir, 'resource-r/primary')), 'hosta');
  tree.close();
  const again = testTree(t, dir).tree;
  t.deepEqual(again.snapshot().get('resource-r/primary'), {
    key: 'resource-r/primary',
    value: 'hosta',
    stamp,
  });
  t.deepEqual(
    again
      .snapshot()
      .list('resource-r/')
      .map((e) => e.key),
    ['resource-r/primary', 'resource-r/todo-hosta/attach'],
  );
  t.deepEqual(
    again
      .snapshot()
      .list('resource-')
      .map((e) => e.value),
    ['hosta', '1'],
  );
});

test('writing what is already there changes nothing and returns the old stamp', (t) => {
  const { tree } = testTree(t, temporaryDir(t));
  const stamp = tree.write({ [K]: 'x' });
  const before = tree.snapshot();
  t.is(tree.write({ [K]: 'x', [keys.userspace('absent')]: null }), stamp);
  t.is(tree.snapshot(), before);
  t.is(tree.snapshot().raw(keys.userspace('absent')), undefined, 'no tombstone from nothing');
});

test('a weak write replaces what is here and loses against everything written since', (t) => {
  const { tree } = testTree(t, temporaryDir(t));
  const old = tree.write({ [K]: 'old', [keys.userspace('other')]: 'x' });
  const weak = tree.write({ [K]: 'taken back' }, { weak: true });
  t.is(weak, old + 1n);
  t.is(tree.snapshot().value(K), 'taken back');
  // Somebody wrote the key between the two, behind a cut link.
  t.is(tree.merge([{ key: K, value: 'elsewhere', stamp: old + 1000n }]).length, 1);
  t.is(tree.snapshot().value(K), 'elsewhere');
  t.true(tree.write({ [K]: 'again' }) > old + 1000n);
});

test('a weak write to a key that holds nothing is stamped like any other', (t) => {
  const { tree } = testTree(t, temporaryDir(t));
  const before = tree.write({ [keys.userspace('other')]: 'x' });
  t.true(tree.write({ [K]: 'new' }, { weak: true }) > before);
});

test('snapshots do not change', (t) => {
  const { tree } = testTree(t, temporaryDir(t));
  tree.write({ [K]: '1' });
  const before = tree.snapshot();
  tree.write({ [K]: '2', [keys.userspace('other')]: '3' });
  tree.write({ [K]: null });
  t.is(before.value(K), '1');
  t.is(before.list('userspace/').length, 1);
  t.is(tree.snapshot().value(K), undefined);
  t.is(tree.snapshot().raw(K)?.value, DELETED);
});

test('hostile and ill-fitting keys are refused before anything is written', (t) => {
  const dir = temporaryDir(t);
  const { tree } = testTree(t, dir);
  const hostile = [
    '../x',
    'userspace/../../x',
    '/etc/x',
    'userspace/',
    '.hidden',
    'userspace/.x',
    'resource-r',
    'ips',
    'a/b',
    'resource-../x',
    'local/tree/x',
    'userspace/a b',
    'userspace/a\0b',
    `userspace/${'x'.repeat(200)}`,
    'dev/r',
    'resource-r/actual-h',
    '',
  ];
  for (const key of hostile) {
    const error = t.throws(() => tree.write({ [K]: 'x', [key]: 'y' }), { instanceOf: MarsError }, key);
    t.is(error.code, 'bad-key', key);
  }
  const ill: [string, string][] = [
    [keys.primary('r'), 'a/b'],
    [keys.size('r'), '-1'],
    [keys.size('r'), '01'],
    [keys.data('r', 'h'), 'relative'],
    [keys.data('r', 'h'), '/a/../b'],
    [keys.replay('r', 'h'), 'log-1-h,0,0'],
    [K, ''],
    [K, 'a\nb'],
    [K, 'x'.repeat(5000)],
  ];
  for (const [key, value] of ill) {
    const error = t.throws(
      () => tree.write({ [K]: 'x', [key]: value }),
      { instanceOf: MarsError },
      `${key} ${value}`,
    );
    t.is(error.code, 'bad-value', key);
  }
  t.is(tree.snapshot().raw(K), undefined);
});

test('merge takes the newer version; equal stamps are decided by the value, the same way everywhere', (t) => {
  const a = testTree(t, temporaryDir(t)).tree;
  const b = testTree(t, temporaryDir(t)).tree;
  const one = { key: K, value: 'one', stamp: 1000n };
  const two = { key: K, value: 'two', stamp: 1000n };
  t.is(a.merge([one]).length, 1);
  t.is(a.merge([two]).length, 1);
  t.is(b.merge([two]).length, 1);
  t.is(b.merge([one]).length, 0);
  t.deepEqual(a.snapshot().raw(K), b.snapshot().raw(K));
  t.deepEqual(a.digests(0n), b.digests(0n));
  t.is(a.merge([{ key: K, value: 'old', stamp: 999n }]).length, 0);
  t.is(a.merge([{ key: K, value: DELETED, stamp: 1001n }]).length, 1);
  t.is(a.snapshot().get(K), undefined);
  t.notDeepEqual(a.digests(0n), b.digests(0n));
});

test('merging advances the clock: what is written next wins', (t) => {
  const { tree } = testTree(t, temporaryDir(t));
  const ahead = realNow() + 3_600_000_000_000n;
  tree.merge([{ key: K, value: 'remote', stamp: ahead }]);
  t.true(tree.write({ [K]: 'mine' }) > ahead);
  t.is(tree.snapshot().value(K), 'mine');
});

test('merge leaves out what is illegal, local or from the far future, and reports it', (t) => {
  const { tree, notes } = testTree(t, temporaryDir(t));
  const future = realNow() + YEAR;
  const adopted = tree.merge([
    { key: '../x', value: 'x', stamp: 1n },
    { key: keys.peer('hostb'), value: 'connected', stamp: 1n },
    { key: keys.size('r'), value: 'many', stamp: 1n },
    { key: K, value: 'future', stamp: future },
    { key: keys.userspace('good'), value: 'x', stamp: 1n },
    { key: 'resource-r/from-a-newer-version', value: 'x', stamp: 1n },
  ]);
  t.deepEqual(
    adopted.map((e) => e.key),
    [keys.userspace('good'), 'resource-r/from-a-newer-version'],
  );
  t.deepEqual(
    notes.map((n) => n.kind),
    ['bad-value', 'stamp-in-future'],
  );
  t.true(tree.write({ [K]: 'now' }) < future);
});

test('two processes write at the same time: nothing is lost, no stamp is given out twice', async (t) => {
  const dir = temporaryDir(t);
  const { tree } = testTree(t, dir);
  const child = fork(new URL('./writer.js', import.meta.url), [dir, '300'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await once(child, 'message');
  child.send('go');
  const exit = once(child, 'exit');
  for (let i = 0; i < 300; i++) {
    tree.write({ [keys.userspace(`parent${i}`)]: `${i}`, [keys.userspace('common')]: `parent${i}` });
    if (i % 10 === 0) await new Promise(setImmediate);
  }
  t.deepEqual(await exit, [0, null]);
  const all = openLocalTree({ dir, host: 'hosta' });
  t.teardown(() => {
    all.close();
  });
  const entries = all
    .snapshot()
    .list('userspace/')
    .filter((e) => e.key !== keys.userspace('common'));
  t.is(entries.length, 600);
  t.is(new Set(entries.map((e) => e.stamp)).size, 600);
  const newest = entries.reduce((x, y) => (x.stamp > y.stamp ? x : y));
  t.is(all.snapshot().get(keys.userspace('common'))?.stamp, newest.stamp);
});

test('another process writes: changes() and the snapshot show it, new directories included', async (t) => {
  const dir = temporaryDir(t);
  const { tree } = testTree(t, dir, { guard: true });
  const other = testTree(t, dir).tree;
  other.write({ [keys.todo('new', 'hosta', 'sync')]: '1', [K]: 'x' });
  await until(
    tree,
    () =>
      tree.snapshot().value(keys.todo('new', 'hosta', 'sync')) === '1' && tree.snapshot().value(K) === 'x',
  );
  other.write({ [keys.todo('new', 'hosta', 'sync')]: '0' });
  await until(tree, () => tree.snapshot().value(keys.todo('new', 'hosta', 'sync')) === '0');
  // and the other way round, to a process that only waits
  const seen = until(other, () => other.snapshot().value(K) === 'y');
  tree.write({ [K]: 'y' });
  await seen;
  t.pass();
});

test('changes() ends with its signal and with the tree', async (t) => {
  const { tree } = testTree(t, temporaryDir(t));
  const stop = new AbortController();
  const seen: string[] = [];
  const loop = (async () => {
    for await (const entries of tree.changes(stop.signal)) seen.push(...entries.map((e) => e.value));
  })();
  const other = tree.changes()[Symbol.asyncIterator]();
  tree.write({ [K]: '1' });
  tree.write({ [K]: '2' });
  t.false((await other.next()).done);
  stop.abort();
  await loop;
  t.is(seen.at(-1), '2');
  const last = (async () => {
    for (;;) if ((await other.next()).done) return true;
  })();
  tree.close();
  t.true(await last);
});

test('ln -s by hand: a newer link is adopted as a new version', async (t) => {
  const dir = temporaryDir(t);
  const { tree } = testTree(t, dir, { guard: true });
  const stamp = tree.write({ [K]: 'old' });
  handMade(dir, K, 'by-hand', stamp + 1_000_000_000n);
  await until(tree, () => tree.snapshot().value(K) === 'by-hand');
  t.true(tree.write({ [K]: 'after' }) > stamp + 1_000_000_000n);
});

test('ln -s by hand with an old time: our version is put back and that is reported', async (t) => {
  const dir = temporaryDir(t);
  const { tree, noted } = testTree(t, dir, { guard: true });
  const stamp = tree.write({ [K]: 'ours' });
  handMade(dir, K, 'old-hand', stamp - 1_000_000_000n);
  await noted('restored', K);
  t.is(readlinkSync(join(dir, K)), 'ours');
  t.is(linkInfo(join(dir, K))?.mtimeNs, stamp);
  t.is(tree.snapshot().value(K), 'ours');
});

test('ln -s by hand of nonsense: put back', async (t) => {
  const dir = temporaryDir(t);
  const { tree, noted } = testTree(t, dir, { guard: true });
  const stamp = tree.write({ [keys.size('r')]: '4096' });
  handMade(dir, keys.size('r'), 'huge', stamp + 1_000_000_000n);
  await noted('restored', keys.size('r'));
  t.is(readlinkSync(join(dir, keys.size('r'))), '4096');
});

test('rm by hand of a link and of a whole directory: put back', async (t) => {
  const dir = temporaryDir(t);
  const { tree, noted } = testTree(t, dir, { guard: true });
  const stamp = tree.write({
    [K]: 'x',
    [keys.primary('r')]: 'hosta',
    [keys.todo('r', 'hosta', 'sync')]: '1',
  });
  unlinkSync(join(dir, K));
  await noted('restored', K);
  t.is(linkInfo(join(dir, K))?.mtimeNs, stamp);
  rmSync(join(dir, 'resource-r'), { recursive: true });
  await Promise.all([
    noted('restored', keys.primary('r')),
    noted('restored', keys.todo('r', 'hosta', 'sync')),
  ]);
  t.is(readlinkSync(join(dir, keys.todo('r', 'hosta', 'sync'))), '1');
  // the new directory is watched
  const other = testTree(t, dir).tree;
  other.write({ [keys.todo('r', 'hosta', 'sync')]: '0' });
  await until(tree, () => tree.snapshot().value(keys.todo('r', 'hosta', 'sync')) === '0');
});

test('links restored from a backup while the daemon runs: older versions are put back, deleted ones stay deleted', async (t) => {
  const dir = temporaryDir(t);
  const { tree, noted } = testTree(t, dir, { guard: true });
  const dead = keys.userspace('dead');
  tree.write({ [K]: 'one', [dead]: 'alive' });
  const backup = join(temporaryDir(t), 'userspace');
  cpSync(join(dir, 'userspace'), backup, { recursive: true, verbatimSymlinks: true });
  for (const key of [K, dead])
    setLinkTime(join(backup, key.slice('userspace/'.length)), linkInfo(join(dir, key))?.mtimeNs ?? 0n);
  tree.write({ [K]: 'two', [dead]: null });
  const tombstone = tree.tombstones();
  t.is(tombstone.length, 1);
  tree.raiseHorizon(tombstone[0]?.stamp ?? 0n);
  tree.forget(tombstone);
  t.is(linkInfo(join(dir, dead)), undefined);
  for (const leaf of ['note', 'dead']) renameSync(join(backup, leaf), join(dir, 'userspace', leaf));
  await Promise.all([noted('restored', K), noted('stale-removed', dead)]);
  t.is(readlinkSync(join(dir, K)), 'two');
  t.is(linkInfo(join(dir, dead)), undefined);
});

test('links copied out of a backup while no daemon runs: deleted keys stay deleted, honest ones are kept', (t) => {
  const dir = temporaryDir(t);
  const first = testTree(t, dir, { guard: true }).tree;
  const dead = keys.userspace('dead');
  const old = first.write({ [K]: 'one', [dead]: 'alive' });
  first.write({ [dead]: null });
  const tombstones = first.tombstones();
  first.raiseHorizon(tombstones[0]?.stamp ?? 0n);
  first.forget(tombstones);
  first.close();
  handMade(dir, dead, 'alive', old);
  const { tree, notes } = testTree(t, dir, { guard: true });
  t.is(tree.snapshot().get(dead), undefined);
  t.is(linkInfo(join(dir, dead)), undefined);
  t.is(tree.snapshot().value(K), 'one');
  t.deepEqual(
    notes.map((n) => [n.kind, n.key]),
    [['stale-removed', dead]],
  );
});

test('a link with a stamp a year ahead is ignored and reported; a legal write replaces it', async (t) => {
  const dir = temporaryDir(t);
  const { tree, noted } = testTree(t, dir, { guard: true });
  tree.write({ [keys.userspace('make-dir')]: '1' });
  handMade(dir, K, 'future', realNow() + YEAR);
  await noted('stamp-in-future', K);
  t.is(tree.snapshot().get(K), undefined);
  t.true(tree.write({ [K]: 'now' }) < realNow() + YEAR / 2n);
  t.is(readlinkSync(join(dir, K)), 'now');
});

test('own facts with a stamp a year ahead keep their value and get a legal stamp', (t) => {
  const dir = temporaryDir(t);
  mkdirSync(join(dir, 'resource-r'));
  handMade(dir, keys.data('r', 'hosta'), '/dev/vda', realNow() + YEAR);
  const { tree, notes } = testTree(t, dir, { guard: true });
  t.is(tree.snapshot().value(keys.data('r', 'hosta')), '/dev/vda');
  t.true((tree.snapshot().get(keys.data('r', 'hosta'))?.stamp ?? YEAR * 100n) < realNow() + YEAR / 2n);
  t.true(notes.some((n) => n.kind === 'adopted'));
});

test('a clock far behind the own mark is refused, unless it is said to be right', (t) => {
  const dir = temporaryDir(t);
  const ahead = openTree({
    dir,
    host: 'hosta',
    clock: new LamportClock({ now: () => realNow() + YEAR }),
    guard: true,
  });
  ahead.write({ [keys.data('r', 'hosta')]: '/dev/vda' });
  ahead.close();
  const clock = new LamportClock({ now: realNow });
  const error = t.throws(() => openTree({ dir, host: 'hosta', clock, guard: true }), {
    instanceOf: MarsError,
  });
  t.is(error.code, 'clock-behind');
  const { tree } = testTree(t, dir, { guard: true, acceptClock: true });
  t.is(tree.snapshot().value(keys.data('r', 'hosta')), '/dev/vda');
  t.true(tree.write({ [K]: 'x' }) < realNow() + YEAR / 2n);
  tree.close();
  t.notThrows(() => {
    testTree(t, dir, { guard: true }).tree.close();
  });
});

test('stamps go on where they were, after a restart and after a crash of the machine', (t) => {
  const dir = temporaryDir(t);
  const boot = (c: string): string => c.repeat(36);
  const frozen = realNow();
  const open = (id: string): bigint => {
    const tree = openTree({
      dir,
      host: 'hosta',
      clock: new LamportClock({ now: () => frozen }),
      boot: boot(id),
    });
    const stamp = tree.write({ [K]: `${id}${Math.random()}` });
    tree.close();
    return stamp;
  };
  const first = open('1');
  const second = open('1');
  t.is(second, first + 1n);
  // the link itself may be lost in a crash; the durable reserve is not
  unlinkSync(join(dir, K));
  t.true(open('2') > second + 500_000_000n);
});

test('tombstones at or below the horizon are not taken in for unknown keys, newer ones are', (t) => {
  const { tree } = testTree(t, temporaryDir(t));
  tree.raiseHorizon(1000n);
  t.deepEqual(tree.merge([{ key: K, value: DELETED, stamp: 1000n }]), []);
  t.is(tree.merge([{ key: K, value: DELETED, stamp: 1001n }]).length, 1);
  t.deepEqual(tree.merge([{ key: K, value: 'late', stamp: 1000n }]), [], 'protected from the older version');
});

test('a tree that cannot be written: reading works, writing says so', (t) => {
  const dir = temporaryDir(t);
  const first = testTree(t, dir).tree;
  first.write({ [K]: 'x' });
  first.close();
  // a file where a directory is needed: the same for root as for everybody
  writeFileSync(join(dir, 'resource-r'), '');
  const { tree } = testTree(t, dir);
  t.is(tree.snapshot().value(K), 'x');
  const error = t.throws(() => tree.write({ [keys.primary('r')]: 'hosta' }), { instanceOf: MarsError });
  t.is(error.code, 'tree-damaged');
  t.is(tree.snapshot().value(keys.primary('r')), undefined);
  if (process.getuid?.() === 0) return;
  chmodSync(join(dir, 'userspace'), 0o500);
  t.is(t.throws(() => tree.write({ [K]: 'y' }), { instanceOf: MarsError }).code, 'tree-not-writable');
});

test('no directory, no tree', (t) => {
  const error = t.throws(() => openLocalTree({ dir: join(temporaryDir(t), 'none'), host: 'hosta' }), {
    instanceOf: MarsError,
  });
  t.is(error.code, 'no-cluster');
});
