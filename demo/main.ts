// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The demo: three nodes on this machine, an ext4 image, a writer that never
 * rests, and everything that goes wrong in a data centre in two minutes.
 */
import { truncateSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab, type LabNode } from '../lab/lab.js';
import { checkImage, checksum, makeImage, type Region } from './image.js';
import { Stage } from './stage.js';
import { Writer } from './writer.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RES = 'mydata';
const SIZE = 192 << 20;
const LOAD = 48 << 20;
/** Nothing of this takes so long unless it hangs, ms. */
const LIMIT = 600_000;

interface Cast {
  readonly lab: Lab;
  readonly a: LabNode;
  readonly b: LabNode;
  readonly c: LabNode;
  readonly image: (node: LabNode) => string;
}

const upToDate = (node: LabNode): Promise<unknown> => node.marsadm(['wait-resource', RES, 'uptodate']);

async function makeCluster(stage: Stage, { lab, a, image }: Cast): Promise<Region[]> {
  await stage.act('three nodes form a cluster, each joining with a one-time token', async (say) => {
    await lab.form();
    say(`members: ${(await a.ask('view-cluster-members')).split('\n').join(', ')}`);
  });
  return stage.act('an ext4 image with real files becomes the resource mydata on hosta', async (say) => {
    const regions = await makeImage(image(a), SIZE, path.join(ROOT, 'src'), LOAD);
    await a.marsadm(['create-resource', RES, image(a)]);
    say(`exported as nbd+unix:///${RES}?socket=${a.device(RES)}`);
    return regions;
  });
}

async function join(stage: Stage, { b, c, image }: Cast): Promise<void> {
  await stage.act('hostb and hostc join and sync while the writer writes', async (say) => {
    for (const node of [b, c]) {
      truncateSync(await touch(image(node)), SIZE);
      await node.marsadm(['join-resource', RES, image(node)]);
    }
    await stage.watch(b, RES, () => Promise.all([upToDate(b), upToDate(c)]));
    say(await summary(c));
  });
}

async function touch(file: string): Promise<string> {
  const { writeFile } = await import('node:fs/promises');
  await writeFile(file, '');
  return file;
}

async function summary(node: LabNode): Promise<string> {
  const lines = (await node.ask('view', RES)).split('\n');
  return (lines.find((line) => line.includes(`${RES} [`) && !line.startsWith('-')) ?? lines[0] ?? '').trim();
}

async function crash(stage: Stage, { a }: Cast, writer: Writer): Promise<void> {
  await stage.act('kill -9 of the primary; it starts again and recovers by itself', async (say) => {
    await writer.more(1);
    await a.kill();
    await writer.broken();
    await a.start();
    await a.marsadm(['wait-resource', RES, 'is-primary']);
    say(`${await writer.verify(a.device(RES))} flushed blocks are all there`);
    await writer.start(a.device(RES));
  });
}

async function handover(stage: Stage, { a, b }: Cast, writer: Writer): Promise<void> {
  await stage.act('planned handover from hosta to hostb', async (say) => {
    const refused = await b.marsadm(['primary', RES], 3);
    say(`first refused: ${firstLine(refused.stderr)}`);
    await writer.stop();
    await a.marsadm(['wait-umount', RES]);
    await b.marsadm(['wait-cluster']);
    await b.marsadm(['primary', RES]);
    say(`${await writer.verify(b.device(RES))} flushed blocks are all there on hostb`);
    await writer.start(b.device(RES));
  });
}

