// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plans for changing the primary.
 *
 * Planned handover writes one batch that names the new primary; the old one's
 * daemon steps down by itself and the new one's takes over when it has applied
 * the last byte. Everything that would lose data or could never succeed is
 * refused beforehand, from what this host knows: of a host that cannot be
 * reached it knows the last state it heard, so a primary that resigned behind a
 * cut link still counts as primary here. When the handover does not end in time
 * and the old primary has not stepped down, the wish is taken back.
 *
 * A forced switch asks nobody. It starts a new timeline, and may fork history.
 */
import { MarsError } from '../../errors.js';
import { keys, parseCount } from '../../tree/catalogue.js';
import { NONE, type Changes, type Snapshot } from '../../tree/types.js';
import {
  actualPrimaries,
  at,
  designated,
  devicePath,
  fact,
  is,
  isMember,
  members,
  openCount,
  reach,
  reachedSyncpos,
  replayPosition,
  replayStop,
  splitBrain,
  syncRest,
  wish,
  type Scope,
} from '../../view/facts.js';
import { humanSize } from '../../view/format.js';
import { becamePrimary, flagIs } from './conditions.js';
import { requireMember } from './membership.js';
import { plan, type Condition, type Plan, type Situation } from './plan.js';

/** Options of `primary` beyond --force. */
export interface HandoverOptions {
  /** do not care about other replicas that are still being synchronised */
  readonly ignoreSync: boolean;
}

export function planPrimary(sit: Situation, r: string, options: HandoverOptions): Plan {
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  requireMember(s);
  if (designated(s) === sit.me && is(s, 'is-primary') && sit.daemon)
    return plan(`${sit.me} is already primary of ${r}`);
  if (!sit.daemon) throw new MarsError('no-daemon');
  return sit.force ? forced(sit, s) : planned(sit, s, options);
}

function planned(sit: Situation, s: Scope, options: HandoverOptions): Plan {
  const r = s.resource;
  const old = designated(s) ?? sit.snap.value(keys.lastPrimary(r));
  const forks = splitBrain(s);
  if (forks.length > 0 && old !== sit.me) throw new MarsError('split-brain', forks.join('; '));
  checkReplica(s, sit);
  if (!wish(s, 'connect')) throw new MarsError('fetch-off', `${sit.me}: fetching is switched off`);
  const stop = replayStop(s);
  if (stop !== undefined) throw new MarsError('replay-error', `${sit.me}: ${stop}`);
  if (!options.ignoreSync) checkOtherSyncs(s, sit);
  const others = toStepDown(s, old);
  for (const host of others) checkOld(at(s, host), sit);
  const before: Changes = {
    [keys.primary(r)]: sit.snap.value(keys.primary(r)) ?? NONE,
    [keys.lastPrimary(r)]: sit.snap.value(keys.lastPrimary(r)) ?? null,
  };
  return plan(`${sit.me} is primary of ${r}`, {
    writes: { [keys.primary(r)]: sit.me, [keys.lastPrimary(r)]: sit.me },
    waitFor: [becamePrimary(r, sit.me, others)],
    compensate: (snap) => takeBack(snap, r, sit.me, old, before),
  });
}

/**
 * Who has to give up the role before the device is opened here: the old primary, and everybody who
 * remains primary although another one was forced. With this host designated already that is settled.
 */
function toStepDown(s: Scope, old: string | undefined): string[] {
  if (designated(s) === s.host) return [];
  const hosts = new Set([...(old === undefined ? [] : [old]), ...actualPrimaries(s)]);
  return [...hosts].filter((host) => host !== s.host && isMember(at(s, host)));
}

/** The old primary never let go: it stays primary. Otherwise going on is the only way. */
function takeBack(
  snap: Snapshot,
  r: string,
  me: string,
  old: string | undefined,
  before: Changes,
): Changes | undefined {
  const s: Scope = { snap, resource: r, host: me };
  if (designated(s) !== me || is(s, 'is-primary') || old === undefined || old === me) return undefined;
  return is(at(s, old), 'is-primary') ? before : undefined;
}

/** What any new primary must fulfil, forced or not. */
function checkReplica(s: Scope, sit: Situation): void {
  const r = s.resource;
  if (!wish(s, 'attach') || !is(s, 'is-attached'))
    throw new MarsError(
      'not-attached',
      `${sit.me}: attach is wished ${wish(s, 'attach') ? 'on' : 'off'}, is-attached is ${fact(s, 'is-attached') ?? 'unknown'}`,
    );
  if (syncRest(s) > 0n || !reachedSyncpos(s))
    throw new MarsError(
      'sync-unfinished',
      syncRest(s) > 0n
        ? `${sit.me}: ${humanSize(syncRest(s))} are missing`
        : `${sit.me}: replay has not passed the end of the sync`,
    );
  if (replayPosition(s) === undefined) throw new MarsError('no-replay-position', `${sit.me}: ${r}`);
  if (!wish(s, 'allow-replay')) throw new MarsError('replay-off', `${sit.me}: replay is switched off`);
}

