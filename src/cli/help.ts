// SPDX-License-Identifier: GPL-2.0-or-later
/** Help texts, from the command table. Pure functions. */
import { GROUPS, type Command, type Group, type Option } from './commands/spec.js';

/** Options of every command. */
export const GLOBAL_OPTIONS: readonly Option[] = [
  { flags: '--dir <path>', summary: 'state directory (default: MARS_DIR, or /mars)' },
  { flags: '--host <name>', summary: 'host to act for (default: MARS_HOST, or the name of this machine)' },
  { flags: '--json', summary: 'print one JSON object' },
  {
    flags: '--timeout <seconds>',
    summary: 'how long to wait (default 600; 0 = look once; none or -1 = forever)',
  },
  {
    flags: '--no-wait',
    summary:
      'write the wish and do not wait for the facts; if more is to be done after them, or the command only waits and they do not hold: exit code 8',
  },
  { flags: '-f, --force', summary: 'skip the checks that the command says; `force-COMMAND` is the same' },
  { flags: '-d, --dry-run', summary: 'print what would be written and waited for; write nothing' },
];

/** `marsadm create-resource <resource> <device> [size]` */
export const commandUsage = (c: Command): string => `marsadm ${c.name}${c.args === '' ? '' : ` ${c.args}`}`;

/** A summary as a sentence. */
export const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

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
  const parts = [`usage: ${commandUsage(c)} [options]`, wrap(sentence(c.summary), 90, '  ')];
  if (c.details !== undefined) parts.push(wrap(c.details, 90, '  '));
  if (c.args.includes('<resource>'))
    parts.push('  RESOURCE is a name, several joined by commas, or `all` where that makes sense.');
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
  return [
    'usage: marsadm COMMAND [arguments] [options]',
    ...chapters,
    `Options:\n${optionLines(GLOBAL_OPTIONS)}`,
    more,
  ].join('\n\n');
}
