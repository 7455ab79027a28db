// SPDX-License-Identifier: GPL-2.0-or-later
/** Which keys belong to one replica: they come with it and go with it. */
import { keys } from '../tree/catalogue.js';
import type { Snapshot } from '../tree/types.js';

/** Facts about the replica of `host`, which its daemon tells. */
export function replicaFacts(snap: Snapshot, r: string, host: string): string[] {
  const single = [keys.actsize, keys.replay, keys.syncstatus, keys.syncpos].map((k) => k(r, host));
  const versions = snap
    .list(keys.versionPrefix(r))
    .map((e) => e.key)
    .filter((key) => key.slice(keys.versionPrefix(r).length + 10) === host);
  const actual = snap.list(`${keys.resource(r)}actual-${host}/`).map((e) => e.key);
  return [...single, ...versions, ...actual].filter((key) => snap.get(key));
}

/** All keys of the replica: what is wished, and the facts. */
export function replicaKeys(snap: Snapshot, r: string, host: string): string[] {
  const single = [keys.data, keys.device].map((k) => k(r, host)).filter((key) => snap.get(key));
  const wishes = snap.list(`${keys.resource(r)}todo-${host}/`).map((e) => e.key);
  return [...single, ...replicaFacts(snap, r, host), ...wishes];
}
