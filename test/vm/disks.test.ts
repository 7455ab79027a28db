// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The bdev brick: a block device as data disk.
 */
import type { Bus } from '../../lab/vm/disk.js';
import { field, hideDisk, lowerCommands, notZero, refusal, showDisk, verify } from './bricks.js';
import { Stack } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;

vmTest('bdev: what is written is read, on any kind of disk', async (t, lab) => {
  const vm = await lab.vm('a', { smp: 2 });
  await vm.sh('modprobe mars');
  for (const bus of ['virtio', 'nvme', 'scsi'] satisfies Bus[]) {
    const disk = await vm.disk(bus, { bus, size: 16 * MIB });
    const dev = await showDisk(vm, bus, { type: 'bdev', path: disk.path, flags: 'excl' });
    t.is(await vm.sh(`blockdev --getsize64 ${dev}`), `${16 * MIB}\n`);
    await vm.sh(
      verify(dev, '--rw=randwrite --bsrange=512-256k --blockalign=512 --size=2m --iodepth=16 --direct=1'),
    );
    await vm.sh(verify(dev, '--rw=write --bs=1m --offset=4m --size=8m --iodepth=4 --direct=1'));
    await vm.sh(verify(dev, '--rw=randwrite --bs=4k --offset=12m --size=512k --fsync=8 --direct=0'));
    // the same bytes below, past both page caches
    await vm.sh(
      `sync; for d in ${dev} ${disk.path}; do dd if=$d bs=1M iflag=direct 2>/dev/null | sha256sum; done | uniq | wc -l | grep -qx 1`,
    );
    t.is(await field(vm, `${bus}-low`, 'state'), 'ok');
    t.true(Number(await field(vm, `${bus}-low`, 'bytes_written')) >= 10 * MIB);
    t.true(Number(await field(vm, `${bus}-low`, 'flushes')) > 0);
    await hideDisk(vm, bus);
  }
  await vm.sh('rmmod mars');
});

vmTest('bdev: discard and write zeroes leave zeros', async (t, lab) => {
  const vm = await lab.vm('a');
  const disk = await vm.disk('d', { bus: 'scsi', size: 8 * MIB });
  await vm.sh('modprobe mars');
  const dev = await showDisk(vm, 'z', { type: 'bdev', path: disk.path, flags: 'excl' });
  await vm.sh(`tr '\\0' x </dev/zero | dd of=${dev} bs=1M count=8 iflag=fullblock oflag=direct 2>/dev/null`);
  t.is(await notZero(vm, dev, 0, 8 * MIB), 8 * MIB);
  await vm.sh(`blkdiscard -f -o ${MIB} -l ${MIB} ${dev}`);
  await vm.sh(`blkdiscard -f -z -o ${3 * MIB} -l ${MIB} ${dev}`);
  await vm.sh(`fallocate -n -z -o ${5 * MIB} -l ${MIB} ${dev}`);
  await vm.sh(`fallocate -n -p -o ${7 * MIB} -l ${MIB / 2} ${dev}`);
  for (const at of [1, 3, 5]) t.is(await notZero(vm, dev, at * MIB, MIB), 0, `${at}`);
  t.is(await notZero(vm, dev, 0, 8 * MIB), 4.5 * MIB);
  await hideDisk(vm, 'z');
});

