// SPDX-License-Identifier: GPL-2.0-or-later
/** Who has to step down before a handover, and for whom it waits. */
import test from 'ava';
import { keys } from '../../../src/tree/catalogue.js';
import { Bench } from './support.js';

test('a handover waits for everybody who is primary, not for the designated one alone', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.replica('r1', 'hostc', { [keys.actual('r1', 'hostc', 'is-primary')]: '1' });
  b.write({ [keys.peer('hostc')]: 'connected', [keys.primary('r1')]: 'hostc' });
  b.daemonOn();
  const running = b.start('primary', 'r1');
  await running.shows('waiting: hostc: r1 is-primary is still 1');
  b.write({ [keys.actual('r1', 'hostc', 'is-primary')]: '0' });
  await running.shows('waiting: hosta: r1 is-primary is still 1');
  b.write({ [keys.actual('r1', 'hosta', 'is-primary')]: '0' });
  await running.shows('waiting: hostb: r1 is-primary is still 0');
  b.write({ [keys.actual('r1', 'hostb', 'is-primary')]: '1' });
  t.is((await running.done).code, 0);
});

test('whoever was made primary by force is not refused for the sake of the one that was overridden', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({
    [keys.primary('r1')]: 'hostb',
    [keys.lastPrimary('r1')]: 'hostb',
    [keys.timeline('r1')]: '2',
    [keys.actual('r1', 'hosta', 'open-count')]: '1',
  });
  b.daemonOn();
  const running = b.start('primary', 'r1');
  await running.shows('waiting: hostb: r1 is-primary is still 0');
  b.write({ [keys.actual('r1', 'hostb', 'is-primary')]: '1' });
  t.is((await running.done).code, 0);
});
