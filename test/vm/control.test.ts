// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The ways into mars.ko beside its disks: the control device, what loads it, who may use it and
 * what hostile calls do to it; clocks, state and tracepoints; loading and unloading for ever.
 */
import { Stack } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;
const TRACING = '/sys/kernel/tracing';

vmTest('opening the control device loads the module', async (t, lab) => {
  const vm = await lab.vm('a');
  t.regex(await vm.sh('modinfo -F alias mars'), /^devname:mars-control$/m);
  // what kmod makes of that at boot: a node that exists before the module
  const node = /^mars mars-control c(\d+):(\d+)$/m.exec(
    await vm.sh("cat /lib/modules/$(uname -r)/modules.devname || depmod -n | grep 'devname mars'"),
  );
  const [major, minor] = node ? [node[1], node[2]] : ['10', '251'];
  await vm.sh(`! grep -q '^mars ' /proc/modules; mknod -m 600 /dev/mars-control c ${major} ${minor}`);
  t.regex(await vm.sh('marsctl version'), /0/);
  t.regex(await vm.sh('cat /proc/modules'), /^mars /m);
  await vm.sh('rmmod mars');
});

vmTest('both clocks can be read, the Lamport clock is never behind', async (t, lab) => {
  const vm = await lab.vm('a');
  await vm.sh('modprobe mars');
  let last = 0n;
  for (let i = 0; i < 5; i++) {
    const text = await vm.sh('cat /proc/sys/mars/lamport_clock');
    const match = /^CURRENT_TIME=(\d+)\.(\d{9})\nlamport_now=(\d+)\.(\d{9})\n$/.exec(text);
    if (!match) return t.fail(text);
    const real = BigInt(`${match[1]}${match[2]}`);
    const lamport = BigInt(`${match[3]}${match[4]}`);
    t.true(lamport >= real, text);
    t.true(lamport > last, text);
    last = lamport;
  }
  t.not((await vm.exec(['sh', '-c', 'echo 1 >/proc/sys/mars/lamport_clock'])).code, 0);
  await vm.sh('rmmod mars; ! test -e /proc/sys/mars');
});

vmTest(
  'hostile calls leave no trace',
  async (t, lab) => {
    const vm = await lab.vm('a', { smp: 2 });
    await vm.sh('modprobe mars; mkdir /tmp/fuzz');
    const seed = process.env['MARS_TEST_SEED'] ?? String(Date.now());
    const fuzz = `/opt/mars/tools/ctlfuzz /dev/mars-control ${seed} 10000 /tmp/fuzz`;
    t.log(await vm.sh(fuzz, { timeout: 300000 }));
    t.is(await vm.sh('cat /sys/kernel/mars/bricks'), '0\n');
    await vm.sh('rmmod mars');
  },
  { timeout: 400000 },
);

vmTest('only root may control', async (t, lab) => {
  const vm = await lab.vm('a');
  await vm.sh('modprobe mars; chmod 666 /dev/mars-control');
  t.is((await vm.exec(['marsctl', 'list'])).code, 0);
  const open =
    "process.setgroups([]); process.setgid(65534); process.setuid(65534); require('fs').openSync('/dev/mars-control', 'r+')";
  const other = await vm.exec(['node', '-e', open]);
  t.not(other.code, 0);
  t.regex(other.stderr, /not permitted/i);
  await vm.sh('rmmod mars');
});

vmTest('what is in use says why the module stays; then it goes, again and again', async (t, lab) => {
  const vm = await lab.vm('a');
  await vm.sh('modprobe mars; truncate -s 1M /tmp/f');
  await vm.sh(
    "printf 'create file f\\nset f file.path text /tmp/f\\nset f file.flags excl\\nswitch f on\\n" +
      "create check c\\nconnect c 0 f\\nswitch c on\\n' | marsctl batch",
  );
  t.is(await vm.sh('cat /sys/kernel/mars/in_use'), 'c\nf\n');
  t.not((await vm.exec(['rmmod', 'mars'])).code, 0);
  await vm.sh('exec 9</dev/mars-control; ! rmmod mars');
  await vm.sh('marsctl switch c off; marsctl switch f off');
  t.is(await vm.sh('cat /sys/kernel/mars/in_use'), '');
  t.is(await vm.sh('cat /sys/kernel/mars/bricks'), '2\n');
  await vm.sh('rmmod mars'); // what is off is destroyed
  await vm.sh('for i in $(seq 20); do modprobe mars && marsctl list && rmmod mars || exit 1; done');
  // a brick that is on but holds nothing does not hold the module either
  await vm.sh('modprobe mars; marsctl create check c; marsctl switch c on; rmmod mars');
});

