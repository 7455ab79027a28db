// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Source lists of the two addons, for binding.gyp and for build-native.mjs.
 *
 * The core is taken by folder: whoever adds a file there has added it to the
 * build. The binding is listed by name, for two addons share its folder.
 */
import { readdirSync } from 'node:fs';
import { pathToFileURL, fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const CORE_FOLDERS = ['kernel/core', 'kernel/bricks', 'native/shim', 'native/engine', 'native/bricks'];
const COMMON = ['native/addon/util.cc'];
const SYS = ['sys', 'links', 'lock', 'files', 'ioctl', 'poll', 'notify'].map((n) => `native/addon/${n}.cc`);
const ENGINE = ['engine.cc', 'scanner.cc', 'logscan.c', 'glue.c'].map((n) => `native/addon/${n}`);

/** Sources of one addon, relative to the project's root, sorted. */
export function nativeSources(which) {
  if (which === 'sys') return [...COMMON, ...SYS].sort();
  const core = CORE_FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.c'))
      .map((name) => `${folder}/${name}`),
  );
  return [...COMMON, ...ENGINE, ...core].sort();
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(nativeSources(process.argv[2]).join('\n'));
}
