// SPDX-License-Identifier: GPL-2.0-or-later
/** All rows on all contenders in turn, and tables of what came out. */
import { digits, median, ratio, spread, table } from '../stats.js';
import type { Contender } from './contenders.js';
import type { Bed } from './machine.js';
import { measure, overhead, type Generator, type Sample } from './measure.js';
import type { ContenderName, Row } from './rows.js';

export interface Result {
  readonly row: Row;
  readonly samples: ReadonlyMap<ContenderName, Sample[]>;
}

/**
 * Every round puts each row on each contender in turn, so that whatever else the machine does
 * falls on all of them. A first round of each is thrown away: it finds caches cold.
 */
export async function compare(
  bed: Bed,
  contenders: readonly Contender[],
  generator: Generator,
  rounds: number,
  rows: readonly Row[],
  progress: (text: string) => void,
): Promise<Result[]> {
  const results = rows.map((row) => ({
    row,
    samples: new Map<ContenderName, Sample[]>(contenders.map((c) => [c.name, []])),
  }));
  const raw = contenders.find((c) => c.name === 'raw');
  if (!raw) throw new Error('no raw disk to compare with');
  for (let round = 0; round <= rounds; round++) {
    const spent = await overhead(bed, raw, generator);
    for (const { row, samples } of results)
      for (const contender of contenders) {
        const sample = await measure(bed, contender, row, generator, spent);
        if (round > 0) samples.get(contender.name)?.push(sample);
        progress(
          `${bed.name}, round ${round}: ${row.name}: ${contender.title}: ${digits(sample.rate)} ${row.unit}, ` +
            `CPU ${digits(sample.cpu[0])} + ${digits(sample.cpu[1])} us (daemon ${digits(sample.daemon)})`,
        );
      }
  }
  return results;
}

const of = (result: Result, name: ContenderName, what: (sample: Sample) => number): number[] =>
  (result.samples.get(name) ?? []).map(what);

const rate = (sample: Sample): number => sample.rate;
const cpu = (sample: Sample): number => sample.cpu[0];

function present(results: readonly Result[]): ContenderName[] {
  return [...(results[0]?.samples.keys() ?? [])];
}

/** Rates: median (min-max). */
export function rateTable(results: readonly Result[]): string {
  const names = present(results);
  return table([
    ['load', 'unit', ...names],
    ...results.map((r) => [r.row.name, r.row.unit, ...names.map((n) => spread(of(r, n, rate)))]),
  ]);
}

/** CPU time per operation: primary, secondary, the daemon's part. */
export function cpuTable(results: readonly Result[]): string {
  const names = present(results);
  return table([
    [
      'load',
      ...names.map((n) => `${n}, primary`),
      ...names.filter((n) => n !== 'raw').map((n) => `${n}, secondary`),
      'marsd, primary',
    ],
    ...results.map((r) => [
      r.row.name,
      ...names.map((n) => spread(of(r, n, cpu))),
      ...names.filter((n) => n !== 'raw').map((n) => digits(median(of(r, n, (s) => s.cpu[1])))),
      digits(median(of(r, 'mars', (s) => s.daemon))),
    ]),
  ]);
}

/** Completion times, 99th percentile, microseconds. */
export function latencyTable(results: readonly Result[]): string {
  const names = present(results);
  return table([
    ['load', ...names],
    ...results.map((r) => [r.row.name, ...names.map((n) => spread(of(r, n, (s) => s.p99)))]),
  ]);
}

function judge(result: Result, by: 'rate' | 'cpu'): string[][] {
  const what = by === 'rate' ? rate : cpu;
  return result.row[by]
    .filter((t) => result.samples.has('mars') && result.samples.has(t.against))
    .map(({ against, bound }) => {
      const others = of(result, against, what);
      const reached = ratio(of(result, 'mars', what), others);
      const module = ratio(
        of(result, 'mars', (s) => s.cpu[0] - s.daemon),
        others,
      );
      return [
        result.row.name,
        `${by === 'rate' ? 'at least' : 'at most'} ${bound} of ${against}`,
        reached.toFixed(2),
        ...(by === 'cpu' ? [module.toFixed(2)] : []),
        (by === 'rate' ? reached >= bound : reached <= bound) ? 'reached' : 'short',
      ];
    });
}

/** Every target with the median of the rounds' ratios, and whether it is reached. */
export function targetTable(results: readonly Result[], by: 'rate' | 'cpu'): string {
  const head =
    by === 'rate'
      ? ['load', 'rate', 'ratio', '']
      : ['load', 'CPU time per operation', 'ratio', 'without the daemon', ''];
  return table([head, ...results.flatMap((r) => judge(r, by))]);
}
