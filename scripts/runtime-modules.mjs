// SPDX-License-Identifier: GPL-2.0-or-later
// Prints the npm packages that the programs import at run time, with what these need: one a line.
import { readFileSync } from 'node:fs';

/** dependencies that only the build needs */
const BUILD = /^(typescript|node-gyp|node-addon-api|@types\/)/;

const read = (file) => JSON.parse(readFileSync(new URL(`../${file}`, import.meta.url), 'utf8'));
const names = new Set();
const add = (name) => {
  if (BUILD.test(name) || names.has(name)) return;
  names.add(name);
  Object.keys(read(`node_modules/${name}/package.json`).dependencies ?? {}).forEach(add);
};
Object.keys(read('package.json').dependencies).forEach(add);
console.log([...names].join('\n'));
