// SPDX-License-Identifier: GPL-2.0-or-later
/** What tests between real daemons share. */
import { createHash } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { Lab, type LabNode } from '../../lab/lab.js';
import type { NbdClient } from '../../lab/nbd.js';

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
  /** nodes that join the resource at once; default all */
  readonly join?: readonly string[];
}

/** A cluster with resource R, primary on the first node, the others joined and synced. */
export async function makeLab(t: ExecutionContext, options: LabOptions = {}): Promise<Lab> {
  const names = options.nodes ?? ['a', 'b'];
  const lab = await Lab.create(names, options.daemonArgs);
  t.teardown(async () => {
    if (!t.passed) for (const n of lab.nodes) t.log(`--- ${n.name}\n${n.log}`);
    await lab.dispose();
  });
  await lab.form();
  const [first, ...rest] = lab.nodes;
  if (!first) return lab;
  for (const node of lab.nodes) await makeDisk(image(lab, node), options.size ?? 8 << 20);
  await first.marsadm(['create-resource', R, image(lab, first)]);
  for (const node of rest) {
    if (options.join && !options.join.includes(node.name)) continue;
    await node.marsadm(['join-resource', R, image(lab, node)]);
    await node.marsadm(['wait-resource', R, 'uptodate']);
  }
  return lab;
}

/** Close the device, make everybody drain, and compare the images byte for byte. */
export async function compareImages(t: ExecutionContext, lab: Lab, primary: LabNode): Promise<void> {
  await primary.marsadm(['wait-umount', R]);
  await primary.marsadm(['secondary', R]);
  for (const node of lab.nodes) await node.marsadm(['wait-cluster']);
  for (const node of lab.nodes) await node.marsadm(['wait-resource', R, 'uptodate']);
  for (const node of lab.nodes) await node.marsadm(['down', R]);
  const sums = new Set<string>();
  for (const node of lab.nodes) sums.add(await sum(image(lab, node)));
  t.is(sums.size, 1, 'replicas differ');
}

export const sum = async (file: string): Promise<string> =>
  createHash('sha256').update(await readFile(file)).digest('hex');

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
