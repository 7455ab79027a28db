// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One measurement: fio on a device at the primary, then settle; time by fio, CPU time of both
 * machines by the bed.
 *
 * What starting fio and the script costs is measured once in each round on the raw disk and
 * taken off, so that the CPU time is that of the operations alone.
 */
import type { Contender } from './contenders.js';
import type { Bed } from './machine.js';
import { ROWS, type Row } from './rows.js';

/** How much work one measurement is, and how fio puts it. */
export interface Generator {
  /** seconds of a measurement; undefined: the row's number of operations */
  readonly seconds: number | undefined;
  /** share of the row's number of operations, for a quick look */
  readonly scale: number;
  /** bytes of the device that are used */
  readonly size: number;
  /** submit and reap requests in batches as deep as the queue */
  readonly batched: boolean;
  readonly args: readonly string[];
}

export interface Sample {
  /** in the unit of the row */
  readonly rate: number;
  /** CPU time per operation, microseconds: primary, secondary */
  readonly cpu: readonly [number, number];
  /** part of the primary's that its daemon used */
  readonly daemon: number;
  /** completion time, 99th percentile, microseconds */
  readonly p99: number;
}

interface Side {
  readonly iops: number;
  readonly bw: number;
  readonly total_ios: number;
  readonly clat_ns: { readonly percentile?: Readonly<Record<string, number>> };
}

/**
 * Clock ticks of the daemon and of everything; a machine's own clock goes on when the host gives
 * its time to others, so only the share of the daemon means something.
 */
const TICKS = [
  'ticks() {',
  '  local d=0 f s; read -r -a s </proc/stat',
  '  [ -e /run/marsd.pid ] && read -r -a f <"/proc/$(</run/marsd.pid)/stat" && d=$((f[13] + f[14]))',
  '  echo "TICKS $d $((s[1] + s[2] + s[3] + s[6] + s[7]))"',
  '}',
].join('\n');

function command(
  contender: Contender,
  row: Row,
  generator: Generator,
  operations: number | undefined,
): string {
  const amount =
    operations !== undefined
      ? [`--io_size=${operations * row.block}`]
      : ['--time_based', `--runtime=${generator.seconds ?? 1}`];
  const batch =
    generator.batched && row.depth > 1
      ? [
          `--iodepth_batch_submit=${row.depth}`,
          '--iodepth_batch_complete_min=1',
          `--iodepth_batch_complete_max=${row.depth}`,
        ]
      : [];
  return [
    'fio --name=bench --thread --direct=1 --ioengine=libaio --norandommap --randrepeat=0',
    `--filename=${contender.device} --size=${generator.size} --output-format=json`,
    ...row.args,
    ...amount,
    ...batch,
    ...generator.args,
  ].join(' ');
}

async function once(
  bed: Bed,
  contender: Contender,
  row: Row,
  generator: Generator,
  operations: number | undefined,
): Promise<{ side: Side; cpu: [number, number]; share: number }> {
  const machines = [bed.primary, bed.secondary] as const;
  const before = machines.map((m) => m.cpu());
  const output = await bed.primary.run(
    [
      'set -e',
      TICKS,
      'ticks',
      command(contender, row, generator, operations),
      contender.settle,
      'ticks',
    ].join('\n'),
  );
  const used = machines.map((m, i) => m.cpu() - (before[i] ?? 0));
  const text = output.slice(output.indexOf('\n{'), output.lastIndexOf('\n}') + 2);
  const job = (JSON.parse(text) as { jobs: { read: Side; write: Side }[] }).jobs[0];
  if (!job) throw new Error(`fio reported no job: ${output}`);
  const [begin, end] = [...output.matchAll(/^TICKS (\d+) (\d+)/gm)].map(
    (m) => [Number(m[1]), Number(m[2])] as const,
  );
  const share = begin && end ? (end[0] - begin[0]) / Math.max(1, end[1] - begin[1]) : NaN;
  return {
    side: row.reads ? job.read : job.write,
    cpu: [used[0] ?? 0, used[1] ?? 0],
    share,
  };
}

/** CPU time of a measurement that does one operation, microseconds. */
export async function overhead(
  bed: Bed,
  raw: Contender,
  generator: Generator,
): Promise<readonly [number, number]> {
  const [row] = ROWS;
  return row ? (await once(bed, raw, row, generator, 1)).cpu : [0, 0];
}

export async function measure(
  bed: Bed,
  contender: Contender,
  row: Row,
  generator: Generator,
  spent: readonly [number, number],
): Promise<Sample> {
  const operations =
    generator.seconds === undefined ? Math.max(1, Math.round(row.operations * generator.scale)) : undefined;
  const { side, cpu, share } = await once(bed, contender, row, generator, operations);
  const n = Math.max(1, side.total_ios);
  return {
    rate: row.unit === 'IOPS' ? side.iops : side.bw / 1024,
    cpu: [(cpu[0] - spent[0]) / n, (cpu[1] - spent[1]) / n],
    daemon: (share * cpu[0]) / n,
    p99: (side.clat_ns.percentile?.['99.000000'] ?? NaN) / 1000,
  };
}
