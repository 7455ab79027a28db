// SPDX-License-Identifier: GPL-2.0-or-later
import test from 'ava';
import { syncBounds } from '../../../src/daemon/facts.js';

test('a sync goes from what is on the disk to what is durable, not to what is only written', (t) => {
  const val = { number: 3n, pos: 20480n, durableNumber: 2n, durable: 12288n, ckptNumber: 1n, ckpt: 8192n };
  const { start, end } = syncBounds(val, { number: 3n, origin: 'a' });
  t.deepEqual(start, { number: 1n, origin: 'a', pos: 8192n, dirty: 0n });
  t.deepEqual(end, { number: 2n, origin: 'a', pos: 12288n, dirty: 0n });
});

test('before the logger has told anything, a sync begins and ends at the start of the log', (t) => {
  const { start, end } = syncBounds({}, { number: 3n, origin: 'a' });
  t.deepEqual([start.number, start.pos, end.number, end.pos], [3n, 0n, 3n, 0n]);
});
