// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Two processors, everything at once: load on the disk, and hands on every knob. Whatever is
 * refused must be refused with a reason, and what was written must be there.
 */
import type { VmLab } from '../../lab/vm/lab.js';
import type { Vm } from '../../lab/vm/vm.js';
import { Load, seeded, Stack } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;

/** Something repeated as long as the file /run/go exists; what it printed last. */
const again = (vm: Vm, script: string): Promise<string> =>
  vm.sh(`n=0; while [ -e /run/go ]; do ${script}; n=$((n+1)); done; echo $n`, { timeout: 170000 });

/** Open and close, look, and try to take away what is in use. */
const POKES = [
  ': </dev/mars/x; : <>/dev/mars/x',
  'blockdev --flushbufs --getsize64 --getro /dev/mars/x >/dev/null',
  'marsctl switch x off 2>&1 | grep -q ": open (" || echo "x went off" >>/run/wrong',
  'marsctl destroy g 2>/dev/null && echo "g went" >>/run/wrong; marsctl disconnect g 0 2>/dev/null && echo "wire went" >>/run/wrong; true',
  'rmmod mars 2>/dev/null && echo "module went" >>/run/wrong; true',
  'marsctl set x if.resize; marsctl set g logger.checkpoint; marsctl set g logger.delay 1000 2>/dev/null; true',
  'cat /sys/block/mars!x/mars/* /sys/kernel/mars/* /proc/sys/mars/* >/dev/null 2>&1; marsctl list >/dev/null',
] as const;

/** Rotate the log as soon as the last rotation is through. */
const ROTATE = `
name() { printf /log/log-%09d-a $1; }
marsctl wait g old_slot 0 60
old=$(( 3 - $(marsctl status g slot) ))
number=$(( $(marsctl status g number) + 1 ))
if marsctl status l$old state >/dev/null 2>&1; then
  marsctl disconnect g $old && marsctl switch l$old off && marsctl destroy l$old || exit 1
fi
{
  echo "create file l$old"
  echo "set l$old file.path text $(name $number)"
  echo "set l$old file.flags direct,create,append"
  echo "switch l$old on"
  echo "connect g $old l$old"
  echo "set g logger.rotate $old ident number=$number origin=a timeline=1"
} | marsctl batch || exit 1
marsctl wait g number $number 60 || exit 1
[ $number -lt 4 ] || rm -f $(name $((number - 3)))`;

/** Slide a checking brick under the logger, and take it out again. */
const REWIRE =
  'printf "create check c\\nconnect c 0 d\\nswitch c on\\nconnect g 0 c\\n" | marsctl batch || exit 1; ' +
  'for v in twice buffer align vec; do [ $(marsctl status c $v) = 0 ] || echo "check: $v" >>/run/wrong; done; ' +
  'marsctl connect g 0 d || exit 1; ' +
  'until marsctl switch c off 2>/dev/null; do usleep 2000; done; marsctl destroy c || exit 1';

vmTest('every knob is turned while a disk is written', async (t, lab) => {
  const random = seeded(t);
  const vm = await lab.vm('a', { smp: 2 });
  const stack = await Stack.make(vm, { log: { size: 384 * MIB }, credits: 8 * MIB });
  await stack.up();
  await vm.sh('touch /run/go');
  const load = new Load(vm, 'raw', stack.dev, random(2 ** 31));
  await load.more(1);
  const work = [...POKES, ROTATE, REWIRE].map((script) => again(vm, script));
  const all = Promise.all(work);
  await Promise.race([load.more(60), all]);
  await vm.sh('rm /run/go');
  t.log(`repeated: ${(await all).map((n) => n.trim()).join(' ')}`);
  t.is(await vm.sh('cat /run/wrong 2>/dev/null; true'), '');
  await load.kill();
  await load.check();
  await vm.sh(
    'for b in x g l1 l2 d; do marsctl switch $b off 2>/dev/null; marsctl destroy $b 2>/dev/null; done; [ -z "$(marsctl list)" ]',
  );
  await load.check(stack.data.path);
  await vm.sh('umount /log; rmmod mars');
});

vmTest('on and off, open and closed, at the same time', async (t, lab) => {
  const vm = await lab.vm('a', { smp: 2 });
  const stack = await Stack.make(vm, { credits: 8 * MIB });
  await stack.up();
  await vm.sh('touch /run/go');
  const readers = [
    again(vm, 'dd if=/dev/mars/x of=/dev/null bs=64k count=4 2>/dev/null'),
    again(vm, 'dd if=/dev/zero of=/dev/mars/x bs=4k count=8 oflag=direct conv=notrunc,nocreat 2>/dev/null'),
    again(vm, 'cat /sys/block/mars!x/mars/* >/dev/null 2>&1; blkid /dev/mars/x >/dev/null'),
  ];
  // the disk goes whenever nobody has it open, and comes back
  const rounds = await vm.sh(
    'for i in $(seq 30); do until marsctl switch x off 2>/dev/null; do usleep 1000; done; marsctl switch x on || exit 1; done; rm /run/go; echo 30',
    { timeout: 170000 },
  );
  t.is(rounds, '30\n');
  await Promise.all(readers);
  await stack.down();
  await vm.sh('umount /log; rmmod mars');
});

/** Hostile and random calls of the control device beside a disk in use. */
async function fuzzed(lab: VmLab, seed: number): Promise<void> {
  const vm = await lab.vm('a', { smp: 2 });
  const stack = await Stack.make(vm, { credits: 8 * MIB });
  await stack.up();
  const load = new Load(vm, 'raw', stack.dev, seed);
  await load.more(1);
  await vm.sh(`mkdir /tmp/fuzz; ctlfuzz /dev/mars-control ${seed} 1500 /tmp/fuzz x g l1 d`, {
    timeout: 150000,
  });
  await load.more(1);
  await load.kill();
  await load.check();
  await stack.down();
  await vm.sh('umount /log; rmmod mars');
}

vmTest('the control device is fuzzed while a disk is written', async (t, lab) => {
  await fuzzed(lab, seeded(t)(2 ** 31));
  t.pass();
});
