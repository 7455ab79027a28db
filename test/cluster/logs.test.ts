// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Damage to the logs of a replica. Whatever happens to the file, the replica
 * never applies a byte of it: it cuts or drops the log, fetches it again, and ends
 * up equal to the primary.
 */
import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Lab, LabNode } from '../../lab/lab.js';
import type { ReasonCode } from '../../src/errors.js';
import {
  block,
  BLOCK,
  compareImages,
  makeDisk,
  makeLab,
  onDevice,
  R,
  textOf,
  waitMessage,
  waitQuiet,
} from './support.js';

const logFile = (node: LabNode, number = 1, resource = R): string =>
  path.join(node.dir, `resource-${resource}`, `log-${number.toString().padStart(9, '0')}-a`);

/** What is done to a log. */
type Harm = (file: string) => void;

/** The first block at or behind `at` that is not a descriptor: how writes are grouped is a matter of time. */
const payload = (bytes: Buffer, at: number): number =>
  bytes.toString('latin1', at, at + 4) === 'SGRP' ? at + BLOCK : at;

const half = (file: string): number => Math.floor(readFileSync(file).length / 2 / BLOCK) * BLOCK;

const HARMS: Readonly<Record<string, Harm>> = {
  cut: (file) => truncateSync(file, half(file) + 100),
  'cut to nothing': (file) => truncateSync(file, 0),
  'with a flipped bit': (file) => {
    const bytes = readFileSync(file);
    const at = half(file) + 77;
    bytes[at] = (bytes[at] ?? 0) ^ 4;
    writeFileSync(file, bytes);
  },
  'with a damaged header': (file) => {
    const bytes = readFileSync(file);
    bytes.fill(0xff, 0, 512);
    writeFileSync(file, bytes);
  },
  'taken away': (file) => rmSync(file),
  'replaced by noise': (file) => writeFileSync(file, block('not a log')),
};

/** A primary a, and a replica b that holds log it has not applied. */
async function withUnappliedLog(t: ExecutionContext): Promise<Lab> {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('applied')));
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await b.marsadm(['pause-replay', R]);
  await onDevice(a, async (d) => {
    for (let i = 0; i < 64; i++) await d.write(i * BLOCK, block(`waiting ${i}`));
    await d.flush();
  });
  // Each tells of its own end in its own time.
  const ends = [a, b].map((node) => `resource-${R}/actual-${node.name}/fetch-pos`);
  const same = (): boolean => {
    const [there, here] = ends.map((key) => b.link(key));
    return here !== undefined && here === there && Number(here.split(',')[1]) > 64 * BLOCK;
  };
  await Promise.race(ends.map((key) => b.waitLink(key, same)));
  return lab;
}

/** What a start says of it. */
const REASONS: Readonly<Record<keyof typeof HARMS, ReasonCode>> = {
  cut: 'bad-log',
  'cut to nothing': 'bad-log',
  'with a flipped bit': 'bad-crc',
  'with a damaged header': 'bad-log',
  'taken away': 'no-such-file',
  'replaced by noise': 'bad-log',
};

for (const [how, harm] of Object.entries(HARMS)) {
  const reason = REASONS[how] ?? 'ok';
  test.serial(`a log ${how} while the daemon is away is named ${reason}, and fetched again`, async (t) => {
    const lab = await withUnappliedLog(t);
    const [a, b] = [lab.node('a'), lab.node('b')];
    const before = readFileSync(logFile(b));
    await b.marsadm(['pause-fetch', R]);
    await b.stop();
    harm(logFile(b));
    const said = b.says(new RegExp(`^marsd: ${R}: ${reason}: log-000000001-a is `));
    await b.start();
    await said;
    // It stays so as long as nobody can help.
    await waitMessage(b, 'error', reason);
    t.regex(await b.ask('view', R), new RegExp(`error: ${reason}: `));
    const made = waitQuiet(b, 'error');
    await b.marsadm(['resume-fetch', R]);
    await made;
    await b.marsadm(['resume-replay', R]);
    await b.marsadm(['wait-resource', R, 'uptodate']);
    t.deepEqual(readFileSync(logFile(b)).subarray(0, before.length), before);
    await compareImages(t, lab, a);
  });
}

