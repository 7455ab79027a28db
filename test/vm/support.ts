// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Tests in virtual machines: once for each kernel, with a lab of its own that is gone afterwards,
 * and a kernel log that must be clean. See README.md.
 */
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { hasModule, kernelNames, patience } from '../../lab/vm/files.js';
import { VmLab } from '../../lab/vm/lab.js';

/** How a case deviates from the default. */
export interface VmTestOptions {
  /** a case with machines of several kernels: where this one is among those asked for, it is run on it alone */
  readonly enoughOn?: '6.1' | '6.12';
  /** a module of the kernel it loads; skipped where there is none */
  readonly module?: string;
  /** milliseconds, default 300000 */
  readonly timeout?: number;
}

/** Seconds that programs of this process have used which are gone: machines, disks, the network. */
function processorTime(): number {
  const [user = 0, system = 0] = readFileSync('/proc/self/stat', 'latin1')
    .replace(/.*\) /, '')
    .split(' ')
    .slice(13, 15)
    .map(Number);
  return (user + system) / 100;
}

/** Declare a test case that gets a lab and is run on every kernel. */
export function vmTest(
  title: string,
  body: (t: ExecutionContext, lab: VmLab) => Promise<void>,
  options: VmTestOptions = {},
): void {
  const names = kernelNames();
  const enough = names.filter((name) => name === options.enoughOn);
  for (const name of enough.length > 0 ? enough : names) {
    const declare = options.module && !hasModule(name, options.module) ? test.serial.skip : test.serial;
    declare(`Linux ${name}: ${title}`, async (t) => {
      t.timeout((options.timeout ?? 300000) * patience());
      const before = processorTime();
      const lab = await VmLab.start(name);
      // ava ends the process after a failed case's timeout; a lab never outlives it
      t.teardown(() => lab.dispose());
      let failure: unknown;
      try {
        await body(t, lab);
      } catch (error) {
        failure = error;
        for (const witness of lab.witnesses) t.log(await witness());
      }
      // a defect in the kernel explains a failed case, so it comes first
      try {
        await lab.check();
      } catch (error) {
        if (failure !== undefined) t.log(failure);
        t.fail(error instanceof Error ? error.message : String(error));
      }
      await lab.dispose();
      t.log(`${Math.round(processorTime() - before)} s of processor time`);
      if (failure !== undefined) throw failure as Error;
    });
  }
}
