// SPDX-License-Identifier: GPL-2.0-or-later
/** view, and one view-NAME for every primitive. Looks only; the exit code is 0 unless something is not found. */
import pc from 'picocolors';
import { MarsError } from '../../errors.js';
import type { Snapshot } from '../../tree/types.js';
import { statusDocument } from '../../view/document.js';
import { exists, members } from '../../view/facts.js';
import { PRIMITIVES, printValue, type Primitive, type Value } from '../../view/primitives.js';
import { PLAIN, statusText, type Paint } from '../../view/text.js';
import type { Context } from '../context.js';
import { success, type Json, type Report } from '../output.js';
import { arg, type Command, type Input } from './spec.js';

function requireResource(snap: Snapshot, resource: string, host: string): void {
  const s = { snap, resource, host };
  if (!exists(s) && members(s).length === 0) throw new MarsError('no-such-resource', resource);
}

function viewAll(ctx: Context, word: string | undefined): Report {
  const snap = ctx.tree().snapshot();
  const names = ctx.select(word, 'known');
  for (const name of names) requireResource(snap, name, ctx.host);
  const doc = statusDocument(snap, names, ctx.local(snap), (r) => ctx.local(snap, r), ctx.now());
  const colors = pc.createColors(ctx.options.color);
  const paint: Paint = ctx.options.color ? { good: colors.green, bad: colors.red, dim: colors.dim } : PLAIN;
  return success('status', doc as unknown as Json, statusText(doc, paint));
}

function viewOne(ctx: Context, primitive: Primitive, word: string | undefined): Report {
  const snap = ctx.tree().snapshot();
  if (primitive.scope === 'cluster') {
    const value = primitive.get(snap, ctx.local(snap));
    return success('view', value, printValue(value));
  }
  const names = ctx.select(word, 'known');
  const values = names.map((resource): [string, Value] => {
    requireResource(snap, resource, ctx.host);
    return [resource, primitive.get({ snap, resource, host: ctx.host }, ctx.local(snap, resource))];
  });
  const [only] = values;
  const single = only !== undefined && word !== undefined && word !== 'all' && !word.includes(',');
  const lines = values.map(([name, value]) => `${name}\t${printValue(value).replaceAll('\n', ',')}`);
  return success('view', Object.fromEntries(values), single ? printValue(only[1]) : lines.join('\n'));
}

/** `view R`, `view all`, `view NAME R`. */
function view(ctx: Context, input: Input): Report {
  const [first, second] = input.args;
  const primitive = first === undefined ? undefined : PRIMITIVES[first];
  if (primitive && Object.hasOwn(PRIMITIVES, arg(input, 0)) && !isKnown(ctx, first))
    return viewOne(ctx, primitive, second);
  if (second !== undefined) throw new MarsError('unknown-macro', first ?? '');
  return viewAll(ctx, first);
}

function isKnown(ctx: Context, name: string | undefined): boolean {
  return name !== undefined && exists({ snap: ctx.tree().snapshot(), resource: name, host: ctx.host });
}

const primitiveCommands: readonly Command[] = Object.entries(PRIMITIVES).map(([name, primitive]) => ({
  name: `view-${name}`,
  args: primitive.scope === 'resource' ? '[resource]' : '',
  group: 'view',
  summary: primitive.summary,
  hidden: true,
  run: (ctx, input) => viewOne(ctx, primitive, input.args[0]),
}));

export const viewCommands: readonly Command[] = [
  {
    name: 'view',
    args: '[resource] [of]',
    group: 'view',
    summary: 'show the state of all or the named resources',
    details:
      '`view NAME R` and `view-NAME R` print one bare value for scripts; with `all` or several resources one line `R<TAB>value` each. Yes and no are 1 and 0, lists have one name a line. `view --json` prints the whole status document.',
    run: view,
  },
  ...primitiveCommands,
];
