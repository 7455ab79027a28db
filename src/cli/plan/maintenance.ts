// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plans for what a daemon does on request: rotate and delete logs, throw a
 * replica away and sync it again; and for the cluster: barriers and leaving.
 *
 * A request is a wish key with a fresh stamp as value; the daemon answers with a
 * fact that holds a stamp at least as new. So a request survives a restart of
 * either side and repeating it does no harm.
 */
import { MarsError } from '../../errors.js';
import { EMPTY_LOG } from '../../strategy/history.js';
import { keys, type Request } from '../../tree/catalogue.js';
import type { Snapshot } from '../../tree/types.js';
import {
  allResources,
  at,
  clusterMembers,
  designated,
  fetchPosition,
  is,
  isMember,
  members,
  openCount,
  type Scope,
} from '../../view/facts.js';
import { answered, merged } from './conditions.js';
import { requireMember, switches } from './membership.js';
import { plan, type Plan, type Situation } from './plan.js';

function request(
  sit: Situation,
  r: string,
  what: Request,
  answer: string,
): Pick<Plan, 'writes' | 'waitFor' | 'warnings'> {
  return {
    writes: { [keys.todo(r, sit.me, what)]: sit.stamp },
    waitFor: sit.daemon ? [answered(r, sit.me, what, answer, sit.stamp, sit.me)] : [],
    warnings: sit.daemon
      ? []
      : ['No daemon runs here; the request is written and is served when marsd is started.'],
  };
}

/**
 * Begin a new log, be the present one empty as far as is known: what is known of it lags behind.
 *
 * @param all - the resource was not named, so that it may be primary elsewhere
 */
export function planRotate(sit: Situation, r: string, all = false): Plan {
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  requireMember(s);
  if (!is(s, 'is-primary') && all) return plan(`${r}: ${sit.me} is not its primary, nothing to rotate here`);
  if (!is(s, 'is-primary'))
    throw new MarsError('not-primary', {
      found: `the primary is ${designated(s) ?? 'nobody'}`,
      next: `\`marsadm log-rotate ${r}\` there`,
    });
  return plan(`${r}: the primary writes a new log`, request(sit, r, 'rotate', 'rotated'));
}

export function planLogDelete(sit: Situation, r: string): Plan {
  requireMember({ snap: sit.snap, resource: r, host: sit.me });
  return plan(`${r}: logs that no replica needs are deleted`, request(sit, r, 'log-delete', 'log-deleted'));
}

/** Is the newest log of this host without a single write, as far as it has told? */
function logIsEmpty(s: Scope): boolean {
  const newest = fetchPosition(s);
  return newest !== undefined && newest.pos <= EMPTY_LOG;
}

/** Rotate where this host is primary and has written since, then delete what is not needed. */
export function planCron(sit: Situation, r: string): Plan {
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  requireMember(s);
  const rest = (snap: Snapshot): Plan => planLogDelete({ ...sit, snap }, r);
  return is(s, 'is-primary') && !logIsEmpty(s) ? { ...planRotate(sit, r), next: rest } : rest(sit.snap);
}

export function planInvalidate(sit: Situation, r: string): Plan {
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  requireMember(s);
  const primary = designated(s);
  const keep = `\`marsadm primary ${r}\` on the host whose data shall be kept`;
  if (primary === sit.me)
    throw new MarsError('is-primary', { found: `${sit.me} is the designated primary`, next: keep });
  if (is(s, 'is-primary'))
    throw new MarsError('is-primary', {
      found: `${sit.me} is still primary, with open-count ${openCount(s)}`,
      next:
        primary === undefined
          ? keep
          : `close or unmount the device, then \`marsadm wait-resource ${r} is-primary-off\``,
    });
  if (primary === undefined)
    throw new MarsError('no-primary', { found: `members: ${members(s).join(', ')}`, next: keep });
  if (!is(at(s, primary), 'is-primary'))
    throw new MarsError('no-active-primary', {
      found: `${primary} may still need what ${sit.me} holds`,
      next: `marsadm wait-resource ${r} is-primary --host ${primary}`,
    });
  const asked = request(sit, r, 'invalidate', 'invalidated');
  return plan(`${sit.me}: the replica of ${r} is thrown away and comes again from ${primary}`, {
    ...asked,
    writes: { ...asked.writes, ...switches(r, sit.me, true) },
  });
}

/** Everything this host has written so far has arrived at every member (of any of the resources, or of the cluster). */
export function planBarrier(sit: Situation, resources: readonly string[] | undefined): Plan {
  const peers = barrierPeers(sit, resources);
  if (peers.length > 0 && !sit.daemon)
    throw new MarsError('no-daemon', `${peers.join(', ')} cannot be asked`);
  return plan(
    peers.length === 0
      ? 'there are no other members'
      : `${peers.join(', ')} have merged everything ${sit.me} wrote`,
    {
      writes: peers.length === 0 ? {} : { [keys.barrier(sit.me)]: sit.stamp },
      waitFor: peers.map((peer) => merged(peer, sit.me, sit.stamp)),
    },
  );
}

function barrierPeers(sit: Situation, resources: readonly string[] | undefined): string[] {
  const all = clusterMembers(sit.snap).filter((h) => h !== sit.me);
  if (resources === undefined) return all;
  const asked = resources.flatMap((resource) => {
    const found = members({ snap: sit.snap, resource, host: sit.me });
    if (found.length === 0) throw new MarsError('no-such-resource', resource);
    return found;
  });
  return all.filter((h) => asked.includes(h));
}

/** The resources whose replicas have to be given up before: none, unless it is forced. What leaving itself does belongs to the cluster code. */
export function checkLeaveCluster(sit: Situation): string[] {
  if (sit.snap.get(keys.ip(sit.me)) === undefined)
    throw new MarsError('not-a-member', `${sit.me}; members are ${clusterMembers(sit.snap).join(', ')}`);
  const held = allResources(sit.snap).filter((resource) =>
    isMember({ snap: sit.snap, resource, host: sit.me }),
  );
  if (held.length > 0 && !sit.force)
    throw new MarsError('in-use-by-resources', {
      found: held.join(', '),
      next: 'marsadm leave-resource all',
    });
  return held;
}
