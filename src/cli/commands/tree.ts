// SPDX-License-Identifier: GPL-2.0-or-later
/** Reading and writing single keys, and files of the state directory. */
import { readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import { MarsError } from '../../errors.js';
import { isKey } from '../../tree/catalogue.js';
import { errnoOf } from '../../tree/disk.js';
import type { Context } from '../context.js';
import { success } from '../output.js';
import { arg, type Command } from './spec.js';

/** A key, given as such or as a path below MARS_DIR. */
function keyOf(ctx: Context, word: string): string {
  const key = word.startsWith('/') ? relative(resolve(ctx.dir), resolve(word)) : word;
  if (!isKey(key)) throw new MarsError('bad-key', word);
  return key;
}

/** Keys in a `userspace` directory are for everybody; others only with --force. */
function writableKey(ctx: Context, word: string): string {
  const key = keyOf(ctx, word);
  if (!ctx.options.force && !/(?:^|\/)userspace\/[^/]+$/.test(key))
    throw new MarsError('key-protected', {
      found: key,
      next: 'use a key below userspace/, or --force if you know what you do',
    });
  return key;
}

function write(ctx: Context, key: string, value: string | null): void {
  const tree = ctx.memberTree();
  if (!ctx.options.dryRun) ctx.alone(() => tree.write({ [key]: value }));
}

/** Stamps become local time, `error = -N` gets its name. */
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

export const treeCommands: readonly Command[] = [
  {
    name: 'get-link',
    args: '<key>',
    group: 'tree',
    summary: 'print the value of a key',
    run: (ctx, input) => {
      const key = keyOf(ctx, arg(input, 0));
      const entry = ctx.tree().snapshot().get(key);
      if (!entry) throw new MarsError('no-such-key', key);
      return success('value', { key, value: entry.value, stamp: entry.stamp.toString() }, entry.value);
    },
  },
  {
    name: 'set-link',
    args: '<value> <key>',
    group: 'tree',
    summary: 'set a key below userspace/ (any key with --force)',
    run: (ctx, input) => {
      const key = writableKey(ctx, arg(input, 1));
      write(ctx, key, arg(input, 0));
      return success(`${key} -> ${arg(input, 0)}`, { writes: [{ [key]: arg(input, 0) }] });
    },
  },
  {
    name: 'delete-file',
    args: '<key>',
    group: 'tree',
    summary: 'delete a key below userspace/ (any key with --force), on all hosts',
    run: (ctx, input) => {
      const key = writableKey(ctx, arg(input, 0));
      if (!ctx.tree().snapshot().get(key)) throw new MarsError('no-such-key', key);
      write(ctx, key, null);
      return success(`${key} deleted`, { writes: [{ [key]: null }] });
    },
  },
  {
    name: 'cat',
    args: '<file>',
    group: 'tree',
    summary: 'print a file with stamps and error numbers made readable',
    run: (ctx, input) => {
      const path = resolve(ctx.dir, arg(input, 0));
      try {
        const text = readable(readFileSync(path, 'utf8')).replace(/\n$/, '');
        return success('file', text, text);
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') throw new MarsError('no-such-file', { found: path, cause: error });
        throw error;
      }
    },
  },
];
