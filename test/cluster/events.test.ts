// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The two event tables of the MARS manual, step by step, between two daemons
 * whose link is really cut. "umount" is closing the NBD device.
 */
import test from 'ava';
import { block, BLOCK, compareImages, makeLab, onDevice, R, refused, textOf } from './support.js';

test.serial(
  'table 1: a partition, then primary on B is refused; afterwards communication resumes',
  async (t) => {
    const lab = await makeLab(t);
    const [a, b] = [lab.node('a'), lab.node('b')];
    const device = await a.open(R);
    await device.write(0, block('before'));
    await device.flush();
    await b.marsadm(['wait-resource', R, 'uptodate']);

    // 1. the network partitions: nothing happens, but replication lags behind
    await lab.cut('a', 'b');
    await device.write(BLOCK, block('during'));
    await device.flush();
    t.is(a.link(`resource-${R}/actual-a/is-primary`), '1');

    // 2. on A: umount
    await device.close();
    await a.marsadm(['wait-umount', R]);

    // 3. on A: secondary
    await a.marsadm(['secondary', R]);
    t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');

    // 4. on B: primary is refused, since B believes that A is primary
    const refused = await b.marsadm(['primary', R, '--json'], 3);
    const answer = JSON.parse(refused.stdout) as { ok: boolean; reason: string; found: string; next: string };
    t.false(answer.ok);
    t.is(answer.reason, 'primary-unreachable');
    t.regex(answer.found, /believes that a is primary/);
    t.truthy(answer.next);
    t.is(b.link(`resource-${R}/primary`), 'a');

    // 5. the network resumes: communication resumes, and now it is possible
    await lab.mend('a', 'b');
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await b.marsadm(['wait-cluster']);
    await b.marsadm(['primary', R]);
    t.is(textOf(await onDevice(b, (d) => d.read(BLOCK, BLOCK))), 'during');
    await compareImages(t, lab, b);
  },
);

test.serial(
  'table 2: the switch is forced, and A detects the split brain when the network resumes',
  async (t) => {
    const lab = await makeLab(t);
    const [a, b] = [lab.node('a'), lab.node('b')];
    const device = await a.open(R);
    await device.write(0, block('before'));
    await device.flush();
    await b.marsadm(['wait-resource', R, 'uptodate']);

    // 1. to 4. as in table 1, with bytes at A that B does not have
    await lab.cut('a', 'b');
    await device.write(BLOCK, block('only at a'));
    await device.flush();
    await device.close();
    await a.marsadm(['wait-umount', R]);
    await a.marsadm(['secondary', R]);
    await b.marsadm(['primary', R], 3);

    // 5. on B: disconnect works, nothing happens
    await b.marsadm(['disconnect', R]);
    t.is(b.link(`resource-${R}/primary`), 'a');

    // 6. on B: primary --force works; the split brain exists, but A does not know
    await b.marsadm(['primary', '--force', R]);
    await onDevice(b, (d) => d.write(BLOCK, block('only at b')));
    t.is(a.link(`resource-${R}/actual-a/split-brain`), undefined);

    // 7. on B: connect works, nothing happens
    await b.marsadm(['connect', R]);
    t.is(b.link(`resource-${R}/actual-b/is-primary`), '1');

    // 8. the network resumes: communication resumes, A now detects the split brain
    await lab.mend('a', 'b');
    await a.marsadm(['wait-resource', R, 'split-brain']);
    t.is(a.link(`resource-${R}/primary`), 'b');
    t.truthy(a.link(`resource-${R}/actual-a/split-brain`));
    t.is((await a.marsadm(['primary', R], 10)).code, 10);

    // both versions remain until somebody decides; here B is kept
    await a.marsadm(['invalidate', R]);
    await a.marsadm(['wait-resource', R, 'uptodate']);
    t.is(a.link(`resource-${R}/actual-a/split-brain`), undefined);
    t.is(textOf(await onDevice(b, (d) => d.read(BLOCK, BLOCK))), 'only at b');
    await compareImages(t, lab, b);
  },
);

test.serial('a forced switch after which nobody has lost anything is no split brain', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('shared')));
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await a.kill();
  await b.marsadm(['disconnect', R]);
  await b.marsadm(['primary', '--force', R]);
  await b.marsadm(['connect', R]);
  await onDevice(b, (d) => d.write(BLOCK, block('by b')));
  await a.start();
  await a.marsadm(['wait-resource', R, 'uptodate']);
  t.is(a.link(`resource-${R}/actual-a/split-brain`), undefined);
  await compareImages(t, lab, b);
});

test.serial(
  'a handover waits for nobody who can not step down: one that was overridden by force',
  async (t) => {
    const lab = await makeLab(t, { nodes: ['a', 'b', 'c'] });
    const [a, b, c] = [lab.node('a'), lab.node('b'), lab.node('c')];
    const device = await a.open(R);
    await device.write(0, block('shared'), true);
    for (const node of [b, c]) await node.marsadm(['wait-resource', R, 'uptodate']);
    await c.marsadm(['disconnect', R]);
    await c.marsadm(['primary', '--force', R]);
    await c.marsadm(['connect', R]);
    for (const node of [a, c]) await node.marsadm(['wait-cluster']);
    t.is(a.link(`resource-${R}/actual-a/is-primary`), '1');
    await b.marsadm(['wait-resource', R, 'uptodate']);

    t.regex(await refused(t, b, ['primary', R], 3, 'device-open'), /^a: open-count/);
    t.is(b.link(`resource-${R}/primary`), 'c');

    await device.close();
    await a.marsadm(['wait-resource', R, 'is-primary-off']);
    await a.marsadm(['wait-cluster']);
    await b.marsadm(['primary', R]);
    t.is(textOf(await onDevice(b, (d) => d.read(0, BLOCK))), 'shared');
    await compareImages(t, lab, b);
  },
);
