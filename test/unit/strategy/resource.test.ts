// SPDX-License-Identifier: GPL-2.0-or-later
import test from 'ava';
import { UNSHARED } from '../../../src/strategy/history.js';
import { decide, reachedSyncpos, stepBack, touchedBy } from '../../../src/strategy/resource.js';
import { deletableLogs } from '../../../src/strategy/retention.js';
import { formatPosition, keys } from '../../../src/tree/catalogue.js';
import { snapshotOf } from '../../support/snapshot.js';
import { at, base, local, R, switches, version, view } from './support.js';

test('whoever has not joined or is detached does nothing', (t) => {
  t.like(decide(view('c', base('a'))), { mode: 'off', why: 'not-joined' });
  t.like(decide(view('a', { ...base('a'), ...switches('a', ['attach']) })), { mode: 'off', why: 'detached' });
});

test('a fresh resource opens log 1', (t) => {
  const values = { ...base('a'), [keys.replay(R, 'a')]: 'log-000000001-a,0,0' };
  const goal = decide(view('a', values, { applied: { ...at(1, 'a', 0), digest: '' } }));
  t.deepEqual(goal, { mode: 'primary', open: { number: 1n, timeline: 1, prev: undefined } });
});

test('a crashed primary first applies its own log, then continues in a fresh one', (t) => {
  const end = at(1, 'a', 12288);
  const values = { ...base('a'), ...version('a', end), [keys.actual(R, 'a', 'is-primary')]: '1' };
  const logs = [local(end)];
  t.like(decide(view('a', values, { logs, applied: at(1, 'a', 4096) })), {
    mode: 'follow',
    why: 'recovering',
    apply: { end: 12288n },
  });
  t.deepEqual(decide(view('a', values, { logs, applied: end })), {
    mode: 'primary',
    open: { number: 2n, timeline: 1, prev: end },
  });
});

test('recovery goes on through every log that continues the one before', (t) => {
  const one = at(1, 'a', 8192);
  const two = at(2, 'a', 4096);
  const logs = [local(one), local(two, one)];
  const goal = decide(view('a', base('a'), { logs, applied: one }));
  t.like(goal, { mode: 'follow', why: 'recovering' });
  t.is(goal.mode === 'follow' ? goal.apply?.next?.number : undefined, 2n);
});

test('a primary that lost log bytes a member still has fetches them before it opens', (t) => {
  const mine = at(1, 'a', 8192);
  const theirs = at(1, 'a', 12288);
  const values = { ...base('a'), ...version('a', mine), ...version('b', theirs) };
  const goal = decide(view('a', values, { logs: [local(mine)], applied: mine }));
  t.like(goal, { mode: 'follow', why: 'fetching', fetch: { from: 8192n, sources: ['b'] } });
  const alone = decide(view('a', values, { logs: [local(mine)], applied: mine, connected: new Set() }));
  t.like(alone, { mode: 'follow', why: 'peer-is-ahead' });
});

test('what a primary has told of and lost since counts as lost, not as its history', (t) => {
  const told = at(1, 'a', 12288);
  const left = at(1, 'a', 8192);
  const rest = { logs: [local(left)], applied: left };
  const values = { ...base('a'), ...version('a', told), ...version('b', told) };
  t.like(decide(view('a', values, rest)), {
    mode: 'follow',
    why: 'fetching',
    fetch: { from: 8192n, sources: ['b'] },
  });
  const nobody = { ...values, ...version('b', left) };
  const fetched = { ...nobody, [keys.actual(R, 'b', 'fetch-pos')]: 'log-000000001-a,12288' };
  t.like(decide(view('a', fetched, rest)), {
    mode: 'follow',
    why: 'fetching',
    fetch: { from: 8192n, sources: ['b'] },
  });
  t.like(decide(view('a', nobody, rest)), { mode: 'follow', why: 'log-missing' });
  const gone = { ...base('a'), ...version('a', told), ...version('a', at(2, 'a', 4096), told) };
  t.like(decide(view('a', gone, { logs: [local(at(2, 'a', 4096), told)], applied: left })), {
    mode: 'follow',
    why: 'log-missing',
  });
});

test('a replica that was wiped and synced anew takes no name that it used before', (t) => {
  const end = at(4, 'a', 12288);
  const values = { ...base('b'), ...version('a', end), ...version('b', end), [keys.maxnr(R)]: '5' };
  t.like(decide(view('b', values, { applied: end })), { mode: 'primary', open: { number: 6n, prev: end } });
});

