// SPDX-License-Identifier: GPL-2.0-or-later
/** Formatting, the status document and its text. */
import test from 'ava';
import { keys } from '../../../src/tree/catalogue.js';
import { bar, humanSize, humanTime, parseSize, percent } from '../../../src/view/format.js';
import { STATUS_FIELDS } from '../../../src/view/schema.js';
import { Bench, UUID } from '../cli/support.js';

test('sizes, times, percents and bars', (t) => {
  t.is(humanSize(0n), '0 B');
  t.is(humanSize(1023n), '1023 B');
  t.is(humanSize(107374182400n), '100.000 GiB');
  t.is(humanTime(3_723_000_000_000n), '01:02:03');
  t.is(humanTime(undefined), '--:--:--');
  t.is(percent(0n, 0n), '100.00');
  t.is(percent(999_999n, 1_000_000n), '99.99');
  t.is(bar(0n, 0n, 100n), '[>...................]');
  t.is(bar(50n, 75n, 100n), '[==========>::::.....]');
  t.is(bar(100n, 100n, 100n), '[====================]');
  t.is(bar(0n, 0n, 0n), '[====================]');
});

test('sizes as arguments: small letters are powers of 1000, capitals of 1024', (t) => {
  t.is(parseSize('4096'), 4096n);
  t.is(parseSize('2k'), 2000n);
  t.is(parseSize('2K'), 2048n);
  t.is(parseSize('1.5G'), 1610612736n);
  t.is(parseSize('1P'), 1125899906842624n);
  for (const bad of ['', '-1', '1X', '1KiB', '0x10', '1.', '.5K', '1e3'])
    t.is(parseSize(bad), undefined, bad);
});

test('view: a healthy resource, local replica first, the others as lines', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  b.write({ [keys.data('r1', 'hostb')]: b.disk() });
  t.is(
    (await b.run('view')).out,
    [
      '--------- resource r1 8.000 MiB [2/2]',
      '  r1 [2/2] UpToDate Replaying DCASFR Secondary hosta',
      '     hosta UpToDate Replicating DCASFR Primary hosta',
      '',
    ].join('\n'),
  );
});

test('view: sync and replay under way, problems, old news', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  b.write({
    [keys.data('r1', 'hostb')]: b.disk(),
    [keys.syncstatus('r1', 'hostb')]: String(2 * 1024 * 1024),
    [keys.actual('r1', 'hostb', 'is-syncing')]: '1',
    [keys.version('r1', 1n, 'hosta')]: `${'e'.repeat(32)},log-000000001-hosta,1056768:`,
    [keys.actual('r1', 'hosta', 'open-count')]: '1',
    [keys.peer('hosta')]: 'unreachable:cert-not-member',
    [keys.actual('r1', 'hostb', 'msg-sync')]: '1700000000000000000 slow',
    [keys.actual('r1', 'hostb', 'msg-waiting')]: 'fetching',
    [keys.actual('r1', 'hostb', 'disk-error')]: '5',
  });
  const { out } = await b.run('view', 'r1');
  t.regex(out, /^ {2}r1 \[2\/2\] DISK_ERROR=5 InConsistent Syncing DcAsfR Secondary hosta$/m);
  t.regex(out, /^ {5}syncing: \[=====>\.{14}\] 25\.00% \(2\.000 MiB of 8\.000 MiB\)$/m);
  t.regex(out, /^ {5}replaying: \[>\.{19}\] 0\.77% logs: \[1\]$/m);
  t.regex(out, /^ {7}> fetch: 1\.000 MiB replay: 0 B$/m);
  t.regex(out, /^ {5}ERROR disk-error: .* errno 5$/m);
  t.regex(out, /^ {5}sync: slow$/m);
  t.regex(out, /^ {5}waiting: fetching: Log is still being fetched/m);
  t.regex(out, /^ {5}hosta .* \(unreachable \d\d:\d\d:\d\d, last known\)$/m);
  t.regex(out, /^hosta \(127\.0\.0\.1:7801\) is not reachable for \d\d:\d\d:\d\d: cert-not-member$/m);
});

test('view: a split brain is the first thing one sees', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.write({
    [keys.actual('r1', 'hostb', 'split-brain')]: 'log-000000001-hosta,8192 vs log-000000002-hostb,4096',
  });
  const lines = (await b.run('view')).out.split('\n');
  t.is(lines[1], '  SPLIT BRAIN hostb: log-000000001-hosta,8192 vs log-000000002-hostb,4096');
  t.is((await b.run('view')).code, 0);
});

test('view: a log disk that is full stands above everything, wherever it is', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({ [keys.actual('r1', 'hosta', 'state')]: 'log-space-full' });
  const { out } = await b.run('view');
  t.is(out.split('\n')[1], '  LOG SPACE full at hosta: The file system of the logs is full; writers wait.');
  t.regex(out, /^ {5}hosta LogSpaceFull LogSpaceFull /m);
});

test('view: how far behind in time, as long as both sides can be heard', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  b.write({
    [keys.version('r1', 1n, 'hosta')]: `${'e'.repeat(32)},log-000000001-hosta,1056768:`,
    [keys.actual('r1', 'hosta', 'lamport')]: '1700000012345000000',
    [keys.actual('r1', 'hostb', 'lamport')]: '1700000010000000000',
  });
  t.regex((await b.run('view')).out, /> fetch: 1\.000 MiB replay: 0 B lag: 2\.3 s$/m);
  t.is((await b.run('view-replay-lag', 'r1')).out, '2345000000\n');
  b.write({ [keys.peer('hosta')]: 'unreachable:peer-unreachable' });
  t.notRegex((await b.run('view')).out, /lag/);
  t.is((await b.run('view-replay-lag', 'r1')).out, '');
  b.write({
    [keys.peer('hosta')]: 'connected',
    [keys.replay('r1', 'hostb')]: 'log-000000001-hosta,1056768,0',
  });
  t.is((await b.run('view-replay-lag', 'r1')).out, '0\n', 'everything is applied');
});

