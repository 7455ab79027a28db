// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * make bench: numbers for docs/performance.md, side by side in one run.
 *
 * Every round measures each load on each server in turn, so that whatever else
 * the machine does meanwhile falls on all of them; ratios are medians over
 * the ratios of the rounds. Environment: BENCH_SECONDS (of one measurement, 3),
 * BENCH_ROUNDS (3), BENCH_SIZE (image, MiB, 1024), BENCH_ONLY (disk, transfer, lag).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { defaultTuning } from '../src/daemon/context.js';
import { plainCopy } from './copy.js';
import { LOADS, measure, type Load } from './fio.js';
import { lags } from './lag.js';
import {
  cpuTime,
  flushFile,
  makeImage,
  Mars,
  memory,
  readThrough,
  startNbdkit,
  startQemu,
  type Server,
} from './servers.js';
import { digits, median, quantile, ratio, spread, table } from './stats.js';
import { catchUp, fallBehind, ship, sync } from './transfer.js';

const MIB = 1 << 20;

function setting(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${name} must be a positive number`);
  return value;
}

const seconds = setting('BENCH_SECONDS', 3);
const rounds = setting('BENCH_ROUNDS', 3);
const size = setting('BENCH_SIZE', 1024) * MIB;
const only = process.env['BENCH_ONLY']?.split(',');
const wants = (part: string): boolean => only === undefined || only.includes(part);

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const progress = (text: string): void => void process.stderr.write(`${text}\n`);

/** Measurements of one load: by server, one per round. */
interface Row {
  readonly load: Load;
  readonly rates: number[][];
  /** CPU time of the server per operation or MiB, µs */
  readonly costs: number[][];
}

async function compareDisks(servers: readonly Server[]): Promise<void> {
  const rows: Row[] = LOADS.map((load) => ({
    load,
    rates: servers.map(() => []),
    costs: servers.map(() => []),
  }));
  for (let round = 1; round <= rounds; round++)
    for (const { load, rates, costs } of rows)
      for (const [i, server] of servers.entries()) {
        // large writes of mars go past the page cache: without this the rows before decide what is in it
        if (load.reads) await readThrough(server.disk);
        const cpu = cpuTime(server.pid);
        const rate = await measure(server.uri, size, load, seconds);
        const used = cpuTime(server.pid) - cpu;
        rates[i]?.push(rate);
        costs[i]?.push((used * 1000) / (rate * seconds));
        progress(`round ${round}: ${load.name}: ${server.name}: ${digits(rate)} ${load.unit}`);
        await server.settle();
      }
  say('\n## The device: median (min-max) of the rounds\n');
  say(
    table([
      ['load', 'unit', ...servers.map((s) => s.name)],
      ...rows.map((r) => [r.load.name, r.load.unit, ...r.rates.map(spread)]),
    ]),
  );
  const reference = servers.findIndex((s) => s.name === 'nbdkit file');
  say('\nThe same as a ratio to nbdkit file, and CPU time of the server in µs per operation or MiB:\n');
  say(
    table([
      ['load', ...servers.map((s) => s.name), ...servers.map((s) => `CPU ${s.name}`)],
      ...rows.map((r) => [
        r.load.name,
        ...r.rates.map((rate) => ratio(rate, r.rates[reference] ?? []).toFixed(2)),
        ...r.costs.map((cost) => digits(median(cost))),
      ]),
    ]),
  );
}

async function compareTransfers(mars: Mars, dir: string): Promise<void> {
  const replica = mars.replica;
  if (!replica) throw new Error('no replica');
  const measured = new Map<string, number[]>();
  const note = (what: string, rate: number): void => {
    measured.set(what, [...(measured.get(what) ?? []), rate]);
    progress(`${what}: ${digits(rate)} MiB/s`);
  };
  const copy = path.join(dir, 'copy');
  for (let round = 1; round <= rounds; round++) {
    const log = await fallBehind(mars, replica, size / 2);
    note('plain TLS, received and dropped', await plainCopy(log.file, Number(log.end), undefined));
    note('plain TLS copy to a file, of a log', await plainCopy(log.file, Number(log.end), copy));
    rmSync(copy);
    note('log shipping', await ship(replica, log));
    note('replay, catching up', await catchUp(replica, log));
    await mars.settle();
    note('plain TLS copy to a file, of the disk', await plainCopy(mars.image(mars.primary), size, copy));
    rmSync(copy);
    note('sync to an empty disk', await sync(mars, replica, size, true));
    note('sync to an equal disk', await sync(mars, replica, size, false));
    await mars.settle();
  }
  const against = (what: string): string => {
    const base =
      what === 'log shipping'
        ? 'plain TLS copy to a file, of a log'
        : what === 'sync to an empty disk'
          ? 'plain TLS copy to a file, of the disk'
          : undefined;
    return base === undefined ? '' : ratio(measured.get(what) ?? [], measured.get(base) ?? []).toFixed(2);
  };
  say('\n## Transfers: MiB/s, median (min-max)\n');
  say(
    table([
      ['what', 'MiB/s', 'to the plain copy'],
      ...[...measured].map(([what, rates]) => [what, spread(rates), against(what)]),
    ]),
  );
}

const LAG_LOADS: readonly { readonly name: string; readonly args: readonly string[] }[] = [
  { name: 'idle otherwise', args: [] },
  {
    name: '4k random write, 2000 a second',
    args: ['--rw=randwrite', '--bs=4k', '--iodepth=16', '--rate_iops=2000'],
  },
  {
    name: '4k random write, 2000 a second, fsync every 16',
    args: ['--rw=randwrite', '--bs=4k', '--iodepth=16', '--rate_iops=2000', '--fsync=16'],
  },
  { name: '64k sequential write, 50 MiB/s', args: ['--rw=write', '--bs=64k', '--iodepth=4', '--rate=50m'] },
  {
    name: '4k random write, depth 16, as fast as it can',
    args: ['--rw=randwrite', '--bs=4k', '--iodepth=16'],
  },
];

async function measureLag(mars: Mars): Promise<void> {
  const replica = mars.replica;
  if (!replica) throw new Error('no replica');
  const rows: string[][] = [['load', 'probes', 'p50', 'p90', 'p99', 'max']];
  for (const { name, args } of LAG_LOADS) {
    const found = await lags(mars, replica, size, seconds * rounds, args);
    const at = (share: number): string => digits(quantile(found, share));
    rows.push([name, found.length.toString(), at(0.5), at(0.9), at(0.99), at(1)]);
    progress(rows.at(-1)?.join('  ') ?? '');
    await mars.settle();
  }
  say('\n## Replication lag, ms\n');
  say('From the acknowledgement of a FUA write at the primary until the replica has applied it.\n');
  say(table(rows));
}

function showMemory(all: readonly Mars[]): void {
  const mib = (kib: number): string => `${digits(kib / 1024)} MiB`;
  const rows = all.flatMap((mars) =>
    mars.lab.nodes.map((node) => {
      const peak = node.link(`resource-bench/actual-${node.name}/shadow-peak`);
      const pid = node.pid ?? 0;
      return [
        `${mars.name}: ${node === mars.primary ? 'primary' : 'replica'}`,
        mib(memory(pid, 'VmRSS')),
        mib(memory(pid, 'VmHWM')),
        peak === undefined ? '' : mib(Number(peak) / 1024),
      ];
    }),
  );
  say('\n## Memory of the daemons after all of this\n');
  say(`Credits of a primary resource: ${mib(Number(defaultTuning.credits) / 1024)}.\n`);
  say(table([['daemon', 'resident now', 'resident at most', 'shadow memory at most'], ...rows]));
}

async function main(): Promise<void> {
  try {
    os.setPriority(-10); // children inherit it; without the right to, everything competes as it is
  } catch {
    progress('no right to raise the priority');
  }
  const dir = mkdtempSync(path.join(os.tmpdir(), 'mars-bench-'));
  const open: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(server: T): T => {
    open.push(server);
    return server;
  };
  say(`# mars bench, ${new Date().toISOString().slice(0, 16)}Z`);
  say(
    `\n${os.cpus().length} x ${os.cpus()[0]?.model ?? '?'}, Linux ${os.release()}, Node ${process.version},`,
  );
  say(
    `${seconds} s each, ${rounds} rounds, images of ${size / MIB} MiB, load average ${digits(os.loadavg()[0] ?? 0)} at the start`,
  );
  try {
    const pair = keep(await Mars.start('mars, one replica', ['hosta', 'hostb'], size));
    const all = [pair];
    if (wants('disk')) {
      const alone = keep(await Mars.start('mars', ['hostc'], size));
      all.unshift(alone);
      const [kit, qemu] = [path.join(dir, 'nbdkit.img'), path.join(dir, 'qemu.img')];
      for (const image of [kit, qemu]) await makeImage(image, size);
      const servers = [keep(await startNbdkit(dir, kit)), keep(await startQemu(dir, qemu)), alone, pair];
      for (const image of [kit, qemu]) await flushFile(image);
      await compareDisks(servers);
    }
    if (wants('transfer')) await compareTransfers(pair, dir);
    if (wants('lag')) await measureLag(pair);
    showMemory(all);
    say(`\nLoad average ${digits(os.loadavg()[0] ?? 0)} at the end.`);
  } catch (error) {
    for (const server of open)
      if (server instanceof Mars) for (const n of server.lab.nodes) progress(`--- ${n.name}\n${n.log}`);
    throw error;
  } finally {
    for (const server of open.reverse()) await server.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

await main();
