// SPDX-License-Identifier: GPL-2.0-or-later
import test from 'ava';
import { mayInvalidate, pending } from '../../../src/strategy/requests.js';
import { keys } from '../../../src/tree/catalogue.js';
import { snapshotOf } from '../../support/snapshot.js';

const wish = keys.todo('r', 'a', 'rotate');
const answer = keys.actual('r', 'a', 'rotated');

test('a request is pending until it is answered', (t) => {
  t.is(pending(snapshotOf({}), 'r', 'a', 'rotate'), undefined);
  t.is(pending(snapshotOf({ [wish]: '7' }), 'r', 'a', 'rotate'), '7');
  t.is(pending(snapshotOf({ [wish]: '7', [answer]: '6' }), 'r', 'a', 'rotate'), '7');
  t.is(pending(snapshotOf({ [wish]: '7', [answer]: '7' }), 'r', 'a', 'rotate'), undefined);
});

test('what is no number neither asks nor answers', (t) => {
  t.is(pending(snapshotOf({ [wish]: 'soon' }), 'r', 'a', 'rotate'), undefined);
  t.is(pending(snapshotOf({ [wish]: '7', [answer]: 'done' }), 'r', 'a', 'rotate'), '7');
});

test('a replica is thrown away only while somebody else has the device', (t) => {
  const primary = (host: string, active: string) =>
    snapshotOf({ [keys.primary('r')]: host, [keys.actual('r', host, 'is-primary')]: active });
  t.true(mayInvalidate(primary('b', '1'), 'r', 'a'));
  t.false(mayInvalidate(primary('b', '0'), 'r', 'a'));
  t.false(mayInvalidate(primary('a', '1'), 'r', 'a'));
  t.false(mayInvalidate(snapshotOf({ [keys.primary('r')]: '(none)' }), 'r', 'a'));
});
