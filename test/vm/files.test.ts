// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The file brick: a regular file as data image or log, on the file systems people use.
 */
import type { VmLab } from '../../lab/vm/lab.js';
import type { DiskOptions } from '../../lab/vm/disk.js';
import type { Vm } from '../../lab/vm/vm.js';
import { field, hideDisk, notZero, refusal, showDisk, verify } from './bricks.js';
import { Stack } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;

/** A machine with a file system on a disk of its own at /mnt/f. */
async function withFs(lab: VmLab, fs: 'ext4' | 'xfs', options: DiskOptions = {}): Promise<Vm> {
  const vm = await lab.vm('a', { smp: 2 });
  const disk = await vm.disk('d', { size: 320 * MIB, ...options });
  await vm.sh(`modprobe mars; mkdir -p /mnt/f; mkfs.${fs} -q ${disk.path}; mount ${disk.path} /mnt/f`);
  return vm;
}

for (const fs of ['ext4', 'xfs'] as const)
  vmTest(`file: an image on ${fs}, direct and through the page cache`, async (t, lab) => {
    const vm = await withFs(lab, fs, { bus: 'nvme' });
    for (const flags of ['excl,direct', 'excl']) {
      await vm.sh('rm -f /mnt/f/image; truncate -s 16M /mnt/f/image');
      const dev = await showDisk(vm, 'i', { type: 'file', path: '/mnt/f/image', flags });
      t.is(await field(vm, 'i-low', 'direct'), flags === 'excl' ? '0' : '1');
      await vm.sh(
        verify(dev, '--rw=randwrite --bsrange=4k-128k --blockalign=4k --size=2m --iodepth=16 --direct=1'),
      );
      await vm.sh(verify(dev, '--rw=write --bs=1m --offset=4m --size=8m --iodepth=2 --direct=1'));
      await vm.sh(verify(dev, '--rw=randwrite --bs=4k --offset=12m --size=256k --fsync=8 --direct=0'));
      await vm.sh(
        `blkdiscard -f -o ${5 * MIB} -l ${MIB} ${dev}; blkdiscard -f -z -o ${7 * MIB} -l ${MIB} ${dev}`,
      );
      for (const at of [5, 7]) t.is(await notZero(vm, dev, at * MIB, MIB), 0, `${at}`);
      t.true((await notZero(vm, dev, 4 * MIB, MIB)) > 0);
      await hideDisk(vm, 'i');
    }
    // closed when the lamp says so: nothing keeps the file system busy, or the module
    await vm.sh('umount /mnt/f && rmmod mars');
  });

vmTest(
  'file: memory a direct transfer can not take goes through a bounce buffer',
  async (t, lab) => {
    const vm = await lab.vm('a');
    await vm.sh('modprobe mars; modprobe scsi_debug sector_size=4096 dev_size_mb=64');
    const big = (
      await vm.until('basename $(ls -d /sys/bus/pseudo/drivers/scsi_debug/*/host*/target*/*/block/*)')
    ).trim();
    await vm.sh(
      `mkfs.ext4 -qF -b 4096 /dev/${big}; mkdir -p /mnt/b; mount /dev/${big} /mnt/b; truncate -s 4M /mnt/b/image`,
    );
    const dev = await showDisk(vm, 'b', { type: 'file', path: '/mnt/b/image', flags: 'excl,direct' });
    t.is(await vm.sh(`blockdev --getss ${dev}`), '4096\n');
    await vm.sh(verify(dev, '--rw=randwrite --bs=8k --iomem_align=512 --size=1m --iodepth=4 --direct=1'));
    await hideDisk(vm, 'b');
    await vm.sh(`umount /mnt/b; rmmod mars scsi_debug`);
  },
  { module: 'scsi_debug' },
);

vmTest('file: where there is no direct IO the page cache is used, and said so', async (t, lab) => {
  const vm = await lab.vm('a');
  await vm.sh(
    'modprobe mars; mkdir -p /mnt/t; mount -t tmpfs -o size=16m none /mnt/t; truncate -s 8M /mnt/t/image',
  );
  const dev = await showDisk(vm, 't', { type: 'file', path: '/mnt/t/image', flags: 'excl,direct' });
  // newer kernels give tmpfs direct IO of a kind
  if (lab.kernel.name === '6.1') t.is(await field(vm, 't-low', 'direct'), '0');
  await vm.sh(verify(dev, '--rw=randwrite --bs=4k --size=1m --iodepth=4 --direct=1'));
  await hideDisk(vm, 't');
  await vm.sh('umount /mnt/t; rmmod mars');
  t.pass();
});

vmTest('file: above an overlay, what lies below can be frozen afterwards', async (t, lab) => {
  const vm = await withFs(lab, 'ext4');
  await vm.sh(
    'cd /mnt/f; mkdir lower upper work; mkdir -p /mnt/o; truncate -s 8M upper/image; ' +
      'mount -t overlay -o lowerdir=/mnt/f/lower,upperdir=/mnt/f/upper,workdir=/mnt/f/work none /mnt/o',
  );
  const dev = await showDisk(vm, 'o', { type: 'file', path: '/mnt/o/image', flags: 'excl,direct' });
  t.is(await field(vm, 'o-low', 'direct'), '1');
  await vm.sh(verify(dev, '--rw=randwrite --bs=4k --size=1m --iodepth=8 --direct=1'));
  // it waits for ever for a write that has not told of its end
  await vm.sh('timeout -s KILL 60 fsfreeze -f /mnt/f && fsfreeze -u /mnt/f');
  await hideDisk(vm, 'o');
  await vm.sh('umount /mnt/o; umount /mnt/f; rmmod mars');
});

