// SPDX-License-Identifier: GPL-2.0-or-later
/** `secondary` only takes back: it loses against every `primary`, even one issued earlier behind a cut link. */
import test from 'ava';
import { block, BLOCK, compareImages, makeLab, onDevice, R, textOf } from './support.js';

test('a primary that was forced during a partition survives a later secondary on the other side', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('by a')));
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await lab.cut('a', 'b');
  await b.marsadm(['disconnect', R]);
  await b.marsadm(['primary', '--force', R]);
  await b.marsadm(['connect', R]);
  await onDevice(b, (d) => d.write(BLOCK, block('by b')));

  await a.marsadm(['secondary', R]);
  t.is(a.link(`resource-${R}/primary`), '(none)');
  t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');

  await lab.mend('a', 'b');
  await a.marsadm(['wait-cluster']);
  await b.marsadm(['wait-cluster']);
  for (const node of [a, b]) t.is(node.link(`resource-${R}/primary`), 'b');
  t.is(b.link(`resource-${R}/actual-b/is-primary`), '1');
  t.notRegex(b.log, /no longer primary/);
  await a.marsadm(['wait-resource', R, 'uptodate']);
  t.is(textOf(await onDevice(b, (d) => d.read(BLOCK, BLOCK))), 'by b');
  await compareImages(t, lab, b);
});

test('a secondary that nobody contradicts counts, and the next primary counts over it', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('by a')));
  await a.marsadm(['secondary', R]);
  await a.marsadm(['wait-cluster']);
  t.is(b.link(`resource-${R}/primary`), '(none)');
  await b.marsadm(['primary', R]);
  t.is(textOf(await onDevice(b, (d) => d.read(0, BLOCK))), 'by a');
  await compareImages(t, lab, b);
});
