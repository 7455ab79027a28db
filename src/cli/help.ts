// SPDX-License-Identifier: GPL-2.0-or-later
/** Help texts and the reference, all from the command table. Pure functions. */
import { PRIMITIVES } from '../view/primitives.js';
import { GROUPS, type Command, type Group, type Option } from './commands/spec.js';

/** Options of every command. */
export const GLOBAL_OPTIONS: readonly Option[] = [
  { flags: '--dir <path>', summary: 'state directory (default: MARS_DIR, or /mars)' },
  { flags: '--host <name>', summary: 'host to act for (default: MARS_HOST, or the name of this machine)' },
  { flags: '--json', summary: 'print one JSON object' },
  { flags: '--timeout <seconds>', summary: 'how long to wait (default 600; 0 = look once; none or -1 = forever)' },
  { flags: '--no-wait', summary: 'write the wish and do not wait for the facts' },
  { flags: '-f, --force', summary: 'skip the checks that the command says; `force-COMMAND` is the same' },
  { flags: '-d, --dry-run', summary: 'print what would be written and waited for; write nothing' },
];

const usage = (c: Command): string => `marsadm ${c.name}${c.args === '' ? '' : ` ${c.args}`}`;

export { usage as commandUsage };

/** Break a text into lines of at most `width` characters. */
function wrap(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((l) => indent + l).join('\n');
}

const optionLines = (options: readonly Option[]): string =>
  options.map((o) => `  ${o.flags.padEnd(22)} ${o.summary}`).join('\n');

export function commandHelp(c: Command): string {
  const parts = [`usage: ${usage(c)} [options]`, wrap(`${c.summary.charAt(0).toUpperCase()}${c.summary.slice(1)}.`, 90, '  ')];
  if (c.details !== undefined) parts.push(wrap(c.details, 90, '  '));
  if (c.args.includes('<resource>')) parts.push('  RESOURCE is a name, several joined by commas, or `all` where that makes sense.');
  if (c.options) parts.push(`Options:\n${optionLines(c.options)}`);
  parts.push(`Options of every command:\n${optionLines(GLOBAL_OPTIONS)}`);
  return parts.join('\n\n');
}

const groups = Object.keys(GROUPS) as Group[];

export function overview(table: readonly Command[]): string {
  const chapters = groups.map((group) => {
    const lines = table
      .filter((c) => c.group === group && !c.hidden)
      .map((c) => `  ${`${c.name} ${c.args}`.trim().padEnd(46)} ${c.summary}`);
    return `${GROUPS[group]}:\n${lines.join('\n')}`;
  });
  const more = 'marsadm help COMMAND tells more; marsadm explain REASON explains a refusal.';
  return ['usage: marsadm COMMAND [arguments] [options]', ...chapters, `Options:\n${optionLines(GLOBAL_OPTIONS)}`, more].join('\n\n');
}

/** docs/marsadm.md */
export function reference(table: readonly Command[], exits: string): string {
  const chapters = groups.map((group) => {
    const entries = table.filter((c) => c.group === group && !c.hidden).map(entry);
    return `## ${GROUPS[group]}\n\n${entries.join('\n\n')}`;
  });
  const views = Object.entries(PRIMITIVES).map(([name, p]) => `| \`view-${name}\` | ${p.scope} | ${p.summary} |`);
  return [
    '<!-- SPDX-License-Identifier: GPL-2.0-or-later -->',
    '<!-- Generated from the command table by scripts/generate-docs.mjs. -->',
    '# marsadm',
    '`marsadm COMMAND [arguments] [options]` writes wishes into the state directory and waits for facts. It needs no running daemon to look or to wish.',
    `## Options of every command\n\n${GLOBAL_OPTIONS.map((o) => `- \`${o.flags}\`: ${o.summary}`).join('\n')}`,
    `## Exit codes\n\n${exits}\n\nThe reason codes behind them are in [errors.md](errors.md).`,
    ...chapters,
    `## Scalar views\n\n| command | of a | prints |\n| --- | --- | --- |\n${views.join('\n')}`,
  ].join('\n\n') + '\n';
}

function entry(c: Command): string {
  const options = (c.options ?? []).map((o) => `- \`${o.flags}\`: ${o.summary}`);
  const parts = [`### ${c.name}`, `\`${usage(c)}\``, `${c.summary.charAt(0).toUpperCase()}${c.summary.slice(1)}.`];
  if (c.details !== undefined) parts.push(c.details);
  if (options.length > 0) parts.push(options.join('\n'));
  return parts.join('\n\n');
}
