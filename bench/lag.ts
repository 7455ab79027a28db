// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Replication lag, seen from outside.
 *
 * A probe is one numbered block, written with FUA at the primary. Lag is the time
 * from its acknowledgement (then it is durable at the primary) until the block
 * is read back from the replica's data disk, which replay writes to. The disk is
 * looked at every quarter of a millisecond. Meanwhile fio loads the device.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { LabNode } from '../lab/lab.js';
import { fioArgs } from './fio.js';
import { type Mars, R } from './servers.js';

const BLOCK = 4096;
const STEP_MS = 0.25;
/** a probe that takes longer than this is a failure of the measurement, not a lag */
const GIVE_UP_MS = 30_000;

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Lags in ms of the probes sent during `seconds`; `load` are arguments of fio, none = idle. */
export async function lags(
  mars: Mars,
  replica: LabNode,
  size: number,
  seconds: number,
  load: readonly string[],
): Promise<number[]> {
  const at = size - BLOCK; // fio stays below
  const fio =
    load.length === 0
      ? undefined
      : spawn(
          'fio',
          fioArgs(mars.uri, size - (1 << 20), [...load, '--time_based', `--runtime=${seconds + 2}`]),
          { stdio: 'ignore' },
        );
  const ended = fio && new Promise<void>((resolve) => fio.once('exit', () => resolve()));
  const device = await mars.primary.open(R);
  const disk = openSync(mars.image(replica), 'r');
  const found: number[] = [];
  try {
    const begin = performance.now();
    const seen = Buffer.alloc(8);
    // the first second is for fio to get going
    for (let n = 1; performance.now() < begin + (seconds + 1) * 1000; n++) {
      const block = Buffer.alloc(BLOCK);
      block.writeDoubleLE(begin + n, 0);
      await device.write(at, block, true);
      const acknowledged = performance.now();
      while (readSync(disk, seen, 0, 8, at) !== 8 || seen.readDoubleLE(0) !== begin + n) {
        if (performance.now() > acknowledged + GIVE_UP_MS) throw new Error('a probe never arrived');
        Atomics.wait(pause, 0, 0, STEP_MS);
      }
      if (acknowledged > begin + 1000) found.push(performance.now() - acknowledged);
    }
  } finally {
    closeSync(disk);
    await device.close();
    fio?.kill();
    await ended;
  }
  return found;
}
