// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What should this node do with one resource right now?
 *
 * `decide` is a pure function from the tree, the local log files and what runs
 * at the moment to a goal; the daemon moves towards the goal and asks again
 * after every change. Nothing here waits, reads a clock or touches a file.
 *
 * The rules it keeps: a device exists only on the designated primary, only when
 * every byte of the history it continues has been applied, and without force
 * only when nobody else is primary and nobody is ahead; a replica applies only
 * what continues its own history; it is consistent only behind its syncpos.
 */
import { keys, parseCount, parsePosition, type Switch } from '../tree/catalogue.js';
import { NONE, type Snapshot } from '../tree/types.js';
import type { LogIdent } from '../engine/types.js';
import type { ReasonCode } from '../errors.js';
import {
  at,
  EMPTY_LOG,
  historyOf,
  members,
  relate,
  sameDigest,
  sameLog,
  straysOf,
  successor,
  UNSHARED,
  type History,
  type LogRef,
  type Point,
} from './history.js';

/** A log file on this node: verified up to `end`. */
export interface LocalLog extends LogRef {
  readonly end: bigint;
  readonly digest: string;
  readonly ident: LogIdent;
}

/** What the decision is made from. */
export interface ResourceView {
  readonly me: string;
  readonly resource: string;
  readonly snap: Snapshot;
  readonly logs: readonly LocalLog[];
  /** members reachable right now */
  readonly connected: ReadonlySet<string>;
  /** what the members know has been heard, or they had their chance */
  readonly settled: boolean;
  /** the logger runs here */
  readonly primary: boolean;
  /** applied and flushed so far; absent when this replica holds no history */
  readonly applied: Point | undefined;
  /**
   * After a start: ends of the local logs from the applied one on, as far as they
   * follow each other. All of that may have touched the disk before, so nothing but
   * its continuation makes the disk equal to a past state again.
   */
  readonly touched?: readonly Point[] | undefined;
}

/** See {@link ResourceView.touched}; empty when nothing lies behind `applied`. */
export function touchedBy(logs: readonly LocalLog[], applied: Point | undefined): Point[] {
  const path: Point[] = [];
  let log = applied && logs.find((l) => sameLog(l, applied) && l.end > applied.pos);
  while (log) {
    const here = log;
    path.push({ number: here.number, origin: here.origin, pos: here.end, digest: here.digest });
    const next = logs.filter((l) => {
      const prev = prevOf(l.ident);
      return (
        l.number > here.number &&
        prev &&
        sameLog(prev, here) &&
        prev.pos === here.end &&
        prev.digest === here.digest
      );
    });
    log = next.reduce<LocalLog | undefined>((a, b) => (a && a.end >= b.end ? a : b), undefined);
  }
  return path;
}

/** Apply log `log` up to `end`; then, if known, go on with `next`. */
export interface ApplyGoal {
  readonly log: LogRef;
  readonly end: bigint;
  readonly next?: LocalLog;
}

/** Get more of a log, from `from` on, from one of `sources` (best first). */
export interface FetchGoal {
  readonly log: LogRef;
  readonly from: bigint;
  readonly sources: readonly string[];
}

/** Get the disk from `source`, resuming at byte `from`. */
export interface SyncGoal {
  readonly source: string;
  readonly from: bigint;
  readonly size: bigint;
  /** of the resource when this was decided */
  readonly timeline: string;
}

export type Goal =
  | { readonly mode: 'off'; readonly why: ReasonCode }
  | { readonly mode: 'primary'; readonly open: OpenGoal | undefined }
  | {
      readonly mode: 'follow';
      /** one word: `ok`, or what this replica waits for or stopped at */
      readonly why: ReasonCode;
      readonly apply?: ApplyGoal;
      readonly fetch?: FetchGoal;
      readonly sync?: SyncGoal;
    };

/** The new log a starting primary opens; `prev` is where it continues. */
export interface OpenGoal {
  readonly number: bigint;
  readonly timeline: number;
  readonly prev: Point | undefined;
}

