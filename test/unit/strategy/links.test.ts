// SPDX-License-Identifier: GPL-2.0-or-later
import test from 'ava';
import { historyOf, straysOf, tip, type Link, type Point } from '../../../src/strategy/history.js';
import { linksOf } from '../../../src/strategy/links.js';
import { touchedBy, type LocalLog } from '../../../src/strategy/resource.js';
import { formatVersion, keys } from '../../../src/tree/catalogue.js';
import { snapshotOf } from '../../support/snapshot.js';

const digest = (text: string): string => text.padEnd(32, '0');
const at = (number: number, origin: string, pos: number): Point => ({
  number: BigInt(number),
  origin,
  pos: BigInt(pos),
  digest: digest(`${number}${origin === 'a' ? 'a' : 'b'}${pos}`),
});

function local(end: Point, prev?: Point): LocalLog {
  return {
    number: end.number,
    origin: end.origin,
    end: end.pos,
    digest: end.digest,
    ident: {
      cluster: digest('c'),
      resource: digest('d'),
      salt: digest('e'),
      number: end.number,
      timeline: 1,
      origin: end.origin,
      prevNumber: prev?.number ?? 0n,
      prevOrigin: prev?.origin ?? '',
      prevLength: prev?.pos ?? 0n,
      prevDigest: prev?.digest ?? digest(''),
    },
  };
}

const one = at(1, 'a', 8192);
const two = at(2, 'b', 4096);
const three = at(3, 'b', 12288);

test('every log that is here is told, also one that was opened and never told of', (t) => {
  const links = linksOf([local(one), local(two, one), local(three, two)], three, new Map());
  t.deepEqual(links, [{ ...three, prev: two }, { ...two, prev: one }, one]);
});

test('links end where a log is missing', (t) => {
  t.deepEqual(linksOf([local(one), local(three, two)], three, new Map()), [{ ...three, prev: two }]);
  t.deepEqual(linksOf([local(one)], { ...one, digest: '' }, new Map()), []);
});

test('what was told of a log that has got shorter since is not taken back', (t) => {
  const told = new Map([[1n, at(1, 'a', 16384)]]);
  t.deepEqual(linksOf([local(one)], one, told), []);
});

test('what was told of behind the point a new log continues is renounced', (t) => {
  const told = new Map<bigint, Link>([
    [1n, one],
    [2n, { ...at(2, 'a', 8192), prev: one }],
  ]);
  t.deepEqual(straysOf(told, at(2, 'a', 8192)), []);
  t.deepEqual(straysOf(told, one), [2n]);
  t.deepEqual(straysOf(told, at(1, 'a', 4096)), [1n, 2n]);
  t.deepEqual(straysOf(told, undefined), []);
});

test('everything that follows what is applied may have touched the disk', (t) => {
  const logs = [local(one), local(two, one), local(three, two), local(at(2, 'a', 8192), at(1, 'a', 4096))];
  t.deepEqual(touchedBy(logs, at(1, 'a', 4096)), [one, two, three]);
  t.deepEqual(touchedBy(logs, three), []);
  t.deepEqual(touchedBy(logs, undefined), []);
});

test('a row of empty logs is no history', (t) => {
  const empty = at(2, 'a', 4096);
  const again = at(3, 'a', 4096);
  const version = (own: Point, prev?: Point) => ({
    [keys.version('r', own.number, 'a')]: formatVersion(prev ? { ...own, prev } : own),
  });
  const snap = snapshotOf({ ...version(one), ...version(empty, one), ...version(again, empty) });
  t.deepEqual(tip(historyOf(snap, 'r', 'a')), one);
});
