// SPDX-License-Identifier: GPL-2.0-or-later
/** Three nodes: what one cannot get from the primary it gets from another replica. */
import test from 'ava';
import { block, BLOCK, compareImages, image, makeLab, onDevice, R, textOf } from './support.js';

const three = { nodes: ['a', 'b', 'c'] } as const;

test.serial('a replica that is cut off from the primary follows by way of the other one', async (t) => {
  const lab = await makeLab(t, three);
  const [a, c] = [lab.node('a'), lab.node('c')];
  await onDevice(a, (d) => d.write(0, block('before')));
  await lab.cut('a', 'c');
  const device = await a.open(R);
  for (let i = 0; i < 64; i++) await device.write(i * BLOCK, block(`by way of b ${i}`));
  await device.flush();
  const end = a.link(`resource-${R}/actual-a/fetch-pos`);
  t.truthy(end);
  await a.marsadm(['log-rotate', R]);
  await device.write(100 * BLOCK, block('in the next log'));
  await device.close();
  await c.waitLink(
    `resource-${R}/replay-c`,
    (v) => Number(/^log-0+2-a,(\d+)/.exec(v ?? '')?.[1] ?? 0) > BLOCK,
  );
  t.is(c.link('local/peer-a') === 'connected', false);
  await lab.mend('a', 'c');
  await compareImages(t, lab, a);
});

test.serial('a replica goes on with the other source when the one it fetches from dies', async (t) => {
  const lab = await makeLab(t, three);
  const [a, b, c] = [lab.node('a'), lab.node('b'), lab.node('c')];
  await c.marsadm(['pause-fetch', R]);
  await onDevice(a, async (d) => {
    for (let i = 0; i < 64; i++) await d.write(i * BLOCK, block(`only a and b ${i}`));
  });
  await b.marsadm(['wait-resource', R, 'uptodate']);
  const position = b.link(`resource-${R}/replay-b`)?.split(',').slice(0, 2).join(',');
  await a.kill();
  await c.marsadm(['resume-fetch', R]);
  await c.waitLink(`resource-${R}/replay-c`, (v) => v?.startsWith(`${position},`) ?? false);
  await a.start();
  await a.marsadm(['wait-resource', R, 'is-primary']);
  t.is(textOf(await onDevice(a, (d) => d.read(63 * BLOCK, BLOCK))), 'only a and b 63');
  await compareImages(t, lab, a);
});

test.serial(
  'the primary is lost for good; the most advanced replica takes over, the other follows, the old one comes back',
  async (t) => {
    const lab = await makeLab(t, three);
    const [a, b, c] = [lab.node('a'), lab.node('b'), lab.node('c')];
    await c.marsadm(['pause-fetch', R]);
    await onDevice(a, (d) => d.write(0, block('b has it, c has not')));
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await a.kill();
    await b.marsadm(['disconnect', R]);
    await b.marsadm(['primary', '--force', R]);
    await b.marsadm(['connect', R]);
    await onDevice(b, (d) => d.write(BLOCK, block('by b')));
    await c.marsadm(['resume-fetch', R]);
    await b.marsadm(['wait-cluster', R, '--timeout', '0'], 'any');
    await c.waitLink(`resource-${R}/replay-c`, (v) => v?.startsWith('log-000000002-b') ?? false);
    await a.start();
    await a.marsadm(['wait-resource', R, 'uptodate']);
    t.is(a.link(`resource-${R}/actual-a/split-brain`), undefined);
    await compareImages(t, lab, b);
    t.truthy(image(lab, a));
  },
);

test.serial(
  'a handover while the third node is away; it follows the new primary when it returns',
  async (t) => {
    const lab = await makeLab(t, three);
    const [a, b, c] = [lab.node('a'), lab.node('b'), lab.node('c')];
    await c.kill();
    await onDevice(a, (d) => d.write(0, block('by a')));
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await b.marsadm(['primary', R]);
    await onDevice(b, (d) => d.write(BLOCK, block('by b')));
    await a.marsadm(['wait-resource', R, 'uptodate']);
    await a.marsadm(['primary', R]);
    await onDevice(a, (d) => d.write(2 * BLOCK, block('by a again')));
    await c.start();
    await compareImages(t, lab, a);
  },
);
