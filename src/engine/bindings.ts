// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The typed face of the two native addons, and where they are found.
 *
 * `mars_sys` holds system calls, `mars` the embedded engine; each is loaded on
 * first use and stays. Nothing here checks or converts: the modules beside
 * this one do, and nobody else uses the raw face. Set MARS_NATIVE_BUILD=Debug
 * to load the sanitised build (which needs its run-time library preloaded).
 */
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EngineError } from './errors.js';

/** A symlink as it stands. */
export interface LinkInfo {
  readonly target: string;
  /** modification time of the link itself, ns since the epoch */
  readonly mtimeNs: bigint;
  /** change time, ns: grows whenever anything about the link changes */
  readonly ctimeNs: bigint;
  readonly ino: bigint;
}

/** The links and sub-directories of one directory; other files are left out. */
export interface DirLinks {
  readonly links: readonly (LinkInfo & { readonly name: string })[];
  readonly dirs: readonly string[];
}

/** Size and alignment of an open file or block device. */
export interface Geometry {
  /** bytes */
  readonly size: bigint;
  /** positions and lengths of direct IO are multiples of it, bytes */
  readonly block: number;
  /** a block device */
  readonly device: boolean;
}

/** What a verb gave back: 0 or -errno, and the structure with the answer. */
export interface ControlAnswer {
  readonly rc: number;
  readonly struct: Buffer;
}

/** native/addon/sys.cc */
export interface SysBinding {
  setLinkTime(path: string, ns: bigint): void;
  linkInfo(path: string): LinkInfo | undefined;
  readLinks(dir: string): DirLinks;
  syncDir(path: string): void;
  flock(fd: number, mode: 'exclusive' | 'shared' | 'unlock', wait: boolean): boolean;
  notifySocket(path: string, text: string): void;
  alignedBuffer(size: number): Buffer;
  alignment(buffer: Uint8Array): number;
  fdGeometry(fd: number): Geometry;
  /** Returns the function that ends it. Does not keep the process alive. */
  pollFd(fd: number, ready: () => void): () => void;
  controlFd(fd: number, struct: Uint8Array): number;
  controlFdSlowly(fd: number, struct: Uint8Array): Promise<ControlAnswer>;
}

/** What {@link ScannerBinding.push} and scanFile found. */
export interface RawScan {
  /** enum mars_log_verdict */
  readonly verdict: number;
  /** struct mars_log_cursor: where the verified part ends */
  readonly cursor: Uint8Array;
  /** records in the groups verified so far */
  readonly records: bigint;
  /** struct mars_log_ident once the header was verified */
  readonly ident: Uint8Array | undefined;
}

/** One scan; see native/addon/scanner.cc. */
export interface ScannerBinding {
  push(bytes: Uint8Array): RawScan;
}

/** Sizes and field offsets of the structures, as the C compiler laid them out. */
export type Layout = Readonly<Record<string, number>>;

/** native/addon/engine.cc */
export interface EngineBinding {
  init(threads: number): void;
  exit(): void;
  control(struct: Uint8Array): number;
  /** One listener a process; `undefined` ends it. Does not keep the process alive. */
  listen(wake: (() => void) | undefined): void;
  readonly layout: Layout;
  readonly Scanner: new (expect: Uint8Array | undefined, cursor: Uint8Array | undefined) => ScannerBinding;
  scanFile(path: string, expect: Uint8Array | undefined, cursor: Uint8Array | undefined): Promise<RawScan>;
  crc32c(bytes: Uint8Array, seed: number): number;
  verdictName(verdict: number): string;
}

const require = createRequire(import.meta.url);

/** The folder with package.json, from src/ as well as from dist/. */
function projectRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json')) && dirname(dir) !== dir) dir = dirname(dir);
  return dir;
}

function load(name: string): unknown {
  const build = process.env['MARS_NATIVE_BUILD'] === 'Debug' ? 'Debug' : 'Release';
  const bindings = require('bindings') as (options: object) => unknown;
  try {
    return bindings({
      bindings: name,
      module_root: projectRoot(),
      try: [['module_root', 'build', build, 'bindings']],
    });
  } catch (error) {
    if (existsSync(join(projectRoot(), 'build', build, `${name}.node`))) {
      throw new EngineError({
        message: `the native addon ${name}.node can't be loaded: ${String(error)}`,
        code: 'ENGINE_NOT_LOADABLE',
        cause: error,
      });
    }
    throw new EngineError({
      message: `the native addon ${name}.node is missing: run "make build"`,
      code: 'ENGINE_NOT_BUILT',
      cause: error,
    });
  }
}

let sys: SysBinding | undefined;
let engine: EngineBinding | undefined;

/** The system calls. Throws EngineError ENGINE_NOT_BUILT when the addon is missing. */
export function sysBinding(): SysBinding {
  sys ??= load('mars_sys') as SysBinding;
  return sys;
}

/** The embedded engine, not started. Throws EngineError ENGINE_NOT_BUILT when the addon is missing. */
export function engineBinding(): EngineBinding {
  engine ??= load('mars') as EngineBinding;
  return engine;
}
