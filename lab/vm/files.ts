// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What `make vm-image` made, and where a run keeps its own files.
 */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** Everything prepared for virtual machines. */
export const VM_DIR = path.join(ROOT, 'build', 'vm');

/** A kernel to boot, with the images of its guest. */
export interface Kernel {
  /** name of its folder: `6.1`, `6.12`, or a debug kernel's */
  readonly name: string;
  /** what `uname -r` says */
  readonly release: string;
  readonly image: string;
  readonly initrd: string;
  readonly root: string;
  /** more words for its command line; '' for most */
  readonly words: string;
  /** the project's files, named by their content */
  readonly payload: string;
}

/** Something a test needs was not prepared. */
export class NotPreparedError extends Error {
  constructor(what: string) {
    super(`${what} is missing; make vm-image prepares it`);
  }
}

function existing(file: string): string {
  if (!existsSync(file)) throw new NotPreparedError(file);
  return realpathSync(file);
}

/** The kernel prepared under that name. */
export function kernel(name: string): Kernel {
  const dir = path.join(VM_DIR, 'kernels', name);
  const payloads = process.env['MARS_VM_PAYLOAD'] ?? path.join(VM_DIR, 'payload');
  return {
    name,
    release: readFileSync(existing(path.join(dir, 'release')), 'utf8').trim(),
    image: existing(path.join(dir, 'vmlinux')),
    initrd: existing(path.join(dir, 'initrd')),
    root: existing(path.join(dir, 'root.sq')),
    words: existsSync(path.join(dir, 'words')) ? readFileSync(path.join(dir, 'words'), 'utf8').trim() : '',
    payload: existing(path.join(payloads, `${name}.sq`)),
  };
}

/** Kernels the tests run on: those KERNEL names (words), or 6.1 and 6.12. */
export function kernelNames(): string[] {
  const wanted = process.env['KERNEL']?.trim();
  if (wanted) return wanted.split(/[\s,]+/);
  const dir = path.join(VM_DIR, 'kernels');
  return existsSync(dir) ? readdirSync(dir).filter((name) => /^\d+\.\d+$/.test(name)) : ['6.1', '6.12'];
}

/** Can a guest with this kernel load the module? Debug kernels have most things built in. */
export function hasModule(kernelName: string, module: string): boolean {
  const dir = path.join(VM_DIR, 'kernels', kernelName, 'modules');
  if (!existsSync(dir)) return false;
  return readdirSync(dir, { encoding: 'utf8', recursive: true }).some((file) =>
    path.basename(file).startsWith(`${module}.ko`),
  );
}

/** How much longer everything may take than on a stock kernel: debug kernels are slow. */
export function patience(): number {
  return Number(process.env['MARS_VM_PATIENCE'] ?? 1);
}

const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * An own folder for sockets and disks, in memory where possible; short, as socket paths are limited.
 * Folders of runs that were killed go.
 */
export function scratchDir(): string {
  for (const name of readdirSync(SCRATCH)) {
    const owner = /^mars-vm-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && !alive(Number(owner)))
      rmSync(path.join(SCRATCH, name), { recursive: true, force: true });
  }
  return mkdtempSync(path.join(SCRATCH, `mars-vm-${process.pid}-`));
}

/** The end of a scratch folder; with MARS_LAB_KEEP in the environment it is kept under another name. */
export function discard(dir: string): void {
  if (!process.env['MARS_LAB_KEEP']) {
    rmSync(dir, { recursive: true, force: true });
    return;
  }
  const kept = dir.replace(/mars-vm-\d+-/, 'mars-vm-kept-');
  renameSync(dir, kept);
  console.error(`kept: ${kept}`);
}
