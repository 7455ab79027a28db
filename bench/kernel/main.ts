// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * make bench-kernel: /dev/mars/NAME side by side with the disk below and with DRBD.
 *
 * Environment: BENCH_BEDS (uml,qemu), BENCH_ROUNDS (5), BENCH_SECONDS of a measurement with
 * modelled latency (4), BENCH_SCALE of the work under User Mode Linux (1), BENCH_CONTENDERS
 * (raw,drbd,mars), BENCH_DAEMON_ENV (VARIABLE=value ... for marsd), BENCH_PROFILE (folder for profiles of the daemons, User Mode Linux), BENCH_ROWS (a pattern on the names of rows), BENCH_LOG_MIB (1024), KERNEL
 * of the virtual machines (6.1), BENCH_WRITE (document that gets the numbers: docs/performance.md).
 */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { digits, table } from '../stats.js';
import { compare, cpuTable, latencyTable, rateTable, targetTable } from './compare.js';
import { drbd, mars, raw, stopDaemons, type Contender } from './contenders.js';
import { lagTable, memory, replay } from './extras.js';
import type { Bed } from './machine.js';
import { LATENCY, startQemu } from './qemu.js';
import { ROWS } from './rows.js';
import { startUml } from './uml.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const MIB = 1 << 20;

const report: string[] = [];
const say = (text: string): void => {
  report.push(text);
  process.stdout.write(`${text}\n`);
};
const progress = (text: string): void => void process.stderr.write(`${text}\n`);

function setting(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${name} must be a positive number`);
  return value;
}

const list = (name: string, otherwise: string): string[] => (process.env[name] ?? otherwise).split(',');
const rounds = setting('BENCH_ROUNDS', 5);
const beds = list('BENCH_BEDS', 'uml,qemu');
const wanted = list('BENCH_CONTENDERS', 'raw,drbd,mars');
const profile = process.env['BENCH_PROFILE'];
const rows = ROWS.filter((row) => new RegExp(process.env['BENCH_ROWS'] ?? '').test(row.name));

async function contenders(bed: Bed): Promise<Contender[]> {
  const all: Contender[] = [];
  for (const [name, make] of [
    ['raw', raw],
    ['drbd', drbd],
    ['mars', mars],
  ] as const)
    if (name === 'raw' || wanted.includes(name)) all.push(await make(bed, profile !== undefined));
  return all;
}

/** Builds the special kernel if it is not there; returns its folder. */
function umlKernel(): string {
  const script = path.join(ROOT, 'scripts', 'debug-kernels.sh');
  execFileSync(script, ['build', 'uml'], { stdio: ['ignore', 2, 2] });
  return execFileSync(script, ['show', 'uml'], { encoding: 'utf8' }).trim();
}

function load(when: string): void {
  say(`Load average ${digits(os.loadavg()[0] ?? 0)} at the ${when}.`);
}

/** Beds are taken down too when somebody ends the benchmark. */
function closeWhenKilled(bed: Bed): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void bed.close().finally(() => process.exit(1)));
}

/** mars.ko for a kernel built here; the bench has its own copy of the build. */
function umlModules(kernel: string): { mars: string; crc32c: string } {
  const env = {
    ...process.env,
    KDIR: path.join(kernel, 'build'),
    ARCH: 'um',
    KOUT: path.join(kernel, 'mars'),
  };
  const built = execFileSync(path.join(ROOT, 'scripts', 'kernel-build.sh'), { env, encoding: 'utf8' });
  const crc32c = path.join(kernel, 'crc32c');
  cpSync(path.join(ROOT, 'bench', 'kernel', 'crc32c'), crc32c, { recursive: true });
  execFileSync('make', ['-s', '-C', env.KDIR, 'ARCH=um', `M=${crc32c}`, 'modules'], {
    stdio: ['ignore', 2, 2],
  });
  return { mars: built.trim().split('\n').at(-1) ?? '', crc32c: path.join(crc32c, 'crc32c_bench.ko') };
}

async function onUml(): Promise<void> {
  const kernel = umlKernel();
  const modules = umlModules(kernel);
  const bed = await startUml({ kernel, marsModule: modules.mars, size: 384 * MIB, memory: 1024 });
  closeWhenKilled(bed);
  try {
    for (const machine of [bed.primary, bed.secondary]) await machine.run(`insmod ${modules.crc32c}`);
    const size = 320 * MIB;
    const args = ['--clocksource=cpu'];
    const all = await contenders(bed);
    const generator = { seconds: undefined, scale: setting('BENCH_SCALE', 1), size, batched: true, args };
    const results = await compare(bed, all, generator, rounds, rows, progress);
    say(`\n## User Mode Linux ${bed.kernel}\n`);
    say('### CPU time per operation, microseconds, median (min-max)\n');
    say(cpuTable(results));
    say('\n### Rate in the same runs\n');
    say(rateTable(results));
    say('\n### Targets\n');
    say(targetTable(results, 'cpu'));
    const ours = all.find((c) => c.name === 'mars');
    if (ours && profile === undefined) {
      say('\n### Working off a log of 1 GiB\n');
      say(await replays(bed, ours, size, args));
    }
    load('end');
    if (profile !== undefined) {
      await stopDaemons(bed);
      for (const { name } of [bed.primary, bed.secondary])
        cpSync(path.join(bed.exchange, `${name}.profile`), path.join(profile, name), { recursive: true });
    }
  } catch (error) {
    progress(bed.consoles());
    throw error;
  } finally {
    await bed.close();
  }
}