for (const [how, harm] of Object.entries(HARMS)) {
  const reason = how === 'taken away' ? 'no-such-file' : 'bad-log';
  test.serial(`a log ${how} under a running daemon is named ${reason}, and fetched again`, async (t) => {
    const lab = await withUnappliedLog(t);
    const [a, b] = [lab.node('a'), lab.node('b')];
    await b.marsadm(['pause-fetch', R]);
    harm(logFile(b));
    const said = b.says(new RegExp(`^marsd: ${R}: ${reason}: log-000000001-a is `));
    const told = waitMessage(b, 'error', reason);
    await b.marsadm(['resume-replay', R]);
    await said;
    await told;
    const made = waitQuiet(b, 'error');
    await b.marsadm(['resume-fetch', R]);
    await made;
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await compareImages(t, lab, a);
  });
}

test.serial('a log taken away while fetching is paused is fetched again from its start', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await onDevice(a, (d) => d.write(0, block('applied')));
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await b.marsadm(['pause-fetch', R]);
  rmSync(logFile(b));
  await onDevice(a, (d) => d.write(BLOCK, block('afterwards')));
  await b.marsadm(['resume-fetch', R]);
  await b.marsadm(['wait-resource', R, 'uptodate']);
  const log = readFileSync(logFile(b));
  t.true(log.length > 0);
  t.true(log.equals(readFileSync(logFile(a)).subarray(0, log.length)));
  await compareImages(t, lab, a);
});

test.serial('a log replaced by the same log of another resource is not applied', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  for (const node of lab.nodes) await makeDisk(path.join(lab.dir, `${node.name}-other.img`), 8 << 20);
  await a.marsadm(['create-resource', 'other', path.join(lab.dir, 'a-other.img')]);
  await b.marsadm(['join-resource', 'other', path.join(lab.dir, 'b-other.img')]);
  await b.marsadm(['wait-resource', 'other', 'uptodate']);
  for (const resource of [R, 'other']) {
    const device = await a.open(resource);
    for (let i = 0; i < 64; i++) await device.write(i * BLOCK, block(`${resource} ${i}`));
    await device.close();
  }
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await b.marsadm(['wait-resource', 'other', 'uptodate']);
  await b.stop();
  copyFileSync(logFile(b, 1, 'other'), logFile(b));
  const said = b.says(new RegExp(`^marsd: ${R}: bad-ident: log-000000001-a is damaged behind 0 `));
  await b.start();
  await said;
  await onDevice(a, (d) => d.write(100 * BLOCK, block('afterwards')));
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await compareImages(t, lab, a);
});

