// SPDX-License-Identifier: GPL-2.0-or-later
/** Commands that succeed: what they write, what they wait for, what they print. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { keys, SWITCHES } from '../../../src/tree/catalogue.js';
import { NONE } from '../../../src/tree/types.js';
import { Bench, MIB } from './support.js';

const links = (b: Bench, prefix: string): Record<string, string> => {
  b.facts.refresh();
  return Object.fromEntries(
    b.facts
      .snapshot()
      .list(prefix)
      .map((e) => [e.key.slice(prefix.length), e.value]),
  );
};

test('create-resource writes everything in one batch', async (t) => {
  const b = new Bench(t);
  const disk = b.disk();
  const ran = await b.run('create-resource', 'r1', disk, '--json');
  t.is(ran.code, 0, ran.out);
  t.regex(ran.json.warnings?.join() ?? '', /No daemon/);
  const all = links(b, keys.resource('r1'));
  const { uuid, ...rest } = all;
  t.regex(uuid ?? '', /^[0-9a-f]{32}$/);
  t.deepEqual(rest, {
    size: String(8 * MIB),
    'data-hosta': disk,
    'device-hosta': 'r1',
    primary: 'hosta',
    'userspace/last-primary': 'hosta',
    timeline: '1',
    maxnr: '1',
    'syncstatus-hosta': String(8 * MIB),
    'replay-hosta': 'log-000000001-hosta,0,0',
    'todo-hosta/attach': '1',
    'todo-hosta/connect': '1',
    'todo-hosta/allow-replay': '1',
    'todo-hosta/sync': '1',
  });
  t.is(
    new Set(
      b.facts
        .snapshot()
        .list(keys.resource('r1'))
        .map((e) => e.stamp),
    ).size,
    1,
  );
});

test('create-resource takes a size, rounds the device down and takes a device name', async (t) => {
  const b = new Bench(t);
  t.is((await b.run('create-resource', 'r1', b.disk('a', 3), '2M', '--name', 'web')).code, 0);
  t.is(b.value(keys.size('r1')), String(2 * MIB));
  t.is(b.value(keys.device('r1', 'hosta')), 'web');
  const odd = join(b.dir, 'odd.img');
  writeFileSync(odd, Buffer.alloc(17 * 4096 + 100));
  t.is((await b.run('create-resource', 'r2', odd)).code, 0);
  t.is(b.value(keys.size('r2')), String(17 * 4096));
});

test('create-resource waits for the device when a daemon runs', async (t) => {
  const b = new Bench(t);
  b.daemonOn();
  const running = b.start('create-resource', 'r1', b.disk());
  await running.shows('waiting: hosta: r1 is-primary is still 0');
  b.write({ [keys.actual('r1', 'hosta', 'is-primary')]: '1', [keys.actual('r1', 'hosta', 'if-on')]: '1' });
  const ran = await running.done;
  t.is(ran.code, 0);
  t.is(ran.out, 'resource r1 created with 8.000 MiB, hosta is primary\n');
});

test('a resource that is created again goes on with the log numbers', async (t) => {
  const b = new Bench(t);
  t.is((await b.run('create-resource', 'r1', b.disk())).code, 0);
  b.write({ [keys.version('r1', 7n, 'hosta')]: `${'a'.repeat(32)},log-000000007-hosta,8192:` });
  t.is((await b.run('secondary', 'r1')).code, 0);
  t.is((await b.run('leave-resource', 'r1')).code, 0);
  t.is((await b.run('delete-resource', 'r1')).code, 0);
  t.deepEqual(links(b, keys.resource('r1')), { maxnr: '7' });
  t.is((await b.run('view-all-resources')).out, '');
  t.is((await b.run('create-resource', 'r1', b.disk())).code, 0);
  t.is(b.value(keys.replay('r1', 'hosta')), 'log-000000008-hosta,0,0');
});

test('join-resource leaves the start position to the daemon and waits for the sync to start', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  for (const e of b.facts
    .snapshot()
    .list(keys.resource('r1'))
    .filter((x) => x.key.includes('hostb')))
    b.write({ [e.key]: null });
  b.write({ [keys.peer('hosta')]: 'unreachable:peer-unreachable' });
  b.daemonOn();
  const running = b.start('join-resource', 'r1', b.disk('big', 10));
  await running.shows(
    'hosta: r1 cannot be synchronised from it (last known: hosta is not reachable, peer-unreachable)',
  );
  t.is(b.value(keys.replay('r1', 'hostb')), undefined);
  t.is(b.value(keys.syncstatus('r1', 'hostb')), '0');
  b.write({ [keys.peer('hosta')]: 'connected' });
  await running.shows('sync has not started yet');
  b.write({ [keys.actual('r1', 'hostb', 'is-syncing')]: '1' });
  const ran = await running.done;
  t.is(ran.code, 0);
  t.regex(ran.err, /2\.000 MiB larger than the resource/);
});

test('leave-resource: wishes off, wait, then every key of the replica goes', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  mkdirSync(join(b.dir, 'resource-r1'), { recursive: true });
  const log = join(b.dir, 'resource-r1/log-000000001-hosta');
  writeFileSync(log, 'x');
  const running = b.start('leave-resource', 'r1', '--json');
  await running.shows('hostb: r1 is-attached is still 1');
  t.true(SWITCHES.every((s) => b.value(keys.todo('r1', 'hostb', s)) === '0'));
  t.true(existsSync(log));
  // The daemon answers, with a fact that appears only now.
  b.write({
    [keys.actual('r1', 'hostb', 'is-attached')]: '0',
    [keys.actual('r1', 'hostb', 'msg-bye')]: 'bye',
  });
  const ran = await running.done;
  t.is(ran.code, 0, ran.out);
  t.deepEqual(
    Object.keys(links(b, keys.resource('r1'))).filter((k) => k.includes('hostb')),
    [],
  );
  t.truthy(b.value(keys.replay('r1', 'hosta')), 'the other replica stays');
  t.false(existsSync(log));
  t.is((await b.run('leave-resource', 'r1')).code, 0, 'again: already so');
});

test('leave-resource with nobody designated: who holds no more than the others may go', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.write({ [keys.primary('r1')]: NONE, [keys.actual('r1', 'hosta', 'is-primary')]: '0' });
  t.is((await b.run('leave-resource', 'r1')).code, 0);
});

test('leave-resource --force removes the replica of a host that is gone, and none of the logs here', async (t) => {
  const b = new Bench(t);
  b.resource();
  const log = join(b.dir, 'resource-r1/log-000000001-hosta');
  writeFileSync(log, 'x');
  t.is((await b.run('leave-resource', 'r1', '--host', 'hostb', '--force')).code, 0);
  t.is((await b.run('view-resource-members', 'r1')).out, 'hosta\n');
  t.true(existsSync(log));
  t.is((await b.run('leave-resource', 'r1', '--force')).code, 0);
  t.false(existsSync(log));
});

test('resize grows to what all devices have', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.write({
    [keys.actsize('r1', 'hosta')]: String(20 * MIB),
    [keys.actsize('r1', 'hostb')]: String(16 * MIB + 100),
  });
  t.is((await b.run('resize', 'r1')).out, 'resource r1 has grown from 8.000 MiB to 16.000 MiB\n');
  t.is(b.value(keys.size('r1')), String(16 * MIB));
  t.is(b.value(keys.syncstatus('r1', 'hosta')), String(16 * MIB));
  t.is(
    (await b.run('resize', 'r1')).out,
    'resource r1 already has 16.000 MiB; hostb has 16.000 MiB as last measured\n',
  );
});

test('resize waits until the device has the new size', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.daemonOn();
  b.write({
    [keys.actsize('r1', 'hosta')]: String(16 * MIB),
    [keys.actsize('r1', 'hostb')]: String(16 * MIB),
    [keys.actual('r1', 'hosta', 'device-size')]: String(8 * MIB),
  });
  const running = b.start('resize', 'r1');
  await running.shows('hosta: r1 device-size is still 8388608');
  b.write({ [keys.actual('r1', 'hosta', 'state')]: 'log-space-full' });
  await running.shows('[log-space-full]');
  b.write({ [keys.actual('r1', 'hosta', 'device-size')]: String(16 * MIB) });
  t.is((await running.done).code, 0);
});

test('switching off waits until it has stopped', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({ [keys.actual('r1', 'hostb', 'is-replaying')]: '1' });
  b.daemonOn();
  const running = b.start('pause-replay', 'r1');
  await running.shows('hostb: r1 is-replaying is still 1');
  t.is(b.value(keys.todo('r1', 'hostb', 'allow-replay')), '0');
  b.write({ [keys.actual('r1', 'hostb', 'is-replaying')]: '0' });
  t.is((await running.done).code, 0);
  t.is((await b.run('resume-replay', 'r1')).code, 0, 'switching on does not wait');
  t.is(b.value(keys.todo('r1', 'hostb', 'allow-replay')), '1');
});

test('each switch command turns its switch', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  const pairs = [
    ['disconnect', 'connect', 'connect'],
    ['pause-fetch', 'resume-fetch', 'connect'],
    ['pause-replay', 'resume-replay', 'allow-replay'],
    ['pause-sync', 'resume-sync', 'sync'],
    ['detach', 'attach', 'attach'],
  ] as const;
  for (const [off, on, which] of pairs) {
    t.is((await b.run(off, 'r1')).code, 0);
    t.is(b.value(keys.todo('r1', 'hostb', which)), '0', off);
    t.is((await b.run(on, 'r1')).code, 0);
    t.is(b.value(keys.todo('r1', 'hostb', which)), '1', on);
  }
  await b.run('down', 'r1');
  t.true(SWITCHES.every((s) => b.value(keys.todo('r1', 'hostb', s)) === '0'));
  await b.run('up', 'r1');
  t.true(SWITCHES.every((s) => b.value(keys.todo('r1', 'hostb', s)) === '1'));
});

test('attach reports a disk error at once instead of waiting', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({ [keys.actual('r1', 'hostb', 'is-attached')]: '0' });
  b.daemonOn();
  const running = b.start('attach', 'r1', '--json');
  await running.shows('is-attached is still 0');
  b.write({ [keys.actual('r1', 'hostb', 'disk-error')]: '6' });
  const ran = await running.done;
  t.is(ran.json.reason, 'device-unusable');
  t.regex(ran.json.found ?? '', /errno 6/);
});

test('planned handover: one write, then the old primary, then the rest of the log, then the role', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  const running = b.start('primary', 'r1');
  await running.shows('waiting: hosta: r1 is-primary is still 1');
  t.is(b.value(keys.primary('r1')), 'hostb');
  t.is(b.value(keys.lastPrimary('r1')), 'hostb');
  b.write({
    [keys.actual('r1', 'hosta', 'is-primary')]: '0',
    [keys.version('r1', 1n, 'hosta')]: `${'f'.repeat(32)},log-000000001-hosta,1056768:`,
  });
  await running.shows('hostb: r1 1.000 MiB to fetch, 0 B to replay');
  b.write({ [keys.actual('r1', 'hostb', 'is-primary')]: '1', [keys.actual('r1', 'hostb', 'if-on')]: '1' });
  const ran = await running.done;
  t.is(ran.code, 0);
  t.is(ran.out, 'hostb is primary of r1\n');
  t.is((await b.run('primary', 'r1')).out, 'hostb is already primary of r1\n');
});

test('handover that does not succeed in time is taken back: exit 4', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  const ran = await b.run('primary', 'r1', '--timeout', '0', '--json');
  t.is(ran.code, 4);
  t.is(ran.json.reason, 'timeout');
  t.regex(ran.json.found ?? '', /hosta: r1 is-primary is still 1/);
  t.is(b.value(keys.primary('r1')), 'hosta');
  t.regex(ran.json.warnings?.join() ?? '', /taken back/);
});

test('handover whose old primary has stepped down is not taken back', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({ [keys.actual('r1', 'hosta', 'is-primary')]: '0' });
  b.daemonOn();
  t.is((await b.run('primary', 'r1', '--timeout', '0')).code, 4);
  t.is(b.value(keys.primary('r1')), 'hostb');
});

test('handover ends when replay fails, when history forks, or when another host is named', async (t) => {
  const news: readonly (readonly [string, string, string, number])[] = [
    [keys.actual('r1', 'hostb', 'replay-code'), 'bad-crc', 'replay-error', 1],
    [keys.actual('r1', 'hostb', 'replay-code'), 'split-brain', 'split-brain', 10],
    [keys.primary('r1'), 'hosta', 'primary-changed', 1],
  ];
  for (const [key, value, reason, code] of news) {
    const b = new Bench(t, 'hostb');
    b.resource();
    b.daemonOn();
    const running = b.start('primary', 'r1', '--json');
    await running.shows('is-primary is still 1');
    b.write({ [key]: value });
    const ran = await running.done;
    t.is(ran.json.reason, reason);
    t.is(ran.code, code);
    t.is(b.value(keys.primary('r1')), 'hosta', 'taken back');
  }
});

test('a primary that resigned before it became unreachable is no obstacle', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({
    [keys.actual('r1', 'hosta', 'is-primary')]: '0',
    [keys.peer('hosta')]: 'unreachable:peer-unreachable',
  });
  b.daemonOn();
  const running = b.start('primary', 'r1');
  await running.shows('hostb: r1 is-primary is still 0');
  b.write({ [keys.actual('r1', 'hostb', 'is-primary')]: '1' });
  t.is((await running.done).code, 0);
});

test('forced switch: new timeline, a warning, nobody asked', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({
    [keys.todo('r1', 'hostb', 'connect')]: '0',
    [keys.peer('hosta')]: 'unreachable:peer-unreachable',
    [keys.actual('r1', 'hosta', 'open-count')]: '1',
    [keys.actual('r1', 'hostb', 'is-copying')]: '1',
  });
  b.daemonOn();
  const running = b.start('primary', '--force', 'r1');
  await running.shows('hostb: r1 is-copying is still 1');
  t.is(b.value(keys.primary('r1')), 'hosta', 'nothing yet');
  b.write({ [keys.actual('r1', 'hostb', 'is-copying')]: '0' });
  await running.shows('hostb: r1 is-primary is still 0');
  t.is(b.value(keys.primary('r1')), 'hostb');
  t.is(b.value(keys.timeline('r1')), '2');
  b.write({ [keys.actual('r1', 'hostb', 'is-primary')]: '1' });
  const ran = await running.done;
  t.is(ran.code, 0);
  t.regex(ran.err, /hosta was primary when last heard of: this may be a split brain/);
});

test('forced switch: the timeline is newer than what arrived while fetching stopped', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({
    [keys.todo('r1', 'hostb', 'connect')]: '0',
    [keys.actual('r1', 'hostb', 'is-copying')]: '1',
  });
  b.daemonOn();
  const running = b.start('primary', '--force', 'r1');
  await running.shows('hostb: r1 is-copying is still 1');
  b.write({ [keys.timeline('r1')]: '2' });
  b.write({ [keys.actual('r1', 'hostb', 'is-copying')]: '0' });
  await running.shows('hostb: r1 is-primary is still 0');
  t.is(b.value(keys.timeline('r1')), '3');
  b.write({ [keys.actual('r1', 'hostb', 'is-primary')]: '1' });
  t.is((await running.done).code, 0);
});

test('secondary: nobody is designated, and it is waited for', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.daemonOn();
  const running = b.start('secondary', 'r1');
  await running.shows('hosta: r1 is-primary is still 1');
  t.is(b.value(keys.primary('r1')), '(none)');
  b.write({ [keys.actual('r1', 'hosta', 'is-primary')]: '0' });
  t.is((await running.done).code, 0);
  t.is((await b.run('secondary', 'r1')).out, 'nobody is designated primary of r1\n');
});

test('requests carry a fresh stamp and wait for an answer at least as new', async (t) => {
  const requests = [
    ['hosta', 'log-rotate', 'rotate', 'rotated'],
    ['hosta', 'log-delete', 'log-delete', 'log-deleted'],
    ['hosta', 'log-delete-all', 'log-delete', 'log-deleted'],
    ['hostb', 'invalidate', 'invalidate', 'invalidated'],
  ] as const;
  for (const [host, command, wish, answer] of requests) {
    const b = new Bench(t, host);
    b.resource();
    b.write({ [keys.actual('r1', host, answer)]: '5' });
    b.daemonOn();
    const running = b.start(command, 'r1');
    await running.shows(`${host}: r1 ${wish} is not answered yet`);
    b.facts.refresh();
    const entry = b.facts.snapshot().get(keys.todo('r1', host, wish));
    t.truthy(entry, command);
    t.true(BigInt(entry?.value ?? '0') > 1_600_000_000_000_000_000n);
    b.write({ [keys.actual('r1', host, answer)]: entry?.value ?? '' });
    t.is((await running.done).code, 0);
  }
});

test('log-rotate does not wait for a logger that can write no log before it was off', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.daemonOn();
  const running = b.start('log-rotate', 'r1', '--json');
  await running.shows('hosta: r1 rotate is not answered yet');
  b.write({ [keys.actual('r1', 'hosta', 'state')]: 'log-space-low' });
  b.write({ [keys.actual('r1', 'hosta', 'state')]: 'log-write-error' });
  const ran = await running.done;
  t.is(ran.code, 1);
  t.is(ran.json.reason, 'log-write-error');
  t.regex(ran.json.next ?? '', /`marsadm detach r1 && marsadm attach r1`/);
  t.is((await b.run('log-delete', 'r1', '--timeout', '0')).code, 4, 'other requests can still be answered');
});

test('cron rotates and deletes on the primary, only deletes elsewhere', async (t) => {
  const a = new Bench(t);
  a.resource();
  t.is((await a.run('cron')).code, 0);
  t.truthy(a.value(keys.todo('r1', 'hosta', 'rotate')));
  t.truthy(a.value(keys.todo('r1', 'hosta', 'log-delete')));
  const b = new Bench(t, 'hostb');
  b.resource();
  t.is((await b.run('cron')).code, 0);
  t.is(b.value(keys.todo('r1', 'hostb', 'rotate')), undefined);
  t.truthy(b.value(keys.todo('r1', 'hostb', 'log-delete')));
});

test('cron leaves a log alone to which nothing was written', async (t) => {
  const a = new Bench(t);
  a.resource();
  a.write({ [keys.actual('r1', 'hosta', 'fetch-pos')]: 'log-000000002-hosta,4096' });
  t.is((await a.run('cron')).code, 0);
  t.is(a.value(keys.todo('r1', 'hosta', 'rotate')), undefined);
  t.truthy(a.value(keys.todo('r1', 'hosta', 'log-delete')));
});

test('create-resource takes NAME and SIZE in the order of old, either of them or none', async (t) => {
  const cases: readonly (readonly [words: readonly string[], name: string, size: number])[] = [
    [[], 'r1', 8 * MIB],
    [['dev'], 'dev', 8 * MIB],
    [['4M'], 'r1', 4 * MIB],
    [['dev', '4M'], 'dev', 4 * MIB],
    [['4M', '--name', 'dev'], 'dev', 4 * MIB],
  ];
  for (const [words, name, size] of cases) {
    const b = new Bench(t);
    t.is((await b.run('create-resource', 'r1', b.disk(), ...words)).code, 0, words.join(' '));
    t.is(b.value(keys.device('r1', 'hosta')), name, words.join(' '));
    t.is(b.value(keys.size('r1')), String(size), words.join(' '));
  }
  const b = new Bench(t);
  const both = await b.run('create-resource', 'r1', b.disk(), 'dev', '--name', 'other', '--json');
  t.is(both.json.reason, 'usage');
});

test('a dry run shows what it would write and wait for', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  b.write({ [keys.actual('r1', 'hostb', 'is-copying')]: '1' });
  t.is(
    (await b.run('disconnect', 'r1', '--dry-run')).out,
    [
      'dry run: hostb: r1 is not fetching',
      '  write resource-r1/todo-hostb/connect -> 0',
      '  wait for hostb: r1 is-copying=0',
      '',
    ].join('\n'),
  );
  t.is(b.value(keys.todo('r1', 'hostb', 'connect')), '1');
  t.is(
    (await b.run('disconnect', 'r1', '--no-wait')).out,
    'hostb: r1 is not fetching\n  not waited for hostb: r1 is-copying=0\n',
  );
});

test('several keys at once', async (t) => {
  const b = new Bench(t);
  t.is((await b.run('set-link', 'x', 'userspace/one', 'userspace/two')).code, 0);
  t.is((await b.run('get-link', 'userspace/one', 'userspace/two')).out, 'x\nx\n');
  t.is((await b.run('delete-file', 'userspace/one', 'userspace/none', '--json')).json.reason, 'no-such-key');
  t.is(b.value('userspace/one'), 'x', 'all or none');
  t.is((await b.run('delete-file', 'userspace/one', 'userspace/two')).code, 0);
  t.is(b.value('userspace/two'), undefined);
});

test('keys below userspace/ are for everybody', async (t) => {
  const b = new Bench(t);
  t.is((await b.run('set-link', 'a value', 'userspace/note')).out, 'userspace/note -> a value\n');
  t.is((await b.run('get-link', join(b.dir, 'userspace/note'))).out, 'a value\n');
  t.is((await b.run('delete-file', 'userspace/note')).code, 0);
  t.is(b.value('userspace/note'), undefined);
  t.is(b.facts.snapshot().raw('userspace/note')?.value, '.deleted');
  b.resource();
  t.is((await b.run('force-set-link', 'hostb', 'resource-r1/primary')).code, 0);
  t.is(b.value(keys.primary('r1')), 'hostb');
});

test('cat makes stamps and errors readable', async (t) => {
  const b = new Bench(t);
  writeFileSync(join(b.dir, 'status'), 'at 1700000000.123456789 error = -28\n');
  t.is((await b.run('cat', 'status')).out, 'at 2023-11-14T22:13:20.123456789Z error = -28 (ENOSPC)\n');
});

test('all and lists: one result each, 8 when some fail, the common code when all do', async (t) => {
  const b = new Bench(t);
  b.resource('r1');
  b.resource('r2');
  b.write({ [keys.actual('r2', 'hosta', 'open-count')]: '1' });
  const some = await b.run('detach', 'all', '--json');
  t.is(some.code, 8);
  t.is(some.json.reason, 'partial');
  t.deepEqual(
    some.json.results?.map((r) => [r.resource, r.code, r.reason]),
    [
      ['r1', 0, undefined],
      ['r2', 3, 'device-open'],
    ],
  );
  b.write({
    [keys.actual('r1', 'hosta', 'open-count')]: '1',
    [keys.actual('r1', 'hosta', 'is-attached')]: '1',
  });
  const both = await b.run('detach', 'r1,r2', '--json');
  t.is(both.code, 3);
  t.is(both.json.reason, 'device-open');
  const text = await b.run('detach', 'r1,r2');
  t.regex(text.err, /marsadm: r1: .*\[device-open\]/);
  t.regex(text.err, /marsadm: r2: .*\[device-open\]/);
  const none = new Bench(t);
  const ran = await none.run('detach', 'all');
  t.is(ran.code, 0);
  t.regex(ran.err, /nothing to do/);
});

test('--dry-run shows all steps and writes nothing', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  const before = links(b, '');
  const ran = await b.run('leave-resource', 'r1', '--dry-run', '--json');
  t.is(ran.code, 0);
  const data = ran.json.results?.[0]?.data as { writes: Record<string, string | null>[]; pending: string[] };
  t.is(data.writes.length, 2);
  t.is(data.writes[0]?.[keys.todo('r1', 'hostb', 'attach')], '0');
  t.is(data.writes[1]?.[keys.data('r1', 'hostb')], null);
  t.deepEqual(data.pending, ['hostb: r1 is-attached=0']);
  t.deepEqual(links(b, ''), before);
});

test('--no-wait writes the wish and says what is still open', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  const ran = await b.run('primary', 'r1', '--no-wait', '--json');
  t.is(ran.code, 0);
  t.is(b.value(keys.primary('r1')), 'hostb');
  t.deepEqual((ran.json.data as { pending: string[] }).pending, ['hostb: r1 is-primary=1']);
});

test('--no-wait does not claim to have done what comes after a wait', async (t) => {
  const cases: readonly (readonly [argv: readonly string[], host: string, begun: readonly string[]])[] = [
    [['primary', 'r1', '--force'], 'hostb', []],
    [['leave-resource', 'r1'], 'hostb', ['resource-r1/todo-hostb/attach']],
    [['cron', 'r1'], 'hosta', ['resource-r1/todo-hosta/rotate']],
  ];
  for (const [argv, host, begun] of cases) {
    const b = new Bench(t, host);
    b.resource();
    b.daemonOn();
    b.write({ [keys.actual('r1', host, 'is-copying')]: '1' });
    if (argv[0] === 'primary') b.write({ [keys.todo('r1', host, 'connect')]: '0' });
    const before = links(b, '');
    const ran = await b.run(...argv, '--no-wait', '--json');
    t.is(ran.code, 8, ran.out);
    t.is(ran.json.reason, 'unfinished');
    t.regex(ran.json.found ?? '', /^still open: host[ab]: r1 /);
    t.regex(ran.json.next ?? '', /without --no-wait/);
    const after = links(b, '');
    const changed = Object.keys(after).filter((key) => after[key] !== before[key]);
    for (const key of begun) t.true(changed.includes(key), key);
    if (begun.length === 0) t.deepEqual(changed, []);
  }
});

test('--no-wait again goes on where the wait would have ended', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  t.is((await b.run('leave-resource', 'r1', '--no-wait')).code, 8);
  t.truthy(b.value(keys.data('r1', 'hostb')));
  b.write({ [keys.actual('r1', 'hostb', 'is-attached')]: '0' });
  t.is((await b.run('leave-resource', 'r1', '--no-wait')).code, 0);
  t.is(b.value(keys.data('r1', 'hostb')), undefined);
});
