// SPDX-License-Identifier: GPL-2.0-or-later
/** Disks and directories that are not as they should be. Each is refused or waited for by name, and nothing is lost. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync, truncateSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {
  block,
  BLOCK,
  compareImages,
  image,
  makeDisk,
  makeLab,
  mount,
  onDevice,
  R,
  refused,
  textOf,
  tool,
  waitMessage,
  waitQuiet,
  withMounts,
} from './support.js';

const SIZE = 8 << 20;

/** Hold an exclusive lock on a file in a process of its own; returns how to let go. */
async function lockFile(file: string): Promise<() => Promise<void>> {
  const child = spawn('flock', ['-x', '-n', file, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return async () => {
    child.stdin.end();
    await once(child, 'close');
  };
}

test.serial('a disk that is smaller than the resource is refused when joining', async (t) => {
  const lab = await makeLab(t, { join: [] });
  const b = lab.node('b');
  await makeDisk(image(lab, b), SIZE - BLOCK);
  t.regex(await refused(t, b, ['join-resource', R, image(lab, b)], 3, 'device-too-small'), /8384512/);
  await makeDisk(image(lab, b), SIZE);
  await b.marsadm(['join-resource', R, image(lab, b)]);
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await compareImages(t, lab, lab.node('a'));
});

test.serial(
  'a disk that has shrunk or vanished is not attached; it is when it has its size again',
  async (t) => {
    const lab = await makeLab(t);
    const [a, b] = [lab.node('a'), lab.node('b')];
    await onDevice(a, (d) => d.write(0, block('one')));
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await b.stop();
    truncateSync(image(lab, b), SIZE / 2);
    await b.start();
    await waitMessage(b, 'error', 'device-too-small');
    t.is(b.link(`resource-${R}/actual-b/is-attached`), '0');
    await onDevice(a, (d) => d.write(BLOCK, block('two')));
    t.is(b.link(`resource-${R}/actual-b/is-replaying`), '0');

    await b.stop();
    await tool('mv', image(lab, b), `${image(lab, b)}.away`);
    await b.start();
    await waitMessage(b, 'error', 'device-missing');
    await tool('mv', `${image(lab, b)}.away`, image(lab, b));

    truncateSync(image(lab, b), SIZE);
    await b.marsadm(['invalidate', R]);
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await waitQuiet(b, 'error');
    await compareImages(t, lab, a);
  },
);

test.serial(
  'a primary whose disk has shrunk does not open it, and does when it has its size again',
  async (t) => {
    const lab = await makeLab(t, { nodes: ['a'] });
    const a = lab.node('a');
    await onDevice(a, (d) => d.write(0, block('kept')));
    await a.stop();
    truncateSync(image(lab, a), SIZE / 2);
    await a.start();
    await waitMessage(a, 'error', 'device-too-small');
    t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');
    truncateSync(image(lab, a), SIZE);
    await a.marsadm(['wait-resource', R, 'is-primary']);
    t.is(textOf(await onDevice(a, (d) => d.read(0, BLOCK))), 'kept');
  },
);

test.serial('a disk in use by another process is waited for', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  for (const node of [a, b]) {
    await node.stop();
    const release = await lockFile(image(lab, node));
    await node.start();
    await waitMessage(node, 'error', 'device-busy');
    t.is(node.link(`resource-${R}/actual-${node.name}/is-attached`), '0');
    await release();
    await node.marsadm(['wait-resource', R, 'is-attached']);
    await waitQuiet(node, 'error');
  }
  await a.marsadm(['wait-resource', R, 'is-primary']);
  await onDevice(a, (d) => d.write(0, block('one')));
  await compareImages(t, lab, a);
});

test.serial('one file serves one resource only, by whatever name it is given', async (t) => {
  const lab = await makeLab(t, { nodes: ['a'] });
  const a = lab.node('a');
  await onDevice(a, (d) => d.write(0, block('kept')));
  await refused(t, a, ['create-resource', 'second', image(lab, a)], 3, 'device-busy');
  const alias = path.join(lab.dir, 'alias.img');
  symlinkSync(image(lab, a), alias);
  await refused(t, a, ['create-resource', 'second', alias], 3, 'device-busy');
  await tool('ln', '-f', image(lab, a), `${alias}.hard`);
  await refused(t, a, ['create-resource', 'second', `${alias}.hard`], 3, 'device-busy');

  // With the daemon away nobody holds a lock; the daemon itself must notice then.
  await a.stop();
  const outcome = await a.marsadm(['create-resource', 'second', `${alias}.hard`], 'any');
  await a.start();
  if (outcome.code === 0) {
    await a.marsadm(['wait-resource', `${R},second`, 'is-attached', '--timeout', '0'], 'any');
    const busy = [R, 'second'].map((r) =>
      a.waitLink(`resource-${r}/actual-a/msg-error`, (v) => / device-busy$/.test(v ?? '')),
    );
    await Promise.race(busy);
    const attached = [R, 'second'].filter((r) => a.link(`resource-${r}/actual-a/is-attached`) === '1');
    t.true(attached.length <= 1, attached.join());
  } else t.is(outcome.code, 3);
});

withMounts('a state directory that cannot be written is refused, and nothing is changed', async (t) => {
  const lab = await makeLab(t, { nodes: ['a'] });
  const a = lab.node('a');
  await onDevice(a, (d) => d.write(0, block('kept')));
  await a.stop();
  await mount(t, a.dir, '--bind', a.dir);
  await tool('mount', '-o', 'remount,ro,bind', a.dir);
  const outcome = await a.attempt();
  t.is(outcome.code, 1);
  t.regex(outcome.stderr, /tree-not-writable/);
  await refused(t, a, ['pause-replay', R], 1, 'tree-not-writable');
  t.is(await a.ask('view-get-primary', R), 'a');
  await tool('umount', a.dir);
  await a.start();
  await a.marsadm(['wait-resource', R, 'is-primary']);
  t.is(textOf(await onDevice(a, (d) => d.read(0, BLOCK))), 'kept');
});

withMounts('a daemon whose state directory has become read-only ends when it is told to', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('one')));
  for (const node of [a, b]) {
    await node.marsadm(['wait-resource', R, 'uptodate']);
    // A file system in which a file is being written can't become read-only.
    await b.marsadm(['pause-fetch', R]);
    await mount(t, node.dir, '--bind', node.dir);
    await tool('mount', '-o', 'remount,ro,bind', node.dir);
    t.is(await node.stop(), 1, 'its last word is not in the tree');
    t.regex(node.log, /tree-not-writable/);
    await tool('umount', node.dir);
    await node.start();
    await b.marsadm(['resume-fetch', R]);
  }
  await a.marsadm(['wait-resource', R, 'is-primary']);
  t.is(textOf(await onDevice(a, (d) => d.read(0, BLOCK))), 'one');
  await compareImages(t, lab, a);
});

withMounts(
  'a state directory that becomes read-only under a replica stops it; it goes on when it may',
  async (t) => {
    const lab = await makeLab(t);
    const [a, b] = [lab.node('a'), lab.node('b')];
    await onDevice(a, (d) => d.write(0, block('one')));
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await mount(t, b.dir, '--bind', b.dir);
    const complained = b.says(/tree-not-writable|EROFS|read-only/i);
    await tool('mount', '-o', 'remount,ro,bind', b.dir);
    await onDevice(a, async (d) => {
      for (let i = 0; i < 64; i++) await d.write(i * BLOCK, block(`two ${i}`));
      await d.flush();
    });
    await complained;
    await tool('umount', b.dir);
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await compareImages(t, lab, a);
  },
);
