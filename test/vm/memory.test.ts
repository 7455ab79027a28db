// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Little memory, no swap, and much of what is left dirty: who wants memory waits until pages
 * are written, so the path of a write to the disk may not need memory that only this write
 * could free. Hung tasks are reported after 30 s.
 */
import type { ExecutionContext } from 'ava';
import { patience } from '../../lab/vm/files.js';
import type { VmLab } from '../../lab/vm/lab.js';
import { fsck, mkfs, Stack, type Fs } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;
const CREDITS = 8 * MIB;
/** available for page cache and programs, MiB: less than the load writes */
const LEFT = 72;

/** Pages that can't be given back (there is no swap), until so many MiB are available. */
const hog = (leave: number): string =>
  `mkdir -p /hog; mount -t tmpfs -o size=100% hog /hog; i=0; while [ $(awk '/MemAvailable/{print int($2/1024)}' /proc/meminfo) -gt ${leave} ]; ` +
  'do dd if=/dev/zero of=/hog/$((i=i+1)) bs=1M count=4 2>/dev/null || break; done; echo $i';

/** Taken and given back again and again, MiB: more on slow machines, whose writers dirty little meanwhile. */
const TAKEN = 8 * Math.min(patience(), 4);

/** Who takes memory and gives it back, as long as the file is there. */
const CHURN =
  'touch /run/churn; while [ -e /run/churn ]; do ' +
  `dd if=/dev/zero of=/hog/churn bs=1M count=${TAKEN} 2>/dev/null; rm -f /hog/churn; usleep 200000; done`;

/** How often somebody has waited for memory to be freed so far. */
const STALLS = `awk '/^allocstall/{n+=$2} END{print n+0}' /proc/vmstat`;

async function squeezed(t: ExecutionContext, lab: VmLab, fs: Fs): Promise<void> {
  const vm = await lab.vm('a', { smp: 2, mem: 256 });
  const stack = await Stack.make(vm, {
    data: { size: (fs === 'xfs' ? 304 : 128) * MIB },
    log: { size: 256 * MIB },
    credits: CREDITS,
  });
  await vm.sh(
    'sysctl -qw kernel.hung_task_timeout_secs=30 vm.dirty_background_bytes=4194304 vm.dirty_bytes=16777216',
  );
  await stack.up();
  await vm.sh(`${mkfs(fs, stack.dev)}; mkdir /mnt/x; mount ${stack.dev} /mnt/x`);
  const taken = await vm.sh(hog(LEFT), { timeout: 120000 });
  t.log(`${taken.trim()} pieces of 4 MiB taken`);
  const before = Number(await vm.sh(STALLS));
  const churn = vm.exec(['sh', '-c', CHURN], { timeout: 600000 });
  // dirty pages up to what the kernel allows, with memory that is asked for all the time
  const fio = (name: string, words: string): string =>
    `fio --name=${name} --directory=/mnt/x --output-format=terse --fallocate=none --randrepeat=0 ${words} >/tmp/${name} 2>&1 || { cat /tmp/${name}; false; }`;
  await Promise.all([
    vm.sh(
      fio(
        'buffered',
        '--rw=randwrite --bs=4k --size=32m --io_size=8m --end_fsync=1 --verify=crc32c --do_verify=1',
      ),
      { timeout: 400000 },
    ),
    vm.sh(
      fio(
        'direct',
        '--rw=randwrite --bs=16k --size=12m --direct=1 --ioengine=libaio --iodepth=16 --verify=crc32c --do_verify=1',
      ),
      { timeout: 400000 },
    ),
    vm.sh(fio('stream', '--rw=write --bs=256k --size=64m --end_fsync=1'), { timeout: 400000 }),
  ]);
  await vm.sh('rm /run/churn');
  await churn;
  const stalls = Number(await vm.sh(STALLS)) - before;
  t.log(`${stalls} times somebody waited for memory`);
  t.true(stalls > 0);
  await vm.sh('umount /mnt/x', { timeout: 120000 });
  const peak = Number(await vm.sh('cat /sys/block/mars!x/mars/peak_bytes'));
  t.log(`peak ${peak} of ${CREDITS}`);
  t.true(peak <= CREDITS);
  await vm.sh(fsck(fs, stack.dev), { timeout: 120000 });
  await stack.down();
  await vm.sh('umount /log; rmmod mars');
}

vmTest('much is written with little memory: ext4', (t, lab) => squeezed(t, lab, 'ext4'), {
  timeout: 500000,
});
vmTest('much is written with little memory: xfs', (t, lab) => squeezed(t, lab, 'xfs'), {
  timeout: 500000,
});
