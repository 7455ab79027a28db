// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Simulated clusters, many seeds. A failure names its seed;
 *
 *     MARS_SIM_SEED=N MARS_SIM_TRACE=1 npx ava dist/test/sim/sim.test.js
 *
 * repeats it with everything that happened. MARS_SIM_SEEDS=N runs more seeds,
 * MARS_SIM_FIRST=N starts elsewhere.
 */
import process from 'node:process';
import test, { type ExecutionContext } from 'ava';
import { World } from './world.js';

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const ONE = process.env['MARS_SIM_SEED'];
const FIRST = ONE === undefined ? number('MARS_SIM_FIRST', 1) : Number(ONE);
const COUNT = ONE === undefined ? number('MARS_SIM_SEEDS', 400) : 1;
const TRACE = process.env['MARS_SIM_TRACE'] === '1';

function runSeed(seed: number, risky: boolean): void {
  const trace: string[] = [];
  try {
    const world = new World({ seed, risky, ...(TRACE && { trace: (text: string) => trace.push(text) }) });
    world.run(300);
    world.converge();
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`seed ${seed} (${risky ? 'risky' : 'careful'}): ${what}\n${trace.join('\n')}`, {
      cause: error,
    });
  }
}

function runAll(t: ExecutionContext, risky: boolean): void {
  const failures: string[] = [];
  for (let seed = FIRST; seed < FIRST + COUNT && failures.length < 3; seed++) {
    try {
      runSeed(seed, risky);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  t.deepEqual(failures, []);
}

test('careful people: one primary, one history, nothing flushed is lost', (t) => {
  runAll(t, false);
});

test('risky people: contents stay right, and everything can be resolved', (t) => {
  runAll(t, true);
});

test('a primary that lies about its flushes is found out', (t) => {
  const honest = Array.from({ length: 100 }, (_, seed) => seed + 1).every((seed) => {
    const world = new World({ seed, risky: false, lying: true });
    try {
      world.run(300);
      world.converge();
      return true;
    } catch {
      return false;
    }
  });
  t.false(honest);
});