test.serial('a needed log that is gone everywhere is said so, and invalidate helps', async (t) => {
  const lab = await withUnappliedLog(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await b.stop();
  truncateSync(logFile(b), 0);
  await a.marsadm(['log-rotate', R]);
  await a.stop();
  truncateSync(logFile(a), 0);
  await b.start();
  await a.start();
  await a.marsadm(['wait-resource', R, 'is-primary']);
  await b.marsadm(['resume-replay', R]);
  await b.waitLink(`resource-${R}/actual-b/replay-code`, (v) => v === 'log-missing');
  t.is(await b.ask('view-is-orphan', R), '1');
  await b.marsadm(['invalidate', R]);
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await compareImages(t, lab, a);
});

/** What is done to the log of a primary, and what its next start says of it. */
const PRIMARY_HARMS: Readonly<
  Record<string, { harm: (file: string, other: string) => void; reason: ReasonCode }>
> = {
  'overwritten in its middle': {
    harm: (file) => {
      const bytes = readFileSync(file);
      const at = payload(bytes, 16 * BLOCK);
      bytes.fill(0x5a, at, at + BLOCK);
      writeFileSync(file, bytes);
    },
    reason: 'bad-crc',
  },
  cut: { harm: (file) => truncateSync(file, 16 * BLOCK), reason: 'bad-log' },
  'damaged in its header': { harm: HARMS['with a damaged header'] as Harm, reason: 'bad-log' },
  'replaced by that of another resource': {
    harm: (file, other) => copyFileSync(other, file),
    reason: 'bad-ident',
  },
};

/** A primary a that was killed, with its log damaged; b has followed, or has not. */
async function damagedPrimary(
  t: ExecutionContext,
  how: keyof typeof PRIMARY_HARMS,
  followed: boolean,
  rotated = false,
): Promise<Lab> {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await makeDisk(path.join(lab.dir, 'other.img'), 1 << 20);
  await a.marsadm(['create-resource', 'other', path.join(lab.dir, 'other.img')]);
  await b.marsadm([followed ? 'pause-replay' : 'pause-fetch', R]);
  const start = a.link(`resource-${R}/replay-a`) ?? '';
  const device = await a.open(R);
  // the first one durable by itself: its group lies in front of the damage
  for (let i = 0; i < 64; i++) await device.write(i * BLOCK, block(`flushed ${i}`), i === 0);
  await device.flush();
  const told = (v: string | undefined): boolean => Number(v?.split(',')[1] ?? 0) > 64 * BLOCK;
  await a.waitLink(`resource-${R}/actual-a/fetch-pos`, told);
  if (followed) await b.waitLink(`resource-${R}/actual-b/fetch-pos`, told);
  if (rotated) {
    await a.marsadm(['log-rotate', R]);
    await device.write(0, block('in the next log'));
    await device.flush();
  }
  await a.kill();
  device.destroy();
  // as if no later position had reached the disk: it need not
  await a.marsadm(['set-link', '--force', start, `resource-${R}/replay-a`]);
  PRIMARY_HARMS[how]?.harm(logFile(a), logFile(a, 1, 'other'));
  return lab;
}

for (const [how, { reason }] of Object.entries(PRIMARY_HARMS)) {
  test.serial(
    `a killed primary whose log is ${how} gets it back from a replica before it opens`,
    async (t) => {
      const lab = await damagedPrimary(t, how, true);
      const [a, b] = [lab.node('a'), lab.node('b')];
      const said = a.says(new RegExp(`^marsd: ${R}: ${reason}: log-000000001-a is damaged`));
      await a.start();
      await said;
      await a.marsadm(['wait-resource', R, 'is-primary']);
      await waitQuiet(a, 'error');
      await onDevice(a, async (d) => {
        for (let i = 0; i < 64; i++) t.is(textOf(await d.read(i * BLOCK, BLOCK)), `flushed ${i}`);
      });
      await b.marsadm(['resume-replay', R]);
      await compareImages(t, lab, a);
    },
  );

  test.serial(
    `a killed primary whose log is ${how}, and nobody has the rest, says so and does not open`,
    async (t) => {
      const lab = await damagedPrimary(t, how, false);
      const [a, b] = [lab.node('a'), lab.node('b')];
      await a.start();
      await waitMessage(a, 'error', reason);
      await a.waitLink(`resource-${R}/actual-a/replay-code`, (v) => v === 'log-missing');
      t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');
      // what b has is a past state: whoever accepts the loss takes it
      await b.marsadm(['disconnect', R]);
      await b.marsadm(['primary', '--force', R]);
      await b.marsadm(['connect', R]);
      await a.marsadm(['wait-cluster']);
      await a.marsadm(['invalidate', R]);
      await a.marsadm(['wait-resource', R, 'uptodate']);
      await waitQuiet(a, 'error');
      await compareImages(t, lab, b);
    },
  );
}

test.serial(
  'a primary that lost its log may be forced on: it goes on from what is left in a log of a fresh number',
  async (t) => {
    const lab = await damagedPrimary(t, 'overwritten in its middle', false, true);
    const [a, b] = [lab.node('a'), lab.node('b')];
    await a.start();
    await a.waitLink(`resource-${R}/actual-a/replay-code`, (v) => v === 'log-missing');
    await a.marsadm(['disconnect', R]);
    await a.marsadm(['primary', '--force', R]);
    await a.marsadm(['wait-resource', R, 'is-primary']);
    t.regex(a.link(`resource-${R}/actual-a/fetch-pos`) ?? '', /^log-000000003-a,/);
    await onDevice(a, async (d) => {
      t.is(textOf(await d.read(0, BLOCK)), 'flushed 0');
      await d.write(BLOCK, block('on'));
    });
    await a.marsadm(['connect', R]);
    // What is lost of the log may be on the disk of a: b can't go there by logs, and is told so.
    await b.marsadm(['resume-fetch', R]);
    await b.waitLink(`resource-${R}/actual-b/replay-code`, (v) => v === 'split-brain');
    await b.marsadm(['invalidate', R]);
    await b.marsadm(['wait-resource', R, 'uptodate']);
    await compareImages(t, lab, a);
  },
);
