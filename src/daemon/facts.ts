// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What a node tells the others about a replica: from a picture of what is, to
 * links in the tree. Pure: nothing is read, waited for or written here.
 */
import type { BrickStatus } from '../engine/types.js';
import type { ReasonCode } from '../errors.js';
import { forksOf, historyOf, type LogRef, type Point } from '../strategy/history.js';
import { linksOf } from '../strategy/links.js';
import type { LocalLog } from '../strategy/resource.js';
import { formatPosition, formatVersion, keys, parseCount, type Position } from '../tree/catalogue.js';
import type { Changes, Snapshot } from '../tree/types.js';

/** A replica at one moment. */
export interface Picture {
  readonly snap: Snapshot;
  readonly resource: string;
  readonly host: string;
  readonly attached: boolean;
  readonly replaying: boolean;
  readonly copying: boolean;
  readonly syncing: boolean;
  /** while the device exists here */
  readonly primary:
    | {
        readonly log: LogRef;
        readonly path: string;
        readonly size: bigint | undefined;
        readonly openCount: number;
      }
    | undefined;
  readonly logger: BrickStatus | undefined;
  readonly replay: BrickStatus | undefined;
  readonly logs: readonly LocalLog[];
  /** applied and flushed, while not primary */
  readonly position: Point | undefined;
  /** errno of the last attempt to use the data device, 0 = none */
  readonly diskError: number;
  /** what the replica waits for, `ok` = nothing */
  readonly why: ReasonCode;
  /** reason words of what failed last in each part */
  readonly problems: {
    readonly step: ReasonCode | undefined;
    readonly fetch: ReasonCode | undefined;
    readonly sync: ReasonCode | undefined;
  };
  /** fresh stamp for messages that are new */
  readonly stamp: () => bigint;
}

type Fact = boolean | number | bigint | string | undefined;

function actual(p: Picture, facts: Readonly<Record<string, Fact>>): Changes {
  return Object.fromEntries(
    Object.entries(facts).map(([name, fact]) => [keys.actual(p.resource, p.host, name), factText(fact)]),
  );
}

function factText(fact: Fact): string | null {
  if (fact === undefined) return null;
  if (typeof fact === 'boolean') return fact ? '1' : '0';
  return fact.toString();
}

/** Facts that decide something, to be written at once. */
export function decisiveFacts(p: Picture): Changes {
  const forks = forksOf(p.snap, p.resource, p.host);
  return {
    ...highestNumber(p),
    ...actual(p, {
      'is-attached': p.attached,
      'is-replaying': p.replaying,
      'is-copying': p.copying,
      'is-syncing': p.syncing,
      'is-primary': p.primary !== undefined,
      // Said before a device is opened; from then on `is-primary` says it.
      'is-opening': false,
      'if-on': p.primary !== undefined,
      'open-count': p.primary?.openCount ?? 0,
      'device-size': p.primary?.size,
      'device-path': p.primary?.path,
      'replay-code': replayCode(p),
      state: stateWord(p),
      'disk-error': p.replay?.state === 'data-write-error' ? p.replay.error : p.diskError,
      'split-brain': forks[0]?.text,
      'msg-waiting': message(p, 'waiting', p.why === 'ok' ? undefined : p.why),
      'msg-error': message(p, 'error', p.problems.step),
      'msg-fetch': message(p, 'fetch', p.problems.fetch),
      'msg-sync': message(p, 'sync', p.problems.sync),
    }),
  };
}

/** The one fact of a replica of which nothing else can be told: why. */
export const errorFact = (p: Picture, why: ReasonCode): Changes =>
  actual(p, { 'msg-error': message(p, 'error', why) });

/** Facts that move all the time, to be gathered. */
export function movingFacts(p: Picture): Changes {
  const newest = p.logs.reduce<LocalLog | undefined>(
    (a, b) => (a && a.number >= b.number ? a : b),
    undefined,
  );
  return {
    ...positions(p),
    ...actual(p, {
      lamport: (p.logger ?? p.replay)?.val['lamport'],
      'shadow-peak': p.logger?.val['peak'],
      'fetch-pos':
        newest && formatPosition({ number: newest.number, origin: newest.origin, pos: newest.end }),
    }),
  };
}

