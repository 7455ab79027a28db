// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What is compared: servers that export an image of the same size over NBD.
 *
 * All images are written out completely beforehand, so that no server has to
 * allocate while it is measured. `settle` returns when a server has brought
 * everything to disk (and to its replica), so that no load disturbs the next.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { promises as fs, readFileSync, rmSync, watch } from 'node:fs';
import path from 'node:path';
import { Lab, type LabNode } from '../lab/lab.js';
import { parsePosition } from '../src/tree/catalogue.js';

export const R = 'bench';

export interface Server {
  readonly name: string;
  readonly uri: string;
  readonly pid: number;
  /** the data disk behind it */
  readonly disk: string;
  settle(): Promise<void>;
  close(): Promise<void>;
}

/** An image of `size` bytes, all of it written. Content: pseudo-random, not compressible. */
export async function makeImage(file: string, size: number): Promise<void> {
  const chunk = Buffer.allocUnsafe(4 << 20);
  for (let i = 0, x = 0x9e3779b9; i < chunk.length; i += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    chunk.writeInt32LE(x, i);
  }
  const handle = await fs.open(file, 'w');
  for (let at = 0; at < size; at += chunk.length)
    await handle.write(chunk, 0, Math.min(chunk.length, size - at));
  await handle.sync();
  await handle.close();
}

/** Bring everything the page cache holds of a file to disk. */
export async function flushFile(file: string): Promise<void> {
  const handle = await fs.open(file, 'r+');
  await handle.datasync();
  await handle.close();
}

/** Have all of a file in the page cache, as far as there is room. */
export async function readThrough(file: string): Promise<void> {
  const handle = await fs.open(file, 'r');
  const chunk = Buffer.allocUnsafe(4 << 20);
  while ((await handle.read(chunk)).bytesRead > 0);
  await handle.close();
}

/** CPU time a process has used, ms. */
export function cpuTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A field of /proc/PID/status, KiB. */
export function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(
    readFileSync(`/proc/${pid}/status`, 'latin1'),
  );
  return Number(match?.[1] ?? NaN);
}

/** A foreign server; it says by its pid file that it serves. */
async function startForeign(
  name: string,
  dir: string,
  image: string,
  command: (socket: string, pidFile: string) => readonly [string, ...string[]],
): Promise<Server> {
  const file = path.basename(image, '.img');
  const socket = path.join(dir, `${file}.sock`);
  const pidFile = `${file}.pid`;
  const [program, ...args] = command(socket, path.join(dir, pidFile));
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    const watcher = watch(dir, (_, changed) => changed === pidFile && done());
    const done = (): void => {
      watcher.close();
      resolve();
    };
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} exited with ${code}`)));
  });
  return {
    name,
    uri: `nbd+unix:///?socket=${socket}`,
    pid: child.pid ?? 0,
    disk: image,
    settle: () => flushFile(image),
    async close() {
      child.kill();
      await exited;
      rmSync(socket, { force: true });
    },
  };
}

export const startNbdkit = (dir: string, image: string): Promise<Server> =>
  startForeign('nbdkit file', dir, image, (socket, pid) => [
    'nbdkit',
    '-f',
    '-P',
    pid,
    '-U',
    socket,
    'file',
    image,
  ]);

export const startQemu = (dir: string, image: string): Promise<Server> =>
  startForeign('qemu-nbd', dir, image, (socket, pid) => [
    'qemu-nbd',
    ...['-f', 'raw', '-x', '', '-t', '-e', '16', '-k', socket, `--pid-file=${pid}`],
    ...['--cache=writeback', '--aio=io_uring', '--discard=unmap', image],
  ]);

/** A primary with no replica or one. */
export class Mars implements Server {
  readonly name: string;
  readonly lab: Lab;
  readonly primary: LabNode;
  readonly replica: LabNode | undefined;

  private constructor(name: string, lab: Lab, primary: LabNode, replica: LabNode | undefined) {
    this.name = name;
    this.lab = lab;
    this.primary = primary;
    this.replica = replica;
  }

  static async start(name: string, hosts: readonly string[], size: number): Promise<Mars> {
    const lab = await Lab.create(hosts);
    try {
      await lab.form();
      const [primary, replica] = lab.nodes;
      if (!primary) throw new Error('no host');
      await withoutRelays(lab);
      const mars = new Mars(name, lab, primary, replica);
      for (const node of lab.nodes) await makeImage(mars.image(node), size);
      await primary.marsadm(['create-resource', R, mars.image(primary)]);
      await replica?.marsadm(['join-resource', R, mars.image(replica)]);
      await replica?.marsadm(['wait-resource', R, 'uptodate']);
      return mars;
    } catch (error) {
      await lab.dispose();
      throw error;
    }
  }

  image(node: LabNode): string {
    return path.join(this.lab.dir, `${node.name}.img`);
  }

  get uri(): string {
    return `nbd+unix:///${R}?socket=${this.primary.device(R)}`;
  }

  get pid(): number {
    return this.primary.pid ?? 0;
  }

  get disk(): string {
    return this.image(this.primary);
  }

  /** Everything is on the data disk, nothing is left to replay; then the same at the replica. */
  async settle(): Promise<void> {
    const mine = `resource-${R}/replay-${this.primary.name}`;
    const clean = (v: string | undefined): boolean => v !== undefined && parsePosition(v)?.dirty === 0n;
    await this.primary.waitLink(mine, clean);
    await this.replica?.waitLink(
      `resource-${R}/replay-${this.replica.name}`,
      (v) => clean(v) && v === this.primary.link(mine),
    );
    for (const node of this.lab.nodes) await flushFile(this.image(node));
  }

  async close(): Promise<void> {
    await this.lab.dispose();
  }
}

/** Let the daemons talk directly: the relays of a lab live in this process and would cost its time. */
async function withoutRelays(lab: Lab): Promise<void> {
  for (const node of lab.nodes) {
    await node.stop();
    for (const other of lab.nodes)
      rmSync(path.join(node.dir, 'local', `address-${other.name}`), { force: true });
  }
  for (const node of lab.nodes) await node.start();
}
