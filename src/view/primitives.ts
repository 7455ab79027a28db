// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The scalar views: `marsadm view-NAME R` prints one value, stable and without
 * decoration, for scripts. One table; the command line, the help and the
 * generated reference are made from it. Lists print one name a line.
 */
import { keys, type Switch } from '../tree/catalogue.js';
import type { Snapshot } from '../tree/types.js';
import {
  actsize,
  actualPrimaries,
  allResources,
  clusterMembers,
  designated,
  devicePath,
  deviceSize,
  dirty,
  fact,
  is,
  isConsistent,
  isDesignated,
  isMember,
  members,
  openCount,
  pendingRequests,
  possibleSize,
  reach,
  replayStop,
  size,
  splitBrain,
  syncDone,
  syncRest,
  wish,
  type Flag,
  type Scope,
} from './facts.js';
import { percent } from './format.js';
import { replayLag } from './lag.js';
import { progress, type Progress } from './logline.js';
import { diskPresent, diskstate, flags, replstate, role, todoRole, type Local } from './states.js';

export type Value = string | number | boolean | readonly string[] | null;

/** A view of one resource at the host that looks. */
export interface ResourcePrimitive {
  readonly scope: 'resource';
  readonly summary: string;
  readonly get: (s: Scope, local: Local) => Value;
}

/** A view of the whole cluster. */
export interface ClusterPrimitive {
  readonly scope: 'cluster';
  readonly summary: string;
  readonly get: (snap: Snapshot, local: Local) => Value;
}

export type Primitive = ResourcePrimitive | ClusterPrimitive;

const res = (summary: string, get: ResourcePrimitive['get']): Primitive => ({
  scope: 'resource',
  summary,
  get,
});
const clu = (summary: string, get: ClusterPrimitive['get']): Primitive => ({
  scope: 'cluster',
  summary,
  get,
});
const num = (n: bigint | undefined): Value => (n === undefined ? null : Number(n));
const isFlag = (what: Flag, summary: string): Primitive => res(summary, (s) => is(s, what));
const todo = (what: Switch, summary: string): Primitive => res(summary, (s) => wish(s, what));
const log = (summary: string, pick: (p: Progress) => bigint): Primitive =>
  res(summary, (s) => {
    const p = progress(s);
    return p ? Number(pick(p)) : null;
  });
const part = (summary: string, pos: (p: Progress) => bigint, all: (p: Progress) => bigint): Primitive =>
  res(summary, (s) => {
    const p = progress(s);
    return p ? percent(pos(p), all(p)) : null;
  });

