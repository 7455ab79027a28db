// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Anytime consistency with a real file system: ext4, mounted from the device of
 * the primary and in heavy use, while two replicas are stopped at random moments,
 * in good order and by kill -9. Each time a copy of the disk must be a file system
 * that is clean once its journal is recovered. What a kill leaves on the disk is a past
 * state only together with the replica's own logs, as writes of replay were under way:
 * the daemon applies these first, without anything from outside. Needs root, fuse and
 * loop devices.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants, copyFileSync, existsSync, mkdirSync, rmSync, statSync, watch } from 'node:fs';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { run, type Lab, type LabNode } from '../../lab/lab.js';
import { scanLogFile, type LogScan } from '../../src/engine/logscan.js';
import { compareImages, image, makeLab, needing, R, root, seeded, tool } from './support.js';

const SIZE = 64 << 20;
const ROUNDS = Number(process.env['MARS_KILL_ROUNDS'] ?? 4);
const withMounts = needing(root && existsSync('/dev/fuse') && existsSync('/dev/loop-control'));

/** Present a NBD socket as a file; resolves when it is there. */
async function fuse(t: ExecutionContext, socket: string, file: string): Promise<void> {
  const dir = path.dirname(file);
  mkdirSync(dir);
  const ready = appears(`${dir}.pid`);
  const child = spawn('nbdfuse', ['--pidfile', `${dir}.pid`, dir, '--unix', socket], { stdio: 'inherit' });
  const closed = once(child, 'close');
  t.teardown(async () => {
    await run('fusermount3', ['-uz', dir]);
    await closed;
  });
  await Promise.race([ready, closed.then(() => Promise.reject(new Error('nbdfuse has ended')))]);
}

/** Wait until a file is there and has content. */
function appears(file: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(path.dirname(file), () => {
      if (!existsSync(file) || statSync(file).size === 0) return;
      watcher.close();
      resolve();
    });
  });
}

/** ext4 on the device of a node, mounted; returns where, and how to unmount. */
async function mountDevice(
  t: ExecutionContext,
  lab: Lab,
  node: LabNode,
): Promise<{ dir: string; unmount: () => Promise<void> }> {
  const file = path.join(lab.dir, 'fuse', 'nbd');
  await fuse(t, node.device(R), file);
  const loop = (await tool('losetup', '-f', '--show', '--direct-io=on', file)).trim();
  t.teardown(() => run('losetup', ['-d', loop]));
  await tool('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', loop);
  const dir = path.join(lab.dir, 'mnt');
  mkdirSync(dir);
  await tool('mount', '-o', 'commit=1', loop, dir);
  t.teardown(() => run('umount', ['-l', dir]));
  return {
    dir,
    unmount: async () => {
      await tool('umount', dir);
      await tool('losetup', '-d', loop);
      await tool('fusermount3', '-u', path.dirname(file));
    },
  };
}

/** What keeps a file system busy: files made, appended to, moved, removed, and synced now and then. */
const BUSY = `
cd "$1"; i=0
while [ ! -e stop ]; do
  i=$((i + 1)); d=d$((i % 7)); mkdir -p $d
  head -c $((i * 977 % 60000)) /dev/urandom > $d/f$((i % 40)).new
  mv $d/f$((i % 40)).new $d/f$((i % 40))
  echo "line $i" >> journal.txt
  ln -f $d/f$((i % 40)) link$((i % 11))
  [ $((i % 5)) -eq 0 ] && rm -rf d$(((i + 3) % 7))
  [ $((i % 3)) -eq 0 ] && sync -f .
  echo $i
done`;

