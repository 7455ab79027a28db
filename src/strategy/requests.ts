// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Requests of operators: a wish with a number (a stamp) as value, answered by a
 * fact with the same number. What is no number asks for nothing. And what an
 * operator may have asked for in advance.
 */
import { keys, parseCount, parsePosition, type Request } from '../tree/catalogue.js';
import { NONE, type Snapshot } from '../tree/types.js';
import { isLost, setting } from './retention.js';

/** The facts that answer. */
const ANSWERS: Readonly<Record<Request, string>> = {
  rotate: 'rotated',
  'log-delete': 'log-deleted',
  invalidate: 'invalidated',
};

/** Key of the fact that answers a request. */
export const answerKey = (resource: string, host: string, what: Request): string =>
  keys.actual(resource, host, ANSWERS[what]);

/** The value of a request that is not answered yet; undefined when there is none. */
export function pending(snap: Snapshot, resource: string, host: string, what: Request): string | undefined {
  const want = parseCount(snap.value(keys.todo(resource, host, what)));
  const have = parseCount(snap.value(answerKey(resource, host, what))) ?? 0n;
  return want !== undefined && want > have ? want.toString() : undefined;
}

/**
 * May a replica be thrown away now? Only when somebody else is primary and has a
 * device: then the other replica is complete, and this one holds nothing that is
 * still wanted.
 */
export function mayInvalidate(snap: Snapshot, resource: string, host: string): boolean {
  const primary = snap.value(keys.primary(resource));
  if (primary === undefined || primary === NONE || primary === host) return false;
  return snap.value(keys.actual(resource, primary, 'is-primary')) === '1';
}

/**
 * Is a replica whose logs were given up while it was away to be synced again without
 * being asked? Never one that stands in a log of its own: that may be the only copy
 * of what was written here.
 */
export function mayResync(snap: Snapshot, resource: string, host: string): boolean {
  const at = parsePosition(snap.value(keys.replay(resource, host)) ?? '');
  return (
    setting(snap, resource, 'resync-lost') === '1' &&
    at !== undefined &&
    at.origin !== host &&
    isLost(snap, resource, host) &&
    snap.value(keys.actual(resource, host, 'replay-code')) === 'log-missing'
  );
}