/** Where a history goes on behind log N: at `len` of it, in `next`. */
interface Closer {
  readonly end: Point;
  readonly next: LogRef;
  readonly local?: LocalLog;
}

const flag = (v: ResourceView, what: Switch): boolean =>
  v.snap.value(keys.todo(v.resource, v.me, what)) === '1';

const number = (text: string | undefined): bigint => parseCount(text) ?? 0n;

/** Is the replica at `applied` behind (or at) the position its sync requires? */
export function reachedSyncpos(
  snap: Snapshot,
  resource: string,
  host: string,
  applied: Point | undefined,
): boolean {
  const text = snap.value(keys.syncpos(resource, host));
  const want = text === undefined ? undefined : parsePosition(text);
  if (!want) return true;
  if (!applied || applied.number < want.number) return false;
  if (sameLog(applied, want)) return applied.pos >= want.pos;
  // Past the log: only if the history that is applied contains the position.
  const passed = at(historyOf(snap, resource, host), want.number)?.point;
  return !passed || (sameLog(passed, want) && passed.pos >= want.pos);
}

/** What may be on the disk: touched before the start, or copied by a sync that is not passed yet. */
function onDisk(v: ResourceView): readonly Point[] {
  const path = v.touched ?? [];
  const want = parsePosition(v.snap.value(keys.syncpos(v.resource, v.me)) ?? '');
  if (!want || reachedSyncpos(v.snap, v.resource, v.me, v.applied)) return path;
  const last = path.at(-1);
  if (last && (last.number > want.number || (last.number === want.number && last.pos >= want.pos)))
    return path;
  const copied = { number: want.number, origin: want.origin, pos: want.pos, digest: '' };
  return [...path.filter((p) => p.number < want.number), copied];
}

/** Bytes still to be synced. */
export function syncRest(snap: Snapshot, resource: string, host: string): bigint {
  const size = number(snap.value(keys.size(resource)));
  const done = number(snap.value(keys.syncstatus(resource, host)));
  return done >= size ? 0n : size - done;
}

/**
 * What a replica that stands at the start of a log nobody ever wrote to may fall
 * back to when history went on elsewhere: the point where that log was opened.
 */
export function stepBack(v: ResourceView): Point | undefined {
  const { applied } = v;
  if (!applied || v.primary || applied.pos !== EMPTY_LOG) return undefined;
  const log = localLog(v, applied);
  const prev = log?.end === EMPTY_LOG ? beforeEmpty(v, log) : undefined;
  const primary = v.snap.value(keys.primary(v.resource));
  if (!prev || primary === undefined) return undefined;
  // Whoever was made primary by force keeps the branch it has opened.
  if (primary === v.me && byForce(v)) return undefined;
  const named = primary !== NONE && primary !== v.me;
  const others = named ? [primary] : members(v.snap, v.resource).filter((h) => h !== v.me);
  const histories = others.map((h) => historyOf(v.snap, v.resource, h));
  // The log is empty, but part of a history that goes on.
  const used = (h: History): boolean => {
    const known = at(h, applied.number);
    return known !== undefined && sameLog(known.point, applied);
  };
  if (histories.some(used)) return undefined;
  const wentOn = histories.some((theirs) => {
    const relation = relate(new Map([[prev.number, prev]]), theirs).kind;
    // Who is primary now goes on in a log of its own, be it as empty as this one.
    return relation === 'behind' || (relation === 'same' && named && theirs.has(applied.number));
  });
  return wentOn ? prev : undefined;
}

/** Where the first of several empty logs in a row was opened. */
function beforeEmpty(v: ResourceView, log: LocalLog): Point | undefined {
  const prev = prevOf(log.ident);
  const before = prev?.pos === EMPTY_LOG ? localLog(v, prev) : undefined;
  return (before && beforeEmpty(v, before)) ?? prev;
}

