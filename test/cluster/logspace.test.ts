// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The file system of the logs fills up. Writers wait, readers go on, everybody sees
 * why and what helps, and when there is room again everything goes on.
 */
import { mkdirSync, statfsSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { FILE_ROOM, FILE_SPARE } from '../../src/engine/keys.js';
import type { Lab, LabNode } from '../../lab/lab.js';
import {
  block,
  BLOCK,
  compareImages,
  makeLab,
  mount,
  onDevice,
  R,
  textOf,
  tool,
  waitMessage,
  withMounts,
} from './support.js';

/** How far the logger allocates ahead, bytes. */
const SEGMENT = 4 << 20;

/** A cluster whose node `who` has its state directory on a small file system. */
const cramped = (t: ExecutionContext, who: string, megabytes: number): Promise<Lab> =>
  makeLab(t, {
    size: 16 << 20,
    daemonArgs: ['--segment', '4M', '--rotate-at', '4M'],
    before: async (lab) => {
      const { dir } = lab.node(who);
      mkdirSync(dir, { mode: 0o700 });
      await mount(t, dir, '-t', 'tmpfs', '-o', `size=${megabytes}m,mode=700`, 'tmpfs');
    },
  });

const STATE = `resource-${R}/actual-a/state`;

/** Until the primary needs its first log no more: from then on it is kept for others only. */
const firstLogDone = (node: LabNode): Promise<void> =>
  node.waitLink(
    `resource-${R}/replay-${node.name}`,
    (v) => !(v ?? 'log-000000001').startsWith('log-000000001'),
  );

const waitState = (node: LabNode, ...words: string[]): Promise<void> =>
  node.waitLink(STATE, (v) => words.includes(v ?? ''));

/** Bytes of the file system of a node's state. */
function free(node: LabNode): number {
  const { bavail, bsize } = statfsSync(node.dir);
  return bavail * bsize;
}

/** Full of logs, a file system still has room for the tree, which has to say so. */
const treeHasRoom = (t: ExecutionContext, node: LabNode): void =>
  void t.true(free(node) > FILE_SPARE / 2, `${free(node)} bytes left`);

/** Until `view` says it. A log disk may be full for a moment only: the next log still had room. */
async function viewShows(node: LabNode, pattern: RegExp): Promise<void> {
  let view = '';
  for (let looks = 0; looks < 100; looks++) {
    await waitState(node, 'log-space-full');
    view = await node.ask('view', R);
    if (pattern.test(view)) return;
  }
  throw new Error(`view does not show ${pattern}:\n${view}`);
}

/** Write `blocks` blocks, flush, and remember what was promised. */
async function fill(node: LabNode, blocks: number, word: string): Promise<void> {
  await onDevice(node, async (d) => {
    for (let i = 0; i < blocks; i += 16)
      await Promise.all(
        Array.from({ length: 16 }, (_, k) => d.write(((i + k) % 4096) * BLOCK, block(`${word} ${i + k}`))),
      );
    await d.flush();
  });
}

withMounts(
  'a full log disk makes writers wait; they go on when a replica has caught up and logs go',
  async (t) => {
    const lab = await cramped(t, 'a', 40);
    const [a, b] = [lab.node('a'), lab.node('b')];
    await b.marsadm(['pause-fetch', R]);
    const full = waitState(a, 'log-space-full');
    let done = false;
    const writing = fill(a, 12_000, 'full').then(() => (done = true));
    await full;
    treeHasRoom(t, a);
    await firstLogDone(a);
    // Reading goes on, from the disk and from what waits to get there.
    t.regex(textOf(await onDevice(a, (d) => d.read(0, BLOCK))), /^full \d+$/);
    await viewShows(
      a,
      /log-space-full: .*Kept for b, which does not fetch\.\n\s+> `marsadm resume-fetch data` on b/,
    );
    t.false(done);
    await b.marsadm(['resume-fetch', R]);
    await writing;
    await waitState(a, 'ok', 'log-space-low');
    await compareImages(t, lab, a);
  },
);

withMounts('a full log disk survives kill -9, and writers go on when the disk grows', async (t) => {
  const lab = await cramped(t, 'a', 32);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await b.marsadm(['pause-fetch', R]);
  await onDevice(a, async (d) => {
    await d.write(0, block('flushed'));
    await d.flush();
  });
  const device = await a.open(R);
  const full = waitState(a, 'log-space-full');
  const writes = Array.from({ length: 12_000 }, (_, i) =>
    device.write((1 + (i % 4000)) * BLOCK, block(`x ${i}`)),
  );
  const ended = Promise.allSettled(writes);
  await full;
  await a.kill();
  device.destroy();
  await ended;
  await a.start();
  await tool('mount', '-o', 'remount,size=200m', a.dir);
  await a.marsadm(['wait-resource', R, 'is-primary']);
  t.is(textOf(await onDevice(a, (d) => d.read(0, BLOCK))), 'flushed');
  await fill(a, 4000, 'room');
  await b.marsadm(['resume-fetch', R]);
  await compareImages(t, lab, a);
});

withMounts(
  'without room for a new log a device is not opened; its resource makes room, stops and goes on meanwhile',
  async (t) => {
    const lab = await cramped(t, 'a', 40);
    const [a, b] = [lab.node('a'), lab.node('b')];
    await b.marsadm(['pause-fetch', R]);
    const device = await a.open(R);
    const full = waitState(a, 'log-space-full');
    const writes = Array.from({ length: 12_000 }, (_, i) =>
      device.write((i % 4096) * BLOCK, block(`x ${i}`)),
    );
    const ended = Promise.allSettled(writes);
    await full;
    await firstLogDone(a);
    await a.kill();
    device.destroy();
    await ended;
    // Something else has taken what logs leave to each other.
    await writeFile(path.join(a.dir, 'ballast'), Buffer.alloc(free(a) - FILE_SPARE));
    const refused = waitMessage(a, 'error', 'log-space-full');
    await a.start();
    await refused;
    t.is(a.link(STATE), 'log-space-full');
    t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');
    t.regex(await a.ask('view', R), /log-space-full: .*Kept for b, which does not fetch\./);
    await a.stop();
    await a.start();
    await b.marsadm(['resume-fetch', R]);
    await a.marsadm(['wait-resource', R, 'is-primary']);
    await waitState(a, 'ok', 'log-space-low');
    await compareImages(t, lab, a);
  },
);

withMounts('a replica whose log disk is full waits, and goes on when the disk grows', async (t) => {
  const lab = await cramped(t, 'b', 28);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await b.marsadm(['pause-replay', R]);
  const stuck = waitMessage(b, 'fetch', 'log-space-full');
  await fill(a, 8000, 'more');
  await stuck;
  treeHasRoom(t, b);
  await tool('mount', '-o', 'remount,size=200m', b.dir);
  await b.marsadm(['resume-replay', R]);
  await b.marsadm(['wait-resource', R, 'uptodate']);
  t.true(statSync(b.dir).isDirectory());
  await compareImages(t, lab, a);
});

withMounts('low log space is told before it has run out', async (t) => {
  const lab = await cramped(t, 'a', 40);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await b.marsadm(['pause-fetch', R]);
  // The last segment is allocated ahead: these writes have room, whatever the file system says.
  for (let i = 0; a.link(STATE) === 'ok'; i++) {
    const near = free(a) < FILE_SPARE + FILE_ROOM + 2 * SEGMENT;
    await fill(a, near ? 16 : 256, `low ${i}`);
    if (free(a) < FILE_SPARE + FILE_ROOM + SEGMENT) await a.ask('view-state', R);
  }
  t.is(a.link(STATE), 'log-space-low');
  t.regex(await a.ask('view', R), /WARNING log-space-low: .*Kept for b/);
  t.regex(await b.ask('view', R), /LOG SPACE low at a/);
  await onDevice(a, async (d) => {
    await d.write(0, block('still'));
    await d.flush();
  });
  t.is(a.link(STATE), 'log-space-low');
  await b.marsadm(['resume-fetch', R]);
  await waitState(a, 'ok');
  await compareImages(t, lab, a);
});

withMounts(
  'logs for a member that is gone are kept until an operator allows it to be given up; back again it says so and syncs',
  async (t) => {
    const lab = await cramped(t, 'a', 40);
    const [a, b] = [lab.node('a'), lab.node('b')];
    const unreachable = a.waitLink('local/peer-b', (v) => v?.startsWith('unreachable') ?? false);
    await b.stop();
    await unreachable;
    const full = waitState(a, 'log-space-full');
    let done = false;
    const writing = fill(a, 12_000, 'gone').then(() => (done = true));
    await full;
    await firstLogDone(a);
    await viewShows(
      a,
      /Kept for b, which is unreachable.*\n.*log-lost-after.*leave-resource data --host b --force/,
    );
    await a.marsadm(['log-delete', R]);
    t.false(done);
    t.is(a.link(`resource-${R}/actual-a/lost-b`), undefined);

    const given = a.waitLink(`resource-${R}/actual-a/lost-b`, (v) => v !== undefined);
    await a.marsadm(['set-link', '0', 'defaults/log-lost-after']);
    await given;
    await writing;
    t.regex(await a.ask('view', R), /b Orphan .*\n(.*\n)*.*ERROR log-lost/);

    const missing = b.waitLink(`resource-${R}/actual-b/replay-code`, (v) => v === 'log-missing');
    await b.start();
    await missing;
    t.is(b.link(`resource-${R}/actual-b/is-syncing`), '0');
    await a.marsadm(['set-link', '1', `resource-${R}/defaults/resync-lost`]);
    await b.waitLink(`resource-${R}/replay-b`, (v) => v !== undefined && !v.startsWith('log-000000001'));
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await a.waitLink(`resource-${R}/actual-a/lost-b`, (v) => v === undefined);
    await compareImages(t, lab, a);
  },
);
