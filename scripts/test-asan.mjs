// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Runs the engine's tests on the sanitised addons: node scripts/test-asan.mjs
 * [test files]. Build them first: npm run build:native:asan.
 *
 * Node itself is not sanitised, so the run-time library is preloaded, and leaks
 * are not looked for (Node's own would drown ours).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const library = (name) => execFileSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
const tests = process.argv.slice(2);
const run = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs'),
    '--concurrency=1',
    ...(tests.length > 0 ? tests : ['dist/test/unit/engine/*.test.js']),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      MARS_NATIVE_BUILD: 'Debug',
      LD_PRELOAD: [library('libasan.so'), library('libubsan.so')].join(':'),
      ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
      UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? 'print_stacktrace=1:halt_on_error=1',
    },
  },
);
process.exit(run.status ?? 1);
