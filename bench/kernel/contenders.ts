// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What is compared: the disk as it is, DRBD with protocol A, mars; each with the same kind of
 * disk below, the last two with one replica on the other machine.
 *
 * `settle` is a piece of script that ends when everything written is on both disks. It belongs
 * to the measured time of the processors, as the work it waits for does.
 */
import type { Bed, Machine } from './machine.js';
import type { ContenderName } from './rows.js';

export interface Contender {
  readonly name: ContenderName;
  readonly title: string;
  readonly device: string;
  readonly settle: string;
}

export const RESOURCE = 'bench';
const DEVICE = `/dev/mars/${RESOURCE}`;
export const RESOURCE_DIR = `/mars/resource-${RESOURCE}`;
const PORT = 7776;

/** After this, `read -t SECONDS -u 9` waits without a process of its own. */
export const PAUSE = '[ -p /run/pause ] || mkfifo /run/pause; exec 9<>/run/pause';

const modprobe = (bed: Bed, module: string): string =>
  bed.modules === undefined ? `modprobe ${module}` : `modprobe -d ${bed.modules} ${module}`;

export function raw(bed: Bed): Contender {
  return { name: 'raw', title: 'raw disk', device: bed.disks.raw, settle: ':' };
}

/** A connected pair of DRBD, protocol A: a write is done when it is on the own disk and in the send buffer. */
export async function drbd(bed: Bed): Promise<Contender> {
  const on = (machine: Machine): string =>
    `  on ${machine.name} { address ${machine.address}:7788; disk ${bed.disks.drbd}; meta-disk ${bed.disks.drbdMeta}; }`;
  const configuration = [
    'global { usage-count no; }',
    'resource r0 {',
    '  device /dev/drbd0;',
    '  net { protocol A; sndbuf-size 2M; max-buffers 8000; }',
    on(bed.primary),
    on(bed.secondary),
    '}',
  ].join('\n');
  // Resources are told apart by the name of the host, so it has to be the machine's.
  await both(bed, (machine) =>
    machine.run(
      [
        'set -e',
        modprobe(bed, 'drbd'),
        'mkdir -p /etc/drbd.d /var/lib/drbd /run/drbd /run/lock /var/lock; rm -f /etc/drbd.d/*',
        `cat >/etc/drbd.conf <<'END'\n${configuration}\nEND`,
        'drbdadm create-md --force r0',
        'drbdadm up r0',
        'drbdsetup wait-connect-resource r0 2>/dev/null || drbdadm wait-connect r0',
      ].join('\n'),
    ),
  );
  await bed.primary.run(
    [
      'set -e',
      'drbdadm new-current-uuid --clear-bitmap r0',
      'drbdadm primary r0',
      PAUSE,
      "until grep -q 'ds:UpToDate/UpToDate' /proc/drbd; do read -t 0.1 -u 9 || true; done",
    ].join('\n'),
  );
  return {
    name: 'drbd',
    title: 'DRBD A',
    device: '/dev/drbd0',
    settle: `${PAUSE}; until [[ $(</proc/drbd) == *"pe:0 ua:0 ap:0"* ]]; do read -t 0.05 -u 9; done`,
  };
}

export const marsadm = (bed: Bed, machine: Machine, ...args: readonly string[]): string =>
  `MARS_HOST=${machine.name} ${bed.project}/bin/marsadm ${args.join(' ')}`;

/** A file system for the logs, the module, the folder for what the daemon needs. */
async function prepare(bed: Bed, machine: Machine): Promise<void> {
  await machine.run(
    [
      'set -e',
      `mkfs.ext4 -q -F ${bed.disks.marsLog}`,
      'mkdir -p /mars',
      `mount -o noatime ${bed.disks.marsLog} /mars`,
      ...(bed.modules === undefined ? [] : [`modprobe -d ${bed.modules} libcrc32c`]),
      `insmod ${bed.marsModule}`,
    ].join('\n'),
  );
}

/** Starts the daemon; ends when it takes commands. */
async function startDaemon(bed: Bed, machine: Machine, profile: boolean): Promise<void> {
  const wrap = [
    `env ${process.env['BENCH_DAEMON_ENV'] ?? ''}`,
    profile ? `node --cpu-prof --cpu-prof-dir=/bench/${machine.name}.profile` : '',
  ].join(' ');
  await machine.run(
    [
      'set -e',
      'mkfifo /run/marsd-says',
      `MARS_HOST=${machine.name} setsid ${wrap} ${bed.project}/bin/marsd --engine=kernel >/run/marsd-says 2>&1 </dev/null &`,
      'echo $! >/run/marsd.pid',
      'exec 8</run/marsd-says',
      'while read -r line <&8; do echo "$line"; [[ $line == *ready* ]] && break; done',
      '[[ $line == *ready* ]]',
      'setsid cat <&8 >/run/marsd.log 2>/dev/null &',
    ].join('\n'),
  );
}

/** Ends both daemons in an orderly way; one that was started for it writes its profile. */
export async function stopDaemons(bed: Bed): Promise<void> {
  await both(bed, (machine) => machine.run('p=$(</run/marsd.pid); kill $p; tail --pid=$p -f /dev/null'));
}

/** A resource of mars with one replica that has caught up; `profile`: daemons write one when they end. */
export async function mars(bed: Bed, profile = false): Promise<Contender> {
  const { primary, secondary } = bed;
  const at = (machine: Machine, ...args: readonly string[]): Promise<string> =>
    machine.run(marsadm(bed, machine, ...args));
  const address = (machine: Machine): string => `--address=${machine.address}:${PORT}`;
  await both(bed, (machine) => prepare(bed, machine));
  await at(primary, 'create-cluster', address(primary));
  await startDaemon(bed, primary, profile);
  const token = (await at(primary, 'join-token')).trim().split('\n').at(-1) ?? '';
  await at(secondary, 'join-cluster', token, address(secondary));
  await startDaemon(bed, secondary, profile);
  await both(bed, (machine) => at(machine, 'wait-cluster'));
  await at(primary, 'create-resource', RESOURCE, bed.disks.mars);
  await at(secondary, 'join-resource', RESOURCE, bed.disks.mars);
  await at(secondary, 'wait-resource', RESOURCE, 'uptodate');
  return {
    name: 'mars',
    title: 'mars',
    device: DEVICE,
    settle: `/bench/links rest ${RESOURCE_DIR} ${primary.name} ${secondary.name}`,
  };
}

function both(bed: Bed, action: (machine: Machine) => Promise<unknown>): Promise<unknown> {
  return Promise.all([action(bed.primary), action(bed.secondary)]);
}
