// SPDX-License-Identifier: GPL-2.0-or-later
/** The state words and numbers, one situation a row. */
import test from 'ava';
import { keys } from '../../../src/tree/catalogue.js';
import type { Changes, Entry, Snapshot } from '../../../src/tree/types.js';
import { reach, type Reach, type Scope } from '../../../src/view/facts.js';
import { progress } from '../../../src/view/logline.js';
import { PRIMITIVES, printValue } from '../../../src/view/primitives.js';
import { diskstate, flags, problems, replstate, role, type Local } from '../../../src/view/states.js';
import { applied } from '../../../src/cli/plan/plan.js';

const R = 'r1';
const SIZE = '8388608';
const digest = (letter: string): string => letter.repeat(32);

const EMPTY: Snapshot = {
  get: () => undefined,
  raw: () => undefined,
  value: () => undefined,
  list: (): Entry[] => [],
};

/** Both members as they are when all is well, seen from hostb unless said otherwise. */
function healthy(): Changes {
  const both = (h: string): Changes => ({
    [keys.ip(h)]: '127.0.0.1:1',
    [keys.data(R, h)]: `/dev/${h}`,
    [keys.device(R, h)]: R,
    [keys.actsize(R, h)]: SIZE,
    [keys.syncstatus(R, h)]: SIZE,
    [keys.replay(R, h)]: 'log-000000001-hosta,12288,0',
    [keys.version(R, 1n, h)]: `${digest('a')},log-000000001-hosta,12288:`,
    [keys.todo(R, h, 'attach')]: '1',
    [keys.todo(R, h, 'connect')]: '1',
    [keys.todo(R, h, 'allow-replay')]: '1',
    [keys.todo(R, h, 'sync')]: '1',
    [keys.actual(R, h, 'is-attached')]: '1',
    [keys.actual(R, h, 'fetch-pos')]: 'log-000000001-hosta,12288',
  });
  return {
    ...both('hosta'),
    ...both('hostb'),
    [keys.resourceUuid(R)]: digest('1'),
    [keys.size(R)]: SIZE,
    [keys.primary(R)]: 'hosta',
    [keys.actual(R, 'hosta', 'is-primary')]: '1',
    [keys.actual(R, 'hosta', 'if-on')]: '1',
    [keys.peer('hosta')]: 'connected',
  };
}

const scope = (changes: Changes, host = 'hostb'): Scope => ({
  snap: applied(EMPTY, { ...healthy(), ...changes }),
  resource: R,
  host,
});
const local: Local = { me: 'hostb', daemon: true, diskPresent: true };

interface Row {
  readonly name: string;
  readonly changes: Changes;
  readonly host?: string;
  readonly local?: Partial<Local>;
  /** diskstate, replstate, flags, role */
  readonly want: readonly [string, string, string, string];
}

const b = (what: string): string => keys.actual(R, 'hostb', what);
const a = (what: string): string => keys.actual(R, 'hosta', what);

