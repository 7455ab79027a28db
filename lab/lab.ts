// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A cluster of real daemons on this machine, for the demo, tests and benchmarks.
 *
 * Every node has its own directory, key and process; they speak TLS over
 * loopback, each pair through two relays (one per direction of dialling), so
 * that a link can really be cut and mended. Nothing survives `dispose`.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  watch,
  type FSWatcher,
} from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { NbdClient } from './nbd.js';
import { freePort } from './port.js';
import { Relay } from './relay.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MARSADM = path.join(ROOT, 'bin', 'marsadm');
const MARSD = path.join(ROOT, 'bin', 'marsd');
/** Several daemons can't share the kernel's. */
const ENGINE = '--engine=embedded';

/** What a command gave back. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command ended with another code than expected. */
export class CommandError extends Error {
  constructor(
    readonly command: string,
    readonly outcome: Outcome,
  ) {
    super(`${command}: exit ${outcome.code}\n${outcome.stdout}${outcome.stderr}`);
  }
}

/** Run a program to its end; `started` is given the process. */
export function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  started: (child: ChildProcess) => void = () => undefined,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    started(child);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? (signal ? 128 : 1), stdout, stderr }));
  });
}

/** One node: a directory and, while it runs, a daemon. */
export class LabNode {
  readonly name: string;
  readonly dir: string;
  readonly port: number;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  #exited: Promise<number> = Promise.resolve(0);
  readonly #listeners = new Set<(line: string) => void>();
  readonly #watchers = new Set<FSWatcher>();
  /** commands under way */
  readonly #commands = new Set<ChildProcess>();
  /** everything the daemon said */
  log = '';

  constructor(name: string, dir: string, port: number, args: readonly string[]) {
    this.name = name;
    this.dir = dir;
    this.port = port;
    this.#args = args;
  }

