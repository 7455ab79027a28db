// SPDX-License-Identifier: GPL-2.0-or-later
/** The main job: what is written at the primary arrives at the replicas, across stops and kills. */
import { readFile } from 'node:fs/promises';
import test from 'ava';
import { block, BLOCK, compareImages, image, makeLab, onDevice, R, textOf } from './support.js';

test.serial('a write at the primary arrives at two replicas', async (t) => {
  const lab = await makeLab(t, { nodes: ['a', 'b', 'c'] });
  const a = lab.node('a');
  await onDevice(a, async (device) => {
    await device.write(0, block('first'));
    await device.write(5 * BLOCK, block('second'));
    for (let i = 8; i < 12; i++) await device.write(i * BLOCK, block('trimmed'));
    await device.trim(8 * BLOCK, 4 * BLOCK);
    await device.flush();
  });
  await compareImages(t, lab, a);
  const expected = Buffer.alloc(8 << 20);
  block('first').copy(expected);
  block('second').copy(expected, 5 * BLOCK);
  // what was discarded is zeros
  t.true((await readFile(image(lab, lab.node('c')))).equals(expected));
});

test.serial('what was there before joining arrives by sync, what comes meanwhile by log', async (t) => {
  const lab = await makeLab(t, { join: [] });
  const [a, b] = [lab.node('a'), lab.node('b')];
  const device = await a.open(R);
  for (let i = 0; i < 256; i++) await device.write(i * BLOCK, block(`before ${i}`));
  await device.flush();
  const joined = b
    .marsadm(['join-resource', R, image(lab, b)])
    .then(() => b.marsadm(['wait-resource', R, 'uptodate']));
  for (let i = 0; i < 256; i++) await device.write(i * 3 * BLOCK, block(`meanwhile ${i}`));
  await device.flush();
  await joined;
  await device.write(7 * BLOCK, block('after'));
  await device.close();
  await compareImages(t, lab, a);
});

test.serial('a primary that is killed comes back with everything that was flushed', async (t) => {
  const lab = await makeLab(t);
  const a = lab.node('a');
  const device = await a.open(R);
  for (let i = 0; i < 64; i++) await device.write(i * BLOCK, block(`kept ${i}`));
  await device.flush();
  await a.kill();
  device.destroy();
  await a.start();
  await a.marsadm(['wait-resource', R, 'is-primary']);
  await onDevice(a, async (again) => {
    for (let i = 0; i < 64; i++) t.is(textOf(await again.read(i * BLOCK, BLOCK)), `kept ${i}`);
    await again.write(0, block('after the crash'));
  });
  await compareImages(t, lab, a);
});

test.serial('a replica that is killed goes on where it was', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('one')));
  await b.kill();
  await onDevice(a, (d) => d.write(BLOCK, block('two')));
  await b.start();
  await compareImages(t, lab, a);
});

test.serial('an orderly stop and start of everything changes nothing', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('one')));
  t.is(await a.stop(), 0);
  t.is(await b.stop(), 0);
  await b.start();
  await a.start();
  await a.marsadm(['wait-resource', R, 'is-primary']);
  t.is(textOf(await onDevice(a, (d) => d.read(0, BLOCK))), 'one');
  await compareImages(t, lab, a);
});

test.serial('a planned handover moves the device and loses nothing', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('by a')));
  await b.marsadm(['primary', R]);
  t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');
  await onDevice(b, async (d) => {
    t.is(textOf(await d.read(0, BLOCK)), 'by a');
    await d.write(BLOCK, block('by b'));
  });
  await a.marsadm(['wait-cluster']);
  await a.marsadm(['primary', R]);
  t.is(textOf(await onDevice(a, (d) => d.read(BLOCK, BLOCK))), 'by b');
  await compareImages(t, lab, a);
});

test.serial('logs are rotated while writing, followed, and deleted when nobody needs them', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  const device = await a.open(R);
  t.deepEqual(a.logs(R), ['log-000000001-a']);
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 32; i++) await device.write(i * BLOCK, block(`round ${round} ${i}`));
    await a.marsadm(['log-rotate', R]);
  }
  await device.close();
  await a.waitLink(`resource-${R}/replay-b`, (v) => v?.startsWith('log-000000005-a') ?? false);
  for (const node of [a, b]) await node.waitLogs(R, (logs) => logs.join() === 'log-000000005-a');
  await compareImages(t, lab, a);
});

test.serial('a device to be detached that is still open is looked after until it is closed', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await b.marsadm(['pause-fetch', R]);
  const device = await a.open(R);
  await device.write(0, block('one'), true);
  await a.marsadm(['log-rotate', R]);
  await device.write(0, block('two'), true);
  await a.marsadm(['set-link', '--force', '0', `resource-${R}/todo-a/attach`]);
  t.deepEqual(a.logs(R), ['log-000000001-a', 'log-000000002-a'], 'b needs the first one');
  await b.marsadm(['resume-fetch', R]);
  await a.waitLogs(R, (logs) => logs.join() === 'log-000000002-a');
  t.is(a.link(`resource-${R}/actual-a/is-attached`), '1');
  await device.close();
  await a.waitLink(`resource-${R}/actual-a/is-attached`, (v) => v === '0');
  await a.marsadm(['attach', R]);
  await compareImages(t, lab, a);
});

test.serial('log-delete deletes what a detached replica held for others', async (t) => {
  const lab = await makeLab(t, { nodes: ['a', 'b', 'c'] });
  const [a, b, c] = [lab.node('a'), lab.node('b'), lab.node('c')];
  await c.marsadm(['disconnect', R]);
  for (let i = 0; i < 2; i++) {
    await onDevice(a, (d) => d.write(i * BLOCK, block(`write ${i}`)));
    await a.marsadm(['log-rotate', R]);
  }
  await b.waitLink(`resource-${R}/replay-b`, (v) => v?.startsWith('log-000000003-a') ?? false);
  await b.marsadm(['detach', R]);
  const held = ['log-000000001-a', 'log-000000002-a', 'log-000000003-a'];
  t.deepEqual(b.logs(R), held, 'c needs them');
  await b.marsadm(['log-delete', R]);
  t.deepEqual(b.logs(R), held, 'c still needs them');

  await c.marsadm(['connect', R]);
  await b.waitLink(`resource-${R}/replay-c`, (v) => v?.startsWith('log-000000003-a') ?? false);
  await b.marsadm(['wait-cluster']);
  t.deepEqual(b.logs(R), held, 'who is detached does nothing by itself');
  await b.marsadm(['log-delete', R]);
  t.deepEqual(b.logs(R), ['log-000000003-a']);
  await b.marsadm(['attach', R]);
  await compareImages(t, lab, a);
});

test.serial('cron begins a new log, once there is something in the old one, and that goes', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await a.marsadm(['cron', 'all']);
  t.deepEqual(a.logs(R), ['log-000000001-a'], 'nothing was written yet');
  await onDevice(a, (d) => d.write(0, block('one')));
  await a.waitLink(`resource-${R}/actual-a/fetch-pos`, (v) => Number(v?.split(',')[1]) > BLOCK);
  await a.marsadm(['cron', 'all']);
  for (const node of [a, b]) await node.waitLogs(R, (logs) => logs.join() === 'log-000000002-a');
  await b.marsadm(['cron', 'all']);
  t.deepEqual(a.logs(R), ['log-000000002-a'], 'a replica begins no log');
  await compareImages(t, lab, a);
});