const ROWS: readonly Row[] = [
  { name: 'replica, all well', changes: {}, want: ['UpToDate', 'Replaying', 'DCASFR', 'Secondary'] },
  {
    name: 'primary, all well',
    host: 'hosta',
    changes: {},
    local: { me: 'hosta' },
    want: ['UpToDate', 'Replicating', 'DCASFR', 'Primary'],
  },
  {
    name: 'primary with unwritten data',
    host: 'hosta',
    changes: { [keys.replay(R, 'hosta')]: 'log-000000001-hosta,8192,4096' },
    local: { me: 'hosta' },
    want: ['WriteBack[4.000 KiB]', 'Replicating', 'DCASFR', 'Primary'],
  },
  {
    name: 'primary whose log disk is full',
    host: 'hosta',
    changes: { [a('state')]: 'log-space-full' },
    local: { me: 'hosta' },
    want: ['LogSpaceFull', 'LogSpaceFull', 'DCASFR', 'Primary'],
  },
  {
    name: 'primary that recovers',
    host: 'hosta',
    changes: {
      [a('is-primary')]: '0',
      [a('if-on')]: '0',
      [keys.replay(R, 'hosta')]: 'log-000000001-hosta,8192,4096',
    },
    local: { me: 'hosta' },
    want: ['Recovery[4.000 KiB]', 'NotYetPrimary', 'dCASFr', 'NotYetPrimary'],
  },
  {
    name: 'primary that was not yet told to stop',
    host: 'hosta',
    changes: { [keys.primary(R)]: 'hostb' },
    local: { me: 'hosta' },
    want: ['UpToDate', 'PrimaryUnreachable', 'DCASFR', 'RemainsPrimary'],
  },
  {
    name: 'two primaries',
    host: 'hosta',
    changes: { [b('is-primary')]: '1' },
    local: { me: 'hosta' },
    want: ['UpToDate', 'Replicating', 'DCASFR', 'ForcedPrimary'],
  },
  {
    name: 'not joined',
    changes: { [keys.data(R, 'hostb')]: null },
    want: ['NotJoined', 'NotJoined', '--AsFR', 'None'],
  },
  {
    name: 'device gone',
    changes: {},
    local: { diskPresent: false },
    want: ['NotPresent', 'Replaying', '-CASFR', 'Secondary'],
  },
  {
    name: 'detached',
    changes: { [keys.todo(R, 'hostb', 'attach')]: '0', [b('is-attached')]: '0' },
    want: ['Detached', 'NotStarted', 'DC-SFR', 'Secondary'],
  },
  {
    name: 'detaching',
    changes: { [keys.todo(R, 'hostb', 'attach')]: '0' },
    want: ['Detaching', 'NotStarted', 'DCaSFR', 'Secondary'],
  },
  {
    name: 'not attached yet',
    changes: { [b('is-attached')]: '0' },
    want: ['NoAttach', 'Replaying', 'DCaSFR', 'Secondary'],
  },
  {
    name: 'syncing',
    changes: { [keys.syncstatus(R, 'hostb')]: '4096', [b('is-syncing')]: '1' },
    want: ['InConsistent', 'Syncing', 'DcAsFR', 'Secondary'],
  },
  {
    name: 'sync waits',
    changes: { [keys.syncstatus(R, 'hostb')]: '4096' },
    want: ['InConsistent', 'WaitingForSync', 'DcAsFR', 'Secondary'],
  },
  {
    name: 'sync paused',
    changes: { [keys.syncstatus(R, 'hostb')]: '4096', [keys.todo(R, 'hostb', 'sync')]: '0' },
    want: ['InConsistent', 'PausedSync', 'DcA-FR', 'Secondary'],
  },
  {
    name: 'synced, but replay has not passed the end of the sync',
    changes: { [keys.syncpos(R, 'hostb')]: 'log-000000001-hosta,16384' },
    want: ['InConsistent', 'Replaying', 'DcASFR', 'Secondary'],
  },
  {
    name: 'behind in replay',
    changes: { [keys.replay(R, 'hostb')]: 'log-000000001-hosta,8192,0' },
    want: ['OutDated[R]', 'Replaying', 'DCASFr', 'Secondary'],
  },
  {
    name: 'behind in both',
    changes: {
      [keys.replay(R, 'hostb')]: 'log-000000001-hosta,4096,0',
      [b('fetch-pos')]: 'log-000000001-hosta,8192',
    },
    want: ['OutDated[FR]', 'Replaying', 'DCASfr', 'Secondary'],
  },
  {
    name: 'fetch paused',
    changes: { [keys.todo(R, 'hostb', 'connect')]: '0' },
    want: ['UpToDate', 'PausedFetch', 'DCAS-R', 'Secondary'],
  },
  {
    name: 'replay paused',
    changes: { [keys.todo(R, 'hostb', 'allow-replay')]: '0' },
    want: ['UpToDate', 'PausedReplay', 'DCASF-', 'Secondary'],
  },
  {
    name: 'primary unreachable',
    changes: { [keys.peer('hosta')]: 'unreachable:peer-unreachable' },
    want: ['UpToDate', 'PrimaryUnreachable', 'DCASFR', 'Secondary'],
  },
  {
    name: 'nobody designated',
    changes: { [keys.primary(R)]: '(none)' },
    want: ['UpToDate', 'NoPrimaryDesignated', 'DCASFR', 'Secondary'],
  },
  {
    name: 'damaged log',
    changes: { [b('replay-code')]: 'bad-crc' },
    want: ['DefectiveLog[bad-crc]', 'ReplayStopped', 'DCASFR', 'Secondary'],
  },
  {
    name: 'log gone everywhere',
    changes: { [b('replay-code')]: 'log-missing' },
    want: ['Orphan', 'ReplayStopped', 'DCASFR', 'Secondary'],
  },
  {
    name: 'a passing word of replay is no error',
    changes: { [b('replay-code')]: 'fetching' },
    want: ['UpToDate', 'Replaying', 'DCASFR', 'Secondary'],
  },
  {
    name: 'disk error',
    changes: { [b('disk-error')]: '5' },
    want: ['DISK_ERROR=5 UpToDate', 'Replaying', 'DCASFR', 'Secondary'],
  },
  {
    name: 'split brain published',
    changes: { [b('split-brain')]: 'log-000000001-hosta,8192 vs hosta' },
    want: ['UpToDate', 'SplitBrain', 'DCASFR', 'Secondary'],
  },
  {
    name: 'no daemon here',
    changes: {},
    local: { daemon: false },
    want: ['UpToDate', 'NoDaemon', 'DCASFR', 'Secondary'],
  },
  {
    name: 'no daemon there',
    host: 'hosta',
    changes: { [keys.nodeActual('hosta', 'alive')]: '0' },
    want: ['UpToDate', 'NoDaemon', 'DCASFR', 'Primary'],
  },
];

