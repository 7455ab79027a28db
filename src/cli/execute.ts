// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Carrying out a plan: write, then wait for the conditions by watching the tree.
 *
 * Planning and writing happen together under a lock of all marsadm processes of
 * this state directory, so no other command comes between what was checked and
 * what is written. Waiting holds no lock. It ends when every condition is met,
 * when one can no longer be met, when the time is over (then the plan's
 * compensation is written), or on interruption (what was written stays). The tree
 * is looked at when it changes, never in between.
 */
import { asMarsError, MarsError } from '../errors.js';
import type { Changes, Snapshot, Tree } from '../tree/types.js';
import { applied, plan as planOf, type Condition, type Plan, type Step } from './plan/plan.js';

/** What carrying out needs from the outside. */
export interface Executor {
  readonly tree: Tree;
  /** run `body` alone among the marsadm processes of this tree, on a fresh picture */
  readonly alone: <T>(body: () => T) => T;
  /** remove a regular file of the state directory */
  readonly removeFile: (name: string) => void;
  /** call `run` after `ms` milliseconds; returns how to call that off */
  readonly after: (ms: number, run: () => void) => () => void;
  readonly warn: (text: string) => void;
  /** what is waited for, whenever that changes beyond its numbers */
  readonly progress: (text: string) => void;
  /** aborted when the user interrupts */
  readonly signal: AbortSignal;
  /** milliseconds; undefined = forever, 0 = look once */
  readonly timeout: number | undefined;
  readonly wait: boolean;
  readonly dryRun: boolean;
}

/** What was done, or would be. */
export interface Done {
  readonly message: string;
  readonly writes: readonly Readonly<Record<string, string | null>>[];
  /** conditions that were not waited for */
  readonly pending: readonly string[];
}

/** What there is to say to people beyond the message: writes of a dry run, and what was not waited for. */
export function remarks(done: Done, dryRun: boolean): string[] {
  const writes = dryRun ? done.writes.flatMap((batch) => Object.entries(batch)) : [];
  return [
    ...writes.map(([key, value]) => (value === null ? `  delete ${key}` : `  write ${key} -> ${value}`)),
    ...done.pending.map((name) => `  ${dryRun ? 'wait for' : 'not waited for'} ${name}`),
  ];
}

/** Plan and carry out. Throws MarsError, never a refusal once something was written. */
export async function execute(ex: Executor, first: Step): Promise<Done> {
  if (ex.dryRun) return preview(ex, first);
  const writes: Changes[] = [];
  try {
    return await carryOut(ex, first, writes);
  } catch (thrown) {
    const error = asMarsError(thrown);
    throw writes.length > 0 ? error.afterWriting() : error;
  }
}

async function carryOut(ex: Executor, first: Step, writes: Changes[]): Promise<Done> {
  for (let step: Step = first; ; ) {
    const plan = ex.alone(() => act(ex, step));
    if (Object.keys(plan.writes).length > 0) writes.push(plan.writes);
    if (!ex.wait && plan.waitFor.length > 0) {
      const pending = plan.waitFor.map((c) => c.name);
      // What comes after the wait is not done by anybody else: that must not look like success.
      if (plan.next) throw unfinished(pending);
      return { message: plan.message, writes, pending };
    }
    await hold(ex, plan);
    if (!plan.next) return { message: plan.message, writes, pending: [] };
    step = plan.next;
  }
}

/** `open`: what is not so yet, and was not to be waited for. */
export const unfinished = (open: readonly string[]): MarsError =>
  new MarsError('unfinished', `still open: ${open.join('; ')}`);

/** Plan on the newest picture and write. */
function act(ex: Executor, step: Step): Plan {
  const plan = step(ex.tree.snapshot());
  for (const text of plan.warnings) ex.warn(text);
  const { weak, normal } = splitWrites(plan);
  if (Object.keys(normal).length > 0) ex.tree.write(normal);
  if (Object.keys(weak).length > 0) ex.tree.write(weak, { weak: true });
  for (const name of plan.removeFiles) ex.removeFile(name);
  return plan;
}

