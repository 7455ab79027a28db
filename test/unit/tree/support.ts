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

/** A tree with what it reported. */
export interface Watched {
  readonly tree: LinkTree;
  readonly notes: TreeNote[];
  /** The first report of this kind about this key, made or still to come. */
  readonly noted: (kind: TreeNote['kind'], key: string) => Promise<TreeNote>;
}

/** A tree of `hosta`. */
export function testTree(t: ExecutionContext, dir: string, options: Partial<TreeOptions> = {}): Watched {
  const notes: TreeNote[] = [];
  const waiting = new Set<() => void>();
  const tree = openTree({
    dir,
    host: 'hosta',
    clock: new LamportClock({ now: realNow }),
    report: (note) => {
      notes.push(note);
      for (const look of waiting) look();
    },
    ...options,
  });
  t.teardown(() => {
    tree.close();
  });
  const noted = (kind: TreeNote['kind'], key: string): Promise<TreeNote> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = notes.find((n) => n.kind === kind && n.key === key);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { tree, notes, noted };
}

/** Wait until `done` holds, looking whenever the tree changes. */
export async function until(tree: LinkTree, done: () => boolean): Promise<void> {
  const changes = tree.changes();
  if (done()) return;
  for await (const _ of changes) if (done()) return;
}