for (const row of ROWS) {
  test(`state: ${row.name}`, (t) => {
    const s = scope(row.changes, row.host);
    const l = { ...local, ...row.local };
    t.deepEqual([diskstate(s, l), replstate(s, l), flags(s, l), role(s)], [...row.want]);
  });
}

test('every bad state has a line that says so, without delay', (t) => {
  const codes = (changes: Changes, l: Partial<Local> = {}): string[] =>
    problems(scope(changes), { ...local, ...l }).map((p) => p.code);
  t.deepEqual(codes({}), []);
  t.deepEqual(codes({ [b('disk-error')]: '5' }), ['disk-error']);
  t.deepEqual(codes({ [b('replay-code')]: 'bad-crc', [b('state')]: 'log-space-low' }), [
    'bad-crc',
    'log-space-low',
  ]);
  t.deepEqual(codes({}, { daemon: false, diskPresent: false }), ['no-daemon', 'device-missing']);
  t.deepEqual(codes({ [b('split-brain')]: 'x' }), ['split-brain']);
});

test('words of a member that are not in the catalogue are not given out as codes', (t) => {
  const found = problems(
    scope({ [b('state')]: 'state-of-the-future', [b('replay-code')]: 'moon-phase' }),
    local,
  );
  t.deepEqual(
    found.map((p) => p.code),
    ['unknown-reason'],
  );
  t.regex(found[0]?.text ?? '', /state-of-the-future/);
  const seen = (peer: string): Reach => reach(scope({ [keys.peer('hosta')]: peer }).snap, 'hostb', 'hosta');
  t.is(seen('unreachable:cert-not-member').reason, 'cert-not-member');
  t.is(seen('unreachable:moon-phase').reason, 'peer-unreachable');
  t.is(reach(EMPTY, 'hostb', 'hosta').reason, 'never-contacted');
});

test('positions in different logs are laid end to end', (t) => {
  const two: Changes = {
    [keys.version(R, 1n, 'hosta')]: `${digest('a')},log-000000001-hosta,20480:`,
    [keys.version(R, 2n, 'hosta')]:
      `${digest('b')},log-000000002-hosta,8192:${digest('a')},log-000000001-hosta,20480`,
    [keys.replay(R, 'hosta')]: 'log-000000002-hosta,8192,0',
    [b('fetch-pos')]: 'log-000000001-hosta,16384',
  };
  t.deepEqual(progress(scope(two)), {
    applied: 12288n,
    fetched: 16384n,
    end: 28672n,
    logs: { applied: 1n, fetched: 1n, end: 2n },
  });
  t.is(progress(scope(two, 'hosta'))?.applied, 28672n);
  t.is(progress(scope({ ...two, [keys.replay(R, 'hostb')]: null })), undefined, 'no position, no progress');
});