vmTest('bdev: what it is not meant for is refused with the reason', async (t, lab) => {
  const vm = await lab.vm('a');
  const disk = await vm.disk('d', { size: 32 * MIB });
  const path = disk.path;
  await vm.sh(`modprobe mars; touch /tmp/file; mkfs.ext4 -q ${path}; mkdir -p /mnt/d`);
  t.regex(await refusal(vm, { type: 'bdev', path: '/tmp/file' }), /bad-value/);
  t.regex(await refusal(vm, { type: 'bdev', path: '/tmp' }), /bad-value/);
  t.regex(await refusal(vm, { type: 'bdev', path: '/dev/nothing' }), /no-path/);
  t.regex(await refusal(vm, { type: 'bdev', path, size: 64 * MIB }), /too-small/);
  t.regex(await refusal(vm, { type: 'bdev', path, flags: 'append' }), /bad-value/);
  await vm.sh(`mount ${path} /mnt/d`);
  t.regex(await refusal(vm, { type: 'bdev', path, flags: 'excl' }), /in-use/);
  await vm.sh('umount /mnt/d');
  await vm.sh(`blockdev --setro ${path}`);
  t.regex(await refusal(vm, { type: 'bdev', path, flags: 'excl' }), /denied/);
  t.is(await refusal(vm, { type: 'bdev', path, flags: 'excl,rdonly' }), '');
  await vm.sh(`blockdev --setrw ${path}`);

  const dev = await showDisk(vm, 'x', { type: 'bdev', path, flags: 'excl', size: 16 * MIB });
  t.is(await vm.sh(`blockdev --getsize64 ${dev}`), `${16 * MIB}\n`);
  t.regex(await refusal(vm, { type: 'bdev', path, flags: 'excl' }), /in-use/);
  t.regex(await refusal(vm, { type: 'bdev', path: dev, flags: 'excl' }), /loop/);
  t.not((await vm.exec(['mkfs.ext4', '-qF', path])).code, 0);
  t.not((await vm.exec(['mount', path, '/mnt/d'])).code, 0);
  t.not((await vm.exec(['rmmod', 'mars'])).code, 0);
  await hideDisk(vm, 'x');
  await vm.sh(`mount ${path} /mnt/d; umount /mnt/d; rmmod mars`);
});

vmTest(
  'bdev: a zoned disk is refused',
  async (t, lab) => {
    const vm = await lab.vm('a');
    await vm.sh(
      'modprobe mars; modprobe null_blk nr_devices=1 gb=1 zoned=1 zone_size=64; test -b /dev/nullb0',
    );
    t.regex(await refusal(vm, { type: 'bdev', path: '/dev/nullb0' }), /bad-value/);
  },
  { module: 'null_blk' },
);

vmTest('bdev: a disk that grows is seen to', async (t, lab) => {
  const vm = await lab.vm('a');
  const disk = await vm.disk('d', { size: 32 * MIB });
  await vm.sh('modprobe mars');
  await showDisk(vm, 'all', { type: 'bdev', path: disk.path });
  t.is(await field(vm, 'all-low', 'size'), `${32 * MIB}`);
  await vm.growDisk(disk, 48 * MIB);
  await vm.until(`[ $(marsctl status all-low size) = ${48 * MIB} ]`);
  await vm.sh('marsctl set all if.resize');
  await vm.sh(verify('/dev/mars/all', '--rw=write --bs=64k --offset=40m --size=8m --iodepth=4 --direct=1'));
  await hideDisk(vm, 'all');
});

vmTest('bdev: errors of the disk come back, and go when it heals', async (t, lab) => {
  const vm = await lab.vm('a');
  const disk = await vm.disk('d', { size: 32 * MIB });
  vm.expected.push(/I\/O error|critical .* error|Buffer I\/O/);
  const sectors = (32 * MIB) / 512;
  const table = (target: string): string =>
    `dmsetup suspend --nolockfs --noflush f; echo '${target}' | dmsetup load f; dmsetup resume f`;
  const linear = `0 ${sectors} linear ${disk.path} 0`;
  await vm.sh(`modprobe mars; echo '${linear}' | dmsetup create f`);
  const dev = await showDisk(vm, 'f', { type: 'bdev', path: '/dev/dm-0', flags: 'excl' });
  const write = `dd if=/dev/zero of=${dev} bs=4k count=4 oflag=direct 2>&1`;
  const read = `dd if=${dev} of=/dev/null bs=4k count=4 iflag=direct 2>&1`;
  const discard = `blkdiscard -z -l ${MIB} ${dev}`;
  await vm.sh(write);
  await vm.sh(table(`0 ${sectors} error`));
  for (const broken of [write, read, discard, write.replace('direct', 'direct,sync')])
    t.not((await vm.exec(['sh', '-c', broken])).code, 0, broken);
  t.is(await field(vm, 'f-low', 'state'), 'io-error');
  t.is(await field(vm, 'f-low', 'error'), '-5');
  await vm.sh(table(linear));
  await vm.sh(`${write} && ${read} && ${discard}`);
  t.is(await field(vm, 'f-low', 'state'), 'ok');
  await hideDisk(vm, 'f');
  await vm.sh('dmsetup remove f; rmmod mars');
});

