// SPDX-License-Identifier: GPL-2.0-or-later
/** What a start says of logs that have changed, and for how long. */
import test, { type ExecutionContext } from 'ava';
import { Losses, lossesOf } from '../../../src/daemon/damage.js';
import { LogStore, type Found } from '../../../src/daemon/logstore.js';
import { keys } from '../../../src/tree/catalogue.js';
import { snapshotOf } from '../../support/snapshot.js';
import { at, local, R, version } from '../strategy/support.js';
import { temporaryDir } from '../tree/support.js';

const FIRST = at(1, 'b', 20480);
const SECOND = at(2, 'b', 12288);
/** What b has told: of its logs, and how far the newest one has come. */
const TOLD = snapshotOf({
  ...version('b', FIRST),
  ...version('b', SECOND, FIRST),
  [keys.actual(R, 'b', 'fetch-pos')]: 'log-000000002-b,16384',
});
const file = (number: number, end: number, reason: Found['reason'] = 'bad-log'): Found => ({
  log: { number: BigInt(number), origin: 'b' },
  end: BigInt(end),
  reason,
});
const words = (...found: Found[]): string[] =>
  lossesOf(TOLD, R, 'b', found).map((l) => `${l.log.number} ${l.reason} until ${l.until}`);

test('logs that are as long as was told, or longer, are whole', (t) => {
  t.deepEqual(words(file(1, 20480), file(2, 16384)), []);
  t.deepEqual(words(file(1, 24576), file(2, 20480)), []);
});

test('a log that is shorter, or another one, has lost something', (t) => {
  t.deepEqual(words(file(1, 20480), file(2, 12288, 'bad-crc')), ['2 bad-crc until 16384']);
  t.deepEqual(words(file(1, 0, 'bad-ident'), file(2, 16384)), ['1 bad-ident until 20480']);
});

test('a newest log that is gone is missing, an older one may have been deleted', (t) => {
  t.deepEqual(words(file(2, 16384)), []);
  t.deepEqual(words(file(1, 20480)), ['2 no-such-file until 16384']);
});

test('files nobody has told of are no loss', (t) => {
  t.deepEqual(words(file(1, 20480), file(2, 16384), file(3, 0)), []);
  t.deepEqual(lossesOf(snapshotOf({}), R, 'b', [file(1, 0)]), []);
});

/** b, which has lost the second half of log 2. */
function withLoss(t: ExecutionContext) {
  const store = new LogStore(temporaryDir(t));
  const said: string[] = [];
  const losses = new Losses((text) => said.push(text));
  losses.note(...lossesOf(TOLD, R, 'b', [file(2, 8192, 'bad-crc')]));
  t.deepEqual(said, ['bad-crc: log-000000002-b is damaged behind 8192 of 16384 bytes']);
  const { ident } = local(SECOND, FIRST);
  const grow = (end: bigint): void => store.grow(SECOND, end, '', ident);
  grow(8192n);
  return { store, losses, grow };
}

test('a loss is told until the log is here again', (t) => {
  const { store, losses, grow } = withLoss(t);
  t.is(losses.problem(store, FIRST), 'bad-crc');
  grow(12288n);
  t.is(losses.problem(store, undefined), 'bad-crc');
  grow(16384n);
  t.is(losses.problem(store, FIRST), undefined);
});

test('a loss does not matter when it is applied already, or nobody wants it any more', (t) => {
  for (const [applied, needed] of [
    [{ ...SECOND, pos: 16383n }, true],
    [{ ...SECOND, pos: 16384n }, false],
    [at(3, 'a', 4096), false],
  ] as const) {
    const { store, losses } = withLoss(t);
    t.is(losses.problem(store, applied) !== undefined, needed);
  }
  const { store, losses } = withLoss(t);
  losses.clear();
  t.is(losses.problem(store, FIRST), undefined);
});