test('view: what was asked for and not answered, and room to grow', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.write({
    [keys.todo('r1', 'hosta', 'rotate')]: '1700000000000000002',
    [keys.actual('r1', 'hosta', 'rotated')]: '1700000000000000001',
    [keys.todo('r1', 'hostb', 'invalidate')]: '1700000000000000002',
    [keys.actual('r1', 'hostb', 'invalidated')]: '1700000000000000002',
    [keys.actsize('r1', 'hosta')]: '16777216',
    [keys.actsize('r1', 'hostb')]: '12582912',
  });
  const { out } = await b.run('view');
  t.regex(out, /^ {5}requested: rotate$/m);
  t.notRegex(out, /invalidate/);
  t.regex(out, /^ {2}could grow to 12\.000 MiB: marsadm resize r1$/m);
  t.is((await b.run('view-pending-requests', 'r1')).out, 'rotate\n');
});

/** The paths that occur in a value, written as in the reference. */
function pathsOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((v) => pathsOf(v, `${path}[]`));
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([name, v]) => pathsOf(v, path === '' ? name : `${path}.${name}`));
}

test('the reference names every field of the status document, and no others', async (t) => {
  const b = new Bench(t);
  b.resource('r1');
  b.resource('r2');
  b.write({
    [keys.todo('r1', 'hosta', 'rotate')]: '1700000000000000002',
    [keys.actual('r1', 'hosta', 'msg-error')]: '1700000000000000000 io',
    [keys.actual('r1', 'hosta', 'split-brain')]: 'a fork',
    [keys.replay('r2', 'hosta')]: null,
  });
  const { data } = (await b.run('view', '--json')).json;
  t.deepEqual([...new Set(pathsOf(data))].sort(), Object.keys(STATUS_FIELDS).sort());
});

test('view without daemon and without resources', async (t) => {
  const b = new Bench(t);
  t.is((await b.run('view')).out, 'no resources\nNo daemon runs here: states are what was last written.\n');
});

test('view NAME R, view-NAME R, lists and all', async (t) => {
  const b = new Bench(t);
  b.resource('r1');
  b.resource('r10');
  b.resource('r2');
  t.is((await b.run('view-role', 'r1')).out, 'Primary\n');
  t.is((await b.run('view', 'role', 'r1')).out, 'Primary\n');
  t.is((await b.run('view-role', 'all')).out, 'r1\tPrimary\nr2\tPrimary\nr10\tPrimary\n');
  t.is((await b.run('view-resource-members', 'r1,r2')).out, 'r1\thosta,hostb\nr2\thosta,hostb\n');
  t.is((await b.run('view-all-resources')).out, 'r1\nr2\nr10\n');
  t.deepEqual((await b.run('view-is-primary', 'r1,r2', '--json')).json.data, { r1: true, r2: true });
  t.deepEqual((await b.run('view-cluster-members', '--json')).json.data, ['hosta', 'hostb']);
  t.is((await b.run('view', 'nonsense', 'r1', '--json')).json.reason, 'unknown-macro');
});

test('view --json: the status document, schema 1', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.daemonOn();
  const disk = b.disk();
  b.write({ [keys.data('r1', 'hostb')]: disk });
  const { data } = (await b.run('view', '--json')).json as {
    data: { cluster: { members: { seconds: number | null }[] } };
  };
  for (const m of data.cluster.members) {
    t.true(m.seconds === null || m.seconds >= 0);
    m.seconds = null;
  }
  const common = {
    age: null,
    connected: true,
    device: 'r1',
    devicePath: null,
    diskPresent: true,
    diskSize: 8388608,
    diskstate: 'UpToDate',
    flags: 'DCASFR',
    consistent: true,
    openCount: 0,
    wishes: { attach: true, fetch: true, replay: true, sync: true },
    facts: { attached: true, fetching: false, replaying: false, syncing: false },
    sync: { done: 8388608, rest: 0, size: 8388608 },
    log: { applied: 8192, fetched: 8192, end: 8192, logs: { applied: 1, fetched: 1, end: 1 } },
    writeback: 0,
    lag: 0,
    requests: [],
    replayCode: 'ok',
    problems: [],
    messages: [],
  };
  t.deepEqual(data as unknown, {
    schema: 1,
    host: 'hostb',
    daemon: true,
    cluster: {
      uuid: UUID,
      members: [
        {
          host: 'hosta',
          address: '127.0.0.1:7801',
          self: false,
          engine: null,
          connected: true,
          reason: null,
          seconds: null,
        },
        {
          host: 'hostb',
          address: '127.0.0.1:7802',
          self: true,
          engine: null,
          connected: true,
          reason: null,
          seconds: null,
        },
      ],
    },
    resources: [
      {
        name: 'r1',
        uuid: UUID,
        size: 8388608,
        possibleSize: 8388608,
        primary: 'hosta',
        timeline: 1,
        splitBrain: [],
        members: [
          {
            ...common,
            host: 'hosta',
            self: false,
            disk: '/dev/vg/r1',
            replstate: 'Replicating',
            role: 'Primary',
            primary: true,
            deviceOn: true,
            deviceSize: 8388608,
          },
          {
            ...common,
            host: 'hostb',
            self: true,
            disk,
            replstate: 'Replaying',
            role: 'Secondary',
            primary: false,
            deviceOn: false,
            deviceSize: 0,
          },
        ],
      },
    ],
  });
});
