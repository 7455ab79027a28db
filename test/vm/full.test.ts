// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The log disk is full. Writers wait, as for any disk that does not answer: they can't be
 * killed meanwhile (a signal acts once their IO ends), and who sleeps in a file system longer
 * than kernel.hung_task_timeout_secs is reported there, which is the truth. Reads go on; with
 * new space everything goes on, and nothing is lost.
 */
import type { ExecutionContext } from 'ava';
import { fsck, Load, mkfs, seeded, Stack } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;
/** IF_CHANGES of kernel/linux/if.h */
const CHANGES = 4096;
const SYSFS = '/sys/block/mars!x/mars';

/** Take all space that the log does not have yet, but for some MiB. */
async function fillUp(stack: Stack): Promise<void> {
  await stack.vm.sh(
    'free=$(($(stat -f -c %a /log) * 4096 - 6 * 1048576)); fallocate -l $free /log/filler; sync',
  );
}

/**
 * The log has no space, somebody waits, and everybody is told so.
 *
 * @param direct - readers go past the page cache. Not beside a file system: a direct read first
 * writes back what the page cache of the device holds, and that waits for the log as any writer.
 */
async function untilFull(t: ExecutionContext, stack: Stack, direct = true): Promise<void> {
  await stack.vm.until(`[ "$(cat ${SYSFS}/state)" = log-space-full ] && [ "$(cat ${SYSFS}/waiters)" -gt 0 ]`);
  t.is(await stack.status('g', 'state'), 'log-space-full');
  // the device answers readers, at any place
  const read = `dd if=${stack.dev} of=/dev/null bs=256k`;
  await stack.vm.sh(direct ? `${read} iflag=direct` : `echo 1 >/proc/sys/vm/drop_caches; ${read}`);
}

vmTest('a full log disk: writers wait, readers do not; new space, and nothing is lost', async (t, lab) => {
  const random = seeded(t);
  const vm = await lab.vm('a', { smp: 2 });
  const stack = await Stack.make(vm, { log: { size: 96 * MIB }, credits: 8 * MIB });
  await stack.up();
  await fillUp(stack);
  // direct IO waits in a way that the detector knows; it must stay silent
  await vm.sh('sysctl -qw kernel.hung_task_timeout_secs=5');
  const load = new Load(vm, 'raw', stack.dev, random(2 ** 31));
  await untilFull(t, stack);

  const refused = await vm.exec(['marsctl', 'switch', 'x', 'off']);
  t.regex(refused.stderr, /: open \(/);
  t.not((await vm.exec(['rmmod', 'mars'])).code, 0);
  t.not((await vm.exec(['umount', '/log'])).code, 0);
  const before = load.count;
  // longer than the detector's time, by its own clock: it has looked twice
  await vm.sh(
    's=$(cut -d. -f1 /proc/uptime); until [ $(($(cut -d. -f1 /proc/uptime) - s)) -ge 12 ]; do usleep 200000; done',
  );
  t.is(load.count, before, 'nobody is told that something is durable');
  t.is(await stack.status('g', 'state'), 'log-space-full');

  await vm.sh('rm /log/filler');
  await load.more(20);
  await vm.until(`[ "$(cat ${SYSFS}/state)" = ok ]`);
  await load.kill();
  await load.check();
  await stack.down();
  await load.check(stack.data.path);
  await vm.sh('umount /log; rmmod mars');
});

vmTest(
  'behind a full log only so many changes wait inside the disk, the others before it; reads pass',
  async (t, lab) => {
    const vm = await lab.vm('a', { smp: 2 });
    const stack = await Stack.make(vm, { log: { size: 96 * MIB }, credits: 8 * MIB });
    await stack.up();
    await fillUp(stack);
    const flood = vm.exec(
      `fio --name=flood --filename=${stack.dev} --rw=randwrite --bs=4k --size=48m --ioengine=libaio --direct=1 --iodepth=8192 --output-format=terse`.split(
        ' ',
      ),
      { timeout: 400000 },
    );
    flood.catch(() => undefined);
    const inside = (): Promise<string> => stack.status('x', 'in_flight');
    await vm.until(`[ "$(marsctl status x in_flight)" -gt ${CHANGES} ]`, 200000);
    await untilFull(t, stack);
    t.is(await inside(), String(CHANGES + 1), 'and the one that waits for room');
    await vm.sh('rm /log/filler');
    const { code, stdout, stderr } = await flood;
    t.is(code, 0, stdout + stderr);
    t.is(await inside(), '0');
    await stack.down();
    await vm.sh('umount /log; rmmod mars');
  },
  { timeout: 500000 },
);

vmTest('a writer killed while the log disk is full ends when there is space', async (t, lab) => {
  const random = seeded(t);
  const vm = await lab.vm('a', { smp: 2 });
  const stack = await Stack.make(vm, { log: { size: 96 * MIB }, credits: 8 * MIB });
  await stack.up();
  await fillUp(stack);
  const load = new Load(vm, 'raw', stack.dev, random(2 ** 31));
  await untilFull(t, stack);
  await load.shoot();
  await vm.sh('rm /log/filler');
  await load.ended;
  await vm.until('[ "$(marsctl status x clients)" = 0 ]');
  await load.check();
  await stack.down();
  await load.check(stack.data.path);
  t.pass();
});

for (const ending of ['space comes back', 'the power fails'] as const)
  vmTest(`a file system stands still on a full log disk, then ${ending}`, async (t, lab) => {
    const random = seeded(t);
    const vm = await lab.vm('a', { smp: 2 });
    vm.expected.push(/EXT4-fs .*recover/);
    const volatile = { backend: 'volatile', bus: 'scsi' } as const;
    const stack = await Stack.make(vm, {
      data: volatile,
      log: { ...volatile, size: 96 * MIB },
      credits: 8 * MIB,
    });
    await stack.up();
    await vm.sh(`${mkfs('ext4', stack.dev)}; mkdir /mnt/x; mount ${stack.dev} /mnt/x`);
    await fillUp(stack);
    const load = new Load(vm, 'run', '/mnt/x', random(2 ** 31));
    await untilFull(t, stack, false);
    if (ending === 'space comes back') {
      await vm.sh('rm /log/filler');
      await load.more(20);
      await load.kill();
    } else {
      await vm.powerCut();
      await load.ended;
      await vm.start();
      await stack.mount();
      await stack.replay();
      await vm.sh('rm /log/filler');
      await stack.up();
      await vm.sh(`mkdir /mnt/x; mount ${stack.dev} /mnt/x`);
    }
    await load.check();
    await vm.sh(`umount /mnt/x; ${fsck('ext4', stack.dev)}`);
    await stack.down();
  });
