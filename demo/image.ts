// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * An ext4 image with real files in it, and a region that a writer may change
 * without harming the file system: the blocks of one big file.
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { run } from '../lab/lab.js';

/** A run of blocks on the device, bytes. */
export interface Region {
  readonly at: number;
  readonly length: number;
}

async function tool(command: string, args: readonly string[]): Promise<string> {
  const outcome = await run(command, args, { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` });
  if (outcome.code !== 0) throw new Error(`${command}: ${outcome.stderr}`);
  return outcome.stdout;
}

/** Make an image of `size` bytes holding a copy of `source` and a file of `load` bytes to write to. */
export async function makeImage(file: string, size: number, source: string, load: number): Promise<Region[]> {
  const root = `${file}.root`;
  mkdirSync(root);
  cpSync(source, path.join(root, 'files'), { recursive: true });
  writeFileSync(path.join(root, 'load'), Buffer.alloc(load, 'x'));
  await tool('mkfs.ext4', ['-q', '-F', '-b', '4096', '-d', root, file, `${size / 1024}k`]);
  rmSync(root, { recursive: true });
  return regions(await tool('debugfs', ['-R', 'dump_extents -n -l /load', file]));
}

/** Extents of a file as debugfs prints them: level, number, logical range, physical range, length. */
function regions(text: string): Region[] {
  const found: Region[] = [];
  for (const line of text.split('\n')) {
    const physical = /^\s*\d+\/\s*\d+\s+\d+\/\s*\d+\s+\d+\s*-\s*\d+\s+(\d+)\s*-\s*(\d+)/.exec(line);
    if (!physical) continue;
    const first = Number(physical[1]);
    found.push({ at: first * 4096, length: (Number(physical[2]) - first + 1) * 4096 });
  }
  if (found.length === 0) throw new Error('the image has no region to write to');
  return found;
}

/** Is the file system in the image clean? Returns the summary e2fsck prints. */
export async function checkImage(file: string): Promise<string> {
  const text = await tool('e2fsck', ['-fn', file]);
  return text.trim().split('\n').at(-1) ?? '';
}

/** SHA-256 of the first `size` bytes of a file. */
export async function checksum(file: string, size: number): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { end: size - 1 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
