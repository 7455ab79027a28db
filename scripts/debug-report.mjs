// SPDX-License-Identifier: GPL-2.0-or-later
// Table of what the tests found on the debug kernels:
//   debug-report.mjs FOLDER DOCUMENT KERNEL...
// reads FOLDER/KERNEL.tap and KERNEL.seconds, and puts the table between the two marks of the
// document, which are added at its end where they are missing.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const [folder, document, ...kernels] = process.argv.slice(2);
const BEGIN = '<!-- test-debug: written by make test-debug -->';
const END = '<!-- end of test-debug -->';

const WHAT = {
  kasan: 'KASAN: wrong accesses to memory, sleeping in atomic context',
  lockdep: 'lockdep, RCU checks, lifetimes of work and timers, kmemleak after each case',
};

/** Cases by name: 'ok', 'failed' or 'skipped'. */
function cases(name) {
  const found = new Map();
  for (const line of readFileSync(path.join(folder, `${name}.tap`), 'utf8').split('\n')) {
    const match = /^(ok|not ok) \d+ - (.*?)(\s+# (SKIP|TODO).*)?$/.exec(line);
    if (!match) continue;
    const title = match[2].replace(`Linux ${name}: `, '');
    found.set(title, match[4] ? 'skipped' : match[1] === 'ok' ? 'ok' : 'failed');
  }
  return found;
}

const release = (name) => readFileSync(path.join('build', 'vm', 'kernels', name, 'release'), 'utf8').trim();
const results = kernels.map((name) => ({ name, cases: cases(name) }));
const titles = [...new Set(results.flatMap((r) => [...r.cases.keys()]))];
const count = (r, what) => [...r.cases.values()].filter((v) => v === what).length;
const rows = [
  ['case', ...results.map((r) => r.name)],
  ['---', ...results.map(() => '---')],
  ...titles.map((title) => [title, ...results.map((r) => r.cases.get(title) ?? '-')]),
];
const text = [
  BEGIN,
  '',
  `Run on ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, two processors in each machine:`,
  '',
  ...results.map((r) => {
    const seconds = readFileSync(path.join(folder, `${r.name}.seconds`), 'utf8').trim();
    return (
      `- \`${r.name}\`, Linux ${release(r.name)}: ${WHAT[r.name] ?? ''}. ` +
      `${count(r, 'ok')} passed, ${count(r, 'failed')} failed, ${seconds} s.`
    );
  }),
  '',
  ...rows.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`),
  '',
  END,
].join('\n');

const old = existsSync(document) ? readFileSync(document, 'utf8') : '# Tests\n';
const [from, to] = [old.indexOf(BEGIN), old.indexOf(END)];
const now =
  from >= 0 && to > from
    ? old.slice(0, from) + text + old.slice(to + END.length)
    : `${old.trimEnd()}\n\n## Debug kernels\n\n${text}\n`;
writeFileSync(document, now);
