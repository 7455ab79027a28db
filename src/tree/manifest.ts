// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which keys at or below the collection horizon were known here, in local/manifest.
 *
 * While no daemon runs, somebody may copy links out of a backup into the tree. A key
 * that was deleted and whose tombstone is forgotten everywhere would come back to
 * life this way. The manifest tells such a link from an honest one: it is at or
 * below the horizon of the manifest, but its key is not listed. A backup of the
 * whole directory brings its own manifest along and is left to the comparison with
 * the peers.
 *
 * First line: horizon; then one key a line. Replaced as a whole, durable.
 */
import { readFileSync } from 'node:fs';
import { parseCount } from './catalogue.js';
import { replaceFile } from './durable.js';

/** Keys that were known when the horizon stood at `horizon`. */
export interface Manifest {
  readonly horizon: bigint;
  readonly keys: ReadonlySet<string>;
}

/** An absent or damaged manifest knows nothing and protects nothing. */
export function loadManifest(path: string): Manifest {
  let lines: string[];
  try {
    lines = readFileSync(path, 'utf8').split('\n');
  } catch {
    return { horizon: 0n, keys: new Set() };
  }
  return { horizon: parseCount(lines[0]) ?? 0n, keys: new Set(lines.slice(1)) };
}

/** Throws the errors of node:fs. */
export function saveManifest(path: string, manifest: { horizon: bigint; keys: Iterable<string> }): void {
  replaceFile(path, [manifest.horizon.toString(), ...manifest.keys, ''].join('\n'));
}
