// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Every write and flush below data disk and log disk is recorded in one order while a file system
 * works on /dev/mars/x. Then the power is cut at flush marks of that record (as many as
 * MARS_CRASH_POINTS says; the first and the last are always among them), each time with another
 * part of what was not flushed: recovery, file system check, everything there that was reported
 * durable until then. One disk keeping all and the other nothing shows that neither runs ahead of
 * the other: no data before its record, no position before the data.
 */
import { Recorder, type Survival } from '../../lab/vm/recorder.js';
import { fsck, Load, mkfs, seeded, Stack, type Fs, type Random } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;
const POINTS = Number(process.env['MARS_CRASH_POINTS'] ?? 30);

/** What the disks keep: the extremes first. */
const FATES: readonly Readonly<Record<'data' | 'log', Survival>>[] = [
  { data: 'all', log: 'none' },
  { data: 'none', log: 'all' },
  { data: 'random', log: 'random' },
  { data: 'none', log: 'none' },
  { data: 'random', log: 'none' },
  { data: 'none', log: 'random' },
];

/** Numbers of moments right behind a flush, in their order: all, or the first, the last and a choice of the others. */
function flushMarks(recorder: Recorder, random: Random): number[] {
  const marks = recorder.moments.flatMap((m, index) => (m.kind === 'flush' ? [index + 1] : []));
  while (marks.length > Math.max(POINTS, 2)) marks.splice(1 + random(marks.length - 2), 1);
  return marks;
}

for (const fs of ['ext4', 'xfs'] as const satisfies readonly Fs[])
  vmTest(
    `a power cut at any flush mark of either disk: ${fs}`,
    async (t, lab) => {
      const random = seeded(t);
      const recorder = new Recorder(lab.dir);
      t.teardown(() => recorder.close());
      const size = { data: (fs === 'xfs' ? 304 : 32) * MIB, log: 64 * MIB };
      const vm = await lab.vm('a', { smp: 2 });
      vm.expected.push(/EXT4-fs .*recover/, /XFS .*recover/i);
      const stack = await Stack.make(vm, {
        data: {
          backend: 'own',
          bus: 'scsi',
          socket: await recorder.disk('data', size.data),
          size: size.data,
        },
        log: { backend: 'own', bus: 'virtio', socket: await recorder.disk('log', size.log), size: size.log },
        credits: 8 * MIB,
      });
      await stack.up();
      await vm.sh(
        `${mkfs(fs, stack.dev)}; mkdir -p /mnt/x; mount ${stack.dev} /mnt/x; sync; marsctl set g logger.checkpoint`,
      );
      await stack.wait('g', 'dirty', 0);
      recorder.record();
      const load = new Load(vm, 'run', '/mnt/x', random(2 ** 31), 0, (text) => recorder.mark(text));
      await load.more(150);
      recorder.stop();
      await vm.crash();
      await load.ended;

      await vm.start();
      await vm.sh('modprobe mars; mkdir -p /log /mnt/x');
      const marks = flushMarks(recorder, random);
      for (const [index, mark] of marks.entries()) {
        const fate = FATES[index % FATES.length] ?? FATES[0];
        recorder.cut(mark, fate ?? {}, random);
        await vm.sh(`mount ${stack.log.path} /log`);
        await stack.replay();
        await vm.sh(`mount -t ${fs} ${stack.data.path} /mnt/x`);
        try {
          await load.check('/mnt/x', recorder.marked(mark));
          await vm.sh(`umount /mnt/x; ${fsck(fs, stack.data.path)}; umount /log`);
        } catch (error) {
          t.log(`moment ${mark}, ${JSON.stringify(fate)}`);
          throw error;
        }
      }
      t.log(`${marks.length} of ${recorder.moments.filter((m) => m.kind === 'flush').length} flush marks`);
      t.true(marks.length >= Math.min(POINTS, 30));
    },
    { timeout: 400000 },
  );
