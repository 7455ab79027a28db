// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Builds the native addons with node-gyp: node scripts/build-native.mjs
 * [--debug] [target...].
 *
 * Configures only when binding.gyp, the list of sources, or Node changed, then
 * builds what is out of date. Never cleans: build/ is shared with other parts.
 * Takes Node's headers from beside the running node when they are installed
 * there (distribution packages, version managers), else node-gyp fetches them.
 * Where there is no Python for node-gyp, build-plain.mjs does the same.
 */
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPlain } from './build-plain.mjs';
import { nativeSources } from './native-sources.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
const stampFile = join(root, 'build', 'native.stamp');

/** Runs one node-gyp command; ends this process when it fails. */
function nodeGyp(command, args) {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const headers = existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? [`--nodedir=${prefix}`] : [];
  const run = spawnSync(process.execPath, [gyp, command, ...headers, ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  if (run.status !== 0) process.exit(run.status ?? 1);
}

/** Everything the generated makefiles depend on, as one digest. */
function configuration() {
  const hash = createHash('sha256').update(process.version).update(process.execPath);
  hash.update(readFileSync(join(root, 'binding.gyp')));
  for (const which of ['sys', 'engine']) hash.update(nativeSources(which).join('\n') + '\n');
  return hash.digest('hex');
}

/** node-gyp runs on Python. */
function havePython() {
  return [process.env['PYTHON'], 'python3', 'python'].some(
    (name) => name && spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
  );
}

const args = process.argv.slice(2);
if (!havePython() && !args.includes('--debug')) {
  await buildPlain(root).catch((error) => {
    console.error(error.stderr ?? error);
    process.exit(1);
  });
  process.exit(0);
}
const targets = args.filter((arg) => !arg.startsWith('-'));
const wanted = configuration();
const found = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : '';
if (found !== wanted || !existsSync(join(root, 'build', 'Makefile'))) {
  nodeGyp('configure', ['--silent']);
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, wanted);
}
nodeGyp('build', [
  args.includes('--debug') ? '--debug' : '--release',
  '--loglevel=warn',
  `--jobs=${availableParallelism()}`,
  ...targets,
]);