/** See the file header. */
export function decide(v: ResourceView): Goal {
  const { snap, resource, me } = v;
  if (!snap.value(keys.data(resource, me))) return { mode: 'off', why: 'not-joined' };
  if (snap.value(keys.size(resource)) === undefined || snap.value(keys.resourceUuid(resource)) === undefined)
    return { mode: 'off', why: 'not-known' };
  if (!flag(v, 'attach')) return { mode: 'off', why: 'detached' };
  const designated = snap.value(keys.primary(resource)) === me;
  if (v.primary && designated) return { mode: 'primary', open: undefined };
  if (v.primary) return { mode: 'follow', why: 'step-down' };
  if (syncRest(snap, resource, me) > 0n) return decideSync(v);
  return decideFollow(v, designated);
}

function decideSync(v: ResourceView): Goal {
  const { snap, resource, me } = v;
  const source = snap.value(keys.primary(resource));
  const fetch = fetchGoal(v);
  const base = { mode: 'follow' as const, ...(fetch && { fetch }) };
  if (!source || source === NONE) return { ...base, why: 'no-primary' };
  if (source === me) return { ...base, why: 'sync-unfinished' };
  if (!flag(v, 'sync')) return { ...base, why: 'sync-paused' };
  if (snap.value(keys.actual(resource, source, 'is-primary')) !== '1')
    return { ...base, why: 'primary-not-active' };
  if (!v.connected.has(source)) return { ...base, why: 'primary-unreachable' };
  const from = number(snap.value(keys.syncstatus(resource, me)));
  return {
    ...base,
    why: 'syncing',
    sync: {
      source,
      from: v.applied && mayResume(v) ? from : 0n,
      size: number(snap.value(keys.size(resource))),
      timeline: snap.value(keys.timeline(resource)) ?? '1',
    },
  };
}

/**
 * Blocks that were copied before a forced switch may be of another branch, and would
 * stay: then all is compared again. `sync-timeline` exists as long as a sync is under way;
 * where none is, one that was finished and passed only grows.
 */
function mayResume(v: ResourceView): boolean {
  const { snap, resource, me } = v;
  // The logs from the start on are gone: members delete what they do not know to be needed yet.
  if (snap.value(keys.actual(resource, me, 'replay-code')) === 'log-missing') return false;
  const begun = snap.value(keys.actual(resource, me, 'sync-timeline'));
  if (begun !== undefined) return begun === snap.value(keys.timeline(resource));
  const finished = snap.value(keys.syncpos(resource, me)) !== undefined;
  return finished && reachedSyncpos(snap, resource, me, v.applied);
}

function decideFollow(v: ResourceView, designated: boolean): Goal {
  const { snap, resource, me } = v;
  const forced = designated && isForced(v);
  const fork = forkWithLeaders(v, designated, forced);
  if (fork) return { mode: 'follow', why: 'split-brain' };
  const fetch = fetchGoal(v);
  const apply = flag(v, 'allow-replay') || designated ? applyGoal(v) : undefined;
  const wait = (why: ReasonCode): Goal => ({
    mode: 'follow',
    why,
    ...(apply && { apply }),
    ...(fetch && { fetch }),
  });
  if (!designated) return wait(flag(v, 'allow-replay') ? 'ok' : 'replay-paused');
  if (apply && (v.applied === undefined || apply.end > v.applied.pos || apply.next))
    return wait('recovering');
  if (!reachedSyncpos(snap, resource, me, v.applied)) return wait('not-consistent');
  // After a start the newest wish may still be at a member: better late than two primaries.
  if (!v.settled) return wait('hearing-peers');
  // A new log names the end it continues; where that is not known, its log has to come first.
  if (v.applied && v.applied.pos > 0n && v.applied.digest === '') return wait('fetching');
  const obstacle = forced ? undefined : (obstacleToOpen(v) ?? lostLog(v) ?? unannounced(v));
  if (obstacle) return wait(obstacle);
  return { mode: 'primary', open: openGoal(v) };
}

