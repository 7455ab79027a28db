// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What a kernel log must not hold. One judge for all tests.
 */

/** A record of the kernel log. */
export interface LogRecord {
  /** 0 emergency to 7 debug */
  readonly level: number;
  readonly text: string;
}

/** Signs of a defect, whoever printed them. */
const DEFECTS = [
  /\bWARNING: /,
  /\bBUG[: ]/,
  /\bOops\b/,
  /Kernel panic/,
  /general protection fault/,
  /unable to handle/i,
  /Call Trace:/,
  /blocked for more than \d+ seconds/,
  /\bINFO: (task|rcu|possible|trying|lockdep|suspicious)/,
  /rcu.*detected.*stall/i,
  /possible (circular|recursive|irq lock inversion)/,
  /suspicious RCU/,
  /inconsistent lock state/,
  /sleeping function called from invalid context/,
  /scheduling while atomic/,
  /soft lockup|hard LOCKUP/,
  /\b(KASAN|KCSAN|UBSAN|KFENCE)\b.*:/,
  /new suspected memory leaks/,
  /unreferenced object/,
  /Objects remaining in .* on __kmem_cache_shutdown/,
  /page allocation failure/,
  /refcount_t:/,
  /list_(add|del) corruption/,
  /Out of memory|invoked oom-killer/,
];

/** Words of the kernel about itself that look like defects and are none. */
const HARMLESS = [/KFENCE.*initialized/i, /kmemleak: Automatic memory scanning/, /RCU restricting/];

/** What mars.ko says at this level (KERN_ERR) or a worse one was an error. */
const ERROR_LEVEL = 3;

/** Parse records of /dev/kmsg (`level,seq,time,flags;text`, continued by lines with a blank first). */
export function parseKmsg(raw: string): LogRecord[] {
  return raw
    .split('\n')
    .map((line) => /^(\d+),\d+,\d+,[^;]*;(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map((match) => ({ level: Number(match[1]) & 7, text: match[2] ?? '' }));
}

/** True when a line must not be there. */
export function isDefect(record: LogRecord): boolean {
  if (HARMLESS.some((pattern) => pattern.test(record.text))) return false;
  if (record.level <= ERROR_LEVEL && /^mars\b/.test(record.text)) return true;
  return DEFECTS.some((pattern) => pattern.test(record.text));
}

/**
 * The defects in a log, each with the lines after it that belong to it; empty: the log is clean.
 *
 * @param expected - lines a test provoked
 */
export function defects(records: readonly LogRecord[], expected: readonly RegExp[] = []): string[] {
  const found: string[] = [];
  let last = -1;
  records.forEach((record, index) => {
    if (index <= last || !isDefect(record)) return;
    if (expected.some((pattern) => pattern.test(record.text))) return;
    last = index + 40;
    found.push(
      records
        .slice(Math.max(0, index - 2), last + 1)
        .map((line) => line.text)
        .join('\n'),
    );
  });
  return found;
}
