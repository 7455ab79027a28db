// SPDX-License-Identifier: GPL-2.0-or-later
/** Programs whose addon is missing or does not fit the machine say so, with an exit code of its own. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { run } from '../../../lab/lab.js';
import { Bench, type JsonOutcome } from './support.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** The programs, without the addons. */
function unbuilt(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'mars-unbuilt-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const part of ['bin', 'package.json', 'dist/src'])
    cpSync(join(ROOT, part), join(dir, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  return dir;
}

async function refuses(t: ExecutionContext, programs: string, text: RegExp): Promise<void> {
  const b = new Bench(t);
  const env = { MARS_DIR: b.dir, MARS_HOST: b.host };
  const node = (program: string, ...args: string[]): ReturnType<typeof run> =>
    run(process.execPath, [join(programs, 'bin', program), ...args], env);
  for (const args of [['view'], ['wait-cluster'], ['set-link', 'value', 'userspace/note']]) {
    const { code, stdout } = await node('marsadm', ...args, '--json');
    const answer = JSON.parse(stdout) as JsonOutcome;
    t.deepEqual([code, answer.reason], [7, 'no-engine'], args.join(' '));
    t.regex(answer.found ?? '', text);
  }
  const daemon = await node('marsd', '--engine=embedded');
  t.is(daemon.code, 7, daemon.stderr);
  t.regex(daemon.stderr, /^marsd: no-engine: /);
  t.regex(daemon.stderr, text);
}

test('an addon that was never built', async (t) => {
  await refuses(t, unbuilt(t), /make build/);
});

test('an addon that cannot be loaded', async (t) => {
  const dir = unbuilt(t);
  mkdirSync(join(dir, 'build/Release'), { recursive: true });
  writeFileSync(join(dir, 'build/Release/mars_sys.node'), 'of another machine');
  await refuses(t, dir, /mars_sys\.node can't be loaded/);
});
