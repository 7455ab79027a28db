// SPDX-License-Identifier: GPL-2.0-or-later
/** Loads that fio puts on an NBD export, and what it measures. */
import { run } from '../lab/lab.js';

/** One row of the comparison. */
export interface Load {
  readonly name: string;
  readonly args: readonly string[];
  /** what counts: operations or mebibytes a second */
  readonly unit: 'IOPS' | 'MiB/s';
  /** it reads what is in memory */
  readonly reads?: true;
}

const random = (rw: string, depth: number, ...more: string[]): string[] => [
  `--rw=${rw}`,
  '--bs=4k',
  `--iodepth=${depth}`,
  ...more,
];

export const LOADS: readonly Load[] = [
  { name: '4k random write, depth 1', args: random('randwrite', 1), unit: 'IOPS' },
  { name: '4k random write, depth 16', args: random('randwrite', 16), unit: 'IOPS' },
  { name: '4k random write, depth 1, fsync each', args: random('randwrite', 1, '--fsync=1'), unit: 'IOPS' },
  {
    name: '4k random write, depth 16, fsync every 16',
    args: random('randwrite', 16, '--fsync=16'),
    unit: 'IOPS',
  },
  { name: '4k random read, depth 1', args: random('randread', 1), unit: 'IOPS', reads: true },
  { name: '4k random read, depth 16', args: random('randread', 16), unit: 'IOPS', reads: true },
  { name: '128k sequential write, depth 8', args: ['--rw=write', '--bs=128k', '--iodepth=8'], unit: 'MiB/s' },
  {
    name: '128k sequential write, depth 8, fsync every 16 MiB',
    args: ['--rw=write', '--bs=128k', '--iodepth=8', '--fsync=128'],
    unit: 'MiB/s',
  },
];

interface Side {
  readonly iops: number;
  readonly bw: number;
}

/** Command line of fio for an export of `size` bytes. */
export function fioArgs(uri: string, size: number, args: readonly string[]): string[] {
  return [
    '--name=bench',
    '--thread',
    '--ioengine=nbd',
    `--uri=${uri}`,
    `--size=${size}`,
    '--randrepeat=0',
    '--output-format=json',
    ...args,
  ];
}

/** Put a load on an export for some seconds; returns its rate in the unit of the load. */
export async function measure(uri: string, size: number, load: Load, seconds: number): Promise<number> {
  const args = fioArgs(uri, size, [...load.args, '--time_based', `--runtime=${seconds}`]);
  const outcome = await run('fio', args);
  if (outcome.code !== 0) throw new Error(`fio: ${outcome.stderr}${outcome.stdout}`);
  // fio may print notes before the document
  const text = outcome.stdout.slice(outcome.stdout.indexOf('{'));
  const job = (JSON.parse(text) as { jobs: { read: Side; write: Side }[] }).jobs[0];
  if (!job) throw new Error('fio reported no job');
  return load.unit === 'IOPS' ? job.read.iops + job.write.iops : (job.read.bw + job.write.bw) / 1024;
}

/** Write `size` bytes once, from the start, and flush. */
export async function fill(uri: string, size: number): Promise<void> {
  const outcome = await run(
    'fio',
    fioArgs(uri, size, ['--rw=write', '--bs=128k', '--iodepth=8', '--end_fsync=1']),
  );
  if (outcome.code !== 0) throw new Error(`fio: ${outcome.stderr}`);
}
