// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Symlinks whose time counts, locks on open files, and the readiness datagram:
 * what the tree and the daemon need of the operating system beyond node:fs.
 *
 * Everything is synchronous and costs microseconds on a local file system.
 * Failures throw errors in the manner of node:fs: code, errno (negative),
 * syscall, path.
 */
import { sysBinding, type DirLinks, type LinkInfo } from './bindings.js';

export type { DirLinks, LinkInfo } from './bindings.js';

/**
 * Set modification and access time of the link itself.
 *
 * @param ns nanoseconds since the epoch, 0 .. 2^63-1
 */
export function setLinkTime(path: string, ns: bigint): void {
  sysBinding().setLinkTime(path, ns);
}

/** Target and times of a symlink, read together; `undefined` when no symlink is there. */
export function linkInfo(path: string): LinkInfo | undefined {
  return sysBinding().linkInfo(path);
}

/** All links of a directory and the names of its sub-directories, in no order. */
export function readLinks(dir: string): DirLinks {
  return sysBinding().readLinks(dir);
}

/** Make the names in a directory durable (fsync). */
export function syncDir(path: string): void {
  sysBinding().syncDir(path);
}

/**
 * Lock or unlock an open file (flock). The lock ends with the descriptor or
 * the process.
 *
 * @param wait block the thread until the lock is free; only for locks held briefly
 * @returns false when somebody else holds it and `wait` is false
 */
export function flock(fd: number, mode: 'exclusive' | 'shared' | 'unlock', wait = false): boolean {
  return sysBinding().flock(fd, mode, wait);
}

/**
 * Tell the service manager, e.g. `READY=1`.
 *
 * @param socket value of NOTIFY_SOCKET; absent = nobody listens
 * @returns whether somebody was told
 */
export function notifyReady(text: string, socket: string | undefined): boolean {
  if (!socket) return false;
  sysBinding().notifySocket(socket, text);
  return true;
}
