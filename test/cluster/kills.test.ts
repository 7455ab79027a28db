// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * kill -9 of every role at random moments, under load. After each restart
 * everything that was flushed is there; at the end all replicas are equal, byte
 * for byte. MARS_KILL_ROUNDS sets how often, MARS_TEST_SEED repeats the choices.
 */
import { open } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { Writer } from '../../demo/writer.js';
import type { Lab, LabNode } from '../../lab/lab.js';
import { block, BLOCK, compareImages, image, makeDisk, makeLab, R, seeded } from './support.js';

const ROUNDS = Number(process.env['MARS_KILL_ROUNDS'] ?? 3);
const SIZE = 16 << 20;
/** logs are as small as can be, so that rotations fall into every run */
const SMALL_LOGS = ['--segment', '4M', '--rotate-at', '1M'];

type Random = (below: number) => number;

const newWriter = (random: Random, size = SIZE): Writer => new Writer([{ at: 0, length: size }], random);

/** Kill a primary under its writer, start it again, and check what was promised. */
async function killPrimary(node: LabNode, writer: Writer): Promise<void> {
  await node.kill();
  await writer.broken();
  await node.start();
  await node.marsadm(['wait-resource', R, 'is-primary']);
  await writer.verify(node.device(R));
}

async function endEqual(t: ExecutionContext, lab: Lab, primary: LabNode, writer: Writer): Promise<void> {
  await writer.stop();
  t.log(
    `${writer.writes} writes, ${writer.flushes} flushes, ${await writer.verify(primary.device(R))} blocks`,
  );
  await compareImages(t, lab, primary);
}

test.serial('the primary is killed again and again, while logs rotate', async (t) => {
  const random = seeded(t);
  const lab = await makeLab(t, { size: SIZE, daemonArgs: SMALL_LOGS });
  const a = lab.node('a');
  const writer = newWriter(random);
  for (let round = 0; round < ROUNDS; round++) {
    await writer.start(a.device(R));
    await writer.more(50 + random(1500));
    await killPrimary(a, writer);
  }
  await writer.start(a.device(R));
  await writer.more(200);
  await endEqual(t, lab, a, writer);
});

test.serial('a replica is killed again and again, while logs rotate', async (t) => {
  const random = seeded(t);
  const lab = await makeLab(t, { size: SIZE, daemonArgs: SMALL_LOGS });
  const [a, b] = [lab.node('a'), lab.node('b')];
  const writer = newWriter(random);
  await writer.start(a.device(R));
  for (let round = 0; round < ROUNDS; round++) {
    await writer.more(50 + random(1500));
    await b.kill();
    await writer.more(random(500));
    await b.start();
  }
  await endEqual(t, lab, a, writer);
});

test.serial('both are killed, sometimes at once', async (t) => {
  const random = seeded(t);
  const lab = await makeLab(t, { size: SIZE, daemonArgs: SMALL_LOGS });
  const [a, b] = [lab.node('a'), lab.node('b')];
  const writer = newWriter(random);
  for (let round = 0; round < ROUNDS; round++) {
    await writer.start(a.device(R));
    await writer.more(50 + random(1000));
    await Promise.all([b.kill(), random(2) === 0 ? a.kill() : writer.more(50)]);
    if (a.running) await a.kill();
    await writer.broken();
    await Promise.all([a.start(), b.start()]);
    await a.marsadm(['wait-resource', R, 'is-primary']);
    await writer.verify(a.device(R));
  }
  await writer.start(a.device(R));
  await endEqual(t, lab, a, writer);
});

/** Fill a file with bytes that a sync has to carry. */
async function noise(file: string, size: number, random: Random): Promise<void> {
  const handle = await open(file, 'r+');
  const chunk = Buffer.alloc(1 << 20);
  for (let at = 0; at < size; at += chunk.length) {
    for (let i = 0; i < chunk.length; i += 4096) chunk.writeUInt32LE(random(2 ** 31), i);
    await handle.write(chunk, 0, chunk.length, at);
  }
  await handle.close();
}

const MIB = 1 << 20;
/** a connection that stalls here has told of progress once, one that stalls there never does */
const PAST_REPORT = 72 * MIB;
const BEFORE_REPORT = 24 * MIB;
const SYNC_STATUS = `resource-${R}/syncstatus-b`;
const IS_SYNCING = `resource-${R}/actual-b/is-syncing`;

for (const victim of ['a', 'b'] as const) {
  test.serial(
    `the ${victim === 'a' ? 'source' : 'target'} of a full sync is killed again and again`,
    async (t) => {
      const random = seeded(t);
      const lab = await noisyLab(t, 160 * MIB, random);
      const [a, b] = [lab.node('a'), lab.node('b')];
      const writer = newWriter(random);
      await writer.start(a.device(R));
      lab.allow('b', 'a', PAST_REPORT);
      await b.marsadm(['join-resource', R, image(lab, b), '--no-wait']);
      await b.waitLink(SYNC_STATUS, (v) => Number(v ?? 0) > 0);
      for (let round = 0; round < ROUNDS; round++) {
        await b.waitLink(IS_SYNCING, (v) => v === '1');
        await writer.more(random(100));
        lab.allow('b', 'a', BEFORE_REPORT);
        if (victim === 'a') {
          await killPrimary(a, writer);
          await writer.start(a.device(R));
        } else {
          await b.kill();
          await writer.more(random(300));
          await b.start();
        }
      }
      t.true(Number(b.link(SYNC_STATUS)) < 160 * MIB, 'all of them died while there was something to do');
      lab.allow('b', 'a');
      await b.marsadm(['wait-resource', R, 'is-consistent']);
      await endEqual(t, lab, a, writer);
    },
  );
}

