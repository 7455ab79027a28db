// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One virtual machine: started from a template, it can be told anything a person at the console
 * could, lose its power, and come back with its disks. Its kernel log is kept over all starts.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecOptions, Outcome } from './agent.js';
import { Disk, type DiskOptions } from './disk.js';
import { VM_DIR, type Kernel } from './files.js';
import { defects, parseKmsg } from './kernellog.js';
import { startMachine, template, type Boot, type Machine, type Shape } from './machine.js';

/** A command in a guest ended with another code than 0. */
export class GuestError extends Error {
  constructor(
    readonly command: string,
    readonly outcome: Outcome,
    where: string,
  ) {
    super(`${where}: ${command}: exit ${outcome.code}\n${outcome.stdout}${outcome.stderr}`);
  }
}

/** What a machine is made of. */
export interface VmOptions {
  /** processors, default MARS_VM_SMP or 1; 2 to let races happen */
  readonly smp?: number;
  /** MiB of memory, at least MARS_VM_MEM; default 512 */
  readonly mem?: number;
  /** more words for the kernel; such a machine boots instead of being cloned (seconds, not 0.1 s) */
  readonly append?: string;
  /**
   * boot with systemd and udev (as PID 1) instead, the root on a disk that survives; more layers
   * above it, the topmost first
   */
  readonly systemd?: { readonly layers?: readonly string[] };
  /** a reboot of the guest restarts it; without it the machine ends */
  readonly reboot?: boolean;
}

export class Vm {
  /** address in the lab's network */
  readonly ip: string;
  readonly disks: Disk[] = [];
  /** lines of the kernel log that the test provoked; `lab.check` lets them pass */
  readonly expected: RegExp[] = [];
  readonly #dir: string;
  readonly #options: VmOptions;
  readonly #shape: Shape;
  readonly #number: number;
  #machine: Machine | undefined;
  #past = '';

