// SPDX-License-Identifier: GPL-2.0-or-later
/** Waiting: by watching, with a reason, bounded, interruptible. */
import test, { type ExecutionContext } from 'ava';
import { keys } from '../../../src/tree/catalogue.js';
import { Bench } from './support.js';

test('wait-cluster ends when every member has merged a stamp as new as this call', async (t) => {
  const b = new Bench(t);
  b.write({
    [keys.ip('hostc')]: '127.0.0.1:7803',
    [keys.peer('hostb')]: 'connected',
    [keys.peer('hostc')]: 'unreachable:cert-not-member',
  });
  b.write({ [keys.merged('hostb', 'hosta')]: '17', [keys.merged('hostc', 'hosta')]: '17' });
  b.daemonOn();
  const running = b.start('wait-cluster', '--json');
  await running.shows('hostb: has not merged');
  await running.shows(
    'hostc: has not merged the latest writes of this host yet (last known: hostc is not reachable, cert-not-member)',
  );
  const stamp = b.value(keys.barrier('hosta')) ?? '';
  t.regex(stamp, /^\d{19}$/);
  b.write({
    [keys.merged('hostb', 'hosta')]: stamp,
    [keys.merged('hostc', 'hosta')]: String(BigInt(stamp) + 1n),
  });
  const ran = await running.done;
  t.is(ran.code, 0);
  t.is(ran.json.message, 'hostb, hostc have merged everything hosta wrote');
});

test('wait-cluster does not wait for a member that leaves meanwhile', async (t) => {
  const b = new Bench(t);
  b.daemonOn();
  const running = b.start('wait-cluster');
  await running.shows('hostb: has not merged');
  b.write({ [keys.ip('hostb')]: null });
  t.is((await running.done).code, 0);
});

test('wait-cluster R asks only members of R', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.write({ [keys.ip('hostc')]: '127.0.0.1:7803' });
  b.daemonOn();
  const running = b.start('wait-cluster', 'r1');
  await running.shows('hostb: has not merged');
  b.write({ [keys.merged('hostb', 'hosta')]: b.value(keys.barrier('hosta')) ?? '' });
  t.is((await running.done).code, 0);
});

test('wait-cluster R1,R2 asks the members of both, and refuses what is unknown', async (t) => {
  const b = new Bench(t);
  b.write({ [keys.ip('hostc')]: '127.0.0.1:7803', [keys.ip('hostd')]: '127.0.0.1:7804' });
  b.resource();
  b.resource('r2');
  b.write({ [keys.data('r2', 'hostb')]: null });
  b.replica('r2', 'hostc');
  b.daemonOn();
  const running = b.start('wait-cluster', 'r1,r2', '--json');
  await running.shows('hostb: has not merged');
  await running.shows('hostc: has not merged');
  const stamp = b.value(keys.barrier('hosta')) ?? '';
  b.write({ [keys.merged('hostb', 'hosta')]: stamp, [keys.merged('hostc', 'hosta')]: stamp });
  t.is((await running.done).json.message, 'hostb, hostc have merged everything hosta wrote');

  const ran = await b.run('wait-cluster', 'r1,nowhere', '--json');
  t.deepEqual([ran.code, ran.json.reason, ran.json.found], [5, 'no-such-resource', 'nowhere']);
});

test('wait-resource knows facts, wishes and their opposites', async (t) => {
  const b = new Bench(t);
  b.resource();
  const holds = [
    'attach',
    'todo-attach',
    'is-attached',
    'is-attached-on',
    'primary',
    'is-primary',
    'is-fetch-off',
    'todo-secondary-off',
    'device',
    'has-device',
    'consistent',
    'is-synced',
    'member',
    'split-brain-off',
    'opened-off',
    'uptodate',
  ];
  for (const word of holds) t.is((await b.run('wait-resource', 'r1', word, '--timeout', '0')).code, 0, word);
  const not = [
    'is-attached-off',
    'todo-attach-off',
    'is-secondary',
    'is-fetch',
    'is-replaying',
    'split-brain',
    'opened',
  ];
  for (const word of not) {
    const ran = await b.run('wait-resource', 'r1', word, '--timeout', '0', '--json');
    t.is(ran.code, 4, word);
    t.is(ran.json.reason, 'timeout');
  }
});

test('wait-resource is-consistent shows the rest and ends when it is reached', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({
    [keys.syncstatus('r1', 'hostb')]: String(4 * 1024 * 1024),
    [keys.syncpos('r1', 'hostb')]: 'log-000000001-hosta,12288',
  });
  const running = b.start('wait-resource', 'r1', 'is-consistent', '--timeout', 'none');
  await running.shows('is-consistent does not hold, 4.000 MiB to synchronise');
  b.write({ [keys.syncstatus('r1', 'hostb')]: String(8 * 1024 * 1024) });
  await running.shows('hostb: r1 is-consistent does not hold\n');
  b.write({ [keys.replay('r1', 'hostb')]: 'log-000000001-hosta,12288,0' });
  t.is((await running.done).code, 0);
});

