// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Names of bricks: TREE:RESOURCE/PART.
 *
 * In the kernel all trees of a machine share one set of bricks. TREE says whose a
 * brick is: a short digest of cluster and host, so that a daemon finds what an
 * earlier one of the same tree has left, and leaves everything else alone.
 */
import { createHash } from 'node:crypto';

/** Digits of TREE; two trees on one machine with the same ones have to be wished for. */
const DIGITS = 12;

/** The bricks of one resource. */
export interface BrickNames {
  /** what all of them begin with */
  readonly all: string;
  readonly data: string;
  readonly logger: string;
  readonly device: string;
  readonly replay: string;
  /** between replay and data where the disk's blocks are larger than sectors */
  readonly align: string;
  /** what those of log files begin with */
  readonly logs: string;
  /** of the log with this number; who wrote it does not matter: only one is used at a time */
  log(number: bigint): string;
}

export class TreeNames {
  readonly #prefix: string;

  /** @param uuid of the cluster */
  constructor(uuid: string, host: string) {
    const digest = createHash('sha256').update(`${uuid} ${host}`).digest('hex');
    this.#prefix = `${digest.slice(0, DIGITS)}:`;
  }

  of(resource: string): BrickNames {
    const all = `${this.#prefix}${resource}/`;
    return {
      all,
      data: `${all}data`,
      logger: `${all}logger`,
      device: `${all}device`,
      replay: `${all}replay`,
      align: `${all}align`,
      logs: `${all}log-`,
      log: (number) => `${all}log-${number.toString().padStart(9, '0')}`,
    };
  }

  /** The resource a brick belongs to; undefined for one of another tree. */
  resourceOf(brick: string): string | undefined {
    const slash = brick.indexOf('/');
    if (slash < 0 || !brick.startsWith(this.#prefix)) return undefined;
    return brick.slice(this.#prefix.length, slash);
  }
}
