// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The files of logs fail: they can't be written, are taken away, or can't be cut. Writers
 * hear of it, the daemon goes on, and whoever asks for something is told why it can't be done.
 */
import { existsSync, mkdirSync, rmdirSync, rmSync, truncateSync, watch } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NbdError } from '../../lab/nbd.js';
import type { LabNode } from '../../lab/lab.js';
import {
  block,
  BLOCK,
  compareImages,
  makeLab,
  mount,
  onDevice,
  R,
  refused,
  textOf,
  tool,
  waitMessage,
  withMounts,
} from './support.js';

// The temporary directory may be a file system that can't zero a range of a file.
process.env['TMPDIR'] = path.join(process.cwd(), 'build');

const EIO = 5;
const STATE = `resource-${R}/actual-a/state`;
const FETCH_POS = `resource-${R}/actual-a/fetch-pos`;

const logFile = (node: LabNode, number: number): string =>
  path.join(node.dir, `resource-${R}`, `log-${String(number).padStart(9, '0')}-${node.name}`);

/** From now on the daemon fails to write what lies behind `bytes` in any file. */
const failWrites = (node: LabNode, bytes: number | 'unlimited'): Promise<string> =>
  tool('prlimit', '--pid', String(node.pid), `--fsize=${bytes}:`);

/** Until everything up to `bytes` of the first log, and what is in it, is on the data disk. */
const clean = (node: LabNode, bytes: number): Promise<void> =>
  node.waitLink(`resource-${R}/replay-${node.name}`, (v) => {
    const [log, pos, dirty] = v?.split(',') ?? [];
    return log === `log-000000001-${node.name}` && Number(pos) >= bytes && dirty === '0';
  });

/** Until a file exists. */
function appears(file: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!existsSync(file)) return;
      watcher.close();
      resolve();
    };
    const watcher = watch(path.dirname(file), look);
    look();
  });
}

/** Number of the log that a writes, as it stands in names. */
const written = (a: LabNode): string => /log-\d+/.exec(a.link(FETCH_POS) ?? '')?.[0] ?? '';

/** Writers are told, readers are not concerned. */
async function failsWriters(t: ExecutionContext, node: LabNode): Promise<void> {
  await onDevice(node, async (d) => {
    const error = await t.throwsAsync(d.write(BLOCK, block('refused'), true), { instanceOf: NbdError });
    t.is(error.errno, EIO);
    t.is(textOf(await d.read(0, BLOCK)), 'kept');
  });
}

test.serial('a next log whose header can not be written: the daemon says so, and still obeys', async (t) => {
  const lab = await makeLab(t, { daemonArgs: ['--segment', '4M', '--rotate-at', '1M'] });
  const a = lab.node('a');
  const next = logFile(a, 2);
  // Not before everything is ready for the error may the next log begin.
  mkdirSync(next);
  const tried = a.says(/EISDIR/);
  await onDevice(a, async (d) => {
    for (let i = 0; i < 300; i++) await d.write(i * BLOCK, block('kept'));
    await d.flush();
  });
  await tried;
  await clean(a, 300 * BLOCK);
  // Less than a header: what the tree keeps in files is shorter.
  await failWrites(a, BLOCK / 2);
  rmdirSync(next);
  await appears(next);
  // Room is all that it may have: space within the length of a file is no matter of the limit.
  const failed = a.waitLink(STATE, (v) => v === 'log-write-error');
  truncateSync(next, 16 << 20);
  await failed;
  await failWrites(a, 'unlimited');
  await failsWriters(t, a);
  await refused(t, a, ['log-rotate', R], 1, 'log-write-error');
  t.is(await a.stop(), 0);

  await a.start();
  await a.marsadm(['wait-resource', R, 'is-primary']);
  t.is(a.link(STATE), 'ok');
  await a.marsadm(['log-rotate', R]);
  const before = written(a);
  await onDevice(a, async (d) => {
    t.is(textOf(await d.read(299 * BLOCK, BLOCK)), 'kept');
    for (let i = 0; i < 300; i++) await d.write(i * BLOCK, block('more'));
    await d.flush();
  });
  await a.waitLink(FETCH_POS, () => written(a) > before);
  await compareImages(t, lab, a);
});

test.serial('a log that can not be written is not rotated, until the device has been closed', async (t) => {
  const lab = await makeLab(t);
  const a = lab.node('a');
  await onDevice(a, (d) => d.write(0, block('kept'), true));
  await clean(a, 2 * BLOCK);
  await failWrites(a, BLOCK);
  const failed = a.waitLink(STATE, (v) => v === 'log-write-error');
  await failsWriters(t, a);
  await failed;
  for (let i = 0; i < 2; i++) await refused(t, a, ['log-rotate', R], 1, 'log-write-error');

  await failWrites(a, 'unlimited');
  await a.marsadm(['detach', R]);
  await a.marsadm(['attach', R]);
  await a.marsadm(['wait-resource', R, 'is-primary']);
  t.is(a.link(STATE), 'ok');
  t.is(textOf(await onDevice(a, (d) => d.read(0, BLOCK))), 'kept');
  const before = written(a);
  await a.marsadm(['log-rotate', R]);
  t.true(written(a) > before, `${before} ${written(a)}`);
  await compareImages(t, lab, a);
});

test.serial('the log that is written is removed by hand: the role is handed over all the same', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('kept'), true));
  await b.marsadm(['wait-resource', R, 'uptodate']);
  rmSync(logFile(a, 1));
  await b.marsadm(['primary', R]);
  t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');
  await onDevice(b, async (d) => {
    t.is(textOf(await d.read(0, BLOCK)), 'kept');
    await d.write(BLOCK, block('more'), true);
  });
  await compareImages(t, lab, b);
});

withMounts(
  'a log that can not be cut holds up no handover, but the log that continues it here',
  async (t) => {
    const lab = await makeLab(t);
    const [a, b] = [lab.node('a'), lab.node('b')];
    await onDevice(a, (d) => d.write(0, block('kept'), true));
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await mount(t, logFile(a, 1), '--bind', logFile(a, 1));
    await tool('mount', '-o', 'remount,ro,bind', logFile(a, 1));
    await a.marsadm(['secondary', R]);
    t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');
    await a.marsadm(['primary', R, '--timeout', '0'], 4);
    await waitMessage(a, 'error', 'io');
    t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');
    await tool('umount', logFile(a, 1));
    await a.marsadm(['wait-resource', R, 'is-primary']);
    await onDevice(a, (d) => d.write(BLOCK, block('more'), true));
    await compareImages(t, lab, a);
  },
);
