// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What no load alone tells: how fast a replica works off a log, how far it is behind under load,
 * and what memory the credits really cost.
 */
import { parsePosition } from '../../src/tree/catalogue.js';
import { digits, quantile, table } from '../stats.js';
import { marsadm, PAUSE, RESOURCE, RESOURCE_DIR, type Contender } from './contenders.js';
import type { Bed } from './machine.js';

const MIB = 1 << 20;
const LAG_PORT = 9;

const fio = (device: string, size: number, ...args: readonly string[]): string =>
  `fio --name=bench --thread --direct=1 --ioengine=libaio --norandommap --filename=${device} --size=${size} ${args.join(' ')}`;

/** Seconds between two EPOCHREALTIME lines a script printed. */
function elapsed(output: string): number {
  const [begin, end] = [...output.matchAll(/^TIME ([\d.]+)/gm)].map((m) => Number(m[1]));
  return (end ?? NaN) - (begin ?? NaN);
}

const TIME = 'echo "TIME $EPOCHREALTIME"';

/**
 * The secondary pauses, `bytes` are written at the primary, all of the log arrives; then replay
 * works it off. The same code recovers a primary after a crash. The yardstick is the same load
 * on the secondary's own raw disk.
 */
export async function replay(
  bed: Bed,
  contender: Contender,
  bytes: number,
  size: number,
  args: readonly string[],
  more: readonly string[],
): Promise<{ seconds: number; rate: number; raw: number }> {
  const { primary, secondary } = bed;
  const mine = `actual-${secondary.name}`;
  const load = [...args, `--io_size=${bytes}`, ...more];
  await secondary.run(
    [
      'set -e',
      marsadm(bed, secondary, 'pause-replay', RESOURCE),
      `/bench/links match ${RESOURCE_DIR}/${mine}/is-replaying 0`,
    ].join('\n'),
  );
  await primary.run(fio(contender.device, size, ...load));
  const end = parsePosition(
    (await primary.run(`/bench/links match ${RESOURCE_DIR}/replay-${primary.name} '*,0'`)).trim(),
  );
  if (!end) throw new Error('the primary has no position');
  const log = `log-${end.number.toString().padStart(9, '0')}-${end.origin}`;
  const output = await secondary.run(
    [
      'set -e',
      `/bench/links match ${RESOURCE_DIR}/${mine}/fetch-pos '${log},${end.pos}'`,
      `(/bench/links match ${RESOURCE_DIR}/${mine}/is-replaying 1; ${TIME}) &`,
      marsadm(bed, secondary, 'resume-replay', RESOURCE),
      `/bench/links match ${RESOURCE_DIR}/replay-${secondary.name} '${log},${end.pos},*'`,
      TIME,
      'wait',
    ].join('\n'),
  );
  const yard = await secondary.run(
    [TIME, fio(bed.disks.raw, size, ...load, '--end_fsync=1'), TIME].join('\n'),
  );
  const seconds = elapsed(output);
  return { seconds, rate: bytes / MIB / seconds, raw: bytes / MIB / elapsed(yard) };
}

/** Lags in milliseconds of the probes sent during `seconds`, while fio runs with these arguments. */
async function lags(
  bed: Bed,
  contender: Contender,
  size: number,
  seconds: number,
  load: readonly string[],
): Promise<number[]> {
  const { primary, secondary } = bed;
  const at = size; // fio stays below
  await secondary.run(
    `setsid /bench/lag watch ${bed.disks.mars} ${at} ${LAG_PORT} >/run/lag.log 2>&1 </dev/null & echo $! >/run/lag.pid`,
  );
  try {
    const output = await primary.run(
      [
        load.length === 0
          ? ':'
          : `${fio(contender.device, size, ...load, '--time_based', `--runtime=${seconds + 2}`)} >/run/lag-fio.log 2>&1 &`,
        `/bench/lag probe ${contender.device} ${at} ${secondary.address} ${LAG_PORT} ${seconds} || exit 1`,
        'wait',
      ].join('\n'),
    );
    return output
      .trim()
      .split('\n')
      .map((line) => Number(line) / 1000);
  } finally {
    await secondary.run('kill "$(</run/lag.pid)"');
  }
}

const LAG_LOADS: readonly { readonly name: string; readonly args: readonly string[] }[] = [
  { name: 'idle otherwise', args: [] },
  {
    name: '4k random write, 500 a second',
    args: ['--rw=randwrite', '--bs=4k', '--iodepth=16', '--rate_iops=500'],
  },
  { name: '64k sequential write, 4 MiB/s', args: ['--rw=write', '--bs=64k', '--iodepth=4', '--rate=4m'] },
];

/** Table of the replication lag under some loads. */
export async function lagTable(
  bed: Bed,
  contender: Contender,
  size: number,
  seconds: number,
  more: readonly string[],
): Promise<string> {
  const rows: string[][] = [['load', 'probes', 'p50', 'p90', 'p99', 'max']];
  for (const { name, args } of LAG_LOADS) {
    const found = await lags(bed, contender, size, seconds, args.length === 0 ? args : [...args, ...more]);
    const share = (s: number): string => digits(quantile(found, s));
    rows.push([name, found.length.toString(), share(0.5), share(0.9), share(0.99), share(1)]);
    await bed.primary.run(contender.settle);
  }
  return table(rows);
}

/** Writes as fast as it can, until the credits are used up; memory of the machine before and at worst. */
export async function memory(
  bed: Bed,
  contender: Contender,
  size: number,
  seconds: number,
  more: readonly string[],
): Promise<string> {
  const output = await bed.primary.run(
    [
      'set -e',
      PAUSE,
      'available() { while read -r key value _; do if [ "$key" = MemAvailable: ]; then echo "$value"; fi; done </proc/meminfo; }',
      'available',
      `${fio(contender.device, size, '--rw=randwrite', '--bs=4k', '--iodepth=64', '--time_based', `--runtime=${seconds}`, ...more)} >/run/memory-fio.log &`,
      'job=$!',
      'while kill -0 $job 2>/dev/null; do available; read -t 0.1 -u 9 || true; done',
      contender.settle,
      `readlink ${RESOURCE_DIR}/actual-${bed.primary.name}/shadow-peak`,
    ].join('\n'),
  );
  const numbers = output
    .split('\n')
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
  const peak = numbers.pop() ?? NaN;
  const [before = NaN, ...during] = numbers;
  return (
    `Memory of the machine used at the credit limit: ${digits((before - Math.min(...during)) / 1024)} MiB; ` +
    `shadow memory at most ${digits(peak / MIB)} MiB.`
  );
}
