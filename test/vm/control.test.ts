// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The ways into mars.ko beside its disks: the control device, what loads it, who may use it and
 * what hostile calls do to it; clocks, state and tracepoints; loading and unloading for ever.
 */
import { vmTest } from './support.js';

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

vmTest('tracepoints tell of switches, lamps, wires and requests', async (t, lab) => {
  const vm = await lab.vm('a');
  await vm.sh(`modprobe mars; mountpoint -q ${TRACING} || mount -t tracefs tracefs ${TRACING}`);
  await vm.sh(`echo 1 >${TRACING}/events/mars/enable; truncate -s 1M /tmp/f`);
  await vm.sh(
    "printf 'create file f\\nset f file.path text /tmp/f\\nset f file.flags excl\\nswitch f on\\n" +
      "create if i\\nset i if.name text x\\nconnect i 0 f\\nswitch i on\\n' | marsctl batch",
  );
  await vm.sh('dd if=/dev/zero of=/dev/mars/x bs=4k count=1 oflag=direct 2>/dev/null');
  await vm.until('marsctl switch i off');
  await vm.sh('marsctl switch f off');
  const trace = await vm.sh(`echo 0 >${TRACING}/events/mars/enable; cat ${TRACING}/trace`);
  t.regex(trace, /mars_switch: brick=f on=1/);
  t.regex(trace, /mars_lamps: brick=f on=1 off=0/);
  t.regex(trace, /mars_wire: brick=i input=0 to=f/);
  t.regex(trace, /mars_rq_submit: brick=f rq=\S+ op=write .*pos=0 len=4096/);
  t.regex(trace, /mars_rq_end: brick=f rq=\S+ op=write .*len=4096 status=0/);
  t.notRegex(trace, /mars_rq_error/);
  t.regex(trace, /mars_lamps: brick=i on=0 off=1/);
  await vm.sh('rmmod mars');
});