/** Log numbers are never used again, not even by a resource of the same name that comes later. */
function highestNumber(p: Picture): Changes {
  const number = p.primary?.log.number ?? 0n;
  const noted = parseCount(p.snap.value(keys.maxnr(p.resource))) ?? 0n;
  return number > noted ? { [keys.maxnr(p.resource)]: number.toString() } : {};
}

/** `STAMP word`: since when; the same word keeps its first stamp. */
function message(p: Picture, name: string, text: ReasonCode | undefined): string | undefined {
  if (text === undefined) return undefined;
  const old = p.snap.value(keys.msg(p.resource, p.host, name));
  return old?.slice(old.indexOf(' ') + 1) === text ? old : `${p.stamp()} ${text}`;
}

/** Is replay held up by a disk? */
function replayTrouble(p: Picture): ReasonCode | undefined {
  const state = p.replay?.state;
  return state === 'data-write-error' || state === 'read-error' ? state : undefined;
}

function stateWord(p: Picture): ReasonCode {
  const state = p.logger?.state ?? 'ok';
  // How a replay ended is not said of a logger.
  if (state !== 'ok' && state !== 'replay-end' && state !== 'replay-clean') return state;
  return replayTrouble(p) ?? (p.problems.step === 'log-space-full' ? p.problems.step : 'ok');
}

function replayCode(p: Picture): ReasonCode {
  if (p.why === 'split-brain' || p.why === 'log-missing') return p.why;
  // What is missing, if anything, is known once the others have stepped back and listened.
  const early = p.why === 'old-primary-active' || p.why === 'announcing';
  if (p.problems.fetch === 'no-such-log' && !early) return 'log-missing';
  return replayTrouble(p) ?? 'ok';
}

/** Between which positions of its logs does a primary let others copy its disk? */
export function syncBounds(val: BrickStatus['val'], current: LogRef): { start: Position; end: Position } {
  const at = (number: bigint | undefined, pos: bigint | undefined): Position => ({
    number: number ?? current.number,
    origin: current.origin,
    pos: pos ?? 0n,
    dirty: 0n,
  });
  return {
    // Everything before it is on the disk.
    start: at(val['ckptNumber'], val['ckpt']),
    // Nothing behind it can have reached the disk, and nothing before it can get lost.
    end: at(val['durableNumber'], val['durable']),
  };
}

/** replay- and version- links: where this replica stands, and on what history. */
function positions(p: Picture): Changes {
  if (p.primary && p.logger) return primaryPositions(p, p.primary.log, p.logger);
  const at = p.position;
  if (!at || at.pos === 0n) return {};
  const parsed = p.replay?.val['parsed'] ?? 0n;
  const dirty = parsed > at.pos ? parsed - at.pos : 0n;
  return { [keys.replay(p.resource, p.host)]: formatPosition({ ...at, dirty }), ...history(p, at) };
}

function primaryPositions(p: Picture, current: LogRef, logger: BrickStatus): Changes {
  const checkpoint = {
    number: logger.val['ckptNumber'] ?? current.number,
    origin: p.host,
    pos: logger.val['ckpt'] ?? 0n,
    dirty: logger.val['dirty'] ?? 0n,
  };
  const log = p.logs.find((l) => l.number === current.number && l.origin === current.origin);
  const end = log && { number: log.number, origin: log.origin, pos: log.end, digest: log.digest };
  return {
    ...(checkpoint.pos > 0n && { [keys.replay(p.resource, p.host)]: formatPosition(checkpoint) }),
    ...(end && history(p, end)),
  };
}

function history(p: Picture, at: Point): Changes {
  const links = linksOf(p.logs, at, historyOf(p.snap, p.resource, p.host));
  return Object.fromEntries(links.map((l) => [keys.version(p.resource, l.number, p.host), formatVersion(l)]));
}