/** A cluster of two; a has a resource full of noise, b an empty disk. */
async function noisyLab(t: ExecutionContext, size: number, random: Random): Promise<Lab> {
  const lab = await makeLab(t, { resource: false });
  for (const node of lab.nodes) await makeDisk(image(lab, node), size);
  await noise(image(lab, lab.node('a')), size, random);
  await lab.node('a').marsadm(['create-resource', R, image(lab, lab.node('a'))]);
  return lab;
}

/**
 * Write something else into a block, beside the daemon. A sync that looks there again puts it right;
 * to one that does not it stays. Returns how to put it right and to see whether it had stayed.
 */
async function spoil(file: string, at: number): Promise<() => Promise<boolean>> {
  const swap = async (bytes: Buffer): Promise<Buffer> => {
    const found = Buffer.alloc(BLOCK);
    const handle = await open(file, 'r+');
    await handle.read(found, 0, BLOCK, at);
    await handle.write(bytes, 0, BLOCK, at);
    await handle.close();
    return found;
  };
  const spoilt = block('spoilt');
  const was = await swap(spoilt);
  return async () => (await swap(was)).equals(spoilt);
}

test.serial('a full sync that is paused or cut off goes on where it was', async (t) => {
  const random = seeded(t);
  const size = 224 * MIB;
  const lab = await noisyLab(t, size, random);
  const [a, b] = [lab.node('a'), lab.node('b')];
  const seen: number[] = [];
  const progress = (least: number): Promise<void> =>
    b.waitLink(SYNC_STATUS, (v) => {
      const done = Number(v ?? 0);
      if (done !== seen.at(-1)) seen.push(done);
      return done > least;
    });
  const idle = (): Promise<void> => b.waitLink(IS_SYNCING, (v) => v === '0');
  lab.allow('b', 'a', PAST_REPORT);
  await b.marsadm(['join-resource', R, image(lab, b), '--no-wait']);
  await progress(0);
  await b.marsadm(['pause-sync', R]);
  await idle();
  const paused = Number(b.link(SYNC_STATUS));
  const behindPause = await spoil(image(lab, b), paused - MIB);
  await b.marsadm(['resume-sync', R]);
  await progress(paused);
  await lab.cut('a', 'b');
  await idle();
  const cutOff = Number(b.link(SYNC_STATUS));
  t.true(cutOff < size);
  const behindCut = await spoil(image(lab, b), cutOff - MIB);
  lab.allow('b', 'a');
  await lab.mend('a', 'b');
  const writer = newWriter(random);
  await writer.start(a.device(R));
  await progress(size - 1);
  t.deepEqual(
    seen,
    [...seen].sort((x, y) => x - y),
    'progress is never lost',
  );
  t.deepEqual([await behindPause(), await behindCut()], [true, true], 'nothing is looked at again');
  await endEqual(t, lab, a, writer);
});

/** Where in a handover somebody dies. */
const MOMENTS: readonly ((lab: Lab) => Promise<void>)[] = [
  (lab) => lab.node('b').waitLink(`resource-${R}/primary`, (v) => v === 'b'),
  (lab) => lab.node('a').waitLink(`resource-${R}/primary`, (v) => v === 'b'),
  (lab) => lab.node('a').waitLink(`resource-${R}/actual-a/is-primary`, (v) => v === '0'),
  (lab) => lab.node('b').waitLink(`resource-${R}/actual-a/is-primary`, (v) => v === '0'),
  (lab) => lab.node('b').waitLink(`resource-${R}/actual-b/is-primary`, (v) => v === '1'),
];

test.serial('either side of a handover is killed at every stage of it', async (t) => {
  const random = seeded(t);
  const lab = await makeLab(t, { size: SIZE });
  const [a, b] = [lab.node('a'), lab.node('b')];
  const writer = newWriter(random);
  for (const [moment, node] of MOMENTS.flatMap((m) => [[m, a] as const, [m, b] as const])) {
    await writer.start(a.device(R));
    await writer.more(200 + random(300));
    await writer.stop();
    await a.marsadm(['wait-umount', R]);
    await b.marsadm(['wait-cluster']);
    const reached = moment(lab);
    await b.marsadm(['primary', R, '--no-wait']);
    await reached;
    await node.kill();
    await node.start();
    await b.marsadm(['wait-resource', R, 'is-primary']);
    await writer.verify(b.device(R));
    // and back, undisturbed
    await writer.start(b.device(R));
    await writer.more(100);
    await writer.stop();
    await b.marsadm(['wait-umount', R]);
    await a.marsadm(['wait-cluster']);
    await a.marsadm(['primary', R]);
    await writer.verify(a.device(R));
  }
  await compareImages(t, lab, a);
});
