// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Histories: which past of the resource does a replica hold?
 *
 * Every log file starts with the end digest of the one before, so a history is
 * a chain of contents, like commits. Each host publishes the links it has seen
 * (`version-NNNNNNNNN-HOST`); two hosts agree if one chain is a prefix of the
 * other, and have forked (split brain) if not. Pure functions over a snapshot.
 */
import { formatLogName, formatPosition, keys, parseVersion } from '../tree/catalogue.js';
import type { Snapshot } from '../tree/types.js';

/** A log file by name: contiguous number and the host that wrote it. */
export interface LogRef {
  readonly number: bigint;
  readonly origin: string;
}

/** A place in a history, with the running digest of everything before it. */
export interface Point extends LogRef {
  readonly pos: bigint;
  readonly digest: string;
}

/** What one host says of one log: how far it knows it, and what came before. */
export interface Link extends Point {
  readonly prev?: Point;
}

/** Links of one host by log number. */
export type History = ReadonlyMap<bigint, Link>;

/** How history A stands to history B. */
export type Relation =
  | { readonly kind: 'same' | 'behind' | 'ahead' | 'unknown' }
  | { readonly kind: 'fork'; readonly at: Point; readonly other: Point };

export const sameLog = (a: LogRef, b: LogRef): boolean => a.number === b.number && a.origin === b.origin;

/** Read the chain a host has published. */
export function historyOf(snap: Snapshot, resource: string, host: string): History {
  const links = new Map<bigint, Link>();
  for (const entry of snap.list(keys.versionPrefix(resource))) {
    if (!entry.key.endsWith(`-${host}`)) continue;
    const version = parseVersion(entry.value);
    if (!version || entry.key !== keys.version(resource, version.number, host)) continue;
    const prev = version.prev && point(version.prev);
    links.set(version.number, prev ? { ...point(version), prev } : point(version));
  }
  return links;
}

function point(v: { number: bigint; origin: string; pos: bigint; digest: string }): Point {
  return { number: v.number, origin: v.origin, pos: v.pos, digest: v.digest };
}

/** Bytes of a log that holds nothing but its header. */
export const EMPTY_LOG = 4096n;

/**
 * Newest point of a history. A log without a record is no history yet: whoever
 * merely opened one has not gone beyond the end of the log before.
 */
export function tip(history: History): Point | undefined {
  let best: Link | undefined;
  for (const link of history.values()) if (!best || link.number > best.number) best = link;
  let end: Point | undefined = best;
  for (let link = best; link?.prev && end && end.pos <= EMPTY_LOG; ) {
    end = link.prev;
    const before = history.get(end.number);
    link = before && sameLog(before, end) ? before : undefined;
  }
  return end;
}

/**
 * The log that continues log `number`. Mostly the next number; a number is left out when
 * somebody was made primary by force who once wrote a log of it and has lost what it continued.
 */
export function successor(history: History, number: bigint): Link | undefined {
  const next = history.get(number + 1n);
  if (next?.prev?.number === number) return next;
  let best: Link | undefined;
  for (const link of history.values())
    if (link.prev?.number === number && link.number > number && (!best || link.number < best.number))
      best = link;
  return best;
}

/** What a history knows of log `number`; `closed` when a successor fixes its end. */
export function at(history: History, number: bigint): { point: Point; closed: boolean } | undefined {
  const next = successor(history, number)?.prev;
  if (next) return { point: next, closed: true };
  const own = history.get(number);
  return own && { point: own, closed: false };
}

/**
 * Compare two histories by their newest points. A shorter part of the same log
 * counts as a prefix: only one host ever writes to a log.
 */
export function relate(a: History, b: History): Relation {
  const ta = tip(a);
  const tb = tip(b);
  if (!ta || !tb) return { kind: 'unknown' };
  if (ta.number > tb.number) return mirror(relate(b, a));
  const other = at(b, ta.number);
  if (!other) return { kind: 'unknown' };
  const fork: Relation = { kind: 'fork', at: ta, other: other.point };
  if (other.point.origin !== ta.origin) return ta.pos === 0n ? { kind: 'unknown' } : fork;
  if (ta.pos === other.point.pos) {
    if (!sameDigest(ta.digest, other.point.digest)) return fork;
    return { kind: ta.number === tb.number ? 'same' : 'behind' };
  }
  if (ta.pos < other.point.pos) return { kind: 'behind' };
  return other.closed ? fork : { kind: 'ahead' };
}

function mirror(r: Relation): Relation {
  switch (r.kind) {
    case 'behind':
      return { kind: 'ahead' };
    case 'ahead':
      return { kind: 'behind' };
    case 'fork':
      return { kind: 'fork', at: r.other, other: r.at };
    case 'same':
    case 'unknown':
      return r;
  }
}

/** Hosts that hold (or are to hold) data of the resource. */
export function members(snap: Snapshot, resource: string): string[] {
  const prefix = keys.data(resource, '');
  return snap.list(prefix).map((e) => e.key.slice(prefix.length));
}

/** All forks between `host` and the other members, as `log-…,pos vs HOST`. */
export function forksOf(snap: Snapshot, resource: string, host: string): { other: string; text: string }[] {
  const mine = historyOf(snap, resource, host);
  const found: { other: string; text: string }[] = [];
  for (const other of members(snap, resource)) {
    if (other === host) continue;
    const r = relate(mine, historyOf(snap, resource, other));
    if (r.kind === 'fork')
      found.push({ other, text: `${describe(r.at)} vs ${describe(r.other)} at ${other}` });
  }
  return found;
}

/** `log-000000003-hosta,8192` */
export const describe = (p: { number: bigint; origin: string; pos: bigint }): string =>
  formatPosition({ number: p.number, origin: p.origin, pos: p.pos });

/** File name of a log. */
export const logName = (ref: LogRef): string => formatLogName(ref.number, ref.origin);

/** Digests agree; the empty one stands for: not known. */
export const sameDigest = (a: string, b: string): boolean => a === b || a === '' || b === '';

/**
 * Numbers of what was told of and is not part of the history that a new log behind
 * `prev` continues: whoever was made primary by force without its own last logs has
 * gone another way, and must say so. What was lost may have touched its disk, so nobody
 * else can go there by its logs.
 */
export function straysOf(told: History, prev: Point | undefined): bigint[] {
  if (!prev) return [];
  return [...told.values()]
    .filter((l) => l.number > prev.number || (sameLog(l, prev) && l.pos > prev.pos))
    .map((l) => l.number);
}

/** Stands for contents that no other replica has: whoever compares with it finds a fork. */
export const UNSHARED = '0'.repeat(32);
