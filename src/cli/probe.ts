// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Looking at devices and processes of this machine: is a data device there, how
 * large is it, does somebody use it, does a daemon run. Looks only: nothing is
 * opened for longer than a moment, no lock is taken, nothing is written.
 */
import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  type BigIntStats,
} from 'node:fs';
import { join } from 'node:path';
import { MarsError } from '../errors.js';
import { errnoOf } from '../tree/disk.js';
import type { Device } from './plan/membership.js';

/** Block device or regular file? undefined = not there at all. */
function statDevice(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return undefined;
    throw new MarsError('device-unusable', { found: `${path}: ${errnoOf(error)}`, cause: error });
  }
}

export const devicePresent = (path: string): boolean => {
  const info = statDevice(path);
  return info !== undefined && (info.isBlockDevice() || info.isFile());
};

/**
 * A data device that nobody uses.
 *
 * @throws MarsError `device-missing`, `device-unusable`, `device-busy`
 */
export function probeDevice(path: string): Device {
  const info = diskInfo(path);
  tryOpen(path, info.isBlockDevice());
  const user = info.isFile() ? (loopUser(path) ?? lockUser(info)) : undefined;
  if (user !== undefined) throw new MarsError('device-busy', `${path}: ${user}`);
  return { path, bytes: bytesOf(info) };
}

/**
 * How large a device is, whoever uses it: it is not even opened.
 *
 * @throws MarsError `device-missing`, `device-unusable`
 */
export const measureDevice = (path: string): bigint => bytesOf(diskInfo(path));

function diskInfo(path: string): BigIntStats {
  const info = statDevice(path);
  if (!info) throw new MarsError('device-missing', path);
  if (!info.isBlockDevice() && !info.isFile())
    throw new MarsError('device-unusable', `${path} is neither a block device nor a file`);
  return info;
}

const bytesOf = (info: BigIntStats): bigint => (info.isBlockDevice() ? blockSize(info.rdev) : info.size);

/** For a block device O_EXCL says whether somebody else claims it. */
function tryOpen(path: string, block: boolean): void {
  try {
    closeSync(openSync(path, constants.O_RDWR | (block ? constants.O_EXCL : 0)));
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'EBUSY' || code === 'ETXTBSY')
      throw new MarsError('device-busy', { found: `${path}: ${code}`, cause: error });
    throw new MarsError('device-unusable', { found: `${path}: ${code}`, cause: error });
  }
}

function blockSize(rdev: bigint): bigint {
  const { major, minor } = deviceNumbers(rdev);
  const text = readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'latin1');
  return BigInt(text.trim()) * 512n;
}

function loopUser(path: string): string | undefined {
  const real = realpathSync(path);
  for (const name of listDir('/sys/block').filter((n) => n.startsWith('loop'))) {
    if (readText(join('/sys/block', name, 'loop/backing_file'))?.trim() === real)
      return `it is behind /dev/${name}`;
  }
  return undefined;
}

/** Who holds a file lock on this file? */
function lockUser(info: BigIntStats): string | undefined {
  const line = locksOf(info)[0];
  return line === undefined ? undefined : `it is locked by process ${line.split(/\s+/)[4] ?? '?'}`;
}

function locksOf(info: BigIntStats): string[] {
  return heldLocks(info, readText('/proc/locks') ?? '', readText('/proc/self/mountinfo') ?? '');
}

/**
 * Lines of /proc/locks about this file, held locks only.
 *
 * The table names the device of the file system. So does stat, except on btrfs, on some overlays and
 * wherever else a file system invents devices: these are no mount's. There the number of the file has to
 * do, and one of another file system may be taken for it.
 *
 * @param locks text of /proc/locks
 * @param mounts text of /proc/self/mountinfo
 */
export function heldLocks(file: Pick<BigIntStats, 'dev' | 'ino'>, locks: string, mounts: string): string[] {
  const { major, minor } = deviceNumbers(file.dev);
  const mounted = mounts.split('\n').some((line) => line.split(' ')[2] === `${major}:${minor}`);
  const hex = (n: bigint): string => n.toString(16).padStart(2, '0');
  const place = `${hex(major)}:${hex(minor)}:${file.ino}`;
  const same = (field: string): boolean => (mounted ? field === place : field.endsWith(`:${file.ino}`));
  return locks.split('\n').filter((line) => !line.includes('->') && same(line.trim().split(/\s+/)[5] ?? ''));
}

/** The two numbers of a device. */
function deviceNumbers(dev: bigint): { readonly major: bigint; readonly minor: bigint } {
  return {
    major: ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn),
    minor: (dev & 0xffn) | ((dev >> 12n) & ~0xffn),
  };
}

/** Does a daemon hold the lock of this state directory? */
export function daemonRuns(dir: string): boolean {
  const info = statDevice(join(dir, 'local/daemon.lock'));
  return info !== undefined && locksOf(info).some((line) => line.includes('FLOCK') && line.includes('WRITE'));
}

/** Regular log files of a resource in the state directory, as `resource-R/log-…`. */
export function logFiles(dir: string, resource: string): string[] {
  const folder = `resource-${resource}`;
  return listDir(join(dir, folder))
    .filter((name) => /^log-\d{9}-/.test(name))
    .map((name) => `${folder}/${name}`);
}

/** Something about the state directory a careful operator would want to hear of. */
export function directoryWarnings(dir: string, uid: number | undefined): string[] {
  const info = statDevice(dir);
  if (!info) return [];
  const found: string[] = [];
  if (uid !== undefined && info.uid !== BigInt(uid))
    found.push(`${dir} belongs to user ${info.uid}, this is user ${uid}.`);
  if ((info.mode & 0o077n) !== 0n)
    found.push(`${dir} can be entered by others (mode ${(info.mode & 0o777n).toString(8)}, should be 700).`);
  return found;
}

function listDir(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