/** Findings of e2fsck that recovery of a journal brings with it; anything else is damage. */
const HARMLESS = [
  /^e2fsck \d/,
  /recovering journal/,
  /^Clearing orphaned inode/,
  /^Truncating orphaned inode/,
  /^Pass \d/,
  /^Setting free (?:inodes|blocks) count/,
  /^Free (?:inodes|blocks) count wrong \(/,
  /^Fix\? yes/,
  /FILE SYSTEM WAS MODIFIED/,
  /: \d+\/\d+ files /,
  /^\s*$/,
];

/** Copy the disk of a replica that stands still, recover its journal, and look for damage. */
async function check(t: ExecutionContext, lab: Lab, node: LabNode, when: string): Promise<void> {
  const copy = path.join(lab.dir, `${node.name}-copy.img`);
  copyFileSync(image(lab, node), copy, constants.COPYFILE_FICLONE);
  const first = await run('/usr/sbin/e2fsck', ['-fy', copy]);
  t.true(first.code <= 1, `${when}: ${first.stdout}${first.stderr}`);
  const damage = first.stdout.split('\n').filter((line) => !HARMLESS.some((h) => h.test(line)));
  t.deepEqual(damage, [], when);
  const second = await run('/usr/sbin/e2fsck', ['-fn', copy]);
  t.is(second.code, 0, `${when}: ${second.stdout}`);
  rmSync(copy);
}

/** Wait for `count` more rounds of the busy script. */
function rounds(busy: ChildProcess, count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    const onData = (data: Buffer): void => {
      left -= data.toString().split('\n').length - 1;
      if (left > 0) return;
      busy.stdout?.off('data', onData);
      resolve();
    };
    busy.stdout?.on('data', onData);
  });
}

/** Start a replica that was killed, and let it apply what it has itself. */
async function applyOwnLogs(node: LabNode): Promise<void> {
  await node.marsadm(['set-link', '--force', '0', `resource-${R}/todo-${node.name}/connect`]);
  const scan = (log: string): Promise<LogScan> => scanLogFile(path.join(node.dir, `resource-${R}`, log));
  const logs = node.logs(R);
  let newest = logs.pop() ?? '';
  // of the last one there may be nothing yet but its name
  if (!(await scan(newest)).ident) newest = logs.pop() ?? '';
  const { end } = await scan(newest);
  await node.start();
  await node.waitLink(
    `resource-${R}/replay-${node.name}`,
    (v) => v?.startsWith(`${newest},${end},`) ?? false,
  );
}

withMounts('every replica is a clean file system at every moment', async (t) => {
  const random = seeded(t);
  const lab = await makeLab(t, {
    nodes: ['a', 'b', 'c'],
    size: SIZE,
    daemonArgs: ['--segment', '4M', '--rotate-at', '4M'],
  });
  const [a, b, c] = [lab.node('a'), lab.node('b'), lab.node('c')];
  const fs = await mountDevice(t, lab, a);
  for (const node of [b, c]) await node.marsadm(['wait-resource', R, 'uptodate']);
  const busy = spawn('sh', ['-c', BUSY, 'sh', fs.dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(busy, 'close');
  t.teardown(() => busy.kill('SIGKILL'));
  for (let round = 0; round < ROUNDS; round++) {
    for (const node of [b, c]) {
      await rounds(busy, 3 + random(20));
      await node.marsadm(['pause-replay', R]);
      await check(t, lab, node, `${node.name} paused, round ${round}`);
      await rounds(busy, 1 + random(10));
      await node.marsadm(['resume-replay', R]);
      await rounds(busy, 1 + random(10));

      await node.kill();
      await applyOwnLogs(node);
      await node.marsadm(['detach', R]);
      await check(t, lab, node, `${node.name} killed, round ${round}`);
      await node.marsadm(['attach', R]);
      await node.marsadm(['resume-fetch', R]);
    }
  }
  await tool('touch', path.join(fs.dir, 'stop'));
  await ended;
  await fs.unmount();
  await compareImages(t, lab, a);
  for (const node of [b, c]) t.is((await run('/usr/sbin/e2fsck', ['-fn', image(lab, node)])).code, 0);
});
