// SPDX-License-Identifier: GPL-2.0-or-later
/** The reference documents are what the tables say, and the tables are complete. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { COMMANDS } from '../../../src/cli/commands/index.js';
import { bashCompletion } from '../../../src/cli/completion.js';
import { errorsDocument, manPage, referenceDocument } from '../../../src/cli/docs.js';
import { EXIT, REASONS } from '../../../src/errors.js';

const root = new URL('../../../../', import.meta.url);

for (const [name, make] of Object.entries({
  'docs/errors.md': errorsDocument,
  'docs/marsadm.md': referenceDocument,
  'docs/man/marsadm.8': manPage,
  'packaging/completion/marsadm.bash': bashCompletion,
})) {
  test(`${name} is current`, (t) => {
    t.is(readFileSync(new URL(name, root), 'utf8'), make(), 'run: node scripts/generate-docs.mjs');
  });
}

test('command names are unique, and every command of the tables has a summary', (t) => {
  const names = COMMANDS.map((c) => c.name);
  t.is(new Set(names).size, names.length);
  for (const c of COMMANDS) t.regex(c.summary, /^[^A-Z].*[^.]$/, c.name);
});

test('every reason has a known exit code and says something', (t) => {
  const known = new Set<number>(Object.values(EXIT));
  for (const [code, reason] of Object.entries(REASONS)) {
    t.regex(code, /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    t.true(known.has(reason.exit), code);
    t.regex(reason.text, /^[A-Z].*\.$/, code);
  }
});