test('forced on after its own log was lost, a primary takes a name that nobody ever saw', (t) => {
  const left = at(1, 'a', 8192);
  const told = at(1, 'a', 12288);
  const lost = at(2, 'a', 4096);
  const { [keys.timeline(R)]: _, ...rest_ } = base('a');
  const values = {
    ...rest_,
    ...version('a', told),
    ...version('a', lost, told),
    ...version('b', left),
    [keys.timeline(R)]: '2',
  };
  const logs = [local(left), local(lost, told)];
  for (const rest of [{ logs }, { logs: [local(left)] }])
    t.like(decide(view('a', values, { ...rest, applied: left })), {
      mode: 'primary',
      open: { number: 3n, prev: { ...left, digest: UNSHARED } },
    });
  // Part of what was lost may be on its disk: who has the same log is not where it is.
  const mine = { ...left, digest: UNSHARED };
  const on = { ...base('a'), ...version('a', at(3, 'a', 8192), mine), ...version('b', left) };
  t.like(decide(view('b', on, { logs: [local(left)], applied: left })), { why: 'split-brain' });
});

test('over a number that was left out a replica is followed, and recovers', (t) => {
  const left = at(1, 'a', 8192);
  const told = at(1, 'a', 12288);
  const logs = [local(left), local(at(2, 'a', 4096), told)];
  const third = at(3, 'a', 8192);
  const after = {
    ...base('a'),
    ...version('a', left),
    ...version('a', third, left),
    [keys.timeline(R)]: '2',
    [keys.actual(R, 'a', 'is-primary')]: '1',
  };
  t.like(decide(view('b', after, { logs: [local(left)], applied: left })), {
    mode: 'follow',
    fetch: { log: { number: 3n, origin: 'a' }, from: 0n, sources: ['a'] },
  });
  const all = [...logs, local(third, left, 2)];
  const again = view('a', after, { logs: all, applied: left, touched: touchedBy(all, left) });
  const goal = decide(again);
  t.is(goal.mode === 'follow' ? goal.apply?.next?.number : undefined, 3n);
});

test('a device that is about to be opened elsewhere is waited for', (t) => {
  const end = at(1, 'a', 8192);
  const values = { ...base('b'), ...version('a', end), ...version('b', end) };
  const rest = { logs: [local(end)], applied: end };
  t.like(decide(view('b', values, rest)), { mode: 'primary' });
  const opening = { ...values, [keys.actual(R, 'a', 'is-opening')]: '1' };
  t.like(decide(view('b', opening, rest)), { mode: 'follow', why: 'old-primary-active' });
});

test('a handover waits until the old primary is gone and everything is applied', (t) => {
  const end = at(1, 'a', 8192);
  const running = {
    ...base('b'),
    ...version('a', end),
    ...version('b', end),
    [keys.actual(R, 'a', 'is-primary')]: '1',
  };
  const rest = { logs: [local(end)], applied: end };
  t.like(decide(view('b', running, rest)), { mode: 'follow', why: 'old-primary-active' });
  const stopped = { ...running, [keys.actual(R, 'a', 'is-primary')]: '0' };
  t.like(decide(view('b', stopped, rest)), { mode: 'primary', open: { number: 2n, prev: end } });
  const longer = { ...stopped, ...version('a', at(1, 'a', 12288)) };
  t.like(decide(view('b', longer, rest)), { mode: 'follow', why: 'fetching', fetch: { from: 8192n } });
});

test('after a start nobody becomes primary before the members were heard', (t) => {
  const end = at(1, 'a', 8192);
  const goal = decide(view('a', base('a'), { logs: [local(end)], applied: end, settled: false }));
  t.like(goal, { mode: 'follow', why: 'hearing-peers' });
});

test('a log that was opened but never written to is given up when history went on elsewhere', (t) => {
  const one = at(1, 'a', 8192);
  const empty = at(2, 'a', 4096);
  const values = { ...base('b'), ...version('a', empty, one), ...version('b', at(2, 'b', 8192), one) };
  const logs = [local(one), local(empty, one)];
  const state = view('a', values, { logs, applied: empty });
  t.deepEqual(stepBack(state), one);
  t.like(decide(state), { why: 'ok' });
  const used = at(2, 'a', 8192);
  const written = view(
    'a',
    { ...values, ...version('a', used, one) },
    { logs: [local(one), local(used, one)], applied: used },
  );
  t.is(stepBack(written), undefined);
  t.like(decide(written), { why: 'split-brain' });
});

