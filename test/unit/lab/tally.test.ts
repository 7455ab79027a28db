// SPDX-License-Identifier: GPL-2.0-or-later
/** Waiting for more of what a writer does: as much as asked for, or the reason why it never comes. */
import test from 'ava';
import { Tally } from '../../../lab/tally.js';

const never = new Promise<string>(() => undefined);

test('each waiter is told when as much more has come as it asked for', async (t) => {
  const tally = new Tally();
  tally.add(5);
  const told: string[] = [];
  const two = tally.more(2, never).then(() => told.push('two'));
  const three = tally.more(3, never).then(() => told.push('three'));
  tally.add(2);
  await two;
  t.deepEqual(told, ['two']);
  tally.add(1);
  await three;
  t.is(tally.count, 8);
});

test('a writer that ends before is said to have, with the reason', async (t) => {
  const tally = new Tally();
  tally.add(1);
  await t.throwsAsync(tally.more(1, Promise.resolve('exit 3')), { message: 'the writer has ended: exit 3' });
  await t.throwsAsync(tally.more(1, Promise.reject(new Error('EIO'))), { message: 'EIO' });
});
