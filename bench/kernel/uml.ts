// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Two nodes under User Mode Linux: kernel code at native speed, without virtualisation.
 *
 * Each node is pinned to one processor and accounted by a control group, so that the CPU time
 * of an operation can be told even while the machine does other things. Disks are files in
 * memory. The network is a pair of sockets, made by uml-pair; no interface of the host is used.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { ScriptError, TOOLS, type Bed, type Disks, type Machine } from './machine.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SOURCES = path.join(ROOT, 'bench', 'kernel');
const MIB = 1 << 20;

/** Letters of the nodes' disks: /dev/ubda ... */
const DISKS: Disks = {
  raw: '/dev/ubda',
  drbd: '/dev/ubdb',
  drbdMeta: '/dev/ubdc',
  mars: '/dev/ubdd',
  marsLog: '/dev/ubde',
};

/** The bed, with what the nodes said, and the folder that is /bench for them. */
export interface UmlBed extends Bed {
  readonly exchange: string;
  consoles(): string;
}

export interface UmlOptions {
  /** folder of the kernel, as scripts/debug-kernels.sh prints it */
  readonly kernel: string;
  readonly marsModule: string;
  /** size of the disks, bytes; that of the logs is four times as much */
  readonly size: number;
  /** memory of a node, MiB */
  readonly memory: number;
}

/** An accounting group: CPU time of everything a node does, its helper processes included. */
class Account {
  readonly dir: string;
  readonly #read: () => number;

  constructor(name: string) {
    const v1 = '/sys/fs/cgroup/cpuacct';
    const base = existsSync(v1) ? v1 : '/sys/fs/cgroup';
    this.dir = path.join(base, `mars-bench-${process.pid}-${name}`);
    mkdirSync(this.dir);
    this.#read =
      base === v1
        ? () => Number(readFileSync(path.join(this.dir, 'cpuacct.usage'), 'latin1')) / 1000
        : () =>
            Number(/^usage_usec (\d+)/m.exec(readFileSync(path.join(this.dir, 'cpu.stat'), 'latin1'))?.[1]);
  }

  microseconds(): number {
    return this.#read();
  }

  close(): void {
    rmdirSync(this.dir);
  }
}

class UmlNode implements Machine {
  /** everything the console said */
  console = '';
  readonly ready: Promise<void>;
  readonly #channel: { readonly input: Duplex; readonly output: Duplex };
  readonly #waiting = new Map<number, (exit: number) => void>();
  #number = 0;

  constructor(
    readonly name: string,
    readonly address: string,
    readonly exchange: string,
    readonly account: Account,
    readonly ended: Promise<void>,
    input: Duplex,
    output: Duplex,
  ) {
    this.#channel = { input, output };
    this.ready = new Promise((resolve) => {
      createInterface(output).on('line', (line) => {
        this.console += `${line}\n`;
        if (line.startsWith('READY')) resolve();
        const done = /^DONE (\d+) (\d+)/.exec(line);
        if (done) this.#waiting.get(Number(done[1]))?.(Number(done[2]));
      });
    });
  }

  async run(script: string): Promise<string> {
    const number = ++this.#number;
    writeFileSync(path.join(this.exchange, `${this.name}-cmd-${number}`), script);
    const exit = await Promise.race([
      new Promise<number>((resolve) => {
        this.#waiting.set(number, resolve);
        this.#channel.input.write(`${number}\n`);
      }),
      this.ended.then(() => Promise.reject(new Error(`${this.name} ended\n${this.console}`))),
    ]);
    this.#waiting.delete(number);
    const output = readFileSync(path.join(this.exchange, `${this.name}-out-${number}`), 'utf8');
    if (exit !== 0) throw new ScriptError(this.name, script, exit, output);
    return output;
  }

  cpu(): number {
    return this.account.microseconds();
  }
}

function makeDisks(dir: string, node: string, size: number): string[] {
  const bytes: Record<keyof Disks, number> = {
    raw: size,
    drbd: size,
    drbdMeta: 8 * MIB,
    mars: size,
    marsLog: 4 * size,
  };
  return (Object.keys(DISKS) as (keyof Disks)[]).map((purpose) => {
    const file = path.join(dir, `${node}-${purpose}.img`);
    writeFileSync(file, '');
    truncateSync(file, bytes[purpose]);
    return `${DISKS[purpose].replace('/dev/', '')}=${file}`;
  });
}

/** Start both nodes; resolves when they take commands. */
export async function startUml(options: UmlOptions): Promise<UmlBed> {
  const dir = mkdtempSync('/dev/shm/mars-uml-');
  const pair = path.join(dir, 'uml-pair');
  const accounts: Account[] = [];
  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  const close = async (): Promise<void> => {
    child?.kill('SIGTERM');
    await exited;
    for (const account of accounts) account.close();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    execFileSync('gcc', ['-O2', '-o', pair, path.join(SOURCES, 'uml-pair.c')]);
    for (const tool of TOOLS)
      execFileSync('gcc', ['-O2', '-static', '-o', path.join(dir, tool), path.join(SOURCES, `${tool}.c`)]);
    const names = ['n1', 'n2'];
    const processors = os.cpus().length;
    const before = names.flatMap((name, i) => {
      const account = new Account(name);
      accounts.push(account);
      return [account.dir, String(i % processors)];
    });
    const commands = names.flatMap((name, i) => [
      '--',
      path.join(options.kernel, 'linux'),
      ...[`mem=${options.memory}M`, 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', 'loglevel=4'],
      ...[`init=${path.join(SOURCES, 'uml-init.sh')}`, `NODE=${name}`, `EXCHANGE=${dir}`],
      ...[`ADDRESS=169.254.77.${i + 1}`, 'MTU=65000'],
      ...['con=null', 'con0=fd:0,fd:1', 'ssl=null', `umid=mars-${process.pid}-${name}`],
      `vec0:transport=fd,fd=3,mtu=65000,mac=02:00:00:00:00:0${i + 1},depth=128`,
      ...makeDisks(dir, name, options.size),
    ]);
    child = spawn(pair, [...before, ...commands], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe', 'pipe', 'pipe', 'pipe'],
    });
    const running = child;
    exited = new Promise((resolve) => running.once('exit', () => resolve()));
    const nodes = names.map((name, i) => {
      const [input, output] = [running.stdio[3 + 2 * i], running.stdio[4 + 2 * i]];
      const account = accounts[i];
      if (!input || !output || !account) throw new Error('no console');
      return new UmlNode(
        name,
        `169.254.77.${i + 1}`,
        dir,
        account,
        exited,
        input as Duplex,
        output as Duplex,
      );
    });
    const [primary, secondary] = nodes;
    if (!primary || !secondary) throw new Error('no nodes');
    const consoles = (): string => nodes.map((n) => `--- ${n.name}\n${n.console}`).join('');
    await Promise.race([
      Promise.all(nodes.map((n) => n.ready)),
      exited.then(() => Promise.reject(new Error(`a node ended early\n${consoles()}`))),
    ]);
    return {
      name: 'User Mode Linux',
      kernel: readFileSync(path.join(options.kernel, 'release'), 'latin1').trim(),
      primary,
      secondary,
      disks: DISKS,
      modules: path.join(options.kernel, 'modules'),
      marsModule: options.marsModule,
      project: ROOT,
      exchange: dir,
      consoles,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
