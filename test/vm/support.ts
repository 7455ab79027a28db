// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Tests in virtual machines: once for each kernel, with a lab of its own that is gone afterwards,
 * and a kernel log that must be clean. See README.md.
 */
import test, { type ExecutionContext } from 'ava';
import { kernelNames, patience } from '../../lab/vm/files.js';
import { VmLab } from '../../lab/vm/lab.js';

/** How a case deviates from the default. */
export interface VmTestOptions {
  /** only on these kernels */
  readonly kernels?: readonly string[];
  /** milliseconds, default 300000 */
  readonly timeout?: number;
}

/** Declare a test case that gets a lab and is run on every kernel. */
export function vmTest(
  title: string,
  body: (t: ExecutionContext, lab: VmLab) => Promise<void>,
  options: VmTestOptions = {},
): void {
  for (const name of kernelNames()) {
    if (options.kernels && !options.kernels.includes(name)) continue;
    test.serial(`Linux ${name}: ${title}`, async (t) => {
      t.timeout((options.timeout ?? 300000) * patience());
      const lab = await VmLab.start(name);
      // ava ends the process after a failed case's timeout; a lab never outlives it
      t.teardown(() => lab.dispose());
      let failure: unknown;
      try {
        await body(t, lab);
      } catch (error) {
        failure = error;
      }
      // a defect in the kernel explains a failed case, so it comes first
      try {
        await lab.check();
      } catch (error) {
        t.fail(error instanceof Error ? error.message : String(error));
      }
      if (failure !== undefined) throw failure as Error;
    });
  }
}
