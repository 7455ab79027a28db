// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which log files may this node delete?
 *
 * A log is needed while any member has not applied all of it, while a sync that
 * is under way may still ask for it, and while it is the newest here. Everything
 * older than the oldest need can go, with the version links of the same age.
 *
 * One exception, which an operator has to allow: while log space is short, a
 * member that has been unreachable for longer than `log-lost-after` seconds (in
 * `resource-R/defaults` or `defaults`) holds nothing back any more. That it is lost
 * is written down before the first log goes; it needs a full sync then, which it
 * begins by itself if `resync-lost` is 1. The default of both is: never.
 */
import { keys, parseCount, parsePosition } from '../tree/catalogue.js';
import type { Changes, Snapshot } from '../tree/types.js';
import { members } from './history.js';
import type { LocalLog, ResourceView } from './resource.js';

/** Logs to delete and what to write into the tree before. */
export interface Deletable {
  readonly logs: readonly LocalLog[];
  /** version links to drop */
  readonly versions: readonly string[];
  /** who is lost from now on, and who no longer is */
  readonly lost: Changes;
  /** when the next member may be given up, if nothing changes before, ns */
  readonly again: bigint | undefined;
}

/** An operator's choice for a resource, or for all of them. */
export const setting = (snap: Snapshot, resource: string, name: string): string | undefined =>
  snap.value(keys.resourceDefault(resource, name)) ?? snap.value(keys.default(name));

/** Number of the log a member stands in. */
const standsIn = (snap: Snapshot, resource: string, host: string): bigint | undefined =>
  parsePosition(snap.value(keys.replay(resource, host)) ?? '')?.number;

/** Some member has deleted, by permission, logs that `host` still needed. */
export function isLost(snap: Snapshot, resource: string, host: string): boolean {
  const at = standsIn(snap, resource, host);
  if (at === undefined) return false;
  return members(snap, resource).some((other) => {
    const oldest = parseCount(snap.value(keys.lost(resource, other, host)));
    return oldest !== undefined && at < oldest;
  });
}

/** Members that hold back logs `host` itself is through with, those that stand furthest behind first. */
export function holders(snap: Snapshot, resource: string, host: string): string[] {
  const own = standsIn(snap, resource, host) ?? 0n;
  return members(snap, resource)
    .filter((h) => h !== host && !isLost(snap, resource, h))
    .flatMap((h) => {
      const at = standsIn(snap, resource, h);
      return at !== undefined && at < own ? [{ h, at }] : [];
    })
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    .map(({ h }) => h);
}

/** While log space is short: the time, and since when members can't be reached. Of the wall clock, as stamps may run ahead by hours, ns. */
export interface Shortage {
  readonly now: bigint;
  readonly awaySince: ReadonlyMap<string, bigint>;
}

/** When a member may be given up; undefined = never. */
function givenUpAt(v: ResourceView, host: string, { awaySince }: Shortage): bigint | undefined {
  const seconds = parseCount(setting(v.snap, v.resource, 'log-lost-after'));
  const since = awaySince.get(host);
  if (seconds === undefined || since === undefined || host === v.me || v.connected.has(host))
    return undefined;
  // Who has, or is to have, the device is what the others follow.
  if (v.snap.value(keys.primary(v.resource)) === host) return undefined;
  if (v.snap.value(keys.actual(v.resource, host, 'is-primary')) === '1') return undefined;
  return since + seconds * 1_000_000_000n;
}

/**
 * Number of the oldest log a primary needs itself. `held` is the oldest one its logger still has
 * as an input: the `checkpoint` may be further than that, as the end of the log before is learned
 * only when it is let go, or behind it, after an adoption.
 */
export function neededByPrimary(held: bigint, checkpoint: bigint | undefined): bigint {
  return checkpoint !== undefined && checkpoint < held ? checkpoint : held;
}

/**
 * `own` is the number of the log this node itself still needs (a primary: see {@link neededByPrimary});
 * `pinned` are numbers held by syncs that are being served.
 */
export function deletableLogs(
  v: ResourceView,
  own: bigint | undefined,
  pinned: readonly bigint[],
  shortage?: Shortage,
): Deletable {
  if (own === undefined) return { logs: [], versions: [], lost: {}, again: undefined };
  const needs = [own, ...pinned];
  const left: { host: string; number: bigint; until: bigint | undefined }[] = [];
  for (const host of members(v.snap, v.resource)) {
    const number = standsIn(v.snap, v.resource, host);
    if (number === undefined) continue;
    const until = shortage && givenUpAt(v, host, shortage);
    // Also of this node itself: after a kill it goes on from what it had published.
    if (isLost(v.snap, v.resource, host) || (shortage && until !== undefined && until <= shortage.now))
      left.push({ host, number, until: undefined });
    else {
      needs.push(number);
      if (until !== undefined) left.push({ host, number, until });
    }
  }
  const oldest = needs.reduce((a, b) => (a < b ? a : b));
  const logs = v.logs.filter((log) => log.number < oldest);
  const given = left.filter((m) => m.until === undefined);
  // The links stay: they tell whether whoever comes back has gone another way meanwhile.
  const links = given.reduce((a, m) => (a < m.number ? a : m.number), oldest);
  const waits = left.flatMap((m) => (m.until === undefined || m.number >= own ? [] : [m.until]));
  return {
    logs,
    versions: oldLinks(v, links),
    lost: { ...found(v), ...loses(v, given, logs, oldest) },
    again: waits.reduce<bigint | undefined>((a, b) => (a !== undefined && a < b ? a : b), undefined),
  };
}

/** Own version links of logs before `oldest`. */
function oldLinks(v: ResourceView, oldest: bigint): string[] {
  const prefix = keys.versionPrefix(v.resource);
  return v.snap.list(prefix).flatMap(({ key }) => {
    const number = BigInt(key.slice(prefix.length, prefix.length + 9));
    return number < oldest && key === keys.version(v.resource, number, v.me) ? [key] : [];
  });
}

/** Whoever of `given` needs one of the `logs` that go. */
function loses(
  v: ResourceView,
  given: readonly { readonly host: string; readonly number: bigint }[],
  logs: readonly LocalLog[],
  oldest: bigint,
): Changes {
  const lost = given.filter((m) => logs.some((log) => log.number >= m.number));
  return Object.fromEntries(lost.map((m) => [keys.lost(v.resource, v.me, m.host), oldest.toString()]));
}

/** Members this node had given up that have passed the gap, or are none any more. */
function found(v: ResourceView): Changes {
  const prefix = keys.lost(v.resource, v.me, '');
  const none = v.snap.list(prefix).filter((e) => {
    const host = e.key.slice(prefix.length);
    const at = standsIn(v.snap, v.resource, host);
    const number = parseCount(e.value) ?? 0n;
    return !members(v.snap, v.resource).includes(host) || (at !== undefined && at >= number);
  });
  return Object.fromEntries(none.map((e) => [e.key, null]));
}
