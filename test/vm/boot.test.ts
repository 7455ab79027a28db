// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A machine with systemd and udev, and what `make install` puts on it: devices come back after a
 * boot without anybody's help.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import type { VmLab } from '../../lab/vm/lab.js';
import type { Vm } from '../../lab/vm/vm.js';
import { vmTest } from './support.js';

/** An image of what `make install` installs. */
function installed(lab: VmLab): string {
  const root = path.join(lab.dir, 'install');
  const image = path.join(lab.dir, 'install.sq');
  execFileSync('make', ['-o', 'build', 'install', `DESTDIR=${root}`, 'PREFIX=/usr'], { stdio: 'pipe' });
  execFileSync('mksquashfs', [root, image, '-comp', 'lz4', '-quiet', '-no-progress', '-all-root']);
  rmSync(root, { recursive: true });
  return image;
}

const DATA = '/dev/disk/by-id/virtio-lab-hosta-data';
const DEVICE = '/dev/mars/mydata';
const MORE = '/dev/disk/by-id/virtio-lab-hosta-more';

/** A machine that was booted with what is installed, /mars mounted by its fstab; nothing of mars runs. */
async function machine(lab: VmLab): Promise<Vm> {
  const vm = lab.add('hosta', { systemd: { layers: [installed(lab)] } });
  const state = await vm.disk('mars', { size: 512 << 20 });
  await vm.disk('data', { size: 128 << 20 });
  await vm.disk('more', { size: 16 << 20 });
  await vm.start();
  await vm.sh(
    `mkfs.ext4 -q -L marsstate ${state.path}; echo 'LABEL=marsstate /mars ext4 nofail,x-systemd.device-timeout=infinity 0 2' >>/etc/fstab; ` +
      `systemctl daemon-reload; udevadm settle; systemctl start mars.mount`,
  );
  return vm;
}

vmTest(
  'loading the module brings every resource back; loaded at boot, nothing has to be said at all',
  async (t, lab) => {
    const vm = await machine(lab);
    vm.expected.push(/EXT4-fs .* recovery/);
    await vm.sh(`marsadm create-cluster --address ${vm.ip}:7777`, { timeout: 600000 });
    t.is((await vm.exec(['systemctl', 'is-active', 'marsd'])).stdout, 'inactive\n');

    t.log('the module is loaded: udev starts the daemon');
    await vm.sh('modprobe mars');
    await vm.until('systemctl is-active marsd', 600000);
    await vm.sh(`marsadm create-resource mydata ${DATA}`, { timeout: 600000 });
    await vm.sh(`marsadm create-resource more ${MORE}`, { timeout: 600000 });
    await vm.until(`test -b ${DEVICE} -a -b /dev/mars/more`, 600000);
    await vm.sh(
      `mkfs.ext4 -q ${DEVICE} && mkdir /data && mount ${DEVICE} /data && echo kept >/data/f && umount /data && sync`,
    );
    t.is(await vm.sh('readlink -f /dev/disk/by-mars/mydata'), `${DEVICE}\n`);

    t.log('the power fails; then only modprobe');
    await vm.powerCut();
    await vm.start();
    t.not((await vm.exec(['test', '-e', DEVICE])).code, 0);
    await vm.sh('modprobe mars');
    await vm.until(`test -b ${DEVICE} -a -b /dev/mars/more`, 600000);
    t.is(await vm.sh(`mount ${DEVICE} /data && cat /data/f; umount /data`), 'kept\n');

    t.log(
      'a reboot with the module loaded at boot, and a file system on the device in fstab; what is down stays so',
    );
    await vm.sh('marsadm down more', { timeout: 600000 });
    await vm.sh(
      `cp /usr/share/mars/modules-load.d/mars.conf /etc/modules-load.d/; ` +
        `echo '${DEVICE} /data ext4 nofail,x-systemd.requires=marsd.service,x-systemd.device-timeout=infinity 0 0' ` +
        '>>/etc/fstab',
    );
    // its answer may get lost on the way down
    vm.exec(['systemctl', 'reboot', '--no-block'], { timeout: 600000 }).catch(() => undefined);
    await vm.booted(2);
    await vm.until('mountpoint -q /data', 600000);
    t.is(await vm.sh('cat /data/f'), 'kept\n');
    t.is(await vm.sh('marsadm view-is-attached more', { timeout: 600000 }), '0\n');
    await vm.sh('test ! -e /dev/mars/more');
  },
  { timeout: 2400000 },
);
