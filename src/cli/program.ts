// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The command line: commander set up from the command table, one run of it, and
 * the exit code. Whatever happens ends in one report; nothing escapes as a
 * stack trace.
 */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { Command as Commander, CommanderError } from 'commander';
import { asMarsError, MarsError, type ExitCode } from '../errors.js';
import { COMMANDS } from './commands/index.js';
import { VERSION } from './commands/other.js';
import type { Command, Input } from './commands/spec.js';
import { Context, type GlobalOptions } from './context.js';
import { commandHelp, commandUsage, GLOBAL_OPTIONS, overview } from './help.js';
import { failure, print, success, type Report, type Streams } from './output.js';

/** The world as one run of the program sees it. */
export interface World {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly streams: Streams;
  readonly signal: AbortSignal;
  /** is standard output a terminal? */
  readonly terminal: boolean;
}

/** One word, none, or for `<word...>` several. */
type Argument = string | undefined | string[];

/** What commander found on the command line. */
export interface Parsed {
  readonly command: Command;
  readonly input: Input;
  readonly globals: Readonly<Record<string, unknown>>;
  readonly force: boolean;
}

/** Run one command; returns its exit code. */
export async function run(world: World): Promise<ExitCode> {
  const json = world.argv.includes('--json');
  let warnings: readonly string[] = [];
  let report: Report;
  try {
    const parsed = parse(world.argv);
    if (!('command' in parsed)) {
      report = parsed;
    } else {
      const ctx = new Context(globalOptions(parsed, world), world.streams, world.signal);
      warnings = ctx.warnings;
      try {
        report = await parsed.command.run(ctx, parsed.input);
      } finally {
        ctx.close();
      }
    }
  } catch (thrown) {
    report = { outcome: failure(asMarsError(thrown)) };
  }
  print(report, world.streams, json, warnings);
  return report.outcome.code;
}

/**
 * Either a command to run, or (for --help and --version) its result.
 *
 * @throws MarsError `usage`, `unknown-command`
 */
export function parse(argv: readonly string[]): Parsed | Report {
  const words = new Set(argv.map((word) => word.replace(/^force-/, '')));
  const meant = COMMANDS.filter((spec) => words.has(spec.name));
  if (meant.length === 0) return parseWith(COMMANDS, argv);
  try {
    return parseWith(meant, argv);
  } catch (error) {
    if (!(error instanceof MarsError) || error.code !== 'unknown-command') throw error;
    // The whole table is slower and knows what is similar.
    return parseWith(COMMANDS, argv);
  }
}

function parseWith(table: readonly Command[], argv: readonly string[]): Parsed | Report {
  let found: Parsed | undefined;
  let printed = '';
  const program = new Commander('marsadm')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, writeOut: (text) => (printed += text) })
    .helpCommand(false)
    .version(VERSION, '--version', 'print the version');
  program.helpInformation = () => `${overview(COMMANDS)}\n`;
  for (const option of GLOBAL_OPTIONS) program.option(option.flags, option.summary);
  const add = (spec: Command, name: string, force: boolean, hidden: boolean): void => {
    const command = program
      .command(`${name} ${spec.args}`.trim(), { hidden })
      .description(spec.summary)
      .allowExcessArguments(false);
    command.helpInformation = () => `${commandHelp(spec)}\n`;
    for (const option of spec.options ?? []) command.option(option.flags, option.summary);
    command.action(() => {
      const options = command.opts<Record<string, string | boolean | undefined>>();
      found = {
        command: spec,
        input: { args: (command.processedArgs as Argument[]).flat(), options },
        globals: program.opts(),
        force,
      };
    });
  };
  for (const spec of table) {
    add(spec, spec.name, false, spec.hidden ?? false);
    add(spec, `force-${spec.name}`, true, true);
  }
  try {
    program.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return success('help', printed.trimEnd(), printed.trimEnd());
    throw usageError(error, argv);
  }
  if (!found) throw new MarsError('usage', { message: 'No command.', next: 'marsadm help' });
  return found;
}

function usageError(error: CommanderError, argv: readonly string[]): MarsError {
  const said = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
  if (error.code === 'commander.unknownCommand')
    return new MarsError('unknown-command', {
      found: said.replace(/^unknown command /, ''),
      next: 'marsadm help',
    });
  if (error.code === 'commander.help')
    return new MarsError('usage', { message: 'No command.', next: 'marsadm help' });
  const spec = COMMANDS.find((c) => argv.some((word) => word === c.name || word === `force-${c.name}`));
  return new MarsError('usage', {
    found: said,
    next: spec ? `usage: ${commandUsage(spec)} [options]` : 'marsadm help',
  });
}

function globalOptions(parsed: Parsed, world: World): GlobalOptions {
  const { globals } = parsed;
  const text = (name: string): string | undefined => {
    const value = globals[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    dir: resolve(text('dir') ?? world.env['MARS_DIR'] ?? '/mars'),
    host: text('host') ?? world.env['MARS_HOST'] ?? hostname(),
    json: globals['json'] === true,
    force: parsed.force || globals['force'] === true,
    dryRun: globals['dryRun'] === true,
    wait: globals['wait'] !== false,
    timeout: parseTimeout(text('timeout')),
    color: world.terminal && !world.env['NO_COLOR'] && world.env['TERM'] !== 'dumb',
  };
}

/** Milliseconds; undefined = forever. */
function parseTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return 600_000;
  if (text === 'none' || text === '-1') return undefined;
  if (!/^\d{1,9}(\.\d{1,3})?$/.test(text))
    throw new MarsError('usage', { found: `--timeout ${text}`, next: 'a number of seconds, or none' });
  return Math.round(Number(text) * 1000);
}
