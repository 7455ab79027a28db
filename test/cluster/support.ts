// SPDX-License-Identifier: GPL-2.0-or-later
/** What tests between real daemons share. */
import { createHash, randomInt } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CommandError, Lab, run, type LabNode } from '../../lab/lab.js';
import type { NbdClient } from '../../lab/nbd.js';

/** A case in which nothing happens for so long hangs; ended like this it shows the daemons' logs. */
const HANGS_MS = 240_000;

export const R = 'data';
export const BLOCK = 4096;

/** Data image of a node. */
export const image = (lab: Lab, node: LabNode): string => path.join(lab.dir, `${node.name}.img`);

/** An empty image of `size` bytes. */
export async function makeDisk(file: string, size: number): Promise<void> {
  await writeFile(file, '');
  const handle = await open(file, 'r+');
  await handle.truncate(size);
  await handle.close();
}

export interface LabOptions {
  readonly nodes?: readonly string[];
  readonly size?: number;
  readonly daemonArgs?: readonly string[];
  /** make the resource at all; default yes */
  readonly resource?: boolean;
  /** nodes that join the resource at once; default all */
  readonly join?: readonly string[];
  /** called when the directories of the nodes are known, before anything is in them */
  readonly before?: (lab: Lab) => Promise<void>;
}

/** A cluster with resource R, primary on the first node, the others joined and synced. */
export async function makeLab(t: ExecutionContext, options: LabOptions = {}): Promise<Lab> {
  const names = options.nodes ?? ['a', 'b'];
  t.timeout(HANGS_MS);
  const lab = await Lab.create(names, options.daemonArgs);
  t.teardown(async () => {
    if (!t.passed) for (const n of lab.nodes) t.log(`--- ${n.name}\n${n.log}`);
    await lab.dispose();
  });
  await options.before?.(lab);
  await lab.form();
  const [first, ...rest] = lab.nodes;
  if (!first || options.resource === false) return lab;
  for (const node of lab.nodes) await makeDisk(image(lab, node), options.size ?? 8 << 20);
  await first.marsadm(['create-resource', R, image(lab, first)]);
  for (const node of rest) {
    if (options.join && !options.join.includes(node.name)) continue;
    await node.marsadm(['join-resource', R, image(lab, node)]);
    await node.marsadm(['wait-resource', R, 'uptodate']);
  }
  return lab;
}

/** Close the device, make everybody (or these nodes) drain, and compare the images byte for byte. */
export async function compareImages(
  t: ExecutionContext,
  lab: Lab,
  primary: LabNode,
  nodes: readonly LabNode[] = lab.nodes,
): Promise<void> {
  await primary.marsadm(['wait-umount', R]);
  await primary.marsadm(['secondary', R]);
  for (const node of nodes) await node.marsadm(['wait-cluster']);
  for (const node of nodes) await node.marsadm(['wait-resource', R, 'uptodate']);
  for (const node of nodes) await node.marsadm(['down', R]);
  const sums = new Set<string>();
  for (const node of nodes) sums.add(await sum(image(lab, node)));
  t.is(sums.size, 1, 'replicas differ');
}

/** Wait until what this process observes has come true; for things that nothing tells. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** A command that must be refused with this reason; returns what was found. */
export async function refused(
  t: ExecutionContext,
  node: LabNode,
  args: readonly string[],
  exit: number,
  reason: string,
): Promise<string> {
  const outcome = await node.marsadm([...args, '--json'], 'any');
  const answer = JSON.parse(outcome.stdout) as { ok: boolean; reason?: string; found?: string };
  t.deepEqual([outcome.code, answer.ok, answer.reason], [exit, false, reason], args.join(' '));
  return answer.found ?? '';
}

/** Wait until a node gives this reason in a message of the resource (`error`, `fetch`, `sync`, `waiting`). */
export const waitMessage = (node: LabNode, about: string, reason: string, resource = R): Promise<void> =>
  node.waitLink(
    `resource-${resource}/actual-${node.name}/msg-${about}`,
    (v) => v?.endsWith(` ${reason}`) ?? false,
  );

/** Wait until a node says no more about it. */
export const waitQuiet = (node: LabNode, about: string, resource = R): Promise<void> =>
  node.waitLink(`resource-${resource}/actual-${node.name}/msg-${about}`, (v) => v === undefined);

/** Random numbers that can be had again: the seed is printed and may be set by MARS_TEST_SEED. */
export function seeded(t: ExecutionContext): (below: number) => number {
  const seed = Number(process.env['MARS_TEST_SEED'] ?? randomInt(2 ** 31));
  t.log(`MARS_TEST_SEED=${seed}`);
  let state = seed >>> 0;
  return (below) => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}

/** May this process mount file systems? */
export const root = process.getuid?.() === 0;

/** Run a program that must succeed; returns what it printed. */
export async function tool(command: string, ...args: string[]): Promise<string> {
  const outcome = await run(command, args, { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` });
  if (outcome.code !== 0) throw new CommandError(`${command} ${args.join(' ')}`, outcome);
  return outcome.stdout;
}

export const sum = async (file: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

/** One block full of a text. */
export function block(text: string): Buffer {
  return Buffer.from(`${text}\n`.repeat(BLOCK).slice(0, BLOCK), 'latin1');
}

/** Text of a block written by `block`. */
export const textOf = (bytes: Buffer): string => bytes.toString('latin1').split('\n')[0] ?? '';

/** Open the device of a node, do something, close it. */
export async function onDevice<T>(node: LabNode, work: (device: NbdClient) => Promise<T>): Promise<T> {
  const device = await node.open(R);
  try {
    return await work(device);
  } finally {
    await device.close();
  }
}

/** Mount something that goes away with the test. */
export async function mount(t: ExecutionContext, at: string, ...args: string[]): Promise<void> {
  await tool('mount', ...args, at);
  t.teardown(() => tool('umount', '-l', at).catch(() => ''));
}

/** Tests that need something of the machine are skipped without it; not by continuous integration, where they fail. */
export const needing = (there: boolean): typeof test.serial.skip =>
  there || (process.env['CI'] ?? '') !== '' ? test.serial : test.serial.skip;

/** Tests that mount something need root. */
export const withMounts = needing(root);