async function replays(bed: Bed, ours: Contender, size: number, more: readonly string[]): Promise<string> {
  const found: string[][] = [['log of', 'seconds', 'MiB/s', 'the same load on the raw disk, MiB/s', 'ratio']];
  for (const [name, args] of [
    ['128k sequential writes', ['--rw=write', '--bs=128k', '--iodepth=8']],
    ['4k random writes', ['--rw=randwrite', '--bs=4k', '--iodepth=16']],
  ] as const) {
    const { seconds, rate, raw } = await replay(
      bed,
      ours,
      setting('BENCH_LOG_MIB', 1024) * MIB,
      size,
      args,
      more,
    );
    found.push([name, digits(seconds), digits(rate), digits(raw), (rate / raw).toFixed(2)]);
    progress(found.at(-1)?.join('  ') ?? '');
  }
  return table(found);
}

async function onQemu(): Promise<void> {
  const seconds = setting('BENCH_SECONDS', 4);
  const bed = await startQemu(process.env['KERNEL'] ?? '6.1', 384 * MIB);
  closeWhenKilled(bed);
  try {
    const size = 320 * MIB;
    const all = await contenders(bed);
    const generator = { seconds, scale: 1, size, batched: false, args: [] };
    const results = await compare(bed, all, generator, rounds, rows, progress);
    const { writeMs, readMs, linkMs } = LATENCY;
    say(
      `\n## QEMU, Linux ${bed.kernel}, ${writeMs} ms a write, ${readMs} ms a read, ${linkMs} ms each way\n`,
    );
    say('### Rate, median (min-max)\n');
    say(rateTable(results));
    say('\n### Completion time, 99th percentile, microseconds\n');
    say(latencyTable(results));
    say('\n### CPU time of the emulator per operation, microseconds\n');
    say(cpuTable(results));
    say('\n### Targets\n');
    say(targetTable(results, 'rate'));
    const ours = all.find((c) => c.name === 'mars');
    if (ours) {
      say('\n### Memory\n');
      say(await memory(bed, ours, size, seconds * 2, []));
      say('\n### Replication lag, ms, the link included\n');
      say(await lagTable(bed, ours, size, seconds * 2, []));
    }
    load('end');
  } finally {
    await bed.close();
  }
}

const BEGIN = '<!-- bench-kernel: written by make bench-kernel -->';
const END = '<!-- end of bench-kernel -->';

/** Puts the numbers between the two marks of a document, which it must have. */
function writeInto(document: string, text: string): void {
  const old = readFileSync(document, 'utf8');
  const [from, to] = [old.indexOf(BEGIN), old.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${document} has no place for the numbers: ${BEGIN}`);
  // headings one level deeper than the document's section
  const deeper = text.replace(/^# .*\n\n?/, '').replaceAll(/^(#+ )/gm, '#$1');
  writeFileSync(document, `${old.slice(0, from + BEGIN.length)}\n\n${deeper}\n\n${old.slice(to)}`);
}

async function main(): Promise<void> {
  say(`# mars bench of the kernel module, ${new Date().toISOString().slice(0, 16)}Z\n`);
  say(`${os.cpus().length} x ${os.cpus()[0]?.model ?? '?'}, Linux ${os.release()}, ${rounds} rounds.`);
  load('start');
  if (beds.includes('uml')) await onUml();
  if (beds.includes('qemu')) await onQemu();
  const document = process.env['BENCH_WRITE'];
  if (document !== undefined) writeInto(document, report.join('\n'));
}

await main();
