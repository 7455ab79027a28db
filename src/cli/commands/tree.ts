// SPDX-License-Identifier: GPL-2.0-or-later
/** Reading and writing single keys, and files of the state directory. */
import { readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import { MarsError } from '../../errors.js';
import { isKey } from '../../tree/catalogue.js';
import { errnoOf } from '../../tree/disk.js';
import type { Changes } from '../../tree/types.js';
import type { Context } from '../context.js';
import { success, type Json, type Report } from '../output.js';
import { arg, type Command, type Input } from './spec.js';

/** A key, given as such or as a path below MARS_DIR. */
function keyOf(ctx: Context, word: string): string {
  const key = word.startsWith('/') ? relative(resolve(ctx.dir), resolve(word)) : word;
  if (!isKey(key)) throw new MarsError('bad-key', word);
  return key;
}

/** Keys in `userspace` and `defaults` directories are for everybody; others only with --force. */
function writableKey(ctx: Context, word: string): string {
  const key = keyOf(ctx, word);
  if (!ctx.options.force && !/(?:^|\/)(?:userspace|defaults)\/[^/]+$/.test(key))
    throw new MarsError('key-protected', key);
  return key;
}

function write(ctx: Context, changes: Changes): void {
  const tree = ctx.memberTree();
  if (!ctx.options.dryRun) ctx.alone(() => tree.write(changes));
}

const prefix = (ctx: Context): string => (ctx.options.dryRun ? 'dry run: ' : '');

/** Stamps become dates (UTC), `error = -N` gets its name. */
export function readable(text: string): string {
  const names = getSystemErrorMap();
  return text
    .replace(
      /\b(\d{10})\.(\d{9})\b/g,
      (_, sec: string, nsec: string) => `${new Date(Number(sec) * 1000).toISOString().slice(0, -5)}.${nsec}Z`,
    )
    .replace(
      /\berror = -(\d+)\b/g,
      (all, code: string) => `${all} (${names.get(-Number(code))?.[0] ?? 'unknown'})`,
    );
}

/** The words behind position `from`. */
const rest = (input: Input, from: number): string[] =>
  input.args.slice(from).filter((word) => word !== undefined);

interface Found {
  readonly key: string;
  readonly value: string;
  readonly stamp: string;
}

function getLinks(ctx: Context, input: Input): Report {
  const snap = ctx.tree().snapshot();
  const found = rest(input, 0).map((word): Found => {
    const key = keyOf(ctx, word);
    const entry = snap.get(key);
    if (!entry) throw new MarsError('no-such-key', key);
    return { key, value: entry.value, stamp: entry.stamp.toString() };
  });
  const [first] = found;
  const data: Json = found.length === 1 && first ? { ...first } : found.map((f) => ({ ...f }));
  return success('value', data, found.map((f) => f.value).join('\n'));
}

function readText(ctx: Context, word: string): string {
  const path = resolve(ctx.dir, word);
  try {
    return readable(readFileSync(path, 'utf8')).replace(/\n$/, '');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new MarsError('no-such-file', { found: path, cause: error });
    throw error;
  }
}

export const treeCommands: readonly Command[] = [
  {
    name: 'get-link',
    args: '<key...>',
    group: 'tree',
    summary: 'print the value of a key',
    details: 'KEY is a path below the state directory, with or without the directory in front.',
    run: getLinks,
  },
  {
    name: 'set-link',
    args: '<value> <key...>',
    group: 'tree',
    summary: 'set a key below userspace/ or defaults/ (any key with --force)',
    run: (ctx, input) => {
      const list = rest(input, 1).map((word) => writableKey(ctx, word));
      const changes = Object.fromEntries(list.map((key) => [key, arg(input, 0)]));
      write(ctx, changes);
      return success(`${prefix(ctx)}${list.join(', ')} -> ${arg(input, 0)}`, { writes: [changes] });
    },
  },
  {
    name: 'delete-file',
    args: '<key...>',
    group: 'tree',
    summary: 'delete a key below userspace/ or defaults/ (any key with --force), on all hosts',
    run: (ctx, input) => {
      const list = rest(input, 0).map((word) => writableKey(ctx, word));
      for (const key of list) if (!ctx.tree().snapshot().get(key)) throw new MarsError('no-such-key', key);
      const changes = Object.fromEntries(list.map((key) => [key, null]));
      write(ctx, changes);
      return success(`${prefix(ctx)}${list.join(', ')} deleted`, { writes: [changes] });
    },
  },
  {
    name: 'cat',
    args: '<file...>',
    group: 'tree',
    summary: 'print a file with stamps and error numbers made readable',
    run: (ctx, input) => {
      const text = rest(input, 0)
        .map((word) => readText(ctx, word))
        .join('\n');
      return success('file', text, text);
    },
  },
];
