// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What the tree says about one resource at one host, read once and typed.
 *
 * Everything a view or a plan needs to know goes through these functions, so
 * that a missing or malformed value has the same meaning everywhere: a flag that
 * is absent is off, a number that is absent is 0. Facts of a host that cannot be
 * reached are old: `reach` says since when. Pure functions over a snapshot.
 */
import { reachedSyncpos as appliedReachesSyncpos } from '../strategy/resource.js';
import {
  keys,
  parseCount,
  parsePosition,
  REQUESTS,
  type Position,
  type Request,
  type Switch,
} from '../tree/catalogue.js';
import { isReasonCode, type ReasonCode } from '../errors.js';
import { NONE, type Snapshot } from '../tree/types.js';
import { forksOf } from '../strategy/history.js';

/** One resource as seen at one host. */
export interface Scope {
  readonly snap: Snapshot;
  readonly resource: string;
  readonly host: string;
}

/** Facts that are yes or no. */
export type Flag = 'is-attached' | 'is-replaying' | 'is-copying' | 'is-syncing' | 'is-primary' | 'if-on';

/** Words in `replay-code` that mean: stopped, and will not go on by itself. */
const STOPS: ReadonlySet<ReasonCode> = new Set([
  'bad-crc',
  'bad-log',
  'bad-chain',
  'log-missing',
  'split-brain',
  'replay-torn',
  'replay-mismatch',
  'read-error',
  'io-error',
  'data-read-error',
  'data-write-error',
]);

const count = (text: string | undefined): bigint => parseCount(text) ?? 0n;

export const at = (s: Scope, host: string): Scope => ({ ...s, host });

/** Hosts of the cluster, sorted. */
export function clusterMembers(snap: Snapshot): string[] {
  return sortNatural(snap.list(keys.ip('')).map((e) => e.key.slice(keys.ip('').length)));
}

/** Resources known to the cluster (created and not deleted), sorted. */
export function allResources(snap: Snapshot): string[] {
  const names = new Set<string>();
  for (const e of snap.list('resource-')) {
    const cut = e.key.indexOf('/');
    const name = e.key.slice('resource-'.length, cut);
    if (
      e.key === keys.resourceUuid(name) ||
      e.key === keys.data(name, e.key.slice(keys.data(name, '').length))
    )
      names.add(name);
  }
  return sortNatural([...names]);
}

/** Hosts that hold a replica, sorted. */
export function members(s: Scope): string[] {
  const prefix = keys.data(s.resource, '');
  return sortNatural(s.snap.list(prefix).map((e) => e.key.slice(prefix.length)));
}

export const exists = (s: Scope): boolean => s.snap.get(keys.resourceUuid(s.resource)) !== undefined;
export const isMember = (s: Scope): boolean => s.snap.get(keys.data(s.resource, s.host)) !== undefined;
export const wish = (s: Scope, what: Switch): boolean =>
  s.snap.value(keys.todo(s.resource, s.host, what)) === '1';
export const fact = (s: Scope, what: string): string | undefined =>
  s.snap.value(keys.actual(s.resource, s.host, what));
export const is = (s: Scope, what: Flag): boolean => fact(s, what) === '1';
export const openCount = (s: Scope): bigint => count(fact(s, 'open-count'));
/** Bytes of the device as it is exported; 0 where there is none. */
export const deviceSize = (s: Scope): bigint => count(fact(s, 'device-size'));
/** Where an application finds the device, while it is there; else its name. */
export const devicePath = (s: Scope): string | undefined =>
  fact(s, 'device-path') ?? s.snap.value(keys.device(s.resource, s.host));
/** Which engine a host drives: `kernel`, `embedded`, or undefined when it has never said. */
export const engineOf = (snap: Snapshot, host: string): string | undefined =>
  snap.value(keys.nodeActual(host, 'engine'));
export const size = (s: Scope): bigint => count(s.snap.value(keys.size(s.resource)));
export const actsize = (s: Scope): bigint => count(s.snap.value(keys.actsize(s.resource, s.host)));

/** Bytes the resource could grow to: the smallest data device of a member limits all. */
export function possibleSize(s: Scope): bigint {
  const sizes = members(s).map((host) => actsize(at(s, host)));
  return sizes.length === 0 ? 0n : sizes.reduce((a, b) => (b < a ? b : a));
}

/** The host everybody wants to be primary; undefined for nobody. */
export function designated(s: Scope): string | undefined {
  const value = s.snap.value(keys.primary(s.resource));
  return value === undefined || value === NONE ? undefined : value;
}

export const isDesignated = (s: Scope): boolean => designated(s) === s.host;

/** Hosts that say they are primary, whatever is wished. */
export const actualPrimaries = (s: Scope): string[] => members(s).filter((h) => is(at(s, h), 'is-primary'));