  /** Use `VmLab.vm`. */
  constructor(
    readonly name: string,
    readonly kernel: Kernel,
    number: number,
    dir: string,
    options: VmOptions = {},
  ) {
    this.#dir = dir;
    this.#options = options;
    this.#number = number;
    this.#shape = {
      smp: options.smp ?? Number(process.env['MARS_VM_SMP'] ?? 1),
      mem: Math.max(options.mem ?? 512, Number(process.env['MARS_VM_MEM'] ?? 0)),
    };
    this.ip = `10.77.0.${number}`;
  }

  get running(): boolean {
    return this.#machine?.program.running ?? false;
  }

  /** the emulator's process, for accounting */
  get pid(): number | undefined {
    return this.#machine?.program.pid;
  }

  #up(): Machine {
    if (!this.#machine) throw new Error(`${this.name} is not started`);
    return this.#machine;
  }

  /** Create a disk; attached now if the machine runs, and at each start from then on. */
  async disk(name: string, options: DiskOptions = {}): Promise<Disk> {
    const disk = new Disk(`${this.name}-${name}`, this.#dir, options);
    this.disks.push(disk);
    if (this.running) await this.#attach(disk);
    return disk;
  }

  /** Start it: a clone of the template, or a boot where the options ask for one. */
  async start(): Promise<void> {
    const place = { name: this.name, dir: this.#dir };
    const boots = this.#options.append !== undefined || this.#options.systemd !== undefined;
    const boot = boots ? this.#boot() : { clone: await template(this.kernel, this.#shape) };
    this.#machine = await startMachine(this.kernel, this.#shape, place, boot);
    if (boots) await this.#machine.agent.hello(1);
    else await this.#machine.agent.ping();
    if (!this.#options.systemd) await this.#settle();
    for (const disk of this.disks) await this.#attach(disk);
  }

  get #mac(): string {
    return `52:54:00:00:01:${this.#number.toString(16).padStart(2, '0')}`;
  }

  /** Clones have the template's name, clock and address. */
  async #settle(): Promise<void> {
    await this.sh(
      `/lab/payload || exit; hostname ${this.name}; date -s @${(Date.now() / 1000).toFixed(3)} >/dev/null; ` +
        `echo 127.0.0.1 localhost ${this.name} >/etc/hosts; ` +
        `ip link set eth0 address ${this.#mac}; ip addr add ${this.ip}/24 dev eth0; ip link set eth0 up`,
    );
  }

  #boot(): Boot {
    const { append, systemd, reboot } = this.#options;
    const words = append ?? '';
    if (!systemd) return { append: words, reboot: reboot ?? false };
    const upper = path.join(this.#dir, `${this.name}-root.img`);
    if (!existsSync(upper)) execFileSync('mkfs.ext4', ['-q', '-F', upper, '256M']);
    return {
      append: `${words} lab.init=/lib/systemd/systemd lab.host=${this.name} lab.ip=${this.ip} lab.mac=${this.#mac}`,
      layers: [...(systemd.layers ?? []), path.join(VM_DIR, 'systemd.sq')],
      upper,
      reboot: reboot ?? true,
    };
  }

  /** Plug a disk in and wait until the guest has found it. */
  async #attach(disk: Disk): Promise<void> {
    await disk.plug(this.#up().qmp);
    const found = await this.sh(
      // a kernel without PCI hotplug has to be told
      '[ -n "$(ls /sys/bus/pci/slots)" ] || echo 1 >/sys/bus/pci/rescan; ' +
        `while f=$(grep -las '${disk.serial}' /sys/block/*/serial /sys/block/*/device/serial ` +
        `/sys/block/*/device/vpd_pg80); [ -z "$f" ]; do usleep 5000; done; echo "$f"`,
    );
    const name = /^\/sys\/block\/([^/]+)\//.exec(found)?.[1] ?? '';
    disk.path = `/dev/${name}`;
  }

  /** Make a raw virtio disk larger while the guest runs. */
  async growDisk(disk: Disk, size: number): Promise<void> {
    await this.#up().qmp.command('block_resize', { 'node-name': `n-${disk.name}`, size });
  }

  /** Run a program; the exit code is in the result. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<Outcome> {
    return this.#up().agent.exec(argv, options);
  }

  /** Run a script of the (busybox) shell that must succeed; its standard output. */
  async sh(script: string, options?: ExecOptions): Promise<string> {
    const outcome = await this.exec(['sh', '-c', script], options);
    if (outcome.code !== 0) throw new GuestError(script, outcome, this.name);
    return outcome.stdout;
  }

  /** Run a script until it succeeds; throws when that takes longer than the timeout (ms). */
  async until(script: string, timeout = 180000): Promise<string> {
    const end = Date.now() + timeout;
    for (;;) {
      const outcome = await this.exec(['sh', '-c', script], { timeout });
      if (outcome.code === 0) return outcome.stdout;
      if (Date.now() > end) throw new GuestError(`until ${script}`, outcome, this.name);
      await delay(50);
    }
  }

  /** Write a file in the guest. */
  async put(file: string, content: string | Buffer): Promise<void> {
    const outcome = await this.exec(['sh', '-c', 'cat >"$0"', file], { stdin: content });
    if (outcome.code !== 0) throw new GuestError(`put ${file}`, outcome, this.name);
  }

  /** Read a text file in the guest. */
  async get(file: string): Promise<string> {
    return this.sh(`cat '${file}'`);
  }

  /** Copy a file of this machine into the guest. */
  async copyIn(local: string, file: string): Promise<void> {
    await this.put(file, readFileSync(local));
  }

  /** Suspend the processors: the guest is silent until `resume`. */
  async pause(): Promise<void> {
    await this.#up().qmp.command('stop');
  }

  async resume(): Promise<void> {
    await this.#up().qmp.command('cont');
  }

  /** A command of QEMU's monitor protocol, for what has no method here. */
  qmp(command: string, args: object = {}): Promise<unknown> {
    return this.#up().qmp.command(command, args);
  }

  /** Resolves when the guest's agent has started for the n-th time since `start`: after a reboot. */
  async booted(n: number): Promise<void> {
    await this.#up().agent.hello(n);
  }

  /** The machine crashes: at once, but its disks stay under power and keep what they were given. */
  async crash(): Promise<void> {
    await this.#end();
  }

  /** The power fails: volatile disks lose what was not flushed. Also for a machine that is down already. */
  async powerCut(): Promise<void> {
    for (const disk of this.disks) disk.shoot();
    await this.#end();
  }

  async #end(): Promise<void> {
    const machine = this.#machine;
    if (!machine) return;
    await machine.program.kill();
    for (const disk of this.disks) await disk.settled();
    this.#past += machine.agent.kmsg;
    this.#machine = undefined;
  }

  /** The kernel log of all starts, as lines. */
  async log(): Promise<string[]> {
    if (this.running) await this.#up().agent.ping();
    return parseKmsg(this.#past + (this.#machine?.agent.kmsg ?? '')).map((record) => record.text);
  }

  /** Defects in the kernel log so far, without those expected. A machine that died counts as one. */
  async defects(): Promise<string[]> {
    const machine = this.#machine;
    if (machine?.program.running) await machine.agent.ping();
    const found = defects(parseKmsg(this.#past + (machine?.agent.kmsg ?? '')), this.expected);
    if (machine && !machine.program.running)
      found.push(`the machine ended by itself\n${machine.console().slice(-4000)}`);
    return found.map((text) => `${this.name} (Linux ${this.kernel.release}): ${text}`);
  }
}
