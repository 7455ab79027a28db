// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Two processors and the data: writers that run out of shadow memory together, flushes, writes,
 * reads and discards of the same blocks, bricks that come and go, all while others look on.
 * (races.test.ts: hands on every knob.)
 */
import type { ExecutionContext } from 'ava';
import type { VmLab } from '../../lab/vm/lab.js';
import { Stack } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;

/** A primary with little shadow memory, so that writers wait for credits again and again. */
async function primary(lab: VmLab, credits?: number): Promise<Stack> {
  const vm = await lab.vm('a', { smp: 2 });
  const stack = await Stack.make(vm, {
    log: { size: 384 * MIB, bus: 'nvme' },
    ...(credits === undefined ? {} : { credits }),
  });
  await stack.up();
  return stack;
}

/** Asks for the state of all bricks over and over, on both processors, until /run/stop is there. */
const ONLOOKERS =
  'for i in 1 2; do (until [ -e /run/stop ]; do for b in $(marsctl list | cut -d" " -f1) nobody; do marsctl status $b >/dev/null 2>&1; done; ' +
  'cat /proc/sys/mars/lamport_clock >/dev/null 2>&1; find /sys/kernel/mars /sys/block/mars*/mars -type f 2>/dev/null | xargs cat >/dev/null 2>&1; done) & done';

vmTest('writers run out of shadow memory together, and none is forgotten', async (t, lab) => {
  const stack = await primary(lab, 4 * MIB);
  await stack.vm.sh(ONLOOKERS);
  await stack.vm.sh(
    `fio --name=a --filename=${stack.dev} --direct=1 --ioengine=libaio --rw=randwrite --bsrange=4k-64k --bs_unaligned=0 ` +
      '--blockalign=4k --iodepth=32 --numjobs=4 --size=12m --offset_increment=12m --verify=crc32c --do_verify=1 --verify_fatal=1 ' +
      '--output-format=terse >/tmp/fio.out || { cat /tmp/fio.out; false; }',
    { timeout: 300000 },
  );
  await stack.vm.sh('touch /run/stop; wait');
  await stack.down();
  t.pass();
});

vmTest('flushes, writes that go through and reads of the same blocks meet', async (t, lab) => {
  const stack = await primary(lab);
  const job = (name: string, ...words: string[]): string =>
    `fio --name=${name} --filename=${stack.dev} --direct=1 --size=4m --output-format=terse ${words.join(' ')} >/tmp/fio.${name} 2>&1`;
  const verify = '--verify=crc32c --do_verify=1 --verify_fatal=1';
  // the first two own their blocks, the others share theirs until those are through
  const owners = {
    w: `--rw=randwrite --bs=4k --ioengine=libaio --iodepth=16 --fsync=4 ${verify}`,
    f: `--rw=randwrite --bs=8k --ioengine=psync --sync=1 --offset=4m ${verify}`,
  };
  const others = {
    a: '--rw=randwrite --bs=4k --ioengine=libaio --iodepth=16 --fsync=4 --offset=8m',
    s: '--rw=randwrite --bs=8k --ioengine=psync --sync=1 --offset=8m',
    d: '--rw=randtrim --bs=16k --ioengine=psync --offset=8m',
    r: '--rw=randread --bs=64k --ioengine=libaio --iodepth=8 --size=12m',
  };
  const start = (name: string, script: string): string => `(${script}) & ${name}=$!`;
  const end = (name: string): string =>
    `wait $${name} || { cat /tmp/fio.${name}; failed="$failed ${name}"; }`;
  await stack.vm.sh(
    [
      ...Object.entries(owners).map(([name, words]) => start(name, job(name, words))),
      ...Object.entries(others).map(([name, words]) =>
        start(name, `while ${job(name, words)}; do [ ! -e /run/through ] || exit 0; done; exit 1`),
      ),
      ...Object.keys(owners).map(end),
      'touch /run/through',
      ...Object.keys(others).map(end),
      'echo "failed: $failed"; [ -z "$failed" ]',
    ].join('\n'),
    { timeout: 300000 },
  );
  const content = (disk: string): Promise<string> =>
    stack.vm.sh(`dd if=${disk} bs=1M count=12 iflag=direct 2>/dev/null | sha256sum`);
  const shown = await content(stack.dev);
  await stack.down();
  t.is(await content(stack.data.path), shown);
});

async function comesAndGoes(t: ExecutionContext, stack: Stack): Promise<void> {
  const { vm } = stack;
  await vm.sh(ONLOOKERS);
  for (let i = 0; i < 5; i++) {
    await vm.sh(
      `dd if=/dev/urandom of=${stack.dev} bs=64k count=16 oflag=direct 2>/dev/null; ` +
        `dd if=${stack.dev} bs=1M count=1 iflag=direct 2>/dev/null | sha256sum >/tmp/shown`,
    );
    await stack.down();
    await vm.sh(
      `dd if=${stack.data.path} bs=1M count=1 iflag=direct 2>/dev/null | sha256sum | cmp - /tmp/shown`,
    );
    await stack.up();
  }
  await vm.sh('touch /run/stop; wait');
  await stack.down();
  t.pass();
}

vmTest('a primary comes and goes while others look on', async (t, lab) => {
  await comesAndGoes(t, await primary(lab));
});
