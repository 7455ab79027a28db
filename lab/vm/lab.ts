// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Virtual machines of one test, with their network and scratch folder. Nothing survives
 * `dispose`, and nothing survives this process either (process.ts).
 */
import { discard, kernel, kernelNames, scratchDir, type Kernel } from './files.js';
import { leaks } from './leaks.js';
import { VmNet } from './net.js';
import { Vm, type VmOptions } from './vm.js';

/** Kernel logs that are not clean. */
export class KernelLogError extends Error {
  constructor(readonly found: readonly string[]) {
    super(`the kernel log holds:\n\n${found.join('\n\n')}`);
  }
}

export class VmLab {
  readonly kernel: Kernel;
  readonly dir: string;
  readonly net: VmNet;
  readonly vms: Vm[] = [];
  /** what explains a case that failed: asked for while the machines still run */
  readonly witnesses: (() => Promise<string>)[] = [];
  #disposed: Promise<void> | undefined;

  private constructor(wanted: Kernel, dir: string, net: VmNet) {
    this.kernel = wanted;
    this.dir = dir;
    this.net = net;
  }

  /** @param name - the kernel guests run unless a guest asks for another */
  static async start(name: string): Promise<VmLab> {
    const wanted = kernel(name);
    const dir = scratchDir();
    try {
      return new VmLab(wanted, dir, await VmNet.start(dir));
    } catch (error) {
      discard(dir);
      throw error;
    }
  }

  /** Another kernel of those the tests run on; the same where there is none. */
  get other(): string {
    return kernelNames().find((name) => name !== this.kernel.name) ?? this.kernel.name;
  }

  /** A machine, started. Names are host names, short. */
  async vm(name: string, options: VmOptions & { readonly kernel?: string } = {}): Promise<Vm> {
    const vm = this.add(name, options);
    await vm.start();
    return vm;
  }

  /** A machine, not started yet. */
  add(name: string, options: VmOptions & { readonly kernel?: string } = {}): Vm {
    const wanted = options.kernel === undefined ? this.kernel : kernel(options.kernel);
    const vm = new Vm(name, wanted, this.vms.length + 1, this.dir, options);
    this.vms.push(vm);
    return vm;
  }

  /** Throws when the kernel log of a guest holds what it must not, or memory leaked there. */
  async check(): Promise<void> {
    const leaked = (await Promise.all(this.vms.map((vm) => leaks(vm)))).flat();
    const found = [...(await Promise.all(this.vms.map((vm) => vm.defects()))).flat(), ...leaked];
    if (found.length > 0) throw new KernelLogError(found);
  }

  /** End everything and remove all files; once is enough. */
  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    await Promise.all(this.vms.map((vm) => vm.powerCut()));
    await this.net.stop();
    discard(this.dir);
  }
}