test('an empty new log does not make a replica outdated for more than its header', (t) => {
  const rotated: Changes = {
    [keys.version(R, 2n, 'hosta')]:
      `${digest('b')},log-000000002-hosta,4096:${digest('a')},log-000000001-hosta,12288`,
  };
  t.is(
    diskstate(scope({ ...rotated, [keys.replay(R, 'hostb')]: 'log-000000002-hosta,0,0' }), local),
    'UpToDate',
  );
});

test('a replica ahead of what the primary has published is not behind', (t) => {
  t.is(diskstate(scope({ [keys.replay(R, 'hostb')]: 'log-000000001-hosta,99999,0' }), local), 'UpToDate');
});

test('every primitive gives a value for a healthy, an absent and a damaged replica', (t) => {
  const situations = [
    {},
    { [keys.data(R, 'hostb')]: null },
    { [keys.size(R)]: null, [keys.replay(R, 'hostb')]: null, [keys.syncstatus(R, 'hostb')]: 'rubbish' },
  ];
  for (const changes of situations)
    for (const [name, p] of Object.entries(PRIMITIVES)) {
      const s = scope(changes);
      const value = p.scope === 'resource' ? p.get(s, local) : p.get(s.snap, local);
      t.is(typeof printValue(value), 'string', name);
      t.false(printValue(value).includes('undefined'), name);
      t.false(printValue(value).includes('NaN'), name);
    }
});

test('primitives of a healthy replica', (t) => {
  const s = scope({
    [b('lamport')]: '1000',
    [a('lamport')]: '5000',
    [keys.replay(R, 'hostb')]: 'log-000000001-hosta,8192,0',
  });
  const values = Object.fromEntries(
    Object.entries(PRIMITIVES).map(([name, p]) => [
      name,
      printValue(p.scope === 'resource' ? p.get(s, local) : p.get(s.snap, local)),
    ]),
  );
  t.like(values, {
    'cluster-members': 'hosta\nhostb',
    'cluster-peers': 'hosta',
    'all-resources': R,
    'my-resources': R,
    'resource-members': 'hosta\nhostb',
    'get-primary': 'hosta',
    'actual-primary': 'hosta',
    primarynode: 'hosta',
    'is-primary': '0',
    'is-secondary': '1',
    'is-attached': '1',
    'is-consistent': '1',
    'is-split-brain': '0',
    'is-alive': '1',
    'disk-present': '1',
    'get-disk': '/dev/hostb',
    'get-device': R,
    'device-opened': '0',
    'resource-size': SIZE,
    'resource-possible-size': SIZE,
    'sync-size': SIZE,
    'sync-pos': SIZE,
    'sync-rest': '0',
    'sync-percent': '100.00',
    'fetch-pos': '12288',
    'fetch-rest': '0',
    'replay-pos': '8192',
    'replay-rest': '4096',
    'replay-percent': '66.66',
    'replay-lag': '4000',
    'work-rest': '4096',
    'work-reached': '0',
    'replay-link': 'log-000000001-hosta,8192,0',
    'summary-vector': '8192:12288:12288',
    diskstate: 'OutDated[R]',
  });
});

test('a fork in the histories is a split brain, a prefix is not', (t) => {
  const split = (changes: Changes): string =>
    printValue(
      PRIMITIVES['is-split-brain']?.scope === 'resource'
        ? PRIMITIVES['is-split-brain'].get(scope(changes), local)
        : null,
    );
  t.is(split({ [keys.version(R, 1n, 'hostb')]: `${digest('c')},log-000000001-hosta,8192:` }), '0');
  t.is(split({ [keys.version(R, 1n, 'hostb')]: `${digest('c')},log-000000001-hosta,12288:` }), '1');
  t.is(split({ [keys.version(R, 1n, 'hostb')]: `${digest('c')},log-000000001-hostb,12288:` }), '1');
});