vmTest('file: a log is used once, and does not stay in the page cache', async (t, lab) => {
  const vm = await lab.vm('a');
  const stack = await Stack.make(vm, { data: { size: 32 * MIB }, log: { size: 96 * MIB } });
  const resident = async (): Promise<number> => {
    const path = stack.path(stack.number);
    const runs = await vm.sh(`xfs_io -r -c "mmap -r 0 $(stat -c %s ${path})" -c mincore ${path}`);
    return [...runs.matchAll(/ (\d+) pages/g)].reduce((sum, run) => sum + Number(run[1]) * 4096, 0);
  };
  await stack.up();
  await vm.sh(
    `tr '\\0' x </dev/zero | dd of=${stack.dev} bs=256k count=96 iflag=fullblock oflag=direct conv=fsync 2>/dev/null`,
  );
  await stack.down();
  t.is(await resident(), 0, 'written');
  t.true((await stack.replay()) > 24 * MIB);
  const left = await resident();
  t.log(`${left} bytes`);
  t.true(left <= 8 * MIB, `replayed: ${left}`);
  await vm.sh(`cat ${stack.path(stack.number)} >/dev/null`);
  t.true((await resident()) > 24 * MIB, 'this is how it is counted');
});

vmTest('file: what it is not meant for is refused with the reason', async (t, lab) => {
  const vm = await withFs(lab, 'ext4');
  const path = '/mnt/f/image';
  await vm.sh(`truncate -s 8M ${path}; mkfifo /mnt/f/pipe`);
  t.regex(await refusal(vm, { type: 'file', path: '/dev/vda' }), /bad-value/);
  t.regex(await refusal(vm, { type: 'file', path: '/mnt/f' }), /bad-value/);
  t.regex(await refusal(vm, { type: 'file', path: '/mnt/f/pipe' }), /bad-value/);
  t.regex(await refusal(vm, { type: 'file', path: '/mnt/f/none' }), /no-path/);
  t.regex(await refusal(vm, { type: 'file', path, flags: 'excl', size: 16 * MIB }), /too-small/);
  t.is(await refusal(vm, { type: 'file', path: '/mnt/f/new', flags: 'create,append', size: MIB }), '');
  t.is(await vm.sh('stat -c %s:%a /mnt/f/new'), `${MIB}:600\n`);

  const dev = await showDisk(vm, 'x', { type: 'file', path, flags: 'excl' });
  t.regex(await refusal(vm, { type: 'file', path, flags: 'excl' }), /in-use/);
  t.not((await vm.exec(['flock', '-n', path, 'true'])).code, 0);
  t.not((await vm.exec(['umount', '/mnt/f'])).code, 0);
  // a file system on a disk of ours holds no files of ours
  await vm.sh(`mkfs.ext4 -q ${dev}; mkdir -p /mnt/own; mount ${dev} /mnt/own; touch /mnt/own/log`);
  t.regex(await refusal(vm, { type: 'file', path: '/mnt/own/log', flags: 'append' }), /loop/);
  await vm.sh('umount /mnt/own');
  await hideDisk(vm, 'x');
  await vm.sh(`flock -n ${path} true; umount /mnt/f; rmmod mars`);
});

vmTest('file: a full file system is lack of space, and passes', async (t, lab) => {
  const vm = await withFs(lab, 'ext4', { size: 32 * MIB });
  vm.expected.push(/I\/O error|lost async page write|critical space/);
  await vm.sh('truncate -s 24M /mnt/f/image');
  const dev = await showDisk(vm, 's', { type: 'file', path: '/mnt/f/image', flags: 'excl,direct' });
  await vm.sh('dd if=/dev/zero of=/mnt/f/filler bs=1M 2>/dev/null; rm -f /mnt/f/none; sync');
  const write = `dd if=/dev/zero of=${dev} bs=1M count=4 oflag=direct`;
  const full = await vm.exec(['sh', '-c', write]);
  t.not(full.code, 0);
  t.regex(full.stderr, /No space left/);
  t.is(await field(vm, 's-low', 'error'), '-28');
  await vm.sh(`rm /mnt/f/filler; sync; ${write} 2>/dev/null`);
  t.is(await field(vm, 's-low', 'state'), 'ok');
  await hideDisk(vm, 's');
});

for (const bus of ['virtio', 'nvme'] as const)
  vmTest(`file: a power cut loses nothing that was flushed or forced through (${bus})`, async (t, lab) => {
    const vm = await withFs(lab, 'ext4', { bus, backend: 'volatile', size: 64 * MIB });
    vm.expected.push(/EXT4-fs .*(recovery|orphan)/);
    // allocated, not yet written: both must become durable, data and extents
    await vm.sh('fallocate -l 8M /mnt/f/image; sync');
    const dev = await showDisk(vm, 'v', { type: 'file', path: '/mnt/f/image', flags: 'excl,direct' });
    const fill = (letter: string, mib: number, words: string): string =>
      `tr '\\0' ${letter} </dev/zero | dd of=${dev} bs=64k count=16 iflag=fullblock seek=${mib * 16} ${words} 2>/dev/null`;
    await vm.sh(fill('F', 0, 'oflag=direct conv=fsync'));
    await vm.sh(fill('S', 1, 'oflag=direct,dsync'));
    await vm.powerCut();
    await vm.start();
    await vm.sh(`mkdir -p /mnt/f; mount ${vm.disks[0]?.path ?? ''} /mnt/f`);
    const left = (letter: string, mib: number): Promise<string> =>
      vm.sh(`dd if=/mnt/f/image bs=1M skip=${mib} count=1 2>/dev/null | tr -dc ${letter} | wc -c`);
    t.is(await left('F', 0), `${MIB}\n`);
    t.is(await left('S', 1), `${MIB}\n`);
  });
