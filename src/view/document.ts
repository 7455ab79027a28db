// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The status document: everything `marsadm view` knows, typed and stable
 * (schema version 1). Fields are only ever added. The text view is made from
 * this document, so both always agree. Bytes and numbers are JSON numbers,
 * stamps are text (they exceed 2^53), absent knowledge is null.
 */
import { keys } from '../tree/catalogue.js';
import type { ReasonCode } from '../errors.js';
import type { Snapshot } from '../tree/types.js';
import {
  actsize,
  at,
  clusterMembers,
  designated,
  deviceSize,
  dirty,
  engineOf,
  fact,
  is,
  isConsistent,
  members,
  messages,
  openCount,
  pendingRequests,
  possibleSize,
  reach,
  size,
  splitBrain,
  syncDone,
  syncRest,
  wish,
  type Scope,
} from './facts.js';
import { replayLag } from './lag.js';
import { progress } from './logline.js';
import {
  diskPresent,
  diskstate,
  flags,
  problems,
  replstate,
  role,
  type Local,
  type Problem,
} from './states.js';

export const SCHEMA = 1;

export interface PeerStatus {
  readonly host: string;
  readonly address: string;
  readonly self: boolean;
  /** `kernel` or `embedded`; null when it is not known */
  readonly engine: string | null;
  readonly connected: boolean;
  readonly reason: ReasonCode | null;
  /** seconds since the reachability changed */
  readonly seconds: number | null;
}

export interface LogStatus {
  readonly applied: number;
  readonly fetched: number;
  readonly end: number;
  readonly logs: { readonly applied: number; readonly fetched: number; readonly end: number };
}

export interface ReplicaStatus {
  readonly host: string;
  readonly self: boolean;
  /** false: what follows is what was last heard */
  readonly connected: boolean;
  /** seconds since the host became unreachable; null when it is connected */
  readonly age: number | null;
  readonly disk: string;
  readonly device: string;
  /** where an application finds the device; null where there is none */
  readonly devicePath: string | null;
  readonly diskPresent: boolean;
  readonly diskSize: number;
  readonly diskstate: string;
  readonly replstate: string;
  readonly flags: string;
  readonly role: string;
  readonly consistent: boolean;
  readonly primary: boolean;
  readonly deviceOn: boolean;
  readonly openCount: number;
  /** bytes of the exported device; 0 where there is none */
  readonly deviceSize: number;
  readonly wishes: { attach: boolean; fetch: boolean; replay: boolean; sync: boolean };
  readonly facts: { attached: boolean; fetching: boolean; replaying: boolean; syncing: boolean };
  readonly sync: { readonly done: number; readonly rest: number; readonly size: number };
  readonly log: LogStatus | null;
  readonly writeback: number;
  /** seconds behind the primary; null when it is not known, see lag.ts */
  readonly lag: number | null;
  /** requests that the daemon has not answered yet */
  readonly requests: readonly string[];
  readonly replayCode: string | null;
  readonly problems: readonly Problem[];
  readonly messages: readonly { readonly key: string; readonly text: string }[];
}

export interface ResourceStatus {
  readonly name: string;
  readonly uuid: string | null;
  readonly size: number;
  /** what it could grow to: the size of the smallest data device */
  readonly possibleSize: number;
  readonly primary: string | null;
  readonly timeline: number;
  readonly splitBrain: readonly string[];
  readonly members: readonly ReplicaStatus[];
}

export interface StatusDocument {
  readonly schema: typeof SCHEMA;
  readonly host: string;
  readonly daemon: boolean;
  readonly cluster: { readonly uuid: string | null; readonly members: readonly PeerStatus[] };
  readonly resources: readonly ResourceStatus[];
}

/** Local knowledge per resource: does the data device exist? */
export type LocalOf = (resource: string) => Local;

