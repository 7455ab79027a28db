// SPDX-License-Identifier: GPL-2.0-or-later
/** Numbers of repeated measurements, and tables of them. */

/** Value below which `share` (0..1) of the numbers lie; NaN without numbers. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? NaN)) / 2;
}

/** A number with as many digits as mean something. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value >= 100) return Math.round(value).toString();
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `median (min-max)` */
export function spread(numbers: readonly number[]): string {
  if (numbers.length === 0) return '-';
  return `${digits(median(numbers))} (${digits(Math.min(...numbers))}-${digits(Math.max(...numbers))})`;
}

/** Median of the ratios of measurements made in the same round: what disturbs a round disturbs both. */
export function ratio(numbers: readonly number[], reference: readonly number[]): number {
  return median(numbers.flatMap((n, i) => (reference[i] === undefined ? [] : [n / reference[i]])));
}

/** A table in Markdown, columns aligned. The first row is the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, i) => (i === 0 ? (row[i] ?? '').padEnd(width) : (row[i] ?? '').padStart(width))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(rows[0] ?? []), rule, ...rows.slice(1).map(line)].join('\n');
}