test('a forced switch does not wait for the old primary', (t) => {
  const end = at(1, 'a', 8192);
  const values = {
    ...base('a'),
    ...version('a', at(1, 'a', 16384)),
    ...version('b', end),
    [keys.actual(R, 'a', 'is-primary')]: '1',
    ...switches('b', ['connect']),
    [keys.primary(R)]: 'b',
    [keys.timeline(R)]: '2',
  };
  // The batch of a forced switch names the primary first, so its timeline is not older.
  const forced = Object.fromEntries(
    Object.entries(values).filter(([k]) => k !== keys.primary(R) && k !== keys.timeline(R)),
  );
  const goal = decide(
    view(
      'b',
      { ...forced, [keys.primary(R)]: 'b', [keys.timeline(R)]: '2' },
      {
        logs: [local(end)],
        applied: end,
        connected: new Set(),
      },
    ),
  );
  t.like(goal, { mode: 'primary', open: { number: 2n, timeline: 2, prev: end } });
});

test('a later planned handover is not taken for a forced one', (t) => {
  const end = at(1, 'a', 8192);
  const { [keys.primary(R)]: _, [keys.timeline(R)]: __, ...rest } = base('b');
  const values = {
    ...rest,
    ...version('b', end),
    [keys.actual(R, 'a', 'is-primary')]: '1',
    [keys.timeline(R)]: '2',
    [keys.primary(R)]: 'b',
  };
  t.like(decide(view('b', values, { logs: [local(end)], applied: end })), { why: 'old-primary-active' });
});

test('a secondary fetches on, applies what is verified, and moves to the next log only at its exact end', (t) => {
  const one = at(1, 'a', 8192);
  const two = at(2, 'a', 8192);
  const values = { ...base('a'), ...version('a', one), [keys.actual(R, 'a', 'is-primary')]: '1' };
  const rest = { logs: [local(at(1, 'a', 6144))], applied: at(1, 'a', 4096) };
  t.like(decide(view('b', values, rest)), {
    why: 'ok',
    apply: { end: 6144n },
    fetch: { from: 6144n, sources: ['a'] },
  });

  const rotated = { ...base('a'), ...version('a', two, one), [keys.actual(R, 'a', 'is-primary')]: '1' };
  t.like(decide(view('b', rotated, { logs: [local(one)], applied: at(1, 'a', 4096) })), {
    apply: { end: 8192n },
    fetch: { log: { number: 2n }, from: 0n },
  });
  const next = decide(view('b', rotated, { logs: [local(one), local(at(2, 'a', 4096), one)], applied: one }));
  t.is(next.mode === 'follow' ? next.apply?.next?.number : undefined, 2n);
});

test('replicas that have the same do not wait for each other', (t) => {
  const end = at(1, 'a', 8192);
  const values = {
    ...base('a'),
    [keys.data(R, 'c')]: '/c',
    ...version('a', at(1, 'a', 12288)),
    ...version('c', end),
    [keys.actual(R, 'a', 'is-primary')]: '1',
  };
  const rest = { logs: [local(end)], applied: end };
  const sources = (v: Record<string, string>, connected: string[]): readonly string[] | undefined => {
    const goal = decide(view('b', v, { ...rest, connected: new Set(connected) }));
    return goal.mode === 'follow' ? goal.fetch?.sources : undefined;
  };
  t.deepEqual(sources(values, ['a', 'c']), ['a']);
  t.deepEqual(sources(values, ['c']), []);
  t.deepEqual(sources({ ...values, ...version('c', at(1, 'a', 12288)) }, ['c']), ['c']);
  t.deepEqual(
    sources({ ...values, [keys.actual(R, 'c', 'fetch-pos')]: 'log-000000001-a,12288' }, ['a', 'c']),
    ['a', 'c'],
  );
});

test('a replica with bytes the primary never had stops and says so', (t) => {
  const shared = at(1, 'a', 4096);
  const mine = at(1, 'a', 12288);
  const values = {
    ...base('b'),
    ...version('b', at(2, 'b', 8192), shared),
    [keys.actual(R, 'b', 'is-primary')]: '1',
  };
  t.deepEqual(decide(view('a', values, { logs: [local(mine)], applied: mine })), {
    mode: 'follow',
    why: 'split-brain',
  });
});

test('switches are obeyed', (t) => {
  const end = at(1, 'a', 8192);
  const values = { ...base('a'), ...version('a', end), [keys.actual(R, 'a', 'is-primary')]: '1' };
  const rest = { logs: [local(end)], applied: at(1, 'a', 4096) };
  const goal = decide(view('b', { ...values, ...switches('b', ['connect', 'allow-replay']) }, rest));
  t.deepEqual(goal, { mode: 'follow', why: 'replay-paused' });
});

