// SPDX-License-Identifier: GPL-2.0-or-later
/** Hosts and replicas that come, go, stay away and come again. */
import { truncateSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {
  block,
  BLOCK,
  compareImages,
  image,
  makeDisk,
  makeLab,
  onDevice,
  R,
  refused,
  sum,
  textOf,
} from './support.js';

test.serial('a node that was away during deletions brings nothing back', async (t) => {
  const lab = await makeLab(t, { nodes: ['a', 'b', 'c'], resource: false });
  const [a, b, c] = [lab.node('a'), lab.node('b'), lab.node('c')];
  for (const name of ['one', 'two']) await a.marsadm(['set-link', 'here', `userspace/${name}`]);
  await a.marsadm(['wait-cluster']);
  t.is(c.link('userspace/two'), 'here');
  await c.stop();
  await a.marsadm(['delete-file', 'userspace/one']);
  await b.marsadm(['delete-file', 'userspace/two']);
  await b.marsadm(['set-link', 'again', 'userspace/two']);
  await c.start();
  for (const node of [a, b, c]) await node.marsadm(['wait-cluster']);
  for (const node of [a, b, c]) {
    t.is(node.link('userspace/one'), undefined, node.name);
    t.is(node.link('userspace/two'), 'again', node.name);
  }
});

test.serial('leave, delete, and the same name again with other data', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('the old one')));
  await b.marsadm(['wait-resource', R, 'uptodate']);
  const first = a.link(`resource-${R}/uuid`);

  await refused(t, a, ['leave-resource', R], 3, 'is-primary');
  await refused(t, a, ['delete-resource', R], 3, 'still-members');
  await b.marsadm(['leave-resource', R]);
  await refused(t, b, ['pause-replay', R], 5, 'not-joined');
  await a.marsadm(['secondary', R]);
  await a.marsadm(['leave-resource', R]);
  await b.marsadm(['wait-cluster']);
  await a.marsadm(['delete-resource', R]);
  await a.marsadm(['wait-cluster']);
  t.is(await b.ask('view-all-resources'), '');

  // the disks keep their data; b creates the new one
  await b.marsadm(['create-resource', R, image(lab, b)]);
  t.is(textOf(await onDevice(b, (d) => d.read(0, BLOCK))), 'the old one');
  t.not(b.link(`resource-${R}/uuid`), first);
  await onDevice(b, (d) => d.write(0, block('the new one')));
  await b.marsadm(['wait-cluster']);
  await a.marsadm(['join-resource', R, image(lab, a)]);
  await a.marsadm(['wait-resource', R, 'uptodate']);
  await compareImages(t, lab, b);
});

test.serial('a replica that left joins again', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  for (let round = 0; round < 2; round++) {
    await b.marsadm(['leave-resource', R]);
    await onDevice(a, (d) => d.write(round * BLOCK, block(`round ${round}`)));
    await b.marsadm(['join-resource', R, image(lab, b)]);
    await b.marsadm(['wait-resource', R, 'uptodate']);
  }
  await compareImages(t, lab, a);
});

test.serial('a host leaves the cluster, is refused, and joins again', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await refused(t, b, ['leave-cluster'], 3, 'in-use-by-resources');
  await b.marsadm(['leave-resource', R]);
  await b.marsadm(['leave-cluster']);
  t.is(a.link('ips/ip-b'), undefined);
  t.is(await a.ask('view-cluster-members'), 'a');
  await b.stop();
  await onDevice(a, (d) => d.write(0, block('without b')));

  const token = await a.ask('join-token');
  await b.marsadm(['join-cluster', token, '--address', `127.0.0.1:${b.port}`]);
  await b.start();
  await b.marsadm(['wait-cluster']);
  await b.marsadm(['join-resource', R, image(lab, b)]);
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await compareImages(t, lab, a);
});

test.serial('a host that is gone for good is taken out by another one, and the rest goes on', async (t) => {
  const lab = await makeLab(t, { nodes: ['a', 'b', 'c'] });
  const [a, b, c] = [lab.node('a'), lab.node('b'), lab.node('c')];
  await onDevice(a, (d) => d.write(0, block('seen by b')));
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await b.kill();
  await a.waitLink('local/peer-b', (v) => v?.startsWith('unreachable') ?? false);
  await c.marsadm(['disconnect', R]);
  for (let i = 1; i < 4; i++) {
    await onDevice(a, (d) => d.write(i * BLOCK, block(`without b ${i}`)));
    await a.marsadm(['log-rotate', R]);
  }
  const held = a.logs(R);
  t.is(held[0], 'log-000000001-a');

  await refused(t, a, ['leave-cluster', '--host', 'b'], 3, 'in-use-by-resources');
  await a.marsadm(['leave-resource', R, '--host', 'b', '--force']);
  t.is(a.link(`resource-${R}/data-b`), undefined);
  t.is(a.link(`resource-${R}/replay-b`), undefined);
  t.deepEqual(a.logs(R), held, 'c still needs them');
  await a.marsadm(['leave-cluster', '--host', 'b']);
  t.is(await a.ask('view-cluster-members'), 'a\nc');
  await a.marsadm(['wait-cluster']);
  t.is(c.link('ips/ip-b'), undefined);

  await c.marsadm(['connect', R]);
  await c.marsadm(['wait-resource', R, 'uptodate']);
  // b holds nothing back any more
  await a.waitLogs(R, (logs) => logs.join() === held.at(-1));
  await a.kill();
  await a.start();
  await a.marsadm(['wait-resource', R, 'is-primary']);

  // it comes back after all: a stranger that changes nothing
  await b.start();
  for (const other of ['a', 'c'])
    await b.waitLink(`local/peer-${other}`, (v) => v === 'unreachable:cert-not-member');
  await onDevice(a, (d) => d.write(4 * BLOCK, block('b is a stranger')));
  await a.marsadm(['wait-cluster']);
  for (const node of [a, c]) {
    t.is(node.link('ips/ip-b'), undefined);
    t.is(node.link(`resource-${R}/data-b`), undefined);
  }
  await compareImages(t, lab, a, [a, c]);
  t.is(b.link('ips/ip-a'), `127.0.0.1:${a.port}`);
});

