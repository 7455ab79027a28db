// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Memory nobody points to any more, on kernels that look for it (kmemleak).
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Vm } from './vm.js';

const FILE = '/sys/kernel/debug/kmemleak';
/** what is younger is no suspect: its address may only be in a register */
const AGE_MS = 5500;

/**
 * Blocks of memory that leaked since the guest's template was made, one text each; always none
 * on kernels that don't look. Two scans: the first may find what was on its way from one
 * list to another.
 */
export async function leaks(vm: Vm): Promise<string[]> {
  if (!vm.running || (await vm.exec(['test', '-w', FILE])).code !== 0) return [];
  await delay(AGE_MS);
  await vm.sh(`echo scan >${FILE}; echo scan >${FILE}`, { timeout: 180000 });
  const report = await vm.sh(`cat ${FILE}`);
  return report.split(/^(?=unreferenced object)/m).filter((text) => text.startsWith('unreferenced'));
}