export const PRIMITIVES: Readonly<Record<string, Primitive>> = {
  // the cluster
  'cluster-members': clu('hosts of the cluster', (snap) => clusterMembers(snap)),
  'cluster-peers': clu('hosts of the cluster other than this one', (snap, l) =>
    clusterMembers(snap).filter((h) => h !== l.me),
  ),
  'all-resources': clu('resources of the cluster', (snap) => allResources(snap)),
  'my-resources': clu('resources this host is a member of', (snap, l) =>
    allResources(snap).filter((resource) => isMember({ snap, resource, host: l.me })),
  ),
  uuid: clu('identity of the cluster', (snap) => snap.value(keys.uuid) ?? null),
  'is-daemon-running': clu('does the local daemon run', (_snap, l) => l.daemon),

  // members
  'resource-members': res('hosts that hold a replica', (s) => members(s)),
  'resource-peers': res('hosts that hold a replica, without this one', (s, l) =>
    members(s).filter((h) => h !== l.me),
  ),
  'is-member': res('does this host hold a replica', (s) => isMember(s)),
  'resource-uuid': res(
    'identity of the resource',
    (s) => s.snap.value(keys.resourceUuid(s.resource)) ?? null,
  ),
  timeline: res(
    'number of forced switches, plus one',
    (s) => s.snap.value(keys.timeline(s.resource)) ?? null,
  ),

  // roles
  'get-primary': res('the designated primary, empty if nobody is', (s) => designated(s) ?? ''),
  'actual-primary': res('hosts that are primary now', (s) => actualPrimaries(s)),
  primarynode: res('the designated primary, `-` if nobody is', (s) => designated(s) ?? '-'),
  role: res('role word: Primary, Secondary, NotYetPrimary, RemainsPrimary, ForcedPrimary or None', (s) =>
    role(s),
  ),
  'todo-role': res('the wished role: Primary, Secondary or None', (s) => todoRole(s)),
  'is-primary': isFlag('is-primary', 'is this host primary now'),
  'is-secondary': res(
    'is this host a replica and not primary now',
    (s) => isMember(s) && !is(s, 'is-primary'),
  ),
  'todo-primary': res('is this host the designated primary', (s) => isDesignated(s)),

  // wishes and facts
  'todo-attach': todo('attach', 'is attaching wished'),
  'todo-fetch': todo('connect', 'is fetching wished'),
  'todo-replay': todo('allow-replay', 'is replaying wished'),
  'todo-sync': todo('sync', 'is synchronising wished'),
  'is-attached': isFlag('is-attached', 'is the data device in use by MARS'),
  'is-replaying': isFlag('is-replaying', 'does replay run'),
  'is-fetching': isFlag('is-copying', 'are logs being fetched'),
  'is-syncing': isFlag('is-syncing', 'does the full sync run'),
  'is-consistent': res('could this replica stand for itself', (s) => isConsistent(s)),
  'is-split-brain': res('has the history forked', (s) => splitBrain(s).length > 0),
  'is-orphan': res('is a needed log gone everywhere', (s) => replayStop(s) === 'log-missing'),
  'is-alive': res('can the designated primary be reached', (s, l) => {
    const primary = designated(s);
    return primary !== undefined && (primary === l.me ? l.daemon : reach(s.snap, l.me, primary).connected);
  }),
  'replay-code': res(
    '`ok`, or the word at which replay waits or has stopped',
    (s) => fact(s, 'replay-code') ?? '',
  ),
  'disk-error': res('errno of the data device, 0 = none', (s) => Number(fact(s, 'disk-error') ?? '0')),
  'pending-requests': res('requests the daemon has not answered yet', (s) => pendingRequests(s)),
  state: res('`ok`, or the named error state of the primary', (s) => fact(s, 'state') ?? ''),

  // states
  diskstate: res('state of the data device', (s, l) => diskstate(s, l)),
  replstate: res('state of the replication', (s, l) => replstate(s, l)),
  flags: res('six letters: Disk Consistent Attached Sync Fetch Replay', (s, l) => flags(s, l)),

  // devices
  'get-disk': res('path of the data device', (s) => s.snap.value(keys.data(s.resource, s.host)) ?? ''),
  'get-device': res(
    'name of the exported device',
    (s) => s.snap.value(keys.device(s.resource, s.host)) ?? '',
  ),
  'get-device-path': res('where an application finds the exported device', (s) => devicePath(s) ?? ''),
  'disk-present': res('does the data device exist', (s, l) => diskPresent(s, l)),
  'device-present': isFlag('if-on', 'is the exported device there'),
  'device-opened': res('number of users of the exported device', (s) => num(openCount(s))),
  'device-size': res('bytes of the exported device, 0 if it is not there', (s) => num(deviceSize(s))),
  'disk-size': res('bytes of the data device', (s) => num(actsize(s))),
  'resource-size': res('bytes of the resource', (s) => num(size(s))),
  'resource-possible-size': res('bytes the resource could grow to', (s) => num(possibleSize(s))),

  // sync
  'sync-size': res('bytes to synchronise in all', (s) => num(size(s))),
  'sync-pos': res('bytes synchronised', (s) => num(syncDone(s))),
  'sync-rest': res('bytes still to synchronise', (s) => num(syncRest(s))),
  'sync-reached': res('is the full sync done', (s) => isMember(s) && syncRest(s) === 0n),
  'sync-percent': res('percent synchronised', (s) => percent(syncDone(s), size(s))),

  // logs, in bytes from the oldest log still needed
  'fetch-size': log('bytes of log written by the primary', (p) => p.end),
  'fetch-pos': log('bytes of log held here', (p) => p.fetched),
  'fetch-rest': log('bytes of log still to fetch', (p) => p.end - p.fetched),
  'fetch-reached': res('is all log held here', (s) => bool(s, (p) => p.fetched >= p.end)),
  'fetch-percent': part(
    'percent of log held here',
    (p) => p.fetched,
    (p) => p.end,
  ),
  'fetch-lognr': log('number of the newest log held here', (p) => p.logs.fetched),
  'replay-size': log('bytes of log held here', (p) => p.fetched),
  'replay-pos': log('bytes of log applied', (p) => p.applied),
  'replay-rest': log('bytes of log held here and not applied', (p) => p.fetched - p.applied),
  'replay-reached': res('is all log held here applied', (s) => bool(s, (p) => p.applied >= p.fetched)),
  'replay-percent': part(
    'percent of the held log applied',
    (p) => p.applied,
    (p) => p.fetched,
  ),
  'replay-lognr': log('number of the log being applied', (p) => p.logs.applied),
  'replay-lag': res('nanoseconds this replica is behind its primary, empty if not known', (s, l) =>
    num(replayLag(s, l.me)),
  ),
  'work-size': log('bytes of log written by the primary', (p) => p.end),
  'work-pos': log('bytes of log applied', (p) => p.applied),
  'work-rest': log('bytes of log still to fetch or apply', (p) => p.end - p.applied),
  'work-reached': res('is everything applied', (s) => bool(s, (p) => p.applied >= p.end)),
  'work-percent': part(
    'percent of all log applied',
    (p) => p.applied,
    (p) => p.end,
  ),
  'work-lognr': log('number of the newest log', (p) => p.logs.end),
  'writeback-rest': res('bytes of log not yet written back', (s) => num(dirty(s))),
  'replay-link': res(
    'position as it stands in the tree',
    (s) => s.snap.value(keys.replay(s.resource, s.host)) ?? '',
  ),
  'summary-vector': res('applied:held:written', (s) => {
    const p = progress(s);
    return p ? `${p.applied}:${p.fetched}:${p.end}` : '';
  }),
};

function bool(s: Scope, test: (p: Progress) => boolean): boolean {
  const p = progress(s);
  return p !== undefined && test(p);
}

/** The text form: yes/no as 1/0, lists one a line, unknown as nothing. */
export function printValue(v: Value): string {
  if (v === null) return '';
  if (typeof v === 'boolean') return v ? '1' : '0';
  if (typeof v === 'number' || typeof v === 'string') return String(v);
  return v.join('\n');
}
