// SPDX-License-Identifier: GPL-2.0-or-later
// Write the reference documents from the built program: npm run build && node scripts/generate-docs.mjs
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { bashCompletion } from '../dist/src/cli/completion.js';
import { errorsDocument, manPage, referenceDocument } from '../dist/src/cli/docs.js';

const root = new URL('../', import.meta.url);
const files = {
  'docs/errors.md': errorsDocument(),
  'docs/marsadm.md': referenceDocument(),
  'docs/man/marsadm.8': manPage(),
  'packaging/completion/marsadm.bash': bashCompletion(),
};
for (const [name, text] of Object.entries(files)) {
  const path = new URL(name, root).pathname;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
