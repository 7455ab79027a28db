// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * People at the keyboards: commands of marsadm at random moments, carried out with
 * the real plans. A command waits for its conditions, gives up some time later and
 * then takes back what its plan says, exactly as execute.ts does.
 */
import { planInvalidate, planCron, planLogDelete, planRotate } from '../../src/cli/plan/maintenance.js';
import { planCreate, planJoin, planLeave } from '../../src/cli/plan/membership.js';
import { planPrimary, planSecondary } from '../../src/cli/plan/handover.js';
import { planSwitch, planUp } from '../../src/cli/plan/switches.js';
import type { Plan, Situation, Step, Verdict } from '../../src/cli/plan/plan.js';
import { MarsError } from '../../src/errors.js';
import type { SimNode } from './node.js';
import { BLOCKS, PAGE } from './truth.js';
import { R, type World } from './world.js';

const device = { path: '/dev/sim', bytes: PAGE * BigInt(BLOCKS) };

export type Command = (sit: Situation, node: SimNode, uuid: string) => Plan;

export const commands = {
  create: (sit, _node, uuid) => planCreate(sit, { resource: R, device, name: R, size: device.bytes, uuid }),
  join: (sit) => planJoin(sit, { resource: R, device, name: R }),
  leave: (sit, node) =>
    planLeave(
      sit,
      R,
      [...node.files.keys()].map((name) => `resource-${R}/${name}`),
    ),
  primary: (sit) => planPrimary(sit, R, { ignoreSync: true }),
  secondary: (sit) => planSecondary(sit, R),
  disconnect: (sit) => planSwitch(sit, R, 'connect', false),
  connect: (sit) => planSwitch(sit, R, 'connect', true),
  pauseReplay: (sit) => planSwitch(sit, R, 'allow-replay', false),
  resumeReplay: (sit) => planSwitch(sit, R, 'allow-replay', true),
  pauseSync: (sit) => planSwitch(sit, R, 'sync', false),
  detach: (sit) => planSwitch(sit, R, 'attach', false),
  up: (sit) => planUp(sit, R),
  rotate: (sit) => planRotate(sit, R),
  logDelete: (sit) => planLogDelete(sit, R),
  cron: (sit) => planCron(sit, R),
  invalidate: (sit) => planInvalidate(sit, R),
} satisfies Record<string, Command>;

/** What people do, the frequent things more often. */
export const HABITS: readonly (keyof typeof commands)[] = [
  ...([
    'join',
    'primary',
    'primary',
    'connect',
    'resumeReplay',
    'up',
    'up',
    'rotate',
    'rotate',
    'cron',
  ] as const),
  ...([
    'secondary',
    'disconnect',
    'pauseReplay',
    'pauseSync',
    'detach',
    'logDelete',
    'invalidate',
    'leave',
  ] as const),
];

interface Running {
  plan: Plan;
  patience: number;
}

export class Operator {
  readonly #world: World;
  readonly #running = new Map<string, Running>();

  constructor(world: World) {
    this.#world = world;
  }

  busy(node: SimNode): boolean {
    return this.#running.has(node.host);
  }

  /** Type a command; returns the reason when it is refused. */
  run(node: SimNode, command: Command, force = false): string | undefined {
    const uuid = this.#world.truth.unique();
    const stamp = node.tree.clock.tick().toString();
    const step: Step = (snap) =>
      command({ snap, me: node.host, daemon: node.daemon !== undefined, force, stamp }, node, uuid);
    return this.#refusal(() => this.#act(node, step, 5 + this.#world.random.below(80)));
  }

  #refusal(body: () => void): string | undefined {
    try {
      body();
      return undefined;
    } catch (error) {
      if (error instanceof MarsError) return error.code;
      throw error;
    }
  }

  #act(node: SimNode, step: Step, patience: number): void {
    const plan = step(node.tree.snapshot());
    const weak = Object.entries(plan.writes).filter(([key]) => plan.weak.includes(key));
    node.tree.write(
      Object.fromEntries(Object.entries(plan.writes).filter(([key]) => !plan.weak.includes(key))),
    );
    node.tree.write(Object.fromEntries(weak), { weak: true });
    for (const file of plan.removeFiles) node.files.delete(file.slice(file.indexOf('/') + 1));
    if (node.daemon) node.daemon.wanted = true;
    this.#running.delete(node.host);
    if (plan.waitFor.length > 0 || plan.next) this.#running.set(node.host, { plan, patience });
  }

  /** Look whether the conditions hold, or whether patience is over. */
  poll(node: SimNode): void {
    const running = this.#running.get(node.host);
    if (!running) return;
    const verdicts = running.plan.waitFor.map((c) => c.judge(node.tree.snapshot()));
    if (verdicts.some((v: Verdict) => v.state === 'failed') || --running.patience < 0)
      return this.giveUp(node);
    if (verdicts.some((v) => v.state === 'waiting')) return;
    this.#running.delete(node.host);
    const { next } = running.plan;
    if (next) this.#refusal(() => this.#act(node, next, running.patience));
  }

  giveUp(node: SimNode): void {
    const running = this.#running.get(node.host);
    this.#running.delete(node.host);
    const back = running?.plan.compensate?.(node.tree.snapshot());
    if (back) node.tree.write(back);
    if (node.daemon) node.daemon.wanted = true;
  }
}