test('wait-resource for what can no longer come fails at once', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({ [keys.syncstatus('r1', 'hostb')]: '0', [keys.actual('r1', 'hostb', 'replay-code')]: 'fetching' });
  const running = b.start('wait-resource', 'r1', 'is-consistent', '--json');
  await running.shows('[fetching]');
  b.write({ [keys.actual('r1', 'hostb', 'replay-code')]: 'bad-crc' });
  const ran = await running.done;
  t.is(ran.json.reason, 'replay-error');
  t.is(ran.code, 3);
});

test('wait-resource goes on when a sync under way has to begin at another log', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({
    [keys.syncstatus('r1', 'hostb')]: '4096',
    [keys.actual('r1', 'hostb', 'replay-code')]: 'log-missing',
  });
  const running = b.start('wait-resource', 'r1', 'is-consistent', '--timeout', 'none');
  await running.shows('to synchronise');
  b.write({ [keys.syncstatus('r1', 'hostb')]: String(8 * 1024 * 1024) });
  t.is((await running.done).code, 0);
});

test('wait-umount looks at every member', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({ [keys.actual('r1', 'hosta', 'open-count')]: '2' });
  const running = b.start('wait-umount', 'r1');
  await running.shows('hosta: r1 open-count of r1 is still 2');
  b.write({ [keys.actual('r1', 'hosta', 'open-count')]: '0' });
  t.is((await running.done).code, 0);
});

test('the time limit ends a wait: exit 4, and what was waited for is named', async (t) => {
  const b = new Bench(t);
  b.resource();
  const ran = await b.run('wait-resource', 'r1', 'is-secondary', '--timeout', '0.05', '--json');
  t.is(ran.code, 4);
  t.regex(ran.json.found ?? '', /hosta: r1 is-secondary does not hold/);
});

test('interruption leaves what was written', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  const running = b.start('primary', 'r1', '--json', '--timeout', '-1');
  await running.shows('is-primary is still 1');
  running.interrupt();
  const ran = await running.done;
  t.is(ran.json.reason, 'interrupted');
  t.is(ran.code, 1);
  t.is(b.value(keys.primary('r1')), 'hostb');
});

test('two commands at the same time: one creates, the other is told so', async (t) => {
  const b = new Bench(t);
  const [x, y] = await Promise.all([
    b.run('create-resource', 'r1', b.disk('x'), '--json'),
    b.run('create-resource', 'r1', b.disk('y'), '--json'),
  ]);
  t.deepEqual([x.code, y.code].sort(), [0, 3]);
  t.is([x, y].find((r) => r.code === 3)?.json.reason, 'already-joined');
});

const waits: readonly (readonly [argv: readonly string[], what: string])[] = [
  [['wait-resource', 'r1', 'is-secondary'], 'hosta: r1 is-secondary'],
  [['wait-umount', 'r1'], 'r1: open-count=0 everywhere'],
  [['wait-cluster'], 'hostb: merged-hosta>='],
];

const openEverywhere = (t: ExecutionContext): Bench => {
  const b = new Bench(t);
  b.resource();
  b.write({ [keys.actual('r1', 'hosta', 'open-count')]: '1' });
  b.daemonOn();
  return b;
};

for (const [argv, what] of waits) {
  test(`${argv.join(' ')} --dry-run says what it would wait for`, async (t) => {
    const b = openEverywhere(t);
    const ran = await b.run(...argv, '--dry-run');
    t.is(ran.code, 0, ran.err);
    t.regex(ran.out, /^dry run: /);
    t.true(ran.out.includes(`wait for ${what}`), ran.out);
    t.is(ran.err, '');
    t.is(b.value(keys.barrier('hosta')), undefined);
  });

  test(`${argv.join(' ')} --no-wait looks once`, async (t) => {
    const b = openEverywhere(t);
    const ran = await b.run(...argv, '--no-wait', '--json');
    t.is(ran.code, 8, ran.out);
    t.is(ran.json.reason, 'unfinished');
    t.regex(ran.json.found ?? '', /^still open: /);
  });
}

test('--no-wait where it holds: exit 0', async (t) => {
  const b = new Bench(t);
  b.resource();
  t.is((await b.run('wait-resource', 'r1', 'is-primary', '--no-wait')).code, 0);
  t.is((await b.run('wait-umount', 'r1', '--no-wait')).code, 0);
  b.write({ [keys.ip('hostb')]: null });
  t.is((await b.run('wait-cluster', '--no-wait')).code, 0);
});
