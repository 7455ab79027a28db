// SPDX-License-Identifier: GPL-2.0-or-later
import test from 'ava';
import { forksOf, historyOf, relate, tip } from '../../../src/strategy/history.js';
import { formatVersion, keys } from '../../../src/tree/catalogue.js';
import { snapshotOf } from '../../support/snapshot.js';

const digest = (text: string): string => text.padEnd(32, '0');
const point = (number: number, origin: string, pos: number, d: string) => ({
  number: BigInt(number),
  origin,
  pos: BigInt(pos),
  digest: digest(d),
});
type P = ReturnType<typeof point>;

/** Version links of one host. */
function links(host: string, ...versions: readonly (readonly [P, P?])[]): Record<string, string> {
  return Object.fromEntries(
    versions.map(([own, prev]) => [
      keys.version('r', own.number, host),
      formatVersion(prev ? { ...own, prev } : own),
    ]),
  );
}

function relation(a: Record<string, string>, b: Record<string, string>): string {
  const snap = snapshotOf({ ...a, ...b });
  return relate(historyOf(snap, 'r', 'a'), historyOf(snap, 'r', 'b')).kind;
}

const one = point(1, 'a', 8192, 'aa');
const oneShort = point(1, 'a', 4096, '11');

test('the same point is the same history', (t) => {
  t.is(relation(links('a', [one]), links('b', [one])), 'same');
});

test('a shorter part of the same log is behind, a longer one ahead', (t) => {
  t.is(relation(links('a', [oneShort]), links('b', [one])), 'behind');
  t.is(relation(links('a', [one]), links('b', [oneShort])), 'ahead');
});

test('the same place with other contents is a fork', (t) => {
  t.is(relation(links('a', [one]), links('b', [point(1, 'a', 8192, 'bb')])), 'fork');
});

test('two logs of one number and two origins are a fork', (t) => {
  const a2 = point(2, 'a', 8192, 'a2');
  const b2 = point(2, 'b', 8192, 'b2');
  t.is(relation(links('a', [one], [a2, one]), links('b', [one], [b2, one])), 'fork');
});

test('whoever stops where the next log begins is behind it', (t) => {
  const b2 = point(2, 'b', 8192, 'b2');
  t.is(relation(links('a', [one]), links('b', [b2, one])), 'behind');
  t.is(relation(links('b', [b2, one]), links('a', [one])), 'behind');
});

test('whoever has more of a log than its successor continues has forked', (t) => {
  const b2 = point(2, 'b', 8192, 'b2');
  t.is(relation(links('a', [one]), links('b', [b2, oneShort])), 'fork');
});

test('a number may be left out; what continues a log is known by its predecessor', (t) => {
  const a3 = point(3, 'a', 8192, 'a3');
  t.is(relation(links('a', [oneShort], [a3, oneShort]), links('b', [oneShort])), 'ahead');
  t.is(relation(links('a', [a3, oneShort]), links('b', [one])), 'fork');
  t.is(relation(links('a', [a3, oneShort]), links('b', [one], [point(2, 'a', 8192, 'a2'), one])), 'unknown');
});

test('histories that no longer overlap are not comparable', (t) => {
  const nine = point(9, 'b', 8192, '99');
  t.is(relation(links('a', [one]), links('b', [nine, point(8, 'b', 4096, '88')])), 'unknown');
  t.is(relation({}, links('b', [nine])), 'unknown');
});

test('links of hosts whose names end alike are kept apart', (t) => {
  const snap = snapshotOf({ ...links('x-a', [point(3, 'x-a', 4096, 'cc')]), ...links('a', [one]) });
  t.is(tip(historyOf(snap, 'r', 'a'))?.number, 1n);
  t.is(tip(historyOf(snap, 'r', 'x-a'))?.number, 3n);
});

test('forks between members are named from the point of view of the host', (t) => {
  const a2 = point(2, 'a', 8192, 'a2');
  const b2 = point(2, 'b', 12288, 'b2');
  const snap = snapshotOf({
    [keys.data('r', 'a')]: '/a',
    [keys.data('r', 'b')]: '/b',
    ...links('a', [a2, one]),
    ...links('b', [b2, one]),
  });
  t.deepEqual(forksOf(snap, 'r', 'a'), [
    { other: 'b', text: 'log-000000002-a,8192 vs log-000000002-b,12288 at b' },
  ]);
  t.is(forksOf(snap, 'r', 'b').length, 1);
});