async function splitBrain(stage: Stage, cast: Cast, writer: Writer): Promise<void> {
  const { lab, a, b, c } = cast;
  await stage.act('the network splits: hostb is cut off and goes on writing', async (say) => {
    await Promise.all([lab.cut('hosta', 'hostb'), lab.cut('hostb', 'hostc')]);
    await writer.more(500);
    await writer.stop();
    const refused = await a.marsadm(['primary', RES], 'any');
    say(`primary on hosta is refused (exit ${refused.code}): ${firstLine(refused.stderr)}`);
  });
  await stage.act('hosta is made primary by force; both sides have written now', async () => {
    await a.marsadm(['disconnect', RES]);
    await a.marsadm(['primary', '--force', RES]);
    await a.marsadm(['connect', RES]);
    writer.forget();
    await writer.start(a.device(RES));
    await writer.more(500);
  });
  await stage.act('the network returns: the split brain is seen, nothing is lost', async (say) => {
    await Promise.all([lab.mend('hosta', 'hostb'), lab.mend('hostb', 'hostc')]);
    await b.marsadm(['wait-resource', RES, 'split-brain']);
    say(b.link(`resource-${RES}/actual-hostb/split-brain`) ?? 'split brain');
  });
  await stage.act('hosta is kept, hostb is invalidated and follows again', async () => {
    await b.marsadm(['invalidate', RES]);
    await stage.watch(b, RES, () => Promise.all([upToDate(b), upToDate(c)]));
  });
}

async function compare(stage: Stage, cast: Cast, writer: Writer): Promise<void> {
  const { lab, a, image } = cast;
  await stage.act('the writer stops; all three replicas are compared', async (say) => {
    await writer.stop();
    await a.marsadm(['wait-umount', RES]);
    await a.marsadm(['secondary', RES]);
    for (const node of lab.nodes) await node.marsadm(['wait-cluster']);
    for (const node of lab.nodes) await upToDate(node);
    for (const node of lab.nodes) await node.marsadm(['down', RES]);
    const sums = new Set<string>();
    for (const node of lab.nodes) {
      const sum = await checksum(image(node), SIZE);
      sums.add(sum);
      say(`${node.name}: sha256 ${sum.slice(0, 32)}  e2fsck: ${await checkImage(image(node))}`);
    }
    if (sums.size !== 1) throw new Error('the replicas differ');
    say(`all three are equal after ${writer.writes} writes and ${writer.flushes} flushes`);
  });
}

const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';

async function play(stage: Stage, cast: Cast): Promise<void> {
  const device = cast.a.device(RES);
  const writer = new Writer(await makeCluster(stage, cast));
  await writer.start(device);
  stage.meter(() => `${writer.writes} writes, ${writer.flushes} flushes`);
  await join(stage, cast);
  await crash(stage, cast, writer);
  await handover(stage, cast, writer);
  await splitBrain(stage, cast, writer);
  await compare(stage, cast, writer);
}

/** Somebody does not want to see the rest. */
class Interrupted extends Error {}

const interrupted = (): Promise<never> =>
  new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Interrupted()));
  });

async function main(): Promise<number> {
  const stop = interrupted();
  stop.catch(() => undefined); // looked at below
  const lab = await Lab.create(['hosta', 'hostb', 'hostc']);
  const [a, b, c] = [lab.node('hosta'), lab.node('hostb'), lab.node('hostc')];
  const cast: Cast = { lab, a, b, c, image: (node) => path.join(lab.dir, `${node.name}.img`) };
  const stage = new Stage(process.stdout);
  const late = stage.overrun(LIMIT, (ms, run) => void setTimeout(run, ms).unref());
  try {
    await Promise.race([play(stage, cast), late, stop]);
  } catch (error) {
    if (error instanceof Interrupted) return await lab.dispose().then(() => 130);
    stage.failed(error, lab.nodes.map((n) => `--- ${n.name}\n${n.log}`).join('\n'));
    return await lab.dispose().then(() => 1);
  }
  await lab.dispose();
  const left = lab.leftovers();
  const kept = (process.env['MARS_LAB_KEEP'] ?? '') !== '';
  if (left.some((what) => !kept || what !== lab.dir)) {
    stage.failed(new Error('something is left behind'), left.join('\n'));
    return 1;
  }
  stage.done(`demo finished: nothing was lost, ${kept ? `${lab.dir} is kept` : 'nothing is left behind'}`);
  return 0;
}

// Acts that were given up would go on waiting.
process.exit(await main());