function splitWrites(plan: Plan): { readonly weak: Changes; readonly normal: Changes } {
  const part = (weak: boolean): Changes =>
    Object.fromEntries(Object.entries(plan.writes).filter(([key]) => plan.weak.includes(key) === weak));
  return { weak: part(true), normal: part(false) };
}

/** Wait for the plan's conditions; on timeout take back what the plan says. */
async function hold(ex: Executor, plan: Plan): Promise<void> {
  try {
    await waitFor(ex, plan.waitFor);
  } catch (thrown) {
    const error = asMarsError(thrown);
    if (error.code === 'interrupted' || !plan.compensate) throw error;
    const { compensate } = plan;
    const back = ex.alone(() => {
      const changes = compensate(ex.tree.snapshot());
      if (changes) ex.tree.write(changes);
      return changes;
    });
    if (!back) throw error;
    ex.warn('What was written has been taken back.');
    throw error;
  }
}

/** Numbers that move while one waits are no news. */
const MOVING = /\d[\d.]*( \w*B)?/g;

/** Wait until all conditions hold. Throws `timeout`, `interrupted`, or why one cannot hold. */
export async function waitFor(ex: Executor, conditions: readonly Condition[]): Promise<void> {
  if (conditions.length === 0) return;
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  ex.signal.addEventListener('abort', onInterrupt, { once: true });
  // Watch first, look then: nothing falls between.
  const changes = ex.tree.changes(stop.signal)[Symbol.asyncIterator]();
  let late = ex.timeout === 0;
  const cancel =
    ex.timeout === undefined || ex.timeout === 0
      ? (): void => undefined
      : ex.after(ex.timeout, () => {
          late = true;
          stop.abort();
        });
  let said = '';
  try {
    for (;;) {
      const open = unmet(ex.tree.snapshot(), conditions);
      if (open.length === 0) return;
      const text = open.join('; ');
      if (ex.signal.aborted) throw new MarsError('interrupted', text);
      if (late) throw new MarsError('timeout', text);
      const news = text.replace(MOVING, '#');
      if (news !== said) ex.progress(text);
      said = news;
      await changes.next();
    }
  } finally {
    cancel();
    stop.abort();
    ex.signal.removeEventListener('abort', onInterrupt);
  }
}

function unmet(snap: Snapshot, conditions: readonly Condition[]): string[] {
  const open: string[] = [];
  for (const condition of conditions) {
    const verdict = condition.judge(snap);
    switch (verdict.state) {
      case 'met':
        break;
      case 'failed':
        throw verdict.error;
      case 'waiting':
        open.push(verdict.why);
    }
  }
  return open;
}

/** A command that only waits: with --dry-run it tells for what, with --no-wait it looks once. */
export async function awaitOnly(ex: Executor, condition: Condition): Promise<Done> {
  if (ex.dryRun) return preview(ex, () => planOf(condition.name, { waitFor: [condition] }));
  const open = ex.wait ? [] : unmet(ex.tree.snapshot(), [condition]);
  if (open.length > 0) throw unfinished(open);
  await waitFor(ex, [condition]);
  return { message: condition.name, writes: [], pending: [] };
}

/** Walk through all steps on a picture that only lives in memory. */
function preview(ex: Executor, first: Step): Done {
  let snap = ex.tree.snapshot();
  const writes: Changes[] = [];
  const pending: string[] = [];
  for (let step = first; ; ) {
    const plan = step(snap);
    for (const text of plan.warnings) ex.warn(text);
    if (Object.keys(plan.writes).length > 0) writes.push(plan.writes);
    pending.push(...plan.waitFor.map((c) => c.name));
    snap = applied(snap, plan.writes);
    if (!plan.next) return { message: `dry run: ${plan.message}`, writes, pending };
    step = plan.next;
  }
}
