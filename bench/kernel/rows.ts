// SPDX-License-Identifier: GPL-2.0-or-later
/** The loads of the kernel benchmark and what is to be reached with each. */

export type ContenderName = 'raw' | 'drbd' | 'mars';

/** `mars` compared with another contender: the ratio has to be at least (rate) or at most (CPU) this. */
export interface Target {
  readonly against: ContenderName;
  readonly bound: number;
}

export interface Row {
  readonly name: string;
  readonly unit: 'IOPS' | 'MiB/s';
  readonly block: number;
  readonly depth: number;
  readonly reads: boolean;
  readonly args: readonly string[];
  /** operations of one measurement with a fixed amount of work (User Mode Linux) */
  readonly operations: number;
  /** bed with modelled latency: rate of mars / rate of the other */
  readonly rate: readonly Target[];
  /** User Mode Linux: CPU time per operation of mars / that of the other */
  readonly cpu: readonly Target[];
}

const raw = (bound: number): Target => ({ against: 'raw', bound });
const drbd = (bound: number): Target => ({ against: 'drbd', bound });

function random(
  name: string,
  rw: string,
  depth: number,
  operations: number,
  ...args: string[]
): Omit<Row, 'rate' | 'cpu'> {
  return {
    name,
    unit: 'IOPS',
    block: 4096,
    depth,
    reads: rw === 'randread',
    args: [`--rw=${rw}`, '--bs=4k', `--iodepth=${depth}`, ...args],
    operations,
  };
}

function sequential(name: string, rw: string, operations: number): Omit<Row, 'rate' | 'cpu'> {
  return {
    name,
    unit: 'MiB/s',
    block: 128 << 10,
    depth: 8,
    reads: rw === 'read',
    args: [`--rw=${rw}`, '--bs=128k', '--iodepth=8'],
    operations,
  };
}

export const ROWS: readonly Row[] = [
  {
    ...random('4k random write, depth 1', 'randwrite', 1, 30_000),
    rate: [raw(5), drbd(1)],
    cpu: [drbd(1)],
  },
  {
    ...random('4k random write, depth 16', 'randwrite', 16, 90_000),
    rate: [raw(1), drbd(1)],
    cpu: [drbd(1)],
  },
  {
    ...random('4k random write, depth 1, fsync each', 'randwrite', 1, 10_000, '--fsync=1'),
    rate: [raw(0.95), drbd(1)],
    cpu: [],
  },
  {
    ...random('4k random write, depth 16, fsync every 16', 'randwrite', 16, 30_000, '--fsync=16'),
    rate: [raw(0.95), drbd(1)],
    cpu: [],
  },
  {
    ...random('4k random read, depth 1', 'randread', 1, 30_000),
    rate: [raw(0.97)],
    cpu: [raw(1.05)],
  },
  {
    ...sequential('128k sequential write, depth 8', 'write', 6_000),
    rate: [raw(0.9), drbd(1)],
    cpu: [drbd(1)],
  },
  {
    ...sequential('128k sequential read, depth 8', 'read', 10_000),
    rate: [raw(0.97)],
    cpu: [raw(1.05)],
  },
];
