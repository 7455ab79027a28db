// SPDX-License-Identifier: GPL-2.0-or-later
/** What every part of the daemon works with. */
import type { Cluster } from '../cluster/types.js';
import type { Home } from '../engine/homes.js';
import type { Engine } from '../engine/types.js';
import type { Timers } from '../timers.js';
import type { Tree } from '../tree/types.js';
import type { Bricks } from './bricks.js';
import type { TreeNames } from './names.js';
import type { Publisher } from './publisher.js';

/** Sizes an operator may set when starting the daemon. */
export interface Tuning {
  /** shadow memory of one resource, bytes */
  readonly credits: bigint;
  /** a log that has grown beyond this is rotated, bytes */
  readonly rotateAt: bigint;
  /** how far a log file is allocated ahead, bytes */
  readonly segment: bigint;
}

export const defaultTuning: Tuning = { credits: 64n << 20n, rotateAt: 1n << 30n, segment: 64n << 20n };

export interface Context {
  /** MARS_DIR */
  readonly dir: string;
  /** own host name */
  readonly host: string;
  readonly tree: Tree;
  readonly engine: Engine;
  /** what is particular to where the engine runs */
  readonly home: Home;
  readonly names: TreeNames;
  readonly bricks: Bricks;
  readonly cluster: Cluster;
  readonly publisher: Publisher;
  readonly timers: Timers;
  /** have the members been heard since the start, or had their chance? */
  readonly settled: () => boolean;
  readonly tuning: Tuning;
  /** unique random bytes as lower-case hex */
  readonly randomHex: (bytes: number) => string;
  readonly log: (message: string) => void;
}
