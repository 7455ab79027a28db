// SPDX-License-Identifier: GPL-2.0-or-later
/** The completion script in a real bash, on a real state directory. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { keys } from '../../../src/tree/catalogue.js';
import { Bench } from './support.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const SCRIPT = path.join(ROOT, 'packaging/completion/marsadm.bash');

/** What bash offers for a line whose last word is being written. */
function complete(t: ExecutionContext, bench: Bench, line: string): Promise<string[]> {
  const bin = mkdtempSync(path.join(tmpdir(), 'mars-bin-'));
  t.teardown(() => rmSync(bin, { recursive: true, force: true }));
  symlinkSync(path.join(ROOT, 'bin/marsadm'), path.join(bin, 'marsadm'));
  const words = ['marsadm', ...line.split(' ')];
  const program = `
    source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _marsadm
    for word in "\${COMPREPLY[@]}"; do echo "$word"; done`;
  const env = {
    PATH: `${bin}:${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    MARS_DIR: bench.dir,
    MARS_HOST: bench.host,
  };
  return new Promise((resolve, reject) => {
    execFile('bash', ['--norc', '-uc', program, 'bash', SCRIPT, ...words], { env }, (error, out, err) => {
      if (error ?? err !== '') reject(error ?? new Error(`${line}: ${err}`));
      else resolve(out.split('\n').filter((word) => word !== ''));
    });
  });
}

test('commands, options, and what stands for each argument', async (t) => {
  const b = new Bench(t);
  b.resource('alpha');
  b.resource('beta');
  b.write({ [keys.ip('hostc')]: '127.0.0.1:7803' });
  const offers = async (line: string): Promise<string[]> => (await complete(t, b, line)).sort();
  t.deepEqual(await offers('log-d'), ['log-delete']);
  t.deepEqual(await offers('resume-'), ['resume-fetch', 'resume-replay', 'resume-sync']);
  t.deepEqual(await offers('view '), ['all', 'alpha', 'beta']);
  t.deepEqual(await offers('primary a'), ['all', 'alpha']);
  t.deepEqual(await offers('force-primary b'), ['beta']);
  t.deepEqual(await offers('--timeout 5 primary b'), ['beta']);
  t.deepEqual(await offers('down alpha,b'), ['alpha,beta']);
  t.deepEqual(await offers('wait-resource alpha is-pri'), ['is-primary']);
  t.deepEqual(await offers('primary --ig'), ['--ignore-sync']);
  t.deepEqual(await offers('primary --js'), ['--json']);
  t.deepEqual(await offers('view --host hostc'), ['hostc']);
  t.deepEqual(await offers('--host h'), ['hosta', 'hostb', 'hostc']);
  t.deepEqual(await offers('explain split'), ['split-brain']);
  t.deepEqual(await offers('help join-t'), ['join-token']);
  t.deepEqual(await offers(`create-resource gamma ${ROOT}tsconfig.b`), [`${ROOT}tsconfig.build.json`]);
  t.deepEqual(await offers('view-role alp'), ['alpha']);
  t.deepEqual(await offers('--timeout '), []);
  t.deepEqual(await offers('version '), []);
});

test('the state directory on the command line is the one that is asked', async (t) => {
  const b = new Bench(t);
  const other = new Bench(t);
  other.resource('elsewhere');
  t.deepEqual(await complete(t, b, `--dir ${other.dir} view e`), ['elsewhere']);
  t.deepEqual(await complete(t, b, 'view e'), []);
});