export function statusDocument(
  snap: Snapshot,
  resources: readonly string[],
  base: Local,
  localOf: LocalOf,
  now: bigint,
): StatusDocument {
  return {
    schema: SCHEMA,
    host: base.me,
    daemon: base.daemon,
    cluster: {
      uuid: snap.value(keys.uuid) ?? null,
      members: clusterMembers(snap).map((host) => peerStatus(snap, base, host, now)),
    },
    resources: resources.map((r) => resourceStatus({ snap, resource: r, host: base.me }, localOf(r), now)),
  };
}

const seconds = (since: bigint | undefined, now: bigint): number | null =>
  since === undefined || since > now ? null : Number((now - since) / 1_000_000_000n);

const lagSeconds = (ns: bigint | undefined): number | null =>
  ns === undefined ? null : Number(ns / 1_000_000n) / 1000;

function peerStatus(snap: Snapshot, local: Local, host: string, now: bigint): PeerStatus {
  const self = host === local.me;
  const state = reach(snap, local.me, host);
  const connected = self ? local.daemon : local.daemon && state.connected;
  return {
    host,
    address: snap.value(keys.ip(host)) ?? '',
    self,
    engine: engineOf(snap, host) ?? null,
    connected,
    reason: connected ? null : self || !local.daemon ? 'no-daemon' : (state.reason ?? 'peer-unreachable'),
    seconds: seconds(state.since, now),
  };
}

function resourceStatus(s: Scope, local: Local, now: bigint): ResourceStatus {
  return {
    name: s.resource,
    uuid: s.snap.value(keys.resourceUuid(s.resource)) ?? null,
    size: Number(size(s)),
    possibleSize: Number(possibleSize(s)),
    primary: designated(s) ?? null,
    timeline: Number(s.snap.value(keys.timeline(s.resource)) ?? '0'),
    splitBrain: splitBrain(s),
    members: members(s).map((host) => replicaStatus(at(s, host), local, now)),
  };
}

function replicaStatus(s: Scope, local: Local, now: bigint): ReplicaStatus {
  const peer = peerStatus(s.snap, local, s.host, now);
  return {
    host: s.host,
    self: peer.self,
    connected: peer.connected,
    age: peer.connected ? null : peer.seconds,
    disk: s.snap.value(keys.data(s.resource, s.host)) ?? '',
    device: s.snap.value(keys.device(s.resource, s.host)) ?? '',
    devicePath: fact(s, 'device-path') ?? null,
    diskPresent: diskPresent(s, local),
    diskSize: Number(actsize(s)),
    diskstate: diskstate(s, local),
    replstate: replstate(s, local),
    flags: flags(s, local),
    role: role(s),
    consistent: isConsistent(s),
    primary: is(s, 'is-primary'),
    deviceOn: is(s, 'if-on'),
    openCount: Number(openCount(s)),
    deviceSize: Number(deviceSize(s)),
    wishes: {
      attach: wish(s, 'attach'),
      fetch: wish(s, 'connect'),
      replay: wish(s, 'allow-replay'),
      sync: wish(s, 'sync'),
    },
    facts: {
      attached: is(s, 'is-attached'),
      fetching: is(s, 'is-copying'),
      replaying: is(s, 'is-replaying'),
      syncing: is(s, 'is-syncing'),
    },
    sync: { done: Number(syncDone(s)), rest: Number(syncRest(s)), size: Number(size(s)) },
    log: logStatus(s),
    writeback: Number(dirty(s)),
    lag: lagSeconds(replayLag(s, local.me)),
    requests: pendingRequests(s),
    replayCode: fact(s, 'replay-code') ?? null,
    problems: problems(s, local),
    messages: messages(s),
  };
}

function logStatus(s: Scope): LogStatus | null {
  const p = progress(s);
  if (!p) return null;
  const { logs } = p;
  return {
    applied: Number(p.applied),
    fetched: Number(p.fetched),
    end: Number(p.end),
    logs: { applied: Number(logs.applied), fetched: Number(logs.fetched), end: Number(logs.end) },
  };
}
