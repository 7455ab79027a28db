// SPDX-License-Identifier: GPL-2.0-or-later
/** A tree picture from plain values, for tests of pure functions. */
import { Store } from '../../src/tree/store.js';
import type { Snapshot } from '../../src/tree/types.js';

/** Keys in the order given get stamps 1, 2, 3 ... */
export function snapshotOf(values: Readonly<Record<string, string>>): Snapshot {
  const store = new Store();
  let stamp = 0n;
  for (const [key, value] of Object.entries(values)) store.put({ key, value, stamp: ++stamp });
  return store.snapshot();
}