/** Every event the module has, and what the case below must find in it. */
const EVENTS: Readonly<Record<string, readonly RegExp[]>> = {
  mars_switch: [/brick=f on=1/, /brick=f on=0/],
  mars_lamps: [/brick=f on=1 off=0/, /brick=y on=0 off=1/],
  mars_wire: [/brick=y input=0 to=f$/, /brick=g input=0 to=c$/, /brick=g input=1 to=$/],
  mars_state: [
    /brick=f state=10 error=-28/,
    /brick=f state=0 error=0/,
    /brick=g state=2 error=-5/,
    /brick=g state=0 error=0/,
    /brick=r state=6 error=0/,
  ],
  mars_log_begin: [/brick=g number=1 slot=1 prev_end=0$/, /brick=g number=2 slot=2 prev_end=[1-9]/],
  mars_durable: [/brick=g number=1 pos=\d+ seq=\d+ nr=[1-9]/, /brick=g number=2 pos=\d+/],
  mars_checkpoint: [/brick=g number=2 pos=\d+/, /brick=r number=2 pos=\d+/],
  mars_replay_stop: [/brick=r number=2 pos=\d+ verdict=\d+/],
  mars_rq_submit: [/brick=f rq=\S+ op=write .*pos=0 len=4096/, /brick=g rq=\S+ op=flush/],
  mars_rq_end: [/brick=f rq=\S+ op=write .*pos=0 len=4096 status=0/],
  mars_rq_error: [/brick=f rq=\S+ op=write .*status=-28/, /brick=c rq=\S+ op=write .*status=-5/],
};

vmTest('tracepoints tell of switches, lamps, wires, states, logs and requests', async (t, lab) => {
  const vm = await lab.vm('a');
  const stack = await Stack.make(vm, { data: { size: 16 * MIB }, log: { size: 64 * MIB } });
  await vm.sh(`mountpoint -q ${TRACING} || mount -t tracefs tracefs ${TRACING}`);
  const events = await vm.sh(`cd ${TRACING}/events/mars; echo 1 >enable; ls -d */`);
  t.deepEqual(
    events
      .trim()
      .split('/\n')
      .map((name) => name.replace('/', ''))
      .sort(),
    Object.keys(EVENTS).sort(),
  );

  // a file that is full for once
  await vm.sh('mkdir /mnt/t; mount -t tmpfs -o size=64k none /mnt/t; truncate -s 1M /mnt/t/f');
  await stack.control(
    'create file f',
    'set f file.path text /mnt/t/f',
    'set f file.flags excl',
    'switch f on',
    'create if y',
    'set y if.name text y',
    'connect y 0 f',
    'switch y on',
  );
  const write = (dev: string, bs: string): string =>
    `dd if=/dev/urandom of=${dev} bs=${bs} count=1 oflag=direct conv=fsync 2>/dev/null`;
  await vm.sh(`! ${write('/dev/mars/y', '128k')}; ${write('/dev/mars/y', '4k')}`);
  await vm.until('marsctl switch y off');
  await vm.sh('marsctl switch f off');

  // a log, a data disk that refuses once, another log
  const clean = 'marsctl set g logger.checkpoint && marsctl wait g dirty 0 60';
  await stack.up();
  await stack.control('create check c', 'connect c 0 d', 'switch c on', 'connect g 0 c');
  await vm.sh(`marsctl set c check.error text "write 5 0 1"; ${write(stack.dev, '64k')} && ${clean}`);
  await stack.control(
    ...stack.logCommands('l2', 2),
    'connect g 2 l2',
    `set g logger.rotate 2 ${stack.identity(2)}`,
  );
  await stack.wait('g', 'number', 2);
  await vm.sh(`${write(stack.dev, '64k')} && ${clean}`);
  await stack.wait('g', 'old_slot', 0);
  await stack.control('disconnect g 1', 'switch x off', 'switch g off', 'switch c off');
  await stack.control(
    ...['x', 'g', 'c', 'l1', 'l2', 'd'].flatMap((b) => [`switch ${b} off`, `destroy ${b}`]),
  );
  stack.number = 2;
  await stack.replay();

  const trace = await vm.sh(`echo 0 >${TRACING}/events/mars/enable; cat ${TRACING}/trace`);
  const told = (event: string): string[] =>
    trace.split('\n').flatMap((line) => line.split(` ${event}: `).slice(1));
  for (const [event, patterns] of Object.entries(EVENTS))
    for (const pattern of patterns)
      t.true(
        told(event).some((text) => pattern.test(text)),
        `${event} ${pattern}`,
      );
  // nothing failed but what was meant to
  t.deepEqual(
    told('mars_rq_error').filter((text) => !EVENTS['mars_rq_error']?.some((pattern) => pattern.test(text))),
    [],
  );
  await vm.sh('umount /log; rmmod mars');
});
