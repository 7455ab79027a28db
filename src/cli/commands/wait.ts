// SPDX-License-Identifier: GPL-2.0-or-later
/** Commands that only wait. */
import { asMarsError, EXIT, MarsError } from '../../errors.js';
import { exists, members } from '../../view/facts.js';
import type { Context } from '../context.js';
import { awaitOnly, execute, remarks, unfinished } from '../execute.js';
import { combine, failure, success, type Outcome, type Report } from '../output.js';
import { CONDITION_WORDS, namedCondition, unmounted } from '../plan/conditions.js';
import { planBarrier } from '../plan/maintenance.js';
import type { Condition } from '../plan/plan.js';
import { arg, type Command } from './spec.js';

async function waitEach(
  ctx: Context,
  word: string,
  condition: (resource: string) => Condition,
): Promise<Report> {
  const tree = ctx.memberTree();
  const { dryRun } = ctx.options;
  const wanted = ctx.select(word, 'mine').map((resource) => ({ resource, condition: condition(resource) }));
  const results = await Promise.all(
    wanted.map(async ({ resource, condition: c }): Promise<Outcome> => {
      try {
        const s = { snap: tree.snapshot(), resource, host: ctx.host };
        if (!exists(s) && members(s).length === 0) throw new MarsError('no-such-resource', resource);
        const done = await awaitOnly(ctx.executor(), c);
        return {
          resource,
          ok: true,
          code: EXIT.ok,
          message: done.message,
          ...(dryRun && { data: { writes: done.writes, pending: done.pending } }),
          remarks: remarks(done, dryRun),
        };
      } catch (thrown) {
        return failure(asMarsError(thrown), resource);
      }
    }),
  );
  return { outcome: combine(results) };
}

export const waitCommands: readonly Command[] = [
  {
    name: 'wait-cluster',
    args: '[resource]',
    group: 'wait',
    summary: 'wait until every member has merged everything this host has written',
    details:
      'With RESOURCE only its members are waited for, with several those of any. Members that cannot be reached are named while waiting.',
    run: async (ctx, input) => {
      ctx.memberTree();
      const [resource] = input.args;
      const only = resource === undefined || resource === 'all' ? undefined : ctx.select(resource, 'mine');
      const done = await execute(ctx.executor(), (snap) => planBarrier(ctx.situation(snap), only));
      if (!ctx.options.dryRun && done.pending.length > 0) throw unfinished(done.pending);
      const text = [done.message, ...remarks(done, ctx.options.dryRun)].join('\n');
      return success(done.message, { writes: done.writes, pending: done.pending }, text);
    },
  },
  {
    name: 'wait-resource',
    args: '<resource> <condition>',
    group: 'wait',
    summary: 'wait until a condition holds on this host',
    details: `CONDITION is [is-|has-|todo-]WORD[-on|-off], where is- and has- mean the fact and todo- the wish; without prefix a switch means its wish, anything else the fact. WORD is one of ${CONDITION_WORDS.join(', ')}.`,
    run: (ctx, input) => waitEach(ctx, arg(input, 0), (r) => namedCondition(r, ctx.host, arg(input, 1))),
  },
  {
    name: 'wait-umount',
    args: '<resource>',
    group: 'wait',
    summary: 'wait until nobody uses the exported device, on any member',
    run: (ctx, input) => waitEach(ctx, arg(input, 0), (r) => unmounted(r, ctx.host)),
  },
];
