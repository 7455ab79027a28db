// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Two virtual machines with the latencies of real disks and a real distance.
 *
 * Emulated processors are slow, so nothing here says how fast a machine is; but where the time
 * of an operation is that of disks (2 ms a write, 1 ms a read) and of the link (10 ms each way), ratios hold.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { VmLab } from '../../lab/vm/lab.js';
import type { Vm } from '../../lab/vm/vm.js';
import { ScriptError, TOOLS, type Bed, type Disks, type Machine } from './machine.js';

const SOURCES = fileURLToPath(new URL('../../../bench/kernel', import.meta.url));
const MIB = 1 << 20;
/** a measurement may take long on a busy machine */
const TIMEOUT_MS = 900_000;

export const LATENCY = { writeMs: 2, readMs: 1, linkMs: 10 } as const;

class Guest implements Machine {
  readonly name: string;
  readonly address: string;

  constructor(readonly vm: Vm) {
    this.name = vm.name;
    this.address = vm.ip;
  }

  async run(script: string): Promise<string> {
    const { code, stdout, stderr } = await this.vm.exec(['bash', '-c', script], { timeout: TIMEOUT_MS });
    if (code !== 0) throw new ScriptError(this.name, script, code, stdout + stderr);
    return stdout;
  }

  cpu(): number {
    const fields =
      readFileSync(`/proc/${this.vm.pid ?? 0}/stat`, 'latin1')
        .split(') ')
        .at(-1)
        ?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  }
}

async function makeDisks(vm: Vm, size: number): Promise<Disks> {
  const filters = [['delay', `wdelay=${LATENCY.writeMs}ms`, `rdelay=${LATENCY.readMs}ms`]];
  const make = async (name: string, bytes: number): Promise<string> =>
    (await vm.disk(name, { backend: 'served', size: bytes, filters })).path;
  return {
    raw: await make('raw', size),
    drbd: await make('drbd', size),
    drbdMeta: await make('meta', 8 * MIB),
    mars: await make('mars', size),
    marsLog: await make('log', 4 * size),
  };
}

/** Compile a tool of the benchmark and put it into a guest's /bench. */
async function copyTool(lab: VmLab, vm: Vm, name: string): Promise<void> {
  const program = path.join(lab.dir, `tool-${name}`);
  execFileSync('gcc', ['-O2', '-static', '-o', program, path.join(SOURCES, `${name}.c`)]);
  await vm.copyIn(program, `/bench/${name}`);
}

/** Start both machines on that kernel; disks of `size` bytes. */
export async function startQemu(kernel: string, size: number): Promise<Bed & { readonly lab: VmLab }> {
  const lab = await VmLab.start(kernel);
  try {
    const [n1, n2] = [await lab.vm('n1', { mem: 1024 }), await lab.vm('n2', { mem: 1024 })];
    for (const vm of [n1, n2]) {
      await vm.sh('mkdir -p /bench');
      for (const tool of TOOLS) await copyTool(lab, vm, tool);
      await vm.sh('chmod +x /bench/*');
    }
    const disks = await makeDisks(n1, size);
    const others = await makeDisks(n2, size);
    if (JSON.stringify(disks) !== JSON.stringify(others)) throw new Error('disks have other names at n2');
    await lab.net.delay('*', '*', LATENCY.linkMs * 1000);
    return {
      name: 'QEMU with modelled latency',
      kernel: lab.kernel.release,
      primary: new Guest(n1),
      secondary: new Guest(n2),
      disks,
      modules: undefined,
      marsModule: '/opt/mars/mars.ko',
      project: '/opt/mars',
      lab,
      close: () => lab.dispose(),
    };
  } catch (error) {
    await lab.dispose();
    throw error;
  }
}