test('an incomplete replica syncs from the active primary and resumes where it was', (t) => {
  const values = {
    ...base('a'),
    [keys.syncstatus(R, 'b')]: '65536',
    [keys.actual(R, 'b', 'sync-timeline')]: '1',
    [keys.actual(R, 'a', 'is-primary')]: '1',
  };
  t.like(decide(view('b', values, { applied: at(1, 'a', 4096) })), {
    why: 'syncing',
    sync: { source: 'a', from: 65536n, size: 1048576n },
  });
  t.like(decide(view('b', values)), { sync: { from: 0n } });
  const missing = { ...values, [keys.actual(R, 'b', 'replay-code')]: 'log-missing' };
  t.like(decide(view('b', missing, { applied: at(1, 'a', 4096) })), { sync: { from: 0n } });
  const switched = { ...values, [keys.timeline(R)]: '2' };
  t.like(decide(view('b', switched, { applied: at(1, 'a', 4096) })), { sync: { from: 0n } });
  t.like(decide(view('b', values, { connected: new Set() })), { why: 'primary-unreachable' });
  t.like(decide(view('b', { ...values, ...switches('b', ['sync']) })), { why: 'sync-paused' });
});

test('growth that a forced switch has cut in two starts again; growth that comes after one goes on', (t) => {
  const end = at(1, 'a', 8192);
  const values = {
    ...base('a'),
    [keys.size(R)]: '2097152',
    [keys.timeline(R)]: '2',
    [keys.syncpos(R, 'b')]: 'log-000000001-a,4096',
    [keys.actual(R, 'a', 'is-primary')]: '1',
  };
  const from = (more: Record<string, string>): unknown => {
    const goal = decide(view('b', { ...values, ...more }, { logs: [local(end)], applied: end }));
    return goal.mode === 'follow' ? goal.sync?.from : undefined;
  };
  t.is(from({}), 1048576n);
  t.is(from({ [keys.actual(R, 'b', 'sync-timeline')]: '2' }), 1048576n);
  t.is(from({ [keys.actual(R, 'b', 'sync-timeline')]: '1' }), 0n);
});

test('a synced replica may not become primary before replay has passed its syncpos', (t) => {
  const end = at(1, 'a', 8192);
  const values = {
    ...base('b'),
    ...version('a', end),
    [keys.syncpos(R, 'b')]: formatPosition({ number: 1n, origin: 'a', pos: 12288n }),
    [keys.actual(R, 'a', 'is-primary')]: '0',
  };
  t.like(decide(view('b', values, { logs: [local(end)], applied: end })), {
    mode: 'follow',
    why: 'not-consistent',
  });
});

test('a log is deleted only when every member has passed it', (t) => {
  const logs = [
    local(at(1, 'a', 8192)),
    local(at(2, 'a', 8192), at(1, 'a', 8192)),
    local(at(3, 'a', 4096), at(2, 'a', 8192)),
  ];
  const values = {
    ...base('a'),
    ...version('a', at(1, 'a', 8192)),
    [keys.replay(R, 'b')]: 'log-000000002-a,4096,0',
  };
  const numbers = (v: Record<string, string>, own: bigint | undefined, pins: bigint[]): number[] =>
    deletableLogs(view('a', v, { logs }), own, pins).logs.map((l) => Number(l.number));
  t.deepEqual(numbers(values, 3n, []), [1]);
  t.deepEqual(numbers(values, 3n, [1n]), []);
  t.deepEqual(numbers(values, undefined, []), []);
  t.deepEqual(numbers({ ...values, [keys.replay(R, 'b')]: 'log-000000003-a,4096,0' }, 3n, []), [1, 2]);
  t.deepEqual(deletableLogs(view('a', values, { logs }), 3n, []).versions, [keys.version(R, 1n, 'a')]);
});

test('a device is opened only when everybody who can be reached knows of the designation', (t) => {
  const end = at(1, 'a', 8192);
  const { [keys.merged('a', 'b')]: _, ...base_ } = base('b');
  const values = {
    ...base_,
    ...version('a', end),
    ...version('b', end),
    [keys.actual(R, 'a', 'is-primary')]: '0',
  };
  const rest = { logs: [local(end)], applied: end };
  t.like(decide(view('b', values, rest)), { mode: 'follow', why: 'announcing' });
  t.like(decide(view('b', values, { ...rest, connected: new Set() })), { mode: 'primary' });
  t.like(decide(view('b', { ...values, [keys.merged('a', 'b')]: '1000000' }, rest)), { mode: 'primary' });
});

