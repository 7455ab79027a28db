// SPDX-License-Identifier: GPL-2.0-or-later
/** Switches, roles, and requests to the daemon. */
import type { Switch } from '../../tree/catalogue.js';
import { planPrimary, planSecondary } from '../plan/handover.js';
import { planCron, planInvalidate, planLogDelete, planRotate } from '../plan/maintenance.js';
import type { Plan, Situation } from '../plan/plan.js';
import { planDown, planSwitch, planUp } from '../plan/switches.js';
import { arg, type Command, type Group } from './spec.js';

type Planner = (sit: Situation, resource: string) => Plan;

function simple(group: Group, name: string, summary: string, plan: Planner, details?: string): Command {
  const run: Command['run'] = (ctx, input) => ctx.perResource(arg(input, 0), plan);
  return { name, args: '<resource>', group, summary, run, ...(details !== undefined && { details }) };
}

function pair(off: string, on: string, which: Switch, noun: string): Command[] {
  return [
    simple('switch', on, `allow ${noun} here`, (sit, r) => planSwitch(sit, r, which, true)),
    simple('switch', off, `stop ${noun} here, and wait until it has stopped`, (sit, r) =>
      planSwitch(sit, r, which, false),
    ),
  ];
}

export const stateCommands: readonly Command[] = [
  simple('switch', 'attach', 'use the data device', (sit, r) => planSwitch(sit, r, 'attach', true)),
  simple(
    'switch',
    'detach',
    'let go of the data device',
    (sit, r) => planSwitch(sit, r, 'attach', false),
    'Refused while the exported device is in use.',
  ),
  simple('switch', 'up', 'all switches on', planUp),
  simple('switch', 'down', 'all switches off', planDown, 'Refused while the exported device is in use.'),
  ...pair('disconnect', 'connect', 'connect', 'fetching of logs'),
  ...pair('pause-fetch', 'resume-fetch', 'connect', 'fetching of logs'),
  ...pair('pause-replay', 'resume-replay', 'allow-replay', 'replay of logs'),
  ...pair('pause-sync', 'resume-sync', 'sync', 'the full sync'),
  {
    name: 'primary',
    args: '<resource>',
    group: 'role',
    summary: 'make this host primary: hand over from the old one without loss, or take over by --force',
    details:
      'The planned handover needs no `secondary` beforehand: the old primary steps down when its device is closed, this host fetches and applies the rest and takes over. It is refused when it cannot succeed or would lose data; if it does not succeed in time and the old primary has not stepped down, it is taken back (exit 4). With --force, and fetching switched off (`disconnect`), nobody is asked: that may fork the history (split brain).',
    options: [
      { flags: '--ignore-sync', summary: 'hand over although other replicas are still being synchronised' },
    ],
    run: (ctx, input) =>
      ctx.perResource(arg(input, 0), (sit, r) =>
        planPrimary(sit, r, { ignoreSync: input.options['ignoreSync'] === true }),
      ),
  },
  simple(
    'role',
    'secondary',
    'nobody shall be primary (not needed for a handover)',
    planSecondary,
    'Without a primary there is no sync, join or invalidate. Refused while the device is in use.',
  ),
  simple(
    'role',
    'invalidate',
    'throw this replica away and sync it again from the primary',
    planInvalidate,
    'This is how a split brain is resolved on the side that loses.',
  ),
  {
    name: 'log-rotate',
    args: '<resource>',
    group: 'logs',
    summary: 'let the primary begin a new log',
    details: 'With `all` resources of which this host is not primary are passed over.',
    run: (ctx, input) => {
      const word = arg(input, 0);
      return ctx.perResource(word, (sit, r) => planRotate(sit, r, word === 'all'));
    },
  },
  simple('logs', 'log-delete', 'delete logs that no replica needs', planLogDelete),
  { ...simple('logs', 'log-delete-all', 'the same as log-delete', planLogDelete), hidden: true },
  {
    name: 'cron',
    args: '[resource]',
    group: 'logs',
    summary: 'log-rotate where this host is primary, then log-delete',
    details:
      'A log to which nothing was written is not rotated. The daemon does both by itself as well, by size: cron is for those who want it by the clock.',
    run: (ctx, input) => ctx.perResource(input.args[0] ?? 'all', planCron),
  },
];
