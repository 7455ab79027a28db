// SPDX-License-Identifier: GPL-2.0-or-later
/** Exit codes 3 and 5 say that nothing was changed: what goes wrong after a write is a failure. */
import test from 'ava';
import { keys } from '../../../src/tree/catalogue.js';
import type { Changes } from '../../../src/tree/types.js';
import { Bench, MIB } from './support.js';

interface Row {
  readonly argv: readonly string[];
  readonly host: string;
  readonly before: Changes;
  /** what the command says it waits for, once it has written */
  readonly waiting: string;
  readonly then: Changes;
  readonly reason: string;
  readonly code: number;
}

const diskOff: Changes = { [keys.actual('r1', 'hostb', 'is-attached')]: '0' };
const diskError: Changes = { [keys.actual('r1', 'hostb', 'disk-error')]: '6' };
const replay = (word: string): Changes => ({ [keys.actual('r1', 'hostb', 'replay-code')]: word });

const ROWS: readonly Row[] = [
  ...['attach', 'up'].map((verb) => ({
    argv: [verb, 'r1'],
    host: 'hostb',
    before: diskOff,
    waiting: 'is-attached is still 0',
    then: diskError,
    reason: 'device-unusable',
    code: 1,
  })),
  {
    argv: ['resize', 'r1'],
    host: 'hosta',
    before: {
      [keys.actsize('r1', 'hosta')]: String(16 * MIB),
      [keys.actsize('r1', 'hostb')]: String(16 * MIB),
    },
    waiting: 'device-size is still',
    then: { [keys.actual('r1', 'hosta', 'is-primary')]: '0' },
    reason: 'not-primary',
    code: 1,
  },
  {
    argv: ['primary', 'r1'],
    host: 'hostb',
    before: {},
    waiting: 'is-primary is still 1',
    then: replay('bad-crc'),
    reason: 'replay-error',
    code: 1,
  },
  {
    argv: ['primary', 'r1'],
    host: 'hostb',
    before: {},
    waiting: 'is-primary is still 1',
    then: { [keys.primary('r1')]: 'hosta' },
    reason: 'primary-changed',
    code: 1,
  },
  {
    argv: ['primary', 'r1'],
    host: 'hostb',
    before: {},
    waiting: 'is-primary is still 1',
    then: replay('split-brain'),
    reason: 'split-brain',
    code: 10,
  },
];

for (const row of ROWS)
  test(`${row.argv.join(' ')}: ${row.reason} after the write`, async (t) => {
    const b = new Bench(t, row.host);
    b.resource();
    b.write(row.before);
    b.daemonOn();
    const running = b.start(...row.argv, '--json');
    await running.shows(row.waiting);
    b.write(row.then);
    const ran = await running.done;
    t.is(ran.json.reason, row.reason, ran.out);
    t.deepEqual([ran.code, ran.json.code], [row.code, row.code]);
  });

test('a second step that is refused comes after the write of the first', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.daemonOn();
  const running = b.start('cron', 'r1', '--json');
  await running.shows('rotate is not answered yet');
  const stamp = b.value(keys.todo('r1', 'hosta', 'rotate')) ?? '';
  b.write({
    [keys.data('r1', 'hosta')]: null,
    [keys.data('r1', 'hostb')]: null,
    [keys.resourceUuid('r1')]: null,
  });
  b.write({ [keys.actual('r1', 'hosta', 'rotated')]: stamp });
  const ran = await running.done;
  t.is(ran.json.reason, 'no-such-resource', ran.out);
  t.is(ran.code, 1);
});

test('a wait that wrote nothing is refused as before', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.write({
    [keys.actsize('r1', 'hosta')]: String(8 * MIB),
    [keys.actsize('r1', 'hostb')]: String(8 * MIB),
    [keys.actual('r1', 'hosta', 'device-size')]: '0',
  });
  b.daemonOn();
  const running = b.start('resize', 'r1', '--json');
  await running.shows('device-size is still 0');
  b.write({ [keys.actual('r1', 'hosta', 'is-primary')]: '0' });
  const ran = await running.done;
  t.is(ran.json.reason, 'not-primary', ran.out);
  t.is(ran.code, 3);
});
