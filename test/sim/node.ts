// SPDX-License-Identifier: GPL-2.0-or-later
/** A simulated machine: what survives its daemon (tree, log files, data disk), and the daemon if it runs. */
import { logName, type LogRef } from '../../src/strategy/history.js';
import type { Daemon } from './daemon.js';
import type { SimTree } from './tree.js';
import type { Disk, LogFile, Write } from './truth.js';

export class SimNode {
  readonly host: string;
  readonly tree: SimTree;
  readonly disk: Disk;
  readonly files = new Map<string, LogFile>();
  daemon: Daemon | undefined;
  /** the newest record that may have reached the disk, flushed or not */
  touched: (LogRef & { readonly pos: bigint }) | undefined;

  constructor(host: string, tree: SimTree, disk: Disk) {
    this.host = host;
    this.tree = tree;
    this.disk = disk;
  }

  /** Apply the record that ends at `at`. */
  write(record: Write, at: LogRef & { readonly pos: bigint }): void {
    this.disk.write(record);
    const t = this.touched;
    if (!t || at.number > t.number || (at.number === t.number && at.pos > t.pos)) this.touched = at;
  }

  /** Delete a log file. The journal of the file system keeps the order: earlier links are on disk then. */
  remove(ref: LogRef): void {
    this.files.delete(logName(ref));
    this.tree.sync();
  }
}
