// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What differs between the two homes of the engine, in one place.
 *
 * The same logger and replay run in mars.ko and inside the daemon; a home says
 * which bricks stand around them, where an application finds its device, and
 * whether all of it goes on without a daemon. Nobody else asks for the kind.
 */
import path from 'node:path';
import type { BrickType, Engine, SetValue } from './types.js';

export type EngineKind = Engine['kind'];

/** Longest name of a disk below /dev/mars, characters (the kernel's DISK_NAME_LEN). */
const DISK_NAME_MAX = 26;
/** Longest name the tree allows anyway, characters. */
const NAME_MAX = 63;

/** Whose device is meant. */
export interface Place {
  /** MARS_DIR */
  readonly dir: string;
  readonly resource: string;
  /** value of the key device-HOST, the name an operator gave it */
  readonly device: string;
}

export interface Home {
  readonly kind: EngineKind;
  /** bricks go on without the daemon: it adopts them at its start and leaves them at its end */
  readonly outlives: boolean;
  /** type of the brick below everything, for a block device or a regular file */
  dataType(blockDevice: boolean): BrickType;
  /**
   * Does the daemon have to pass the page cache by when it uses a data disk beside the engine?
   * Where the engine does, the page cache knows nothing of what it writes.
   */
  bypassCache(blockDevice: boolean): boolean;
  /** type of the brick on top */
  readonly exportType: BrickType;
  exportParams(place: Place): Readonly<Record<string, SetValue>>;
  /** parameter that lets the export take over a size that has grown; undefined = the next client sees it */
  readonly growKey: string | undefined;
  /** where an application finds the device */
  devicePath(place: Place): string;
  /** the folder of {@link devicePath} is ours to make */
  readonly makesFolder: boolean;
  /** longest name of a device, characters */
  readonly nameMax: number;
}

const embedded: Home = {
  kind: 'embedded',
  outlives: false,
  dataType: () => 'file',
  bypassCache: () => false,
  exportType: 'nbd',
  exportParams: (place) => ({
    'nbd.socket': { text: embedded.devicePath(place) },
    'nbd.export': { text: place.resource },
  }),
  growKey: undefined,
  devicePath: ({ dir, resource }) => path.join(dir, 'dev', `${resource}.sock`),
  makesFolder: true,
  nameMax: NAME_MAX,
};

const kernel: Home = {
  kind: 'kernel',
  outlives: true,
  dataType: (blockDevice) => (blockDevice ? 'bdev' : 'file'),
  bypassCache: (blockDevice) => blockDevice,
  exportType: 'if',
  exportParams: ({ device }) => ({ 'if.name': { text: device } }),
  growKey: 'if.resize',
  devicePath: ({ device }) => path.join('/dev/mars', device),
  makesFolder: false,
  nameMax: DISK_NAME_MAX,
};

const HOMES: Readonly<Record<EngineKind, Home>> = { embedded, kernel };

/** The home of an engine; also by its word in the tree, undefined when that is none. */
export function homeOf(kind: EngineKind): Home;
export function homeOf(kind: string | undefined): Home | undefined;
export function homeOf(kind: string | undefined): Home | undefined {
  return kind === 'embedded' || kind === 'kernel' ? HOMES[kind] : undefined;
}
