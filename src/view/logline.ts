// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The logs of a resource laid end to end, so that positions in different log
 * files can be subtracted.
 *
 * The line starts at the oldest log any member still has to apply and follows
 * the history of the leader: the primary that is wished and active, or else
 * whoever has got furthest. Lengths come from the published histories. Pure functions.
 */
import type { Position } from '../tree/catalogue.js';
import { at as knownAt, historyOf, tip, type History } from '../strategy/history.js';
import {
  at,
  designated,
  fetchPosition,
  is,
  isDesignated,
  members,
  replayPosition,
  type Scope,
} from './facts.js';

/** Every log starts with one header block, which carries no writes. */
const HEADER = 4096n;

/** Bytes of log: how far a host has applied, how far it holds, how far it goes. */
export interface Progress {
  readonly applied: bigint;
  readonly fetched: bigint;
  readonly end: bigint;
  /** number of the log that is being applied, held, and written */
  readonly logs: { readonly applied: bigint; readonly fetched: bigint; readonly end: bigint };
}

interface Line {
  readonly base: bigint;
  readonly end: { readonly number: bigint; readonly pos: bigint };
  length(number: bigint): bigint;
}

function lineOf(s: Scope): Line | undefined {
  const hosts = members(s);
  const histories = hosts.map((h) => ({ host: h, history: historyOf(s.snap, s.resource, h) }));
  // A designated primary that has not taken over yet is still catching up itself.
  const leads = (host: string): boolean => host === designated(s) && is(at(s, host), 'is-primary');
  const leader = histories.find((x) => leads(x.host) && x.history.size > 0) ?? furthest(histories);
  const end = leader && tip(leader.history);
  const replays = hosts.flatMap((h) => replayPosition(at(s, h))?.number ?? []);
  if (!leader || !end) return undefined;
  const base = replays.reduce((a, b) => (b < a ? b : a), end.number);
  const length = (number: bigint): bigint => {
    const known = knownAt(leader.history, number)?.point.pos;
    if (known !== undefined) return known;
    return histories.reduce((max, x) => {
      const pos = knownAt(x.history, number)?.point.pos ?? 0n;
      return pos > max ? pos : max;
    }, 0n);
  };
  return { base, end, length };
}

function furthest<T extends { history: History }>(list: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const x of list) {
    const a = tip(x.history);
    const b = best && tip(best.history);
    if (a && (!b || a.number > b.number || (a.number === b.number && a.pos > b.pos))) best = x;
  }
  return best;
}

/** Where `pos` of log `number` lies on the line. */
function along(line: Line, number: bigint, pos: bigint): bigint {
  let sum = 0n;
  for (let n = line.base; n < number; n++) sum += line.length(n);
  const header = line.length(number) < HEADER ? line.length(number) : HEADER;
  return sum + (pos < header ? header : pos);
}

/** Progress of the scope's host; undefined when nothing is known about the logs. */
export function progress(s: Scope): Progress | undefined {
  const line = lineOf(s);
  const replay = replayPosition(s);
  if (!line || !replay) return undefined;
  const end = along(line, line.end.number, line.end.pos);
  const applied = least(along(line, replay.number, replay.pos), end);
  const held = isDesignated(s) && is(s, 'is-primary') ? line.end : later(replay, fetchPosition(s));
  const fetched = least(along(line, held.number, held.pos), end);
  return {
    applied,
    fetched,
    end,
    logs: {
      applied: replay.number,
      fetched: held.number,
      end: held.number > line.end.number ? held.number : line.end.number,
    },
  };
}

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

function later(a: Position, b: Position | undefined): Position {
  if (!b) return a;
  return b.number > a.number || (b.number === a.number && b.pos > a.pos) ? b : a;
}
