// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A disk that fails for a while, under the data or under the log (dm-flakey, dm-error).
 */
import { fsck, Load, mkfs, seeded, Stack } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;
/** what the kernel says of a disk that fails */
const ERRORS = [
  /I\/O error/,
  /Buffer I\/O/,
  /critical .* error/,
  /EXT4-fs (error|warning|\()/,
  /JBD2/,
  /Aborting journal/,
];

type Which = 'data' | 'log';

/** Change what device mapper does with a disk, under whoever uses it. */
async function become(stack: Stack, which: Which, table: string): Promise<void> {
  await stack.vm.sh(
    `set -e; dmsetup suspend --nolockfs --noflush ${which}; echo "${table}" | dmsetup load ${which}; dmsetup resume ${which}`,
  );
}

/** Tables: sectors by the length the map has now. */
const sectors = async (stack: Stack, which: Which): Promise<number> =>
  Number(await stack.vm.sh(`blockdev --getsz ${stack.device(which)}`));

async function heal(stack: Stack, which: Which): Promise<void> {
  await become(stack, which, `0 ${await sectors(stack, which)} linear ${stack[which].path} 0`);
}

/** Reads are served, writes and flushes fail. */
async function refuseWrites(stack: Stack, which: Which): Promise<void> {
  await become(
    stack,
    which,
    `0 ${await sectors(stack, which)} flakey ${stack[which].path} 0 0 3600 1 error_writes`,
  );
}

/**
 * Off, and what a machine does before it uses the data disk again. After a failed flush nobody
 * knows what the disk has, so the published position stayed, and replay from there heals.
 */
async function recovered(stack: Stack): Promise<void> {
  const start = Number(await stack.status('g', 'ckpt'));
  await stack.down();
  await stack.replay(start);
}

vmTest('the data disk refuses writes for a while: the state says so, nothing is lost', async (t, lab) => {
  const random = seeded(t);
  const vm = await lab.vm('a', { smp: 2 });
  vm.expected.push(...ERRORS);
  const stack = await Stack.make(vm, { mapped: true, credits: 8 * MIB });
  await vm.sh('modprobe dm_flakey');
  await stack.up();
  const load = new Load(vm, 'raw', stack.dev, random(2 ** 31));
  for (let round = 0; round < 3; round++) {
    await load.more(1 + random(8));
    await refuseWrites(stack, 'data');
    await stack.wait('g', 'state', 'data-write-error');
    // it takes what its memory can hold, and answers reads of all of it
    await vm.until('[ "$(marsctl status g waiters)" -gt 0 ]');
    t.true(Number(await stack.status('g', 'peak')) <= 8 * MIB);
    await vm.sh(`dd if=${stack.dev} of=/dev/null bs=256k count=64 iflag=direct 2>/dev/null`);
    await heal(stack, 'data');
    // it goes on: more than fits into its memory
    await load.more(8);
  }
  await load.kill();
  await load.check();
  await recovered(stack);
  await load.check(stack.device('data'));
  await vm.sh('umount /log; dmsetup remove log; dmsetup remove data; rmmod mars');
});

vmTest('off while the data disk refuses writes: the log keeps what the disk has not', async (t, lab) => {
  const random = seeded(t);
  const vm = await lab.vm('a', { smp: 2 });
  vm.expected.push(...ERRORS);
  const stack = await Stack.make(vm, { mapped: true, credits: 8 * MIB });
  await vm.sh('modprobe dm_flakey');
  await stack.up();
  await refuseWrites(stack, 'data');
  // no more than the memory can hold
  const load = new Load(vm, 'raw', stack.dev, random(2 ** 31), 32);
  t.is(await load.ended, 0);
  await stack.wait('g', 'state', 'data-write-error');
  const start = Number(await stack.status('g', 'ckpt'));
  await stack.down();
  await heal(stack, 'data');
  await stack.replay(start);
  await load.check(stack.device('data'));
});

vmTest(
  'the log disk refuses writes: so does the device, reads go on, and a new log begins',
  async (t, lab) => {
    const random = seeded(t);
    const vm = await lab.vm('a', { smp: 2 });
    vm.expected.push(...ERRORS);
    const stack = await Stack.make(vm, { mapped: true, credits: 8 * MIB });
    await vm.sh('modprobe dm_flakey');
    await stack.up();
    const load = new Load(vm, 'raw', stack.dev, random(2 ** 31));
    await load.more(5 + random(30));
    await refuseWrites(stack, 'log');
    t.is(await load.ended, 1);
    t.regex(load.error, /Input\/output error/);
    t.is(await stack.status('g', 'state'), 'log-write-error');
    t.is(await vm.sh('cat /sys/block/mars!x/mars/state'), 'log-write-error\n');
    const write = await vm.exec([
      'dd',
      'if=/dev/zero',
      `of=${stack.dev}`,
      'bs=4k',
      'count=1',
      'oflag=direct',
    ]);
    t.regex(write.stderr, /Input\/output error/);
    t.regex(
      (await vm.exec(['dd', 'if=/dev/zero', `of=${stack.dev}`, 'bs=4k', 'count=1', 'conv=fsync'])).stderr,
      /Input\/output error/,
    );
    await vm.sh(`dd if=${stack.dev} of=/dev/null bs=256k count=64 iflag=direct 2>/dev/null`);
    await stack.down();
    await vm.sh('umount /log');
    await heal(stack, 'log');
    await vm.sh(
      `e2fsck -fy ${stack.device('log')} >/dev/null; [ $? -le 1 ]; mount ${stack.device('log')} /log`,
    );
    await stack.replay();
    await load.check(stack.device('data'));
    await stack.up();
    // a check knows its own load only
    await vm.sh(`dd if=/dev/zero of=${stack.dev} bs=1M count=64 oflag=direct 2>/dev/null`);
    const again = new Load(vm, 'raw', stack.dev, random(2 ** 31), 32);
    t.is(await again.ended, 0, again.error);
    await again.check();
    await stack.down();
    await again.check(stack.device('data'));
  },
);

vmTest('a data disk with unreadable places: errors there, and only there', async (t, lab) => {
  const vm = await lab.vm('a', { smp: 2 });
  vm.expected.push(...ERRORS);
  const stack = await Stack.make(vm, { mapped: true, credits: 8 * MIB });
  await stack.up();
  const half = 32 * MIB;
  await become(
    stack,
    'data',
    `0 ${half / 512} linear ${stack.data.path} 0\n${half / 512} ${half / 512} error`,
  );
  const read = (from: number, count: number): Promise<{ code: number }> =>
    vm.exec([
      'dd',
      `if=${stack.dev}`,
      'of=/dev/null',
      'bs=64k',
      `skip=${from}`,
      `count=${count}`,
      'iflag=direct',
    ]);
  t.is((await read(0, 512)).code, 0);
  t.not((await read(512, 1)).code, 0);
  t.not((await read(700, 1)).code, 0);
  // what was written since is in memory and in the log, and is read from there
  await vm.sh(
    `tr '\\0' y </dev/zero | dd of=${stack.dev} bs=64k count=8 seek=600 iflag=fullblock oflag=direct 2>/dev/null`,
  );
  await stack.wait('g', 'state', 'data-write-error');
  t.is(
    await vm.sh(`dd if=${stack.dev} bs=64k count=8 skip=600 iflag=direct 2>/dev/null | tr -d y | wc -c`),
    '0\n',
  );
  await vm.sh(`dd if=/dev/zero of=${stack.dev} bs=64k count=8 oflag=direct 2>/dev/null`);
  await heal(stack, 'data');
  await stack.wait('g', 'state', 'ok');
  t.is((await read(0, 1024)).code, 0);
  await stack.down();
  t.is(
    await vm.sh(`dd if=${stack.device('data')} bs=64k count=8 skip=600 2>/dev/null | tr -d y | wc -c`),
    '0\n',
  );
});

vmTest('a file system above survives a data disk that comes and goes', async (t, lab) => {
  const random = seeded(t);
  const vm = await lab.vm('a', { smp: 2 });
  vm.expected.push(...ERRORS.slice(0, 3));
  const stack = await Stack.make(vm, { mapped: true, credits: 16 * MIB });
  await vm.sh('modprobe dm_flakey');
  await stack.up();
  await vm.sh(`${mkfs('ext4', stack.dev)}; mkdir /mnt/x; mount ${stack.dev} /mnt/x`);
  const load = new Load(vm, 'run', '/mnt/x', random(2 ** 31));
  for (let round = 0; round < 2; round++) {
    await load.more(20 + random(50));
    await refuseWrites(stack, 'data');
    await stack.wait('g', 'state', 'data-write-error');
    await heal(stack, 'data');
    await load.more(20);
  }
  await load.kill();
  await load.check();
  await vm.sh(`umount /mnt/x; ${fsck('ext4', stack.dev)}`);
  await recovered(stack);
  await vm.sh(fsck('ext4', stack.device('data')));
  t.pass();
});