test.serial('a resource grows with its disks, and the replica follows', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  const grown = 12 << 20;
  await onDevice(a, (d) => d.write(0, block('before')));
  await refused(t, a, ['resize', R, `${grown}`], 3, 'device-too-small');
  truncateSync(image(lab, a), grown);
  await a.waitLink(`resource-${R}/actsize-a`, (v) => v === `${grown}`);
  await refused(t, a, ['resize', R, `${grown}`], 3, 'device-too-small');
  truncateSync(image(lab, b), grown);
  await a.waitLink(`resource-${R}/actsize-b`, (v) => v === `${grown}`);
  await refused(t, b, ['resize', R], 3, 'not-primary');
  await refused(t, a, ['resize', R, `${4 << 20}`], 3, 'size-shrinks');
  // The disk itself says the size, as an operator names it; the daemon holds it.
  await a.marsadm(['resize', R, image(lab, a)]);
  t.is(a.link(`resource-${R}/size`), `${grown}`);
  t.is(a.link(`resource-${R}/actual-a/device-size`), `${grown}`);
  await onDevice(a, async (d) => {
    t.is(d.size, grown);
    await d.write(grown - BLOCK, block('at the new end'));
    await d.flush();
  });
  await a.marsadm(['wait-cluster']);
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await compareImages(t, lab, a);
});

test.serial('fetch, replay and attachment are switched off and on, one by one', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  let n = 0;
  const write = (): Promise<void> => onDevice(a, (d) => d.write(n * BLOCK, block(`write ${n++}`)));
  for (const [off, on, fact] of [
    ['pause-fetch', 'resume-fetch', 'is-copying'],
    ['disconnect', 'connect', 'is-copying'],
    ['pause-replay', 'resume-replay', 'is-replaying'],
    ['pause-sync', 'resume-sync', 'is-syncing'],
    ['detach', 'attach', 'is-attached'],
    ['down', 'up', 'is-attached'],
  ] as const) {
    await b.marsadm([off, R]);
    t.is(b.link(`resource-${R}/actual-b/${fact}`), '0', off);
    const image0 = await sum(image(lab, b));
    await write();
    if (off !== 'pause-sync') t.is(await sum(image(lab, b)), image0, off);
    await b.marsadm([on, R]);
    await b.marsadm(['wait-resource', R, 'uptodate']);
  }
  await compareImages(t, lab, a);
});

test.serial('several resources live side by side, with different primaries', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  const other = (node: { name: string }): string => path.join(lab.dir, `${node.name}-other.img`);
  for (const node of lab.nodes) await makeDisk(other(node), 8 << 20);
  await b.marsadm(['create-resource', 'other', other(b)]);
  await b.marsadm(['wait-cluster']);
  await a.marsadm(['join-resource', 'other', other(a)]);
  await a.marsadm(['wait-resource', 'other', 'uptodate']);
  for (let i = 0; i < 8; i++) {
    await onDevice(a, (d) => d.write(i * BLOCK, block(`data ${i}`)));
    const device = await b.open('other');
    await device.write(i * BLOCK, block(`other ${i}`));
    await device.close();
  }
  await a.kill();
  await a.start();
  await a.marsadm(['wait-resource', R, 'is-primary']);
  await b.marsadm(['wait-umount', 'other']);
  await a.marsadm(['wait-resource', 'other', 'uptodate']);
  await a.marsadm(['primary', 'other']);
  const moved = await a.open('other');
  t.is(textOf(await moved.read(7 * BLOCK, BLOCK)), 'other 7');
  await moved.close();
  await a.marsadm(['wait-umount', 'other']);
  await a.marsadm(['secondary', 'other']);
  await b.marsadm(['wait-cluster']);
  await b.marsadm(['wait-resource', 'other', 'uptodate']);
  for (const node of lab.nodes) await node.marsadm(['down', 'other']);
  t.is(await sum(other(a)), await sum(other(b)));
  await compareImages(t, lab, a);
});
