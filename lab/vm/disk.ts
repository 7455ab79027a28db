// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Disks of a guest: an image in the scratch folder, how it is served, and what the guest sees.
 *
 * A disk outlives its guest: a power cut ends guest and disk server at once, and the next start
 * attaches the same image. Plugged in after the start, as clones share the template's devices.
 */
import { copyFileSync, closeSync, existsSync, openSync, ftruncateSync } from 'node:fs';
import path from 'node:path';
import { Program } from './process.js';
import type { Qmp } from './qmp.js';

/** How the image is served. */
export type Backend =
  /** straight: what was written survives even a kill of the machine; no power cut can be shown */
  | 'raw'
  /** behind a cache that loses, at a power cut, everything not flushed */
  | 'volatile'
  /** by the disk server without that cache: for filters alone, such as delays */
  | 'served'
  /** by an NBD server of the test's own (`socket`) */
  | 'own';

/**
 * What it is to the guest: virtio has no FUA (the kernel flushes instead), the others have. But
 * the emulator's nvme (7.2) ignores it: writes forced through on a `volatile` disk are lost with
 * the power as all others. Where FUA matters, use scsi.
 */
export type Bus = 'virtio' | 'nvme' | 'scsi';

export interface DiskOptions {
  /** bytes; default 256 MiB */
  readonly size?: number;
  readonly backend?: Backend;
  readonly bus?: Bus;
  /** start with a copy of this image */
  readonly image?: string;
  /** the server of an `own` disk, as a Recorder offers it */
  readonly socket?: string;
  /** bytes of a block as the guest sees it, 512 (default) or 4096; virtio and scsi */
  readonly block?: number;
  /** what else it says of itself; scsi */
  readonly says?: {
    /** bytes it writes at once, at least a block */
    readonly physical?: number;
    /** bytes it is fastest with */
    readonly optimal?: number;
    /** turns; default: it does not say */
    readonly rotates?: boolean;
  };
  /** more filters of nbdkit above the cache, with their parameters, as `['delay', 'wdelay=2ms']`; volatile and served */
  readonly filters?: readonly (readonly string[])[];
}

export class Disk {
  /** the image on this machine; of a volatile disk it holds what was flushed */
  readonly file: string;
  readonly bus: Bus;
  readonly backend: Backend;
  /** what the guest can find it by */
  readonly serial: string;
  /** path in the guest, once attached */
  path = '';
  readonly #dir: string;
  readonly #options: DiskOptions;
  #server: Program | undefined;
  #socket = '';
  #starts = 0;
  #shot = false;

  constructor(
    readonly name: string,
    dir: string,
    options: DiskOptions = {},
  ) {
    this.#dir = dir;
    this.#options = options;
    this.file = path.join(dir, `${name}.img`);
    this.bus = options.bus ?? 'virtio';
    this.backend = options.backend ?? 'raw';
    this.serial = `lab-${name}`.slice(0, 20);
    if (options.image !== undefined) copyFileSync(options.image, this.file);
    if (options.size !== undefined || options.image === undefined) this.resize(options.size ?? 256 << 20);
  }

  /** Change the size of the image; a running guest sees it only through `Vm.growDisk`. */
  resize(size: number): void {
    const fd = openSync(this.file, existsSync(this.file) ? 'r+' : 'w');
    ftruncateSync(fd, size);
    closeSync(fd);
  }

  /** Serve it and give it to a machine. The guest still has to find it. */
  async plug(qmp: Qmp): Promise<void> {
    const node = `n-${this.name}`;
    const file = { driver: 'file', filename: this.file, discard: 'unmap' };
    switch (this.backend) {
      case 'raw':
        await qmp.command('blockdev-add', { driver: 'raw', 'node-name': node, discard: 'unmap', file });
        break;
      case 'volatile':
      case 'served':
      case 'own':
        await qmp.command('blockdev-add', {
          driver: 'nbd',
          'node-name': node,
          discard: 'unmap',
          server: { type: 'unix', path: await this.#serve() },
        });
        break;
    }
    await this.#device(qmp, node);
  }

  async #device(qmp: Qmp, drive: string): Promise<void> {
    const id = `disk-${this.name}`;
    const { block = 512, says = {} } = this.#options;
    const blocks = { logical_block_size: block, physical_block_size: says.physical ?? block };
    switch (this.bus) {
      case 'virtio':
        await qmp.command('device_add', {
          driver: 'virtio-blk-pci',
          drive,
          id,
          serial: this.serial,
          ...blocks,
        });
        break;
      case 'nvme':
        await qmp.command('device_add', { driver: 'nvme', drive, id, serial: this.serial });
        break;
      case 'scsi':
        await qmp.command('device_add', { driver: 'virtio-scsi-pci', id: `hba-${this.name}` });
        await qmp.command('device_add', {
          driver: 'scsi-hd',
          bus: `hba-${this.name}.0`,
          drive,
          id,
          serial: this.serial,
          dpofua: true,
          ...blocks,
          opt_io_size: says.optimal ?? 0,
          // 0: not said, 1: has none
          rotation_rate: says.rotates === undefined ? 0 : says.rotates ? 7200 : 1,
        });
        break;
    }
  }

  /** A disk under power keeps its cache while the machine is down. */
  async #serve(): Promise<string> {
    if (this.#options.socket !== undefined) return this.#options.socket;
    if (this.#server && !this.#shot) return this.#socket;
    this.#shot = false;
    const socket = path.join(this.#dir, `${this.name}-${++this.#starts}.nbd`);
    this.#socket = socket;
    const filters = this.#options.filters ?? [];
    const cache = this.backend === 'volatile';
    const args = [
      ...['-f', '-U', socket],
      ...filters.flatMap(([name]) => ['--filter', name ?? '']),
      ...(cache ? ['--filter', 'cache'] : []),
      ...['file', this.file],
      ...(cache ? ['cache=writeback'] : []),
      ...filters.flatMap(([, ...params]) => params),
    ];
    // the cache is an unnamed file there
    const server = new Program('nbdkit', 'nbdkit', args, path.join(this.#dir, `${this.name}.log`), {
      TMPDIR: this.#dir,
    });
    this.#server = server;
    (await server.connect(socket)).destroy();
    return socket;
  }

  /** The disk loses power; without waiting. */
  shoot(): void {
    this.#shot = true;
    this.#server?.shoot();
  }

  /** The server, if it was shot, is gone. */
  async settled(): Promise<void> {
    if (this.#shot) await this.#server?.exited;
  }
}
