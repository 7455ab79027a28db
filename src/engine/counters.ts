// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Names of the counters in a status, by brick type: the enums mars_val_* of
 * kernel/uapi/mars.h in camel case. Counters beyond the names (a newer engine,
 * a type without names) appear as `val0`, `val1` ... by index.
 */
import type { BrickType } from './types.js';

const FILE = ['size', 'reads', 'writes', 'flushes', 'bytesRead', 'bytesWritten', 'direct', 'align'];
const EXPORT = ['clients', 'reads', 'writes', 'flushes', 'bytesRead', 'bytesWritten', 'inFlight'];

export const COUNTERS: Readonly<Partial<Record<BrickType, readonly string[]>>> = {
  file: FILE,
  bdev: FILE,
  logger: [
    'number',
    'pos',
    'durableNumber',
    'durable',
    'ckptNumber',
    'ckpt',
    'dirty',
    'credits',
    'used',
    'peak',
    'waiters',
    'writes',
    'reads',
    'flushes',
    'groups',
    'records',
    'shadowHits',
    'writebacks',
    'lamport',
    'oldSlot',
    'prevEnd',
    'slot',
  ],
  replay: ['number', 'parsed', 'applied', 'ckpt', 'end', 'records', 'bytes', 'lamport', 'verdict'],
  nbd: EXPORT,
  if: EXPORT,
};

/** Put names to the counters of one brick. */
export function nameCounters(type: BrickType, values: readonly bigint[]): Record<string, bigint> {
  const names = COUNTERS[type] ?? [];
  return Object.fromEntries(values.map((value, i) => [names[i] ?? `val${i}`, value]));
}
