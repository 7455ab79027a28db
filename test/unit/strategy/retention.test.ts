// SPDX-License-Identifier: GPL-2.0-or-later
import test from 'ava';
import {
  deletableLogs,
  holders,
  isLost,
  neededByPrimary,
  type Deletable,
} from '../../../src/strategy/retention.js';
import { mayResync } from '../../../src/strategy/requests.js';
import { keys } from '../../../src/tree/catalogue.js';
import { snapshotOf } from '../../support/snapshot.js';
import { at, base, local, R, version, view } from './support.js';

const LOST_AFTER = keys.resourceDefault(R, 'log-lost-after');
const logs = [
  local(at(1, 'a', 8192)),
  local(at(2, 'a', 8192), at(1, 'a', 8192)),
  local(at(3, 'a', 4096), at(2, 'a', 8192)),
];
/** a is primary in log 3, b stands in log 1 and cannot be reached (since the time SINCE). */
const away: Record<string, string> = {
  ...base('a'),
  ...version('a', at(1, 'a', 8192)),
  ...version('a', at(2, 'a', 8192), at(1, 'a', 8192)),
  [keys.replay(R, 'a')]: 'log-000000003-a,4096,0',
  [keys.replay(R, 'b')]: 'log-000000001-a,4096,0',
  [LOST_AFTER]: '60',
};
const HOUR = 3_600_000_000_000n;
const SINCE = 12n;

const gone = (values: Record<string, string>, now: bigint | undefined, connected = ['a']): Deletable =>
  deletableLogs(
    view('a', values, { logs, connected: new Set(connected) }),
    3n,
    [],
    now === undefined
      ? undefined
      : { now, awaySince: new Map(connected.includes('b') ? [] : [['b', SINCE]]) },
  );
const numbers = (d: Deletable): number[] => d.logs.map((l) => Number(l.number));

test('a primary keeps a log that its logger holds, although the checkpoint and everybody have passed it', (t) => {
  const values = { ...away, [keys.replay(R, 'b')]: 'log-000000003-a,4096,0' };
  const kept = (held: bigint, checkpoint: bigint | undefined): number[] => {
    const own = neededByPrimary(held, checkpoint);
    const went = numbers(deletableLogs(view('a', values, { logs }), own, []));
    return [1, 2, 3].filter((n) => !went.includes(n));
  };
  t.deepEqual(kept(3n, 3n), [3]);
  // The logger writes log 3 and has not let go of 2; its checkpoint is in 3 already.
  t.deepEqual(kept(2n, 3n), [2, 3]);
  // Both inputs are free of log 2, but not all of it is on the disk; or the logger tells nothing yet.
  t.deepEqual(kept(3n, 2n), [2, 3]);
  t.deepEqual(kept(2n, undefined), [2, 3]);
});

test('without permission a member that is away holds its logs for ever', (t) => {
  const { [LOST_AFTER]: _, ...values } = away;
  t.deepEqual(numbers(gone(values, HOUR)), []);
  t.is(gone(values, HOUR).again, undefined);
});

test('with permission it holds them while there is room, and not beyond its time when there is not', (t) => {
  t.deepEqual(numbers(gone(away, undefined)), []);
  const early = gone(away, SINCE + 59_000_000_000n);
  t.deepEqual(numbers(early), []);
  t.deepEqual(early.lost, {});
  t.is(early.again, SINCE + 60_000_000_000n);
  const late = gone(away, SINCE + 60_000_000_000n);
  t.deepEqual(numbers(late), [1, 2]);
  t.deepEqual(late.lost, { [keys.lost(R, 'a', 'b')]: '3' });
  // How histories forked must be seen when it comes back.
  t.deepEqual(late.versions, []);
});

test('the setting of all resources counts where a resource has none of its own', (t) => {
  const { [LOST_AFTER]: _, ...values } = away;
  t.deepEqual(numbers(gone({ ...values, [keys.default('log-lost-after')]: '60' }, HOUR)), [1, 2]);
  t.deepEqual(
    numbers(gone({ ...away, [keys.default('log-lost-after')]: '0', [LOST_AFTER]: '7200' }, HOUR)),
    [],
  );
});

test('a member that can be reached, or that is to have the device, is never given up', (t) => {
  t.deepEqual(numbers(gone(away, HOUR, ['a', 'b'])), []);
  t.deepEqual(numbers(gone({ ...away, [keys.primary(R)]: 'b' }, HOUR)), []);
  t.deepEqual(numbers(gone({ ...away, [keys.actual(R, 'b', 'is-primary')]: '1' }, HOUR)), []);
});

test('a third member that can be reached keeps what it needs', (t) => {
  const values = { ...away, [keys.data(R, 'c')]: '/c', [keys.replay(R, 'c')]: 'log-000000002-a,4096,0' };
  const d = gone(values, HOUR, ['a', 'c']);
  t.deepEqual(numbers(d), [1]);
  t.deepEqual(d.lost, { [keys.lost(R, 'a', 'b')]: '2' });
});

test('who is lost holds nothing back, and counts again when it has passed the gap', (t) => {
  const lost = { ...away, [keys.lost(R, 'a', 'b')]: '2' };
  t.true(isLost(snapshotOf(lost), R, 'b'));
  t.deepEqual(holders(snapshotOf(away), R, 'a'), ['b']);
  t.deepEqual(holders(snapshotOf(lost), R, 'a'), []);
  t.deepEqual(numbers(gone(lost, undefined, ['a', 'b'])), [1, 2]);
  const back = { ...lost, [keys.replay(R, 'b')]: 'log-000000002-a,4096,0' };
  t.false(isLost(snapshotOf(back), R, 'b'));
  const d = gone(back, undefined, ['a', 'b']);
  t.deepEqual(numbers(d), [1]);
  t.deepEqual(d.lost, { [keys.lost(R, 'a', 'b')]: null });
});

test('a lost replica syncs by itself only if that is wished, and never one with a log of its own', (t) => {
  const lost = {
    ...away,
    [keys.lost(R, 'a', 'b')]: '2',
    [keys.actual(R, 'b', 'replay-code')]: 'log-missing',
    [keys.default('resync-lost')]: '1',
  };
  const may = (more: Record<string, string>): boolean => mayResync(snapshotOf({ ...lost, ...more }), R, 'b');
  t.true(may({}));
  t.false(may({ [keys.default('resync-lost')]: '0' }));
  t.false(may({ [keys.resourceDefault(R, 'resync-lost')]: '0' }));
  t.false(may({ [keys.actual(R, 'b', 'replay-code')]: 'split-brain' }));
  t.false(may({ [keys.replay(R, 'b')]: 'log-000000001-b,4096,0' }));
  t.false(may({ [keys.lost(R, 'a', 'b')]: '1' }));
});