test('a host that is named again waits for the one that was named in between', (t) => {
  const end = at(1, 'a', 8192);
  const values = {
    ...base('a'),
    ...version('a', end),
    ...version('b', at(2, 'b', 4096), end),
    [keys.actual(R, 'b', 'is-primary')]: '1',
  };
  t.like(decide(view('a', values, { logs: [local(end)], applied: end })), { why: 'old-primary-active' });
});

test('nobody continues a history whose end is not known', (t) => {
  const end = { ...at(1, 'a', 8192), digest: '' };
  t.like(decide(view('a', base('a'), { applied: end })), { mode: 'follow', why: 'fetching' });
});

test('after a crash a branch that leaves out what may be on the disk is a split brain', (t) => {
  const start = at(1, 'a', 4096);
  const end = at(1, 'a', 28672);
  const values = { ...base('b'), ...version('b', at(2, 'b', 8192), start) };
  const rest = { logs: [local(end)], applied: start };
  const goal = decide(view('a', values, { ...rest, touched: touchedBy(rest.logs, start) }));
  t.is(goal.mode === 'follow' ? goal.why : '', 'split-brain');
  // Nobody has to be primary for that.
  const nobody = { ...values, [keys.primary(R)]: '(none)' };
  const waiting = decide(view('a', nobody, { ...rest, touched: touchedBy(rest.logs, start) }));
  t.false(waiting.mode === 'follow' && waiting.fetch?.log.origin === 'b');
});

test('a log that is applied to its end is not fetched again to go on', (t) => {
  const one = at(1, 'a', 8192);
  const values = {
    ...base('a'),
    ...version('a', at(2, 'a', 8192), one),
    [keys.actual(R, 'a', 'is-primary')]: '1',
  };
  t.like(decide(view('b', values, { applied: one })), { fetch: { log: { number: 2n }, from: 0n } });
});

test('a log that was opened by force keeps its branch, one that was not goes back however far', (t) => {
  const fork = at(1, 'a', 8192);
  const empty = at(2, 'b', 4096);
  const again = at(3, 'b', 4096);
  const logs = [local(fork), local(empty, fork), local(again, empty)];
  const values = { ...base('b'), ...version('a', at(1, 'a', 16384)), ...version('b', again, empty) };
  t.deepEqual(stepBack(view('b', values, { logs, applied: again })), fork);
  const { [keys.timeline(R)]: _, ...rest } = values;
  const forced = { ...rest, [keys.timeline(R)]: '1' };
  t.is(stepBack(view('b', forced, { logs, applied: again })), undefined);
  t.like(decide(view('b', forced, { logs, applied: again })), { mode: 'primary' });
});

test('a node keeps the logs from which it would go on after a kill', (t) => {
  const logs = [local(at(1, 'a', 8192)), local(at(2, 'a', 8192), at(1, 'a', 8192))];
  const replay = (host: string, number: bigint) => ({
    [keys.replay(R, host)]: formatPosition({ number, origin: 'a', pos: 4096n, dirty: 0n }),
  });
  const values = { ...base('a'), ...replay('b', 2n) };
  const gone = (more: Record<string, string>) =>
    deletableLogs(view('a', { ...values, ...more }, { logs }), 2n, []).logs.map((l) => l.number);
  t.deepEqual(gone(replay('a', 1n)), []);
  t.deepEqual(gone(replay('a', 2n)), [1n]);
});

test('a replica that was synced from a branch that was given up is not consistent', (t) => {
  const fork = at(1, 'a', 8192);
  const values = {
    ...base('b'),
    ...version('b', at(2, 'b', 8192), fork),
    ...version('a', at(2, 'b', 8192), fork),
    [keys.syncpos(R, 'a')]: formatPosition({ number: 1n, origin: 'a', pos: 16384n }),
    [keys.actual(R, 'b', 'is-primary')]: '1',
  };
  t.false(reachedSyncpos(snapshotOf(values), R, 'a', at(2, 'b', 8192)));
  t.like(decide(view('a', values, { logs: [local(fork)], applied: fork })), { why: 'split-brain' });
});

test('an empty log that the primary has continued is not given up for another branch', (t) => {
  const fork = at(1, 'a', 8192);
  const empty = at(2, 'b', 4096);
  const logs = [local(fork), local(empty, fork)];
  const values = {
    ...base('b'),
    [keys.data(R, 'c')]: '/c',
    ...version('b', at(3, 'b', 8192), empty),
    ...version('c', at(2, 'c', 8192), fork),
  };
  t.is(stepBack(view('a', values, { logs, applied: empty })), undefined);
});
