// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The module comes and goes, and the daemon dies, while devices are in use.
 */
import { VmCluster, type VmNode } from '../../lab/vm/cluster.js';
import type { VmLab } from '../../lab/vm/lab.js';
import type { Vm } from '../../lab/vm/vm.js';
import { vmTest } from './support.js';

const DEVICE = '/dev/mars/mydata';

/** A stack without a log, by hand: what is above comes and goes with it. */
const STACK = (disk: string): string =>
  [
    'create bdev d',
    `set d file.path text ${disk}`,
    'set d file.flags excl',
    'switch d on',
    'create if i',
    'set i if.name text x',
    'connect i 0 d',
    'switch i on',
  ].join('\n');

/** fio in the background on a device; the returned function waits for its end, which must be good. */
function load(vm: Vm, device: string, seconds: number): () => Promise<void> {
  const running = vm.exec(
    `fio --name=w --filename=${device} --rw=randwrite --bs=4k --size=16m --iodepth=4 --ioengine=libaio --direct=1 --time_based --runtime=${seconds} --fsync=64 --verify=crc32c --verify_backlog=256 --output-format=terse`.split(
      ' ',
    ),
    { timeout: 300000 },
  );
  running.catch(() => undefined);
  return async () => {
    const { code, stdout, stderr } = await running;
    if (code !== 0) throw new Error(`fio: exit ${code}\n${stdout}${stderr}`);
  };
}

vmTest('a module in use is not unloaded; one that is not comes and goes, again and again', async (t, lab) => {
  const vm = await lab.vm('a', { smp: 2 });
  const disk = await vm.disk('d', { size: 64 << 20 });
  for (let round = 0; round < 5; round++) {
    await vm.sh('modprobe mars');
    const made = await vm.exec(['marsctl', 'batch'], { stdin: `${STACK(disk.path)}\n` });
    t.is(made.code, 0, made.stdout + made.stderr);
    const finished = load(vm, '/dev/mars/x', 2);
    await vm.until('test "$(marsctl status i clients)" -ge 1');
    t.regex((await vm.exec(['rmmod', 'mars'])).stderr, /in use/);
    t.not((await vm.exec(['marsctl', 'switch', 'i', 'off'])).code, 0, 'an open device is not taken away');
    await finished();
    await vm.sh('marsctl switch i off; marsctl switch d off');
    await vm.until('rmmod mars'); // the last references are given back by a worker
    t.not((await vm.exec(['test', '-e', '/dev/mars/x'])).code, 0);
  }
});

/** A node of its own with the resource, its device open to nobody. */
async function primary(lab: VmLab): Promise<VmNode> {
  const cluster = await VmCluster.form(lab, ['hosta'], { disk: { size: 96 << 20, backend: 'volatile' } });
  await cluster.resource('mydata');
  const node = cluster.node('hosta');
  await node.vm.until(`test -b ${DEVICE}`);
  return node;
}

vmTest(
  'the daemon is killed and replaced by another version while a load runs; the module is reloaded without losing a byte',
  async (t, lab) => {
    const node = await primary(lab);
    const { vm } = node;
    const inUse = `[ "$(cat '/sys/block/mars!mydata/mars/open_count')" -ge 1 ]`;
    await vm.sh(
      `cp -r /opt/mars /tmp/newer; sed -i 's/"version": *"[^"]*"/"version": "99.0.0"/' /tmp/newer/package.json`,
    );
    t.regex(await vm.sh('/tmp/newer/bin/marsadm version'), /99\.0\.0/);
    const finished = load(vm, DEVICE, 40);
    await vm.until(inUse);
    await node.stop('KILL');
    await node.start('/tmp/newer/bin/marsd');
    t.is((await vm.exec(['sh', '-c', inUse])).code, 0, 'the load has not ended meanwhile');
    await finished();
    await vm.sh(`mkfs.ext4 -q ${DEVICE}; mount ${DEVICE} /mnt; cp -r /opt/mars/dist /mnt/; umount /mnt`);
    const sum = await vm.sh(`sha256sum ${DEVICE}`, { timeout: 180000 });

    t.not((await vm.exec(['rmmod', 'mars'])).code, 0, 'the device is there, so the module stays');
    await node.marsadm(['detach', 'mydata']);
    await vm.until(`test ! -e ${DEVICE}`);
    t.is(await node.stop(), 0);
    await vm.until('rmmod mars');
    await vm.sh('modprobe mars');
    await node.start();
    await node.marsadm(['attach', 'mydata']);
    await vm.until(`test -b ${DEVICE}`, 120000);
    t.is(await vm.sh(`sha256sum ${DEVICE}`, { timeout: 180000 }), sum);
    t.regex(await vm.sh(`e2fsck -fn ${DEVICE}`), /files/);
  },
  { timeout: 600000 },
);