  get env(): NodeJS.ProcessEnv {
    return { MARS_DIR: this.dir, MARS_HOST: this.name, NO_COLOR: '1' };
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Start the daemon; resolves when it says it is ready. */
  async start(more: readonly string[] = []): Promise<void> {
    const child = spawn(process.execPath, [MARSD, ENGINE, ...this.#args, ...more], {
      env: { ...process.env, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.on('close', (code) => {
        this.#child = undefined;
        resolve(code ?? -1);
      });
    });
    await new Promise<void>((resolve, reject) => {
      const said = (line: string): void => {
        this.log += `${line}\n`;
        for (const listener of [...this.#listeners]) listener(line);
        if (line === 'marsd: ready') resolve();
      };
      createInterface(child.stdout).on('line', said);
      createInterface(child.stderr).on('line', said);
      void this.#exited.then((code) =>
        reject(new Error(`marsd of ${this.name} exited with ${code}:\n${this.log}`)),
      );
    });
  }

  /** Run a daemon that is expected to refuse; returns what it said and how it ended. */
  attempt(): Promise<Outcome> {
    return run(process.execPath, [MARSD, ENGINE, ...this.#args], this.env);
  }

  /** Resolves when the daemon says something that matches; what it said before does not count. */
  says(pattern: RegExp): Promise<void> {
    return new Promise((resolve) => {
      const listener = (line: string): void => {
        if (!pattern.test(line)) return;
        this.#listeners.delete(listener);
        resolve();
      };
      this.#listeners.add(listener);
    });
  }

  /** End the daemon in an orderly way; returns its exit code. */
  async stop(): Promise<number> {
    this.#child?.kill('SIGTERM');
    return this.#exited;
  }

  /** kill -9 */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  /** Run marsadm; throws CommandError unless it exits with `expect`. */
  async marsadm(args: readonly string[], expect: number | 'any' = 0): Promise<Outcome> {
    const outcome = await run(process.execPath, [MARSADM, ...args], this.env, (child) => {
      this.#commands.add(child);
      child.on('close', () => this.#commands.delete(child));
    });
    if (expect !== 'any' && outcome.code !== expect)
      throw new CommandError(`${this.name}: marsadm ${args.join(' ')}`, outcome);
    return outcome;
  }

  /** Output of marsadm without the line end. */
  async ask(...args: string[]): Promise<string> {
    return (await this.marsadm(args)).stdout.trim();
  }

  /** Value of a key of the tree, or undefined. */
  link(key: string): string | undefined {
    try {
      const value = readlinkSync(path.join(this.dir, key));
      return value === '.deleted' ? undefined : value;
    } catch {
      return undefined;
    }
  }

  /** Wait until a key of the tree has a value that satisfies `done`. */
  waitLink(key: string, done: (value: string | undefined) => boolean): Promise<void> {
    return this.#watch(path.dirname(key), () => done(this.link(key)));
  }

  /** Logs of a resource that this node holds, by name. */
  logs(resource: string): string[] {
    return readdirSync(path.join(this.dir, `resource-${resource}`))
      .filter((name) => /^log-\d{9}-/.test(name))
      .sort();
  }

  /** Wait until this node holds logs of a resource that satisfy `done`. */
  waitLogs(resource: string, done: (logs: readonly string[]) => boolean): Promise<void> {
    return this.#watch(`resource-${resource}`, () => done(this.logs(resource)));
  }

  /** Wait for what can change with the names in a folder. */
  #watch(folder: string, done: () => boolean): Promise<void> {
    const dir = path.join(this.dir, folder);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return new Promise((resolve) => {
      const look = (): void => {
        if (!done()) return;
        watcher.close();
        this.#watchers.delete(watcher);
        resolve();
      };
      const watcher = watch(dir, look);
      this.#watchers.add(watcher);
      look();
    });
  }

  /** End whatever still waits for a key, or for a command; it would keep the process alive. */
  async stopWaiting(): Promise<void> {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers.clear();
    const ended = [...this.#commands].map((child) => once(child, 'close'));
    for (const child of this.#commands) child.kill('SIGKILL');
    await Promise.all(ended);
  }

  /** Where the export of a resource listens. */
  device(resource: string): string {
    return path.join(this.dir, 'dev', `${resource}.sock`);
  }

  /** Connect to the export of a resource. */
  open(resource: string): Promise<NbdClient> {
    return NbdClient.open(this.device(resource), resource);
  }
}

/** Several nodes and the links between them. */
export class Lab {
  readonly dir: string;
  readonly nodes: readonly LabNode[];
  readonly #relays = new Map<string, Relay>();

  private constructor(dir: string, nodes: readonly LabNode[]) {
    this.dir = dir;
    this.nodes = nodes;
  }

  /** Directories and ports for nodes of these names; nothing runs yet. */
  static async create(names: readonly string[], daemonArgs: readonly string[] = []): Promise<Lab> {
    const dir = mkdtempSync(path.join(tmpdir(), 'mars-'));
    const nodes: LabNode[] = [];
    for (const name of names)
      nodes.push(new LabNode(name, path.join(dir, name), await freePort(), daemonArgs));
    return new Lab(dir, nodes);
  }

  node(name: string): LabNode {
    const node = this.nodes.find((n) => n.name === name);
    if (!node) throw new Error(`no node ${name}`);
    return node;
  }

  /** Make the cluster: the first node creates it, the others join with tokens. All daemons run afterwards. */
  async form(): Promise<void> {
    const [first, ...rest] = this.nodes;
    if (!first) return;
    mkdirSync(first.dir, { recursive: true, mode: 0o700 });
    await first.marsadm(['create-cluster', '--address', `127.0.0.1:${first.port}`]);
    await this.#detour(first);
    await first.start();
    for (const node of rest) {
      mkdirSync(node.dir, { recursive: true, mode: 0o700 });
      const token = await first.ask('join-token');
      await node.marsadm(['join-cluster', token, '--address', `127.0.0.1:${node.port}`]);
      await this.#detour(node);
      await node.start();
    }
    for (const node of this.nodes) await node.marsadm(['wait-cluster']);
  }

  /** Let `node` dial every other node through a relay of its own. */
  async #detour(node: LabNode): Promise<void> {
    for (const other of this.nodes) {
      if (other === node) continue;
      const relay = await Relay.to(other.port);
      this.#relays.set(`${node.name}>${other.name}`, relay);
      symlinkSync(relay.address, path.join(node.dir, 'local', `address-${other.name}`));
    }
  }

  /** Cut the link between two nodes, both ways; what is on it is lost. Returns when both have noticed. */
  async cut(a: string, b: string): Promise<void> {
    for (const key of [`${a}>${b}`, `${b}>${a}`]) await this.#relays.get(key)?.cut();
    await Promise.all([this.#noticed(a, b, false), this.#noticed(b, a, false)]);
  }

  /** Mend the link again. Returns when both have noticed. */
  async mend(a: string, b: string): Promise<void> {
    for (const key of [`${a}>${b}`, `${b}>${a}`]) await this.#relays.get(key)?.restore();
    await Promise.all([this.#noticed(a, b, true), this.#noticed(b, a, true)]);
  }

  /** Connections that `from` opens to `to` stall once about so many bytes have passed; without a number never. */
  allow(from: string, to: string, bytes?: number): void {
    this.#relays.get(`${from}>${to}`)?.allow(bytes);
  }

  async #noticed(a: string, b: string, connected: boolean): Promise<void> {
    const node = this.node(a);
    if (node.running) await node.waitLink(`local/peer-${b}`, (v) => (v === 'connected') === connected);
  }

  /** End everything and remove all files; with MARS_LAB_KEEP in the environment they stay. */
  async dispose(): Promise<void> {
    await Promise.all(this.nodes.map((n) => n.stopWaiting()));
    await Promise.all(this.nodes.map((n) => n.kill()));
    for (const relay of this.#relays.values()) await relay.cut();
    if (!process.env['MARS_LAB_KEEP']) rmSync(this.dir, { recursive: true, force: true });
  }

  /** What there is of this lab on the machine: its folder, and processes that work for one of its nodes. */
  leftovers(): string[] {
    const ours = this.nodes.map((n) => `MARS_DIR=${n.dir}`);
    const works = (pid: string): boolean => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1')
          .split('\0')
          .some((word) => ours.includes(word));
      } catch {
        return false; // gone meanwhile, or of somebody else
      }
    };
    const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && works(name));
    return [...(existsSync(this.dir) ? [this.dir] : []), ...processes.map((pid) => `process ${pid}`)];
  }
}
