// SPDX-License-Identifier: GPL-2.0-or-later
/** Trees in temporary directories, with a clock that the test may set. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { LamportClock, realNow } from '../../../src/lamport/clock.js';
import { openTree, type LinkTree, type TreeNote, type TreeOptions } from '../../../src/tree/tree.js';

/** A directory that is removed after the test. */
export function temporaryDir(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'mars-tree-'));
  t.teardown(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

/** A tree of `hosta`, and what it reported. */
export function testTree(
  t: ExecutionContext,
  dir: string,
  options: Partial<TreeOptions> = {},
): { tree: LinkTree; notes: TreeNote[] } {
  const notes: TreeNote[] = [];
  const tree = openTree({
    dir,
    host: 'hosta',
    clock: new LamportClock({ now: realNow }),
    report: (note) => notes.push(note),
    ...options,
  });
  t.teardown(() => {
    tree.close();
  });
  return { tree, notes };
}

/** Wait until `done` holds, looking whenever the tree changes. */
export async function until(tree: LinkTree, done: () => boolean): Promise<void> {
  const changes = tree.changes();
  if (done()) return;
  for await (const _ of changes) if (done()) return;
}
