// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plans for the wish switches: attach, connect, replay and sync, on and off, and
 * all of them by up and down. Switching something off waits until it has
 * stopped, so that a script may rely on it; switching on waits only for attach,
 * since the others depend on hosts that may be away.
 */
import { MarsError } from '../../errors.js';
import { keys, type Switch } from '../../tree/catalogue.js';
import { designated, devicePath, is, members, openCount, type Flag, type Scope } from '../../view/facts.js';
import { attached, flagIs } from './conditions.js';
import { requireMember, switches } from './membership.js';
import { plan, type Condition, type Plan, type Situation } from './plan.js';

const FACT: Readonly<Record<Switch, Flag>> = {
  attach: 'is-attached',
  connect: 'is-copying',
  'allow-replay': 'is-replaying',
  sync: 'is-syncing',
};

const NOUN: Readonly<Record<Switch, string>> = {
  attach: 'attached',
  connect: 'fetching',
  'allow-replay': 'replaying',
  sync: 'synchronising',
};

function scope(sit: Situation, resource: string): Scope {
  const s: Scope = { snap: sit.snap, resource, host: sit.me };
  requireMember(s);
  return s;
}

const note = (sit: Situation): readonly string[] =>
  sit.daemon ? [] : ['No daemon runs here; the wish is written and counts when marsd is started.'];

/** What to wait for when switches go off: the daemon, if it runs, confirms each. */
const stopped = (sit: Situation, r: string, list: readonly Switch[]): Condition[] =>
  sit.daemon ? list.map((s) => flagIs(r, sit.me, FACT[s], false, sit.me)) : [];

export function planSwitch(sit: Situation, r: string, which: Switch, on: boolean): Plan {
  const s = scope(sit, r);
  if (which === 'attach' && !on) refuseOpen(s, sit);
  if (which === 'sync' && on && designated(s) === undefined)
    throw new MarsError('no-primary', `members: ${members(s).join(', ')}`);
  const waitFor = on
    ? which === 'attach' && sit.daemon
      ? [attached(r, sit.me, sit.me)]
      : []
    : stopped(sit, r, [which]);
  return plan(
    `${sit.me}: ${r} ${on ? 'is' : 'is not'} ${NOUN[which]}${on && which !== 'attach' ? ' when possible' : ''}`,
    {
      warnings: note(sit),
      writes: { [keys.todo(r, sit.me, which)]: on ? '1' : '0' },
      waitFor,
    },
  );
}

export function planUp(sit: Situation, r: string): Plan {
  scope(sit, r);
  return plan(`${sit.me}: ${r} is up`, {
    warnings: note(sit),
    writes: switches(r, sit.me, true),
    waitFor: sit.daemon ? [attached(r, sit.me, sit.me)] : [],
  });
}

export function planDown(sit: Situation, r: string): Plan {
  const s = scope(sit, r);
  refuseOpen(s, sit);
  return plan(`${sit.me}: ${r} is down`, {
    warnings: note(sit),
    writes: switches(r, sit.me, false),
    waitFor: stopped(sit, r, ['attach', 'connect', 'allow-replay', 'sync']),
  });
}

function refuseOpen(s: Scope, sit: Situation): void {
  if (openCount(s) === 0n || !is(s, 'is-attached')) return;
  throw new MarsError('device-open', {
    found: `${sit.me}: open-count of ${devicePath(s) ?? 'the device'} is ${openCount(s)}`,
    next: `close or unmount it, then \`marsadm wait-umount ${s.resource}\``,
  });
}
