// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The power fails at a random moment, and all disks lose what they did not flush. After
 * recovery the file system is without fault, everything that was reported durable is there, and
 * a disk without file system shows an exact prefix of what was written to it.
 */
import { fsck, Load, mkfs, seeded, Stack, type Fs } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;
const ROUNDS = Number(process.env['MARS_CUT_ROUNDS'] ?? 3);
/** one disk has FUA, the other has none (not nvme: what the emulator offers there ignores FUA) */
const BUSES = [
  { fs: 'ext4', data: 'virtio', log: 'scsi' },
  { fs: 'xfs', data: 'scsi', log: 'virtio' },
] as const;

/** A database beside: not promised anything, but it keeps the disk busy. */
const NOISE =
  'fio --name=noise --directory=/mnt/x --rw=randwrite --bs=4k --size=2m --fsync=8 --time_based --runtime=600 >/dev/null 2>&1';

const mount = (fs: Fs, dev: string): string => `mkdir -p /mnt/x; mount -t ${fs} ${dev} /mnt/x`;

for (const { fs, data, log } of BUSES)
  vmTest(`the primary loses power under load, again and again: ${fs}`, async (t, lab) => {
    const random = seeded(t);
    const vm = await lab.vm('a', { smp: 2 });
    vm.expected.push(/EXT4-fs .*recover/, /XFS .*recover/i);
    // no smaller XFS exists
    const size = (fs === 'xfs' ? 304 : 64) * MIB;
    const stack = await Stack.make(vm, {
      data: { backend: 'volatile', bus: data, size },
      log: { backend: 'volatile', bus: log },
    });
    await stack.up();
    await vm.sh(mkfs(fs, stack.dev));
    for (let round = 0; round < ROUNDS; round++) {
      await vm.sh(`${mount(fs, stack.dev)}; mkdir /mnt/x/load${round}; sync`);
      const load = new Load(vm, 'run', `/mnt/x/load${round}`, random(2 ** 31));
      const noise = vm.exec(['sh', '-c', NOISE], { timeout: 600000 }).catch(() => undefined);
      await load.more(20 + random(200));
      await vm.powerCut();
      await Promise.all([load.ended, noise]);
      await vm.start();
      await stack.mount();
      const end = await stack.replay();
      t.log(`round ${round}: ${load.count} acknowledged, ${end} bytes of log`);
      await stack.up();
      await vm.sh(mount(fs, stack.dev));
      await load.check();
      await vm.sh(`umount /mnt/x; ${fsck(fs, stack.dev)}`);
    }
    await stack.down();
    await vm.sh('rmmod mars');
    t.pass();
  });

vmTest('a disk without file system shows an exact prefix after a power cut', async (t, lab) => {
  const random = seeded(t);
  const vm = await lab.vm('a', { smp: 2 });
  vm.expected.push(/EXT4-fs .*recover/);
  const volatile = { backend: 'volatile', bus: 'scsi' } as const;
  const stack = await Stack.make(vm, { data: volatile, log: volatile, credits: 8 * MIB });
  for (let round = 0; round < ROUNDS; round++) {
    await stack.up();
    // the workers' versions begin again
    await vm.sh(`dd if=/dev/zero of=${stack.dev} bs=1M count=16 oflag=direct conv=fsync 2>/dev/null`);
    const load = new Load(vm, 'raw', stack.dev, random(2 ** 31));
    await load.more(5 + random(60));
    // the position published last: replay may begin there (it never runs ahead of the disk)
    const start = Number(await stack.status('g', 'ckpt'));
    await load.more(random(20));
    await vm.powerCut();
    await load.ended;
    await vm.start();
    await stack.mount();
    const end = await stack.replay(start);
    t.log(`round ${round}: ${load.count} acknowledged, log replayed from ${start} to ${end}`);
    await load.check(stack.data.path);
  }
  t.pass();
});

vmTest(
  'primary and replica lose power, and end equal byte for byte',
  async (t, lab) => {
    const random = seeded(t);
    const vm = await lab.vm('a', { smp: 2 });
    vm.expected.push(/EXT4-fs .*recover/);
    const volatile = { backend: 'volatile', bus: 'scsi' } as const;
    const stack = await Stack.make(vm, { data: volatile, log: volatile, credits: 8 * MIB });
    const replica = await vm.disk('replica', { ...volatile, size: 64 * MIB });
    for (let round = 0; round < 2; round++) {
      await stack.up();
      await stack.control(...stack.replayCommands(replica.path, 0, await follow(stack)));
      const load = new Load(vm, 'raw', stack.dev, random(2 ** 31));
      // the replica is told of what is durable, as if it had been transferred
      for (let step = random(6) + 2; step > 0; step--)
        await vm.sh(`marsctl set r replay.end ${await follow(stack)}`);
      const start = Number(await stack.status('r', 'ckpt'));
      await load.more(1 + random(10));
      await vm.powerCut();
      await load.ended;
      await vm.start();
      await stack.mount();
      const ends = [await stack.replay(), await stack.replay(start, replica.path)];
      t.log(`round ${round}: ${load.count} acknowledged; log of ${ends[0]} bytes, the replica had ${start}`);
      t.is(ends[0], ends[1]);
      const sums = await vm.sh(`sha256sum <${stack.data.path}; sha256sum <${replica.path}`);
      t.is(new Set(sums.trim().split('\n')).size, 1, sums);
      if (round === 0) await load.check(replica.path);
    }
  },
  { timeout: 400000 },
);

/** What is durable in the log. */
const follow = async (stack: Stack): Promise<number> => Number(await stack.status('g', 'durable'));
