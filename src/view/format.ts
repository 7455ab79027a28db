// SPDX-License-Identifier: GPL-2.0-or-later
/** Numbers for people: sizes, times, bars. Pure functions. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `100.000 GiB`; exact bytes stay whole. */
export function humanSize(bytes: bigint): string {
  let unit = 0;
  let value = Number(bytes);
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(3)} ${UNITS[unit] ?? 'B'}`;
}

/** `hh:mm:ss` of a time in ns; `--:--:--` when unknown. */
export function humanTime(ns: bigint | undefined): string {
  if (ns === undefined || ns < 0n) return '--:--:--';
  const s = ns / 1_000_000_000n;
  const two = (n: bigint): string => n.toString().padStart(2, '0');
  return `${two(s / 3600n)}:${two((s / 60n) % 60n)}:${two(s % 60n)}`;
}

/** Percent with two decimals; never shows 100 before everything is there. */
export function percent(pos: bigint, all: bigint): string {
  if (all <= 0n || pos >= all) return '100.00';
  const hundredths = (pos * 10_000n) / all;
  return `${hundredths / 100n}.${(hundredths % 100n).toString().padStart(2, '0')}`;
}

/** `[====>:::......]`: `=` done, `:` at hand but not done, `.` missing. */
export function bar(done: bigint, hand: bigint, all: bigint, width = 20): string {
  const cells = (n: bigint): number => (all <= 0n ? width : Number((n * BigInt(width)) / all));
  const full = Math.min(cells(done), width);
  const part = Math.min(Math.max(cells(hand), full), width);
  const head = full === width ? '='.repeat(width) : `${'='.repeat(full)}>`.slice(0, width);
  return `[${(head + ':'.repeat(Math.max(0, part - full - 1))).padEnd(width, '.')}]`;
}

/** Parse a size: decimals allowed; k m g t p are powers of 1000, K M G T P of 1024. */
export function parseSize(text: string): bigint | undefined {
  const m = /^(\d{1,15})(?:\.(\d{1,9}))?([kmgtpKMGTP])?$/.exec(text);
  if (!m) return undefined;
  const [, whole = '0', decimals = '', suffix = ''] = m;
  const power = suffix === '' ? 0 : 'kmgtp'.indexOf(suffix.toLowerCase()) + 1;
  const unit = (suffix === suffix.toLowerCase() ? 1000n : 1024n) ** BigInt(power);
  const scale = 10n ** BigInt(decimals.length);
  const scaled = BigInt(whole + decimals) * unit;
  return scaled % scale === 0n ? scaled / scale : undefined;
}
