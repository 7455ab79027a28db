// SPDX-License-Identifier: GPL-2.0-or-later
/** Commands that depend on who is primary: for whom a handover waits, and what `all` passes over. */
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

test('log-rotate all passes over what is primary elsewhere; by name it is refused', async (t) => {
  const b = new Bench(t);
  b.resource('r1');
  b.resource('r2');
  b.write({
    [keys.primary('r2')]: 'hostb',
    [keys.actual('r2', 'hosta', 'is-primary')]: '0',
    [keys.actual('r2', 'hostb', 'is-primary')]: '1',
  });
  const all = await b.run('log-rotate', 'all', '--json');
  t.is(all.code, 0, all.out);
  t.deepEqual(
    all.json.results?.map((r) => [r.resource, r.message]),
    [
      ['r1', 'r1: the primary writes a new log'],
      ['r2', 'r2: hosta is not its primary, nothing to rotate here'],
    ],
  );
  t.truthy(b.value(keys.todo('r1', 'hosta', 'rotate')));
  t.is(b.value(keys.todo('r2', 'hosta', 'rotate')), undefined);
  t.is((await b.run('log-rotate', 'r1,r2', '--json')).code, 8);
  t.is((await b.run('log-rotate', 'r2', '--json')).json.reason, 'not-primary');
});