export function replayPosition(s: Scope): Position | undefined {
  const text = s.snap.value(keys.replay(s.resource, s.host));
  return text === undefined ? undefined : parsePosition(text);
}

export function fetchPosition(s: Scope): Position | undefined {
  const text = fact(s, 'fetch-pos');
  return text === undefined ? undefined : parsePosition(text);
}

/** Log bytes behind the replay position that may have touched the disk. */
export const dirty = (s: Scope): bigint => replayPosition(s)?.dirty ?? 0n;

export function syncDone(s: Scope): bigint {
  const done = count(s.snap.value(keys.syncstatus(s.resource, s.host)));
  return done > size(s) ? size(s) : done;
}

export const syncRest = (s: Scope): bigint => size(s) - syncDone(s);

/** Is the replica behind the position from which on its disk is one picture? */
export function reachedSyncpos(s: Scope): boolean {
  const have = replayPosition(s);
  return appliedReachesSyncpos(s.snap, s.resource, s.host, have && { ...have, digest: '' });
}

/**
 * Can this replica stand for itself: a past state of the primary, complete on
 * this host (disk and own logs together)?
 */
export function isConsistent(s: Scope): boolean {
  if (!isMember(s)) return false;
  if (isDesignated(s) && is(s, 'is-primary')) return true;
  return syncRest(s) === 0n && replayPosition(s) !== undefined && reachedSyncpos(s);
}

/** Word at which replay has stopped for good, if it has. */
export function replayStop(s: Scope): ReasonCode | undefined {
  const code = fact(s, 'replay-code');
  return code !== undefined && isReasonCode(code) && STOPS.has(code) ? code : undefined;
}

/** One line for every fork between members, found in the histories or published by a daemon. */
export function splitBrain(s: Scope): string[] {
  const lines = new Set<string>();
  for (const host of members(s)) {
    const published = fact(at(s, host), 'split-brain');
    if (published !== undefined && published !== '') lines.add(`${host}: ${published}`);
  }
  if (lines.size > 0) return [...lines];
  for (const host of members(s))
    for (const fork of forksOf(s.snap, s.resource, host)) {
      if (host < fork.other) lines.add(`${host}: ${fork.text}`);
    }
  return [...lines];
}

/** Can the host be reached from this node, and since when is it so? */
export interface Reach {
  readonly connected: boolean;
  readonly reason?: ReasonCode;
  /** stamp of the last change, ns; absent when nothing is known */
  readonly since?: bigint;
}

export function reach(snap: Snapshot, me: string, peer: string): Reach {
  if (me === peer) return { connected: true };
  const entry = snap.get(keys.peer(peer));
  if (!entry) return { connected: false, reason: 'never-contacted' };
  if (entry.value === 'connected') return { connected: true, since: entry.stamp };
  const word = entry.value.replace(/^unreachable:/, '');
  const reason = isReasonCode(word) ? word : 'peer-unreachable';
  return { connected: false, reason, since: entry.stamp };
}

const ANSWERS: Readonly<Record<Request, string>> = {
  rotate: 'rotated',
  'log-delete': 'log-deleted',
  invalidate: 'invalidated',
};

/** Requests to the daemon of the host that it has not answered yet. */
export function pendingRequests(s: Scope): Request[] {
  return REQUESTS.filter((what) => {
    const asked = s.snap.value(keys.todo(s.resource, s.host, what));
    return asked !== undefined && count(asked) > count(fact(s, ANSWERS[what]));
  });
}

/** Texts of `msg-KEY`, without the ones that say OK. */
export function messages(s: Scope): { key: string; text: string }[] {
  const prefix = keys.actual(s.resource, s.host, 'msg-');
  return s.snap
    .list(prefix)
    .map((e) => ({ key: e.key.slice(prefix.length), text: e.value.replace(/^\d+ /, '') }))
    .filter((m) => m.text !== 'OK' && m.text !== 'ok');
}

/** Sort names so that r2 comes before r10. */
export function sortNatural(names: readonly string[]): string[] {
  return [...names].sort(compareNatural);
}

const digitRuns = (name: string): readonly string[] => name.match(/\d+|\D+/g) ?? [];

/** Runs of digits compare as numbers, everything else by code. */
function compareNatural(a: string, b: string): number {
  const [as, bs] = [digitRuns(a), digitRuns(b)];
  for (const [i, part] of as.entries()) {
    const other = bs[i];
    if (other === undefined) return 1;
    const [x, y] = [Number(part), Number(other)];
    if (x !== y && x >= 0 && y >= 0) return x - y;
    if (part !== other) return part < other ? -1 : 1;
  }
  return as.length - bs.length;
}