/** A forced switch raises the timeline in or after the batch that names the primary. */
function byForce(v: ResourceView): boolean {
  const timeline = v.snap.get(keys.timeline(v.resource));
  const primary = v.snap.get(keys.primary(v.resource));
  return timeline !== undefined && primary !== undefined && timeline.stamp >= primary.stamp;
}

/** Was this host made primary by force, and has not opened a log since? */
function isForced(v: ResourceView): boolean {
  const last = v.applied && v.logs.find((l) => sameLog(l, v.applied as Point));
  const timeline = number(v.snap.value(keys.timeline(v.resource)));
  return byForce(v) && last !== undefined && timeline > BigInt(last.ident.timeline);
}

/**
 * Two hosts may be named primary at nearly the same time, and each might find that
 * nobody has a device. So everybody who can be reached has to say first that it
 * knows of the designation: what it did before is known here then.
 */
function unannounced(v: ResourceView): ReasonCode | undefined {
  const designation = v.snap.get(keys.primary(v.resource))?.stamp ?? 0n;
  const deaf = members(v.snap, v.resource).some(
    (h) => h !== v.me && v.connected.has(h) && number(v.snap.value(keys.merged(h, v.me))) < designation,
  );
  return deaf ? 'announcing' : undefined;
}

/** Why a primary that was not forced must not open its device yet. */
function obstacleToOpen(v: ResourceView): ReasonCode | undefined {
  const { snap, resource, me } = v;
  const continuing = v.applied === undefined || v.applied.origin === me;
  const mine = appliedHistory(v);
  for (const host of members(snap, resource)) {
    if (host === me) continue;
    // Whoever was overridden by force may never say that it is none any more.
    const overridden = continuing && byForce(v);
    const theirs = historyOf(snap, resource, host);
    const there = v.applied && at(theirs, v.applied.number);
    if (overridden && v.applied && !(there && sameLog(there.point, v.applied))) continue;
    const has = (fact: string): boolean => snap.value(keys.actual(resource, host, fact)) === '1';
    if (!overridden && (has('is-primary') || has('is-opening'))) return 'old-primary-active';
    const relation = relate(mine, theirs);
    const more = v.applied !== undefined && holds(v, host, v.applied) > v.applied.pos;
    if (more || relation.kind === 'behind') return v.connected.has(host) ? 'fetching' : 'peer-is-ahead';
    if (relation.kind === 'fork' && !continuing) return 'split-brain';
  }
  return undefined;
}

/** The published history up to `last`: logs behind it may have been lost since. */
function historyUpTo(v: ResourceView, last: Point): History {
  const published = historyOf(v.snap, v.resource, v.me);
  const links = [...published].filter(([n]) => n < last.number);
  const log = localLog(v, last);
  const prev = (log && prevOf(log.ident)) ?? published.get(last.number)?.prev;
  return new Map([...links, [last.number, { ...last, ...(prev && { prev }) }]]);
}

/** The history that is applied; before anything is, the published one. */
function appliedHistory(v: ResourceView): History {
  return v.applied ? historyUpTo(v, v.applied) : historyOf(v.snap, v.resource, v.me);
}

/** Nothing is left to apply, but this host has once told of more: its log was damaged, and nobody has the rest. */
function lostLog(v: ResourceView): ReasonCode | undefined {
  const told = relate(appliedHistory(v), historyOf(v.snap, v.resource, v.me));
  return told.kind === 'behind' ? 'log-missing' : undefined;
}

function openGoal(v: ResourceView): OpenGoal {
  const timeline = Number(v.snap.value(keys.timeline(v.resource)) ?? '1');
  const start = parsePosition(v.snap.value(keys.replay(v.resource, v.me)) ?? '');
  if (!v.applied || v.applied.pos === 0n)
    return { number: v.applied?.number ?? start?.number ?? 1n, timeline, prev: undefined };
  const number = freshNumber(v, v.applied);
  const lost = straysOf(historyOf(v.snap, v.resource, v.me), v.applied).length > 0;
  return { number, timeline, prev: lost ? { ...v.applied, digest: UNSHARED } : v.applied };
}

