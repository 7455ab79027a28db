// SPDX-License-Identifier: GPL-2.0-or-later
// The programs as they are installed:
//   install-programs.mjs FOLDER
// puts marsadm and marsd below FOLDER, with everything they need but node itself. Their modules
// are joined into a few files, as opening modules is most of what a call of marsadm takes.
// Addons can't be joined; `bindings`, which finds them, stays a package.
import { cpSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const to = path.resolve(process.argv[2] ?? 'build/programs');
const EXTERNAL = 'bindings';

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['dist/src/cli/main.js', 'dist/src/daemon/main.js'],
  outbase: '.',
  outdir: to,
  chunkNames: 'dist/src/shared/[name]-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  minifyWhitespace: true,
  metafile: true,
  logLevel: 'warning',
  // packages in the older format ask for node's own modules at run time
  banner: {
    js: 'import{createRequire as requireFrom}from"node:module";const require=requireFrom(import.meta.url);',
  },
});

/** The external package, with what it needs. */
function packages(name) {
  const { dependencies = {} } = JSON.parse(
    readFileSync(path.join(root, 'node_modules', name, 'package.json')),
  );
  return [name, ...Object.keys(dependencies).flatMap(packages)];
}

const copy = (from, into = from) =>
  cpSync(path.join(root, from), path.join(to, into), { recursive: true, dereference: true });
for (const name of packages(EXTERNAL)) copy(path.join('node_modules', name));
for (const name of ['package.json', 'bin']) copy(name);
mkdirSync(path.join(to, 'build/Release'), { recursive: true });
for (const name of readdirSync(path.join(root, 'build/Release')))
  if (name.endsWith('.node')) copy(path.join('build/Release', name));
// The licences of what was joined ask to be kept with it.
const joined = Object.keys(metafile.inputs).flatMap(
  (input) => /^node_modules\/([^/]+)/.exec(input)?.[1] ?? [],
);
for (const name of new Set(joined))
  for (const file of readdirSync(path.join(root, 'node_modules', name)))
    if (/^licen[cs]e/i.test(file))
      copy(path.join('node_modules', name, file), path.join('licenses', `${name}.txt`));
