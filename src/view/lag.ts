// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * How far a replica is behind in time.
 *
 * Every log record carries a stamp. The lag is the difference between the newest
 * durable record of the primary and the newest record the replica has applied, as
 * both have published them, so it grows only while the primary writes, and is 0
 * as soon as everything is applied. Positions are published up to five times a
 * second: smaller differences mean nothing. Where one of the two hosts cannot be
 * reached, nobody knows what the primary has written since: there is no lag then.
 */
import { parseCount } from '../tree/catalogue.js';
import { at, designated, fact, is, isMember, reach, type Scope } from './facts.js';
import { progress } from './logline.js';

/** ns; undefined = not known, or not a replica that follows a primary. `me`: the host that looks. */
export function replayLag(s: Scope, me: string): bigint | undefined {
  const primary = designated(s);
  if (primary === undefined || !isMember(s) || !is(at(s, primary), 'is-primary')) return undefined;
  if (primary === s.host) return 0n;
  if ([primary, s.host].some((host) => !reach(s.snap, me, host).connected)) return undefined;
  const p = progress(s);
  if (p !== undefined && p.applied >= p.end) return 0n;
  const here = parseCount(fact(s, 'lamport'));
  const there = parseCount(fact(at(s, primary), 'lamport'));
  if (p === undefined || here === undefined || there === undefined) return undefined;
  return there > here ? there - here : 0n;
}
