// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Nodes of a cluster, each a machine with a disk for /mars and one for the data. What is written
 * here is what an administrator would type, machine by machine.
 */
import type { Outcome } from './agent.js';
import type { Disk, DiskOptions } from './disk.js';
import type { VmLab } from './lab.js';
import { GuestError, type Vm, type VmOptions } from './vm.js';

/** How a node is made. */
export interface NodeOptions extends VmOptions {
  /** for both disks; size is the data disk's */
  readonly disk?: DiskOptions;
  /** bytes of the disk for /mars, default 512 MiB */
  readonly stateSize?: number;
  /** which engine; default kernel, which means mars.ko is loaded before the daemon starts */
  readonly engine?: 'kernel' | 'embedded';
  /** more arguments for marsd */
  readonly daemonArgs?: readonly string[];
  /** another kernel than the lab's */
  readonly kernel?: string;
}

/** Long enough for anything that ends at all. */
const FOREVER = 3600000;

/** A machine with mars.ko and, while it runs, a daemon. */
export class VmNode {
  readonly #daemonArgs: readonly string[];
  readonly #kernelEngine: boolean;
  #exited: Promise<number> = Promise.resolve(0);
  /** everything the daemon said */
  log = '';

  private constructor(
    readonly vm: Vm,
    /** the disk with /mars */
    readonly state: Disk,
    /** the disk to replicate */
    readonly data: Disk,
    options: NodeOptions,
  ) {
    this.#kernelEngine = options.engine !== 'embedded';
    this.#daemonArgs = [
      '--engine',
      options.engine ?? 'kernel',
      '--segment',
      '4M',
      ...(options.daemonArgs ?? []),
    ];
  }

  get name(): string {
    return this.vm.name;
  }

  /** A started machine with an empty /mars; no module, no daemon yet. */
  static async make(lab: VmLab, name: string, options: NodeOptions = {}): Promise<VmNode> {
    const vm = lab.add(name, options);
    const state = await vm.disk('mars', { ...options.disk, size: options.stateSize ?? 512 << 20 });
    const data = await vm.disk('data', options.disk);
    const node = new VmNode(vm, state, data, options);
    await vm.start();
    lab.witnesses.push(() => node.#testimony());
    await vm.sh(`mkfs.ext4 -q -E lazy_itable_init=0 ${state.path}`);
    await node.#prepare();
    return node;
  }

  /** What the daemon said last, and what marsadm says now. */
  async #testimony(): Promise<string> {
    const view = await this.vm.exec(['marsadm', 'view', 'all'], { timeout: 60000 }).then(
      (outcome) => outcome.stdout + outcome.stderr,
      (error: unknown) => `no marsadm: ${String(error)}`,
    );
    return `--- ${this.name}\n${this.log.slice(-4000)}\n${view}`;
  }

  async #prepare(): Promise<void> {
    await this.vm.sh(
      `mkdir -p /mars; mount ${this.state.path} /mars; ${this.#kernelEngine ? 'modprobe mars' : ':'}`,
    );
  }

  /** What happens when the machine is switched on: /mars is mounted, the module loaded, the daemon started. */
  async boot(): Promise<void> {
    await this.vm.start();
    await this.#prepare();
    await this.start();
  }

  /** Start the daemon; resolves when it is ready. `program`: another copy of it. */
  async start(program = 'marsd'): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let said = '';
      const command = [
        'sh',
        '-c',
        `echo $$ >/run/marsd.pid; exec "$0" "$@" 2>&1`,
        program,
        ...this.#daemonArgs,
      ];
      const onOutput = (text: string): void => {
        said += text;
        this.log += text;
        if (/\bready\b/.test(said)) resolve();
      };
      this.#exited = this.vm.exec(command, { timeout: FOREVER, onOutput }).then(
        (outcome) => outcome.code,
        () => -1,
      );
      void this.#exited.then((code) =>
        reject(new Error(`${this.name}: marsd ended with ${code}:\n${this.log}`)),
      );
    });
  }

  /** Send the daemon a signal and wait until it is gone; its exit code. */
  async stop(signal = 'TERM'): Promise<number> {
    await this.vm.sh(`kill -${signal} $(cat /run/marsd.pid)`);
    return this.#exited;
  }

  /** Run marsadm; throws unless it ends with that exit code. */
  async marsadm(args: readonly string[], code: number | 'any' = 0): Promise<Outcome> {
    const outcome = await this.vm.exec(['marsadm', ...args], { timeout: 180000 });
    if (code !== 'any' && outcome.code !== code)
      throw new GuestError(
        `marsadm ${args.join(' ')}`,
        outcome,
        `${this.name} (marsd: ${this.log.slice(-2000)})`,
      );
    return outcome;
  }

  /** Output of marsadm without the line end. */
  async ask(...args: string[]): Promise<string> {
    return (await this.marsadm(args)).stdout.trim();
  }

  /** sha256 of the data disk. Only meaningful while nothing writes to it. */
  async sum(): Promise<string> {
    return (await this.vm.sh(`sha256sum ${this.data.path}`, { timeout: 180000 })).split(' ')[0] ?? '';
  }
}

/** Several nodes that know each other. */
export class VmCluster {
  readonly nodes: readonly VmNode[];

  private constructor(nodes: readonly VmNode[]) {
    this.nodes = nodes;
  }

  /** Start the machines, form the cluster; all daemons run afterwards. */
  static async form(lab: VmLab, names: readonly string[], options: NodeOptions = {}): Promise<VmCluster> {
    return VmCluster.of(await Promise.all(names.map((name) => VmNode.make(lab, name, options))));
  }

  /** Form a cluster of nodes that were just made: the first creates it, the others join. */
  static async of(nodes: readonly VmNode[]): Promise<VmCluster> {
    const [first, ...rest] = nodes;
    if (!first) throw new Error('a cluster needs a node');
    await first.marsadm(['create-cluster', '--address', `${first.vm.ip}:7777`]);
    await first.start();
    for (const node of rest) {
      const token = await first.ask('join-token');
      await node.marsadm(['join-cluster', token, '--address', `${node.vm.ip}:7777`]);
      await node.start();
    }
    if (rest.length > 0) await Promise.all(nodes.map((node) => node.marsadm(['wait-cluster'])));
    return new VmCluster(nodes);
  }

  node(name: string): VmNode {
    const node = this.nodes.find((n) => n.name === name);
    if (!node) throw new Error(`no node ${name}`);
    return node;
  }

  /** The first node creates the resource on its data disk, the others join and are up to date afterwards. */
  async resource(name: string): Promise<void> {
    const [first, ...rest] = this.nodes;
    await first?.marsadm(['create-resource', name, first.data.path]);
    for (const node of rest) await node.marsadm(['join-resource', name, node.data.path]);
    await Promise.all(rest.map((node) => node.marsadm(['wait-resource', name, 'uptodate'])));
  }
}
