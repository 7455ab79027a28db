// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The module loads and unloads on every kernel, and the bed itself does what it promises.
 */
import { defects } from '../../lab/vm/kernellog.js';
import { vmTest } from './support.js';

vmTest('mars.ko loads, answers at its device and goes', async (t, lab) => {
  const vm = await lab.vm('a');
  await vm.sh('modprobe mars');
  t.regex(await vm.sh('ls -l /dev/mars-control'), /^crw------- /);
  t.regex(await vm.sh('marsctl version'), /\d/);
  await vm.sh('rmmod mars');
  t.not((await vm.exec(['test', '-e', '/dev/mars-control'])).code, 0);
});

vmTest('a power cut loses what was not flushed, and nothing else', async (t, lab) => {
  const vm = await lab.vm('a');
  for (const bus of ['virtio', 'nvme', 'scsi'] as const) await vm.disk(bus, { backend: 'volatile', bus });
  for (const { path } of vm.disks) {
    await vm.sh(`head -c 65536 /dev/zero | tr '\\0' A | dd of=${path} bs=4k conv=fsync`);
    await vm.sh(
      `head -c 65536 /dev/zero | tr '\\0' B | dd of=${path} bs=4k seek=16 oflag=direct iflag=fullblock`,
    );
  }
  await vm.powerCut();
  await vm.start();
  for (const { path, bus } of vm.disks) {
    t.is(await vm.sh(`head -c 65536 ${path} | tr -d A | wc -c`), '0\n', bus);
    t.is(await vm.sh(`dd if=${path} bs=64k skip=1 count=1 2>/dev/null | tr -d '\\0' | wc -c`), '0\n', bus);
  }
});

vmTest('a crash of the machine loses nothing a disk has taken', async (t, lab) => {
  const vm = await lab.vm('a');
  const disk = await vm.disk('d', { backend: 'volatile' });
  await vm.sh(`echo taken | dd of=${disk.path} bs=4k conv=sync oflag=direct`);
  await vm.crash();
  await vm.start();
  t.is(await vm.sh(`head -c 5 ${disk.path}`), 'taken');
});

vmTest('links are cut and mended in each direction', async (t, lab) => {
  const [a, b] = await Promise.all([lab.vm('a'), lab.vm('b')]);
  await a.until(`ping -c 1 -W 1 ${b.ip}`);
  await lab.net.cutOneWay('a', 'b');
  t.not((await a.exec(['ping', '-c', '2', '-i', '0.2', '-W', '1', b.ip])).code, 0);
  await lab.net.mend('a', 'b');
  await a.until(`ping -c 1 -W 1 ${b.ip}`);
  t.true((await lab.net.bytes('a', 'b')) > 0);
});

vmTest('a warning in the kernel log is found', async (t, lab) => {
  const vm = await lab.vm('a');
  await vm.sh('echo "<4>WARNING: CPU: 0 PID: 1 at a/b.c:1 c+0x1/0x2" >/dev/kmsg');
  await vm.sh('echo "<3>mars: provoked" >/dev/kmsg');
  const found = await vm.defects();
  t.true(found.some((text) => text.includes('WARNING: CPU: 0')));
  t.is(defects([{ level: 3, text: 'mars: provoked' }]).length, 1);
  t.is(defects([{ level: 6, text: 'mars: loaded' }]).length, 0);
  vm.expected.push(/a\/b\.c:1/, /provoked/);
  t.deepEqual(await vm.defects(), []);
});