/**
 * Mostly the next one. A log of that name may exist and not be part of what is continued: its
 * predecessor was damaged and the switch forced, or this replica was invalidated since and knows
 * nothing of it any more. Others may have read it; no name is used twice.
 */
function freshNumber(v: ResourceView, last: Point): bigint {
  const told = [...historyOf(v.snap, v.resource, v.me).values()];
  const own = [...v.logs, ...told].filter((l) => l.origin === v.me);
  const noted = parseCount(v.snap.value(keys.maxnr(v.resource))) ?? 0n;
  return (
    own.reduce((max, l) => (l.number > max ? l.number : max), noted > last.number ? noted : last.number) + 1n
  );
}

/** Hosts whose history this node wants to continue with. */
function leaders(v: ResourceView, designated: boolean): string[] {
  const { snap, resource, me } = v;
  const others = members(snap, resource).filter((h) => h !== me);
  if (designated) return others;
  const primary = snap.value(keys.primary(resource));
  if (primary && primary !== NONE && primary !== me) {
    // A designated primary that has not started yet is no authority: it may still be fetching itself.
    const active = snap.value(keys.actual(resource, primary, 'is-primary')) === '1';
    return active ? [primary] : [primary, ...others.filter((h) => h !== primary)];
  }
  return others;
}

function forkWithLeaders(v: ResourceView, designated: boolean, forced: boolean): boolean {
  if (!v.applied || v.applied.pos === 0n || forced) return false;
  // A primary that continues its own log goes on with its own branch.
  if (designated && v.applied.origin === v.me) return false;
  const mine = historyUpTo(v, onDisk(v).at(-1) ?? v.applied);
  const primary = v.snap.value(keys.primary(v.resource));
  return leaders(v, designated).some((h) => {
    const active = v.snap.value(keys.actual(v.resource, h, 'is-primary')) === '1';
    if (h !== primary && !active && !designated) return false;
    return relate(mine, historyOf(v.snap, v.resource, h)).kind === 'fork';
  });
}

/** The continuation of log `ref`, as far as it agrees with what is applied. */
function closerOf(v: ResourceView, ref: LogRef, designated: boolean): Closer | undefined {
  const fits = (end: Point): boolean =>
    sameLog(end, ref) &&
    !(
      v.applied &&
      sameLog(v.applied, ref) &&
      (end.pos < v.applied.pos || (end.pos === v.applied.pos && !sameDigest(end.digest, v.applied.digest)))
    );
  const touched = onDisk(v);
  const published = leaders(v, designated).flatMap((h) => {
    const next = successor(historyOf(v.snap, v.resource, h), ref.number);
    return next?.prev && fits(next.prev) && covers(touched, next.prev, next)
      ? [{ end: next.prev, next: { number: next.number, origin: next.origin } }]
      : [];
  });
  const local = v.logs.flatMap((log) => {
    const end = prevOf(log.ident);
    return end && log.number > ref.number && fits(end) && covers(touched, end, log)
      ? [{ end, next: log, local: log }]
      : [];
  });
  // What continues more than is left of this log was given up when another was begun.
  const have = localLog(v, ref)?.end ?? 0n;
  const best = published[0] ?? local.find((c) => c.end.pos <= have) ?? local[0];
  if (!best) return undefined;
  const here = local.find((c) => sameLog(c.next, best.next));
  return here ?? best;
}

/** Does a continuation of the log of `end` by `next` keep everything that may have touched the disk? */
function covers(touched: readonly Point[], end: Point, next: LogRef): boolean {
  const i = touched.findIndex((p) => sameLog(p, end));
  const here = touched[i];
  if (!here) return true;
  const after = touched[i + 1];
  return after ? sameLog(after, next) && end.pos === here.pos : end.pos >= here.pos;
}