vmTest('bdev: a disk pulled out gives errors, and lets go', async (t, lab) => {
  const vm = await lab.vm('a');
  const disk = await vm.disk('d', { bus: 'scsi', size: 32 * MIB });
  vm.expected.push(/I\/O error|Buffer I\/O|Synchroniz|rejecting I\/O/);
  await vm.sh('modprobe mars');
  const dev = await showDisk(vm, 'p', { type: 'bdev', path: disk.path, flags: 'excl' });
  await vm.sh(`dd if=/dev/zero of=${dev} bs=64k count=16 oflag=direct 2>/dev/null`);
  await vm.sh(`echo 1 >/sys/block/${disk.path.slice(5)}/device/delete`);
  t.not((await vm.exec(['dd', 'if=/dev/zero', `of=${dev}`, 'bs=4k', 'count=1', 'oflag=direct'])).code, 0);
  t.is(await field(vm, 'p-low', 'state'), 'io-error');
  await hideDisk(vm, 'p');
  t.regex(await refusal(vm, { type: 'bdev', path: disk.path }), /no-path/);
  await vm.sh('rmmod mars');
});

for (const bus of ['virtio', 'nvme'] as const)
  vmTest(`bdev: a power cut loses nothing that was flushed or forced through (${bus})`, async (t, lab) => {
    const vm = await lab.vm('a');
    const disk = await vm.disk('d', { bus, backend: 'volatile', size: 32 * MIB });
    await vm.sh('modprobe mars');
    const dev = await showDisk(vm, 'v', { type: 'bdev', path: disk.path, flags: 'excl' });
    const fill = (letter: string, mib: number, words: string): string =>
      `tr '\\0' ${letter} </dev/zero | dd of=${dev} bs=64k count=16 iflag=fullblock seek=${mib * 16} ${words} 2>/dev/null`;
    await vm.sh(fill('F', 0, 'oflag=direct conv=fsync'));
    await vm.sh(fill('S', 1, 'oflag=direct,dsync'));
    await vm.sh(fill('L', 2, 'oflag=direct'));
    await vm.powerCut();
    await vm.start();
    const left = (letter: string, mib: number): Promise<string> =>
      vm.sh(`dd if=${disk.path} bs=1M skip=${mib} count=1 2>/dev/null | tr -dc ${letter} | wc -c`);
    t.is(await left('F', 0), `${MIB}\n`);
    t.is(await left('S', 1), `${MIB}\n`);
    t.is(await left('L', 2), '0\n');
  });

vmTest('bdev: on, off, on again under load, without a rest', async (t, lab) => {
  const vm = await lab.vm('a', { smp: 2 });
  const disk = await vm.disk('d', { size: 32 * MIB });
  await vm.sh('modprobe mars');
  await vm.sh('marsctl batch', {
    stdin: `${lowerCommands('l', { type: 'bdev', path: disk.path })}\nswitch l off\n`,
  });
  const dev = await showDisk(vm, 'r', { type: 'bdev', path: disk.path, flags: 'excl' });
  // the load holds the disk open until its end, from before it begins
  const round = [
    `exec 9<${dev}`,
    `(${verify(dev, '--rw=randwrite --bs=4k --iodepth=32 --size=2m --direct=1')}) & load=$!`,
    'until marsctl switch r off 2>/tmp/why; do grep -q ": open (" /tmp/why || { cat /tmp/why; exit 1; }; echo refused; exec 9<&-; done',
    'wait $load || exit 1',
    'marsctl switch r-low off && marsctl switch r-low on && marsctl switch r on && echo again',
  ].join('\n');
  for (let i = 0; i < 3; i++) t.regex(await vm.sh(round), /^(refused\n)+again\n$/, `round ${i}`);
  await hideDisk(vm, 'r');
  await vm.sh('marsctl destroy l; rmmod mars');
});

