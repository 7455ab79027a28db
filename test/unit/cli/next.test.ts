// SPDX-License-Identifier: GPL-2.0-or-later
/** What is printed as the next step: it is there, and every command in it is one. */
import test from 'ava';
import { EXIT, MarsError, REASONS, type ReasonCode } from '../../../src/errors.js';
import { keys } from '../../../src/tree/catalogue.js';
import { checkNext } from './refusal.js';
import { Bench, MIB } from './support.js';

const codes = Object.keys(REASONS) as ReasonCode[];

for (const code of codes) {
  const { exit, hint } = REASONS[code];
  if (hint === undefined && exit !== EXIT.refused && exit !== EXIT.notFound && exit !== EXIT.usage) continue;
  test(`the hint of ${code}`, (t) => {
    t.is(new MarsError(code).next, hint);
    checkNext(t, hint?.replaceAll('RESOURCE', 'r1'));
  });
}

test('a hint names the resource, of several each its own', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource('r1');
  b.resource('r2');
  b.write({ [keys.data('r2', 'hostb')]: null });
  b.daemonOn();
  const running = b.start('primary', 'r1,r3', '--json');
  await running.shows('is-primary is still 1');
  b.write({ [keys.actual('r1', 'hostb', 'replay-code')]: 'bad-crc' });
  const ran = await running.done;
  t.deepEqual(
    ran.json.results?.map((r) => r.next),
    ['`marsadm view r1` shows why, and what helps', 'marsadm view-all-resources'],
  );
  t.is((await b.run('resume-replay', 'r2', '--json')).json.next, 'marsadm join-resource r2 DEVICE');
});

test('problems in a view name the resource', async (t) => {
  const b = new Bench(t);
  b.resource();
  b.write({
    [keys.actual('r1', 'hosta', 'state')]: 'log-space-low',
    [keys.actual('r1', 'hosta', 'split-brain')]: 'log-000000001-hosta,8192 vs hostb',
    [keys.actual('r1', 'hostb', 'replay-code')]: 'log-missing',
    [keys.actual('r1', 'hostb', 'disk-error')]: '5',
  });
  const seen = async (): Promise<Map<string, string | undefined>> => {
    const { data } = (await b.run('view', '--json')).json as {
      data: { resources: { members: { problems: { code: string; next?: string }[] }[] }[] };
    };
    const found = data.resources.flatMap((r) => r.members.flatMap((m) => m.problems));
    return new Map(found.map((p) => [p.code, p.next]));
  };
  const first = await seen();
  t.is(first.get('log-missing'), 'marsadm invalidate r1');
  t.is(first.get('log-space-low'), 'marsadm log-delete all');
  t.true(first.has('split-brain'));
  for (const next of first.values()) if (next !== undefined) checkNext(t, next);

  // Logs that hostb has yet to fetch.
  b.write({
    [keys.version('r1', 2n, 'hosta')]:
      `${'e'.repeat(32)},log-000000002-hosta,8192:${'d'.repeat(32)},log-000000001-hosta,12288`,
    [keys.replay('r1', 'hosta')]: 'log-000000002-hosta,8192,0',
  });
  for (const [change, wanted] of [
    [{ [keys.todo('r1', 'hostb', 'connect')]: '0' }, /`marsadm resume-fetch r1` on hostb/],
    [
      { [keys.todo('r1', 'hostb', 'connect')]: '1', [keys.todo('r1', 'hostb', 'allow-replay')]: '0' },
      /`marsadm resume-replay r1` on hostb/,
    ],
    [{ [keys.todo('r1', 'hostb', 'allow-replay')]: '1' }, /`marsadm view r1` on hostb/],
    [{ [keys.peer('hostb')]: 'unreachable:peer-unreachable' }, /leave-resource r1 --host hostb --force`/],
  ] as const) {
    b.write(change);
    const next = (await seen()).get('log-space-low');
    t.regex(next ?? '', wanted);
    checkNext(t, next);
  }
});

test('what ends a wait says what is next', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  b.write({
    [keys.actual('r1', 'hostb', 'is-attached')]: '0',
    [keys.actual('r1', 'hostb', 'disk-error')]: '6',
    [keys.actual('r1', 'hosta', 'state')]: 'log-write-error',
    [keys.actsize('r1', 'hostb')]: String(8 * MIB),
  });
  b.daemonOn();
  const ran = await b.run('attach', 'r1', '--json');
  t.is(ran.json.reason, 'device-unusable');
  checkNext(t, ran.json.next);
  const waited = await b.run('wait-resource', 'r1', 'is-primary', '--json', '--timeout', '0');
  t.is(waited.json.reason, 'timeout');
  checkNext(t, waited.json.next);
});