/** Where the log of `ident` continues; undefined for the first log. */
export function prevOf(ident: LogIdent): Point | undefined {
  if (ident.prevLength === 0n) return undefined;
  return {
    number: ident.prevNumber,
    origin: ident.prevOrigin,
    pos: ident.prevLength,
    digest: ident.prevDigest,
  };
}

const localLog = (v: ResourceView, ref: LogRef): LocalLog | undefined => v.logs.find((l) => sameLog(l, ref));

function applyGoal(v: ResourceView): ApplyGoal | undefined {
  const designated = v.snap.value(keys.primary(v.resource)) === v.me;
  if (!v.applied) return undefined;
  const ref = { number: v.applied.number, origin: v.applied.origin };
  const closer = closerOf(v, ref, designated);
  const complete =
    closer !== undefined &&
    v.applied.pos === closer.end.pos &&
    sameDigest(v.applied.digest, closer.end.digest);
  if (complete && closer.local) return { log: ref, end: v.applied.pos, next: closer.local };
  const have = localLog(v, ref)?.end;
  if (have === undefined) return undefined;
  return { log: ref, end: closer && closer.end.pos < have ? closer.end.pos : have };
}

/** Walk from the applied log to the first one that is not complete here. */
function fetchGoal(v: ResourceView): FetchGoal | undefined {
  if (!v.applied || !flag(v, 'connect')) return undefined;
  const designated = v.snap.value(keys.primary(v.resource)) === v.me;
  let ref: LogRef = { number: v.applied.number, origin: v.applied.origin };
  for (;;) {
    const have = localLog(v, ref)?.end ?? 0n;
    const closer = closerOf(v, ref, designated);
    const applied = sameLog(v.applied, ref) ? v.applied.pos : 0n;
    if (closer && (have >= closer.end.pos || applied === closer.end.pos)) {
      ref = { number: closer.next.number, origin: closer.next.origin };
      continue;
    }
    if (ref.origin === v.me && have > 0n && !someoneAhead(v, ref, have)) return undefined;
    return { log: ref, from: have, sources: sourcesFor(v, ref, have) };
  }
}

function someoneAhead(v: ResourceView, ref: LogRef, have: bigint): boolean {
  return members(v.snap, v.resource).some((h) => h !== v.me && holds(v, h, ref) > have);
}

/**
 * Reachable members that can serve a log from `have` on: its writer, the primary, then whoever
 * is known to have more. A replica that has no more would only wait for the same source as we.
 */
function sourcesFor(v: ResourceView, ref: LogRef, have: bigint): string[] {
  const { snap, resource, me } = v;
  const primary = snap.value(keys.primary(resource));
  const rank = (h: string): number => (h === ref.origin ? 0 : h === primary ? 1 : 2);
  return members(snap, resource)
    .filter((h) => h !== me && v.connected.has(h))
    .filter((h) => h === ref.origin || h === primary || holds(v, h, ref) > have)
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** How far a member is known to have a log, applied or only fetched. */
function holds(v: ResourceView, host: string, ref: LogRef): bigint {
  const known = at(historyOf(v.snap, v.resource, host), ref.number);
  const applied = known && sameLog(known.point, ref) ? known.point.pos : 0n;
  const fetched = parsePosition(v.snap.value(keys.actual(v.resource, host, 'fetch-pos')) ?? '');
  return fetched && sameLog(fetched, ref) && fetched.pos > applied ? fetched.pos : applied;
}

/** The log that is applied to the end of what is here, since nothing is known to follow it. */
export function followed(view: ResourceView, goal: Goal): { log: LogRef; snap: Snapshot } | undefined {
  if (goal.mode !== 'follow' || goal.sync || !goal.apply || goal.apply.next) return undefined;
  const { log, end } = goal.apply;
  const here = view.logs.find((l) => sameLog(l, log));
  return here?.end === end ? { log, snap: view.snap } : undefined;
}