vmTest('what a logger kept in any order reaches the disk in a few long writes', async (t, lab) => {
  const vm = await lab.vm('a', { smp: 2 });
  const stack = await Stack.make(vm, { mapped: true });
  await stack.up();
  const written = async (): Promise<number[]> =>
    (await vm.sh(`cat /sys/block/${stack.data.path.slice(5)}/stat`))
      .trim()
      .split(/\s+/)
      .slice(4, 7)
      .map(Number);
  // the disk stands still until all is there: only what had begun goes in the order it came
  await vm.sh('dmsetup suspend --nolockfs --noflush data');
  const before = await written();
  await vm.sh(
    `fio --name=w --filename=${stack.dev} --direct=1 --rw=randwrite --bs=4k --size=4m --ioengine=libaio --iodepth=32 >/tmp/fio.out || { cat /tmp/fio.out; false; }`,
  );
  await vm.sh('dmsetup resume data; marsctl set g logger.checkpoint');
  await stack.wait('g', 'dirty', 0);
  const after = await written();
  const [writes = 0, , sectors = 0] = after.map((value, i) => value - (before[i] ?? 0));
  const requests = Number(await stack.status('d', 'writes'));
  t.log(`${requests} requests, ${writes} writes`);
  t.is(sectors, (4 * MIB) / 512);
  // of 1024 that came: the logger joins neighbours, and what it sends stays together
  t.true(requests <= 1024 / 8, `${requests} requests`);
  t.true(writes <= 1024 / 8, `${writes} writes`);
  await stack.down();
  await vm.sh('umount /log; dmsetup remove log; dmsetup remove data; rmmod mars');
});

vmTest('a disk that hangs while it is switched on holds up no other', async (t, lab) => {
  const vm = await lab.vm('a', { smp: 2 });
  const disk = await vm.disk('d', { size: 16 * MIB });
  const other = await vm.disk('o', { size: 16 * MIB });
  await vm.sh(
    `modprobe mars; truncate -s 1M /tmp/f; dmsetup create slow --table "0 32768 linear ${disk.path} 0"`,
  );
  // dirty pages that a disk at a standstill does not take; who has it open keeps them
  await vm.sh(
    'setsid sh -c "exec 9<>/dev/dm-0; dd if=/dev/urandom bs=64k count=8 >&9 2>/dev/null; ' +
      'dmsetup suspend --nolockfs --noflush slow; echo \\$\\$ >/tmp/stands; exec sleep 1000" </dev/null >/dev/null 2>&1 &',
  );
  await vm.until('test -s /tmp/stands');
  await vm.sh('marsctl create bdev s && marsctl set s file.path text /dev/dm-0');
  await vm.sh(
    '(marsctl switch s on & echo $! >/tmp/pid; wait $!; echo $? >/tmp/code) </dev/null >/dev/null 2>&1 &',
  );
  await vm.until('grep -q filemap_write_and_wait /proc/$(cat /tmp/pid)/stack');
  // another resource lives its whole life
  const dev = await showDisk(vm, 'x', { type: 'bdev', path: other.path, flags: 'excl' });
  await vm.sh(verify(dev, '--rw=write --bs=64k --size=1m --direct=1'));
  await hideDisk(vm, 'x');
  t.is(await refusal(vm, { type: 'file', path: '/tmp/f', flags: 'excl' }), '');
  // of the brick itself nothing can be had but its status
  t.is(await field(vm, 's', 'on'), '0');
  for (const call of ['switch s off', 'switch s on', 'set s file.size 4096', 'destroy s']) {
    const outcome = await vm.exec(['marsctl', ...call.split(' ')]);
    t.not(outcome.code, 0, call);
    t.regex(outcome.stderr, /not-now/, call);
  }
  await vm.sh('! test -e /tmp/code; dmsetup resume slow');
  t.is(await vm.until('cat /tmp/code'), '0\n');
  t.is(await field(vm, 's', 'on'), '1');
  await vm.sh('marsctl switch s off; marsctl destroy s; kill $(cat /tmp/stands); rmmod mars');
});
