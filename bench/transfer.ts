// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * How fast a replica that was away gets a log, and a new one gets the disk.
 *
 * Shipping: the replica is disconnected and its replay paused, a log is written at
 * the primary, then the replica connects. Time runs from the first byte that
 * reaches its log file to the last; every group is verified and flushed there.
 * Sync: the replica starts with an empty disk; time runs from the start of the
 * sync until the replica has everything, flushed.
 */
import { promises as fs, watch } from 'node:fs';
import path from 'node:path';
import { parsePosition } from '../src/tree/catalogue.js';
import type { LabNode } from '../lab/lab.js';
import { fill } from './fio.js';
import { type Mars, R } from './servers.js';

const MIB = 1 << 20;

const actual = (node: LabNode, fact: string): string => `resource-${R}/actual-${node.name}/${fact}`;

/** A finished log: its file at the primary and its verified length. */
export interface Log {
  readonly file: string;
  readonly name: string;
  readonly end: bigint;
}

/** Let the replica fall behind by a log of about `size` bytes. */
export async function fallBehind(mars: Mars, replica: LabNode, size: number): Promise<Log> {
  const { primary } = mars;
  await replica.marsadm(['pause-replay', R]);
  await replica.waitLink(actual(replica, 'is-replaying'), (v) => v === '0');
  await replica.marsadm(['disconnect', R]);
  await replica.waitLink(actual(replica, 'is-copying'), (v) => v === '0');
  await primary.marsadm(['log-rotate', R]);
  await fill(mars.uri, size);
  const key = `resource-${R}/replay-${primary.name}`;
  await primary.waitLink(key, (v) => v !== undefined && parsePosition(v)?.dirty === 0n);
  const end = parsePosition(primary.link(key) ?? '');
  if (!end) throw new Error('the primary has no position');
  const name = `log-${end.number.toString().padStart(9, '0')}-${end.origin}`;
  return { name, file: path.join(primary.dir, `resource-${R}`, name), end: end.pos };
}

/** Connect and receive the log; MiB/s. Replay stays paused. */
export async function ship(replica: LabNode, log: Log): Promise<number> {
  const dir = path.join(replica.dir, `resource-${R}`);
  let first = 0;
  const watcher = watch(dir, (_, name) => {
    if (name === log.name && first === 0) first = Date.now();
  });
  await replica.marsadm(['connect', R]);
  await replica.waitLink(actual(replica, 'fetch-pos'), (v) => v === `${log.name},${log.end}`);
  watcher.close();
  const last = (await fs.stat(path.join(dir, log.name))).mtimeMs;
  return Number(log.end) / MIB / ((last - first) / 1000);
}

/** Let replay catch up again; MiB/s of log applied and flushed. */
export async function catchUp(replica: LabNode, log: Log): Promise<number> {
  const begin = replica.waitLink(actual(replica, 'is-replaying'), (v) => v === '1').then(() => Date.now());
  await replica.marsadm(['resume-replay', R]);
  await replica.waitLink(
    `resource-${R}/replay-${replica.name}`,
    (v) => v?.startsWith(`${log.name},${log.end},`) ?? false,
  );
  return Number(log.end) / MIB / ((Date.now() - (await begin)) / 1000);
}

/** Sync the replica anew; with `empty` onto a disk of zeros, else onto one that is equal already. MiB/s of disk. */
export async function sync(mars: Mars, replica: LabNode, size: number, empty: boolean): Promise<number> {
  if (empty) {
    await replica.marsadm(['detach', R]);
    await replica.waitLink(actual(replica, 'is-attached'), (v) => v === '0');
    await fs.truncate(mars.image(replica), 0);
    await fs.truncate(mars.image(replica), size);
  }
  await replica.marsadm(['pause-sync', R]);
  await replica.marsadm(['invalidate', R]);
  if (empty) await replica.marsadm(['attach', R]);
  const status = `resource-${R}/syncstatus-${replica.name}`;
  await replica.waitLink(status, (v) => v === '0');
  const begin = replica.waitLink(actual(replica, 'is-syncing'), (v) => v === '1').then(() => Date.now());
  await replica.marsadm(['resume-sync', R]);
  await replica.waitLink(status, (v) => Number(v ?? 0) >= size);
  const seconds = (Date.now() - (await begin)) / 1000;
  await replica.marsadm(['wait-resource', R, 'uptodate']);
  return size / MIB / seconds;
}