function checkOtherSyncs(s: Scope, sit: Situation): void {
  for (const host of members(s)) {
    if (host === sit.me || host === designated(s) || !reach(s.snap, sit.me, host).connected) continue;
    const rest = syncRest(at(s, host));
    if (rest > 0n && wish(at(s, host), 'sync'))
      throw new MarsError('sync-running', {
        found: `${host}: ${humanSize(rest)} are missing`,
        next: `wait for it: \`marsadm wait-resource ${s.resource} synced --host ${host}\`; or \`marsadm primary --ignore-sync ${s.resource}\``,
      });
  }
}

/** `old`: scope of a host that is, or was last, primary. */
function checkOld(old: Scope, sit: Situation): void {
  const peer = reach(old.snap, sit.me, old.host);
  const resigned = fact(old, 'is-primary') === '0' || fact(old, 'is-primary') === undefined;
  const open = openCount(old);
  // What is remembered of a host that cannot be reached may be outdated, so closing the device there is no advice.
  if (!peer.connected && (!resigned || open > 0n))
    throw new MarsError('primary-unreachable', {
      found: `${sit.me} believes that ${old.host} is primary${open > 0n ? `, with open-count ${open}` : ''}; ${old.host} is not reachable (${peer.reason ?? 'unknown'})`,
      next: `wait until ${old.host} is back; or give up what it may hold: \`marsadm disconnect ${old.resource} && marsadm primary --force ${old.resource}\``,
    });
  if (open > 0n)
    throw new MarsError('device-open', {
      found: `${old.host}: open-count of ${devicePath(old) ?? 'its device'} is ${open}`,
      next: `close or unmount it on ${old.host}, then the same command again`,
    });
}

function forced(sit: Situation, s: Scope): Plan {
  const r = s.resource;
  checkReplica(s, sit);
  if (wish(s, 'connect')) throw new MarsError('fetch-on', `${sit.me}: fetching is switched on`);
  const others = members(s).filter((h) => h !== sit.me && is(at(s, h), 'is-primary'));
  const warnings = others.map((h) =>
    reach(sit.snap, sit.me, h).connected
      ? `${h} is primary right now: this forces a split brain.`
      : `${h} was primary when last heard of: this may be a split brain.`,
  );
  const copying: readonly Condition[] = is(s, 'is-copying')
    ? [flagIs(r, sit.me, 'is-copying', false, sit.me)]
    : [];
  // Newer than any timeline there is by then: one that arrives during the wait would undo the force.
  const write = (snap: Snapshot): Plan =>
    plan(`${sit.me} is primary of ${r}, by force`, {
      writes: {
        [keys.primary(r)]: sit.me,
        [keys.lastPrimary(r)]: sit.me,
        [keys.timeline(r)]: ((parseCount(snap.value(keys.timeline(r))) ?? 0n) + 1n).toString(),
      },
      waitFor: [becamePrimary(r, sit.me, [], true)],
    });
  const first =
    copying.length > 0
      ? plan(`fetching of ${r} has stopped`, { waitFor: copying, next: write })
      : write(sit.snap);
  return { ...first, warnings };
}

/**
 * Nobody shall be primary. Needed only before taking a resource apart. The wish is
 * weak: whoever was made primary on the other side of a cut link stays primary.
 */
export function planSecondary(sit: Situation, r: string): Plan {
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  requireMember(s);
  const old = designated(s);
  if (old === undefined) return plan(`nobody is designated primary of ${r}`);
  const there = at(s, old);
  if (isMember(there) && !sit.force) checkOld(there, sit);
  const wait = isMember(there) && fact(there, 'is-primary') === '1' && (old !== sit.me || sit.daemon);
  return plan(`nobody is primary of ${r}`, {
    warnings:
      old === sit.me
        ? []
        : [`This takes the role from ${old}; for a handover use \`marsadm primary\` alone.`],
    writes: { [keys.primary(r)]: NONE, [keys.lastPrimary(r)]: old },
    weak: [keys.primary(r)],
    waitFor: wait ? [flagIs(r, old, 'is-primary', false, sit.me)] : [],
  });
}
