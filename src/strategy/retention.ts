// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which log files may this node delete?
 *
 * A log is needed while any member has not applied all of it, while a sync that
 * is under way may still ask for it, and while it is the newest here. Everything
 * older than the oldest need can go, with the version links of the same age.
 */
import { keys, parsePosition } from '../tree/catalogue.js';
import { members } from './history.js';
import type { LocalLog, ResourceView } from './resource.js';

/** Logs to delete and version links to drop. */
export interface Deletable {
  readonly logs: readonly LocalLog[];
  readonly versions: readonly string[];
}

/**
 * `own` is the number of the log this node itself still needs (its checkpoint);
 * `pinned` are numbers held by syncs that are being served.
 */
export function deletableLogs(
  v: ResourceView,
  own: bigint | undefined,
  pinned: readonly bigint[],
): Deletable {
  if (own === undefined) return { logs: [], versions: [] };
  const needs = [own, ...pinned];
  for (const host of members(v.snap, v.resource)) {
    const at = parsePosition(v.snap.value(keys.replay(v.resource, host)) ?? '');
    // Also of this node itself: after a kill it goes on from what it had published.
    if (at) needs.push(at.number);
  }
  const oldest = needs.reduce((a, b) => (a < b ? a : b));
  const suffix = `-${v.me}`;
  const prefix = keys.versionPrefix(v.resource);
  const versions = v.snap
    .list(prefix)
    .filter((e) => e.key.endsWith(suffix) && BigInt(e.key.slice(prefix.length, prefix.length + 9)) < oldest)
    .filter(
      (e) => e.key === keys.version(v.resource, BigInt(e.key.slice(prefix.length, prefix.length + 9)), v.me),
    )
    .map((e) => e.key);
  return { logs: v.logs.filter((log) => log.number < oldest), versions };
}
