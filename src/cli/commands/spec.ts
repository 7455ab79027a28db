// SPDX-License-Identifier: GPL-2.0-or-later
/** What the command table says about a command. */
import type { Context } from '../context.js';
import type { Report } from '../output.js';

/** Chapters of the help, in order. */
export const GROUPS = {
  cluster: 'Cluster',
  resource: 'Resources and replicas',
  switch: 'Switches of a replica',
  role: 'Roles',
  logs: 'Logs and maintenance',
  view: 'Looking',
  wait: 'Waiting',
  tree: 'The tree itself',
  other: 'Other',
} as const;

export type Group = keyof typeof GROUPS;

/** Arguments and own options of one call. */
export interface Input {
  readonly args: readonly (string | undefined)[];
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
}

export interface Option {
  /** as in the help: `--name <name>` */
  readonly flags: string;
  readonly summary: string;
}

export interface Command {
  readonly name: string;
  /** as in the help: `<resource> <device> [size]` */
  readonly args: string;
  readonly group: Group;
  readonly summary: string;
  /** more, for `help COMMAND` and the reference */
  readonly details?: string;
  readonly options?: readonly Option[];
  /** not in the overview */
  readonly hidden?: boolean;
  readonly run: (ctx: Context, input: Input) => Promise<Report> | Report;
}

/** A required argument; commander has seen to it that it is there. */
export const arg = (input: Input, index: number): string => input.args[index] ?? '';

/** An own option with a text value. */
export function text(input: Input, name: string): string | undefined {
  const value = input.options[name];
  return typeof value === 'string' ? value : undefined;
}
