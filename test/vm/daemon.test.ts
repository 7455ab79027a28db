// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The daemon and mars.ko: nodes with either engine in one cluster, daemons that die or stop
 * while devices are used, and two daemons for one kernel.
 */
import { fileURLToPath } from 'node:url';
import { VmCluster, VmNode, type NodeOptions } from '../../lab/vm/cluster.js';
import { vmTest } from './support.js';

const R = 'data';
/** name of the device, on every node */
const DEVICE = 'mydata';
const DISK = `/dev/mars/${DEVICE}`;
const NODE: NodeOptions = { disk: { size: 32 << 20 }, stateSize: 192 << 20, daemonArgs: ['--credits=16M'] };

/** An NBD client for guests: the one of the lab, which needs nothing but node. */
const NBD = fileURLToPath(new URL('../../lab/nbd.js', import.meta.url));

/**
 * A write load in the background that checks what it reads, with the device open throughout. It
 * goes on until /root/enough exists; the last exit code goes to a file.
 */
const LOAD =
  `(exec 3<>${DISK}; until [ -e /root/enough ]; do ` +
  `fio --name=load --filename=${DISK} --rw=randwrite --bs=4k --size=16M --io_size=4M --rate_iops=50 ` +
  '--ioengine=psync --fsync=16 --verify=crc32c --verify_state_save=0 --output=/root/fio.log; rc=$?; [ $rc = 0 ] || break; done; ' +
  'echo $rc >/root/fio.rc) >/dev/null 2>&1 </dev/null & true';

/** The resource on all nodes, up to date; primary on the first. */
async function resource(nodes: readonly VmNode[]): Promise<void> {
  const [first, ...rest] = nodes;
  await first?.marsadm(['create-resource', R, first.data.path, DEVICE]);
  for (const node of rest) await node.marsadm(['join-resource', R, node.data.path, DEVICE]);
  for (const node of rest) await node.marsadm(['wait-resource', R, 'uptodate']);
}

/** Close everything, let everybody catch up, and say how many different disks there are: 1 is right. */
async function disks(nodes: readonly VmNode[], primary: VmNode): Promise<number> {
  await primary.marsadm(['wait-umount', R]);
  await primary.marsadm(['secondary', R]);
  for (const node of nodes) await node.marsadm(['wait-cluster']);
  for (const node of nodes) await node.marsadm(['wait-resource', R, 'uptodate']);
  for (const node of nodes) await node.marsadm(['down', R]);
  // As it is on the disk, whatever is cached.
  const read = (node: VmNode): Promise<string> =>
    node.vm.sh(`dd if=${node.data.path} bs=1M iflag=direct status=none | sha256sum`);
  return new Set(await Promise.all(nodes.map(read))).size;
}

/** Value of a key of the tree; '' if there is none. */
const link = async (node: VmNode, key: string): Promise<string> =>
  (await node.vm.sh(`readlink /mars/${key} || true`)).trim();

/** Shell words: a number or word in the status of a brick of the resource. */
const brick = (part: string, field: string): string =>
  `$(marsctl status $(marsctl list | grep -o '[^ ]*:${R}/${part}') ${field})`;

/** A block of the device that the file system of these tests does not reach. */
const BEHIND = 7 * 1024;

/**
 * Write through the socket of an embedded engine: of all kinds and sizes behind block BEHIND, over
 * each other, and a text into that block, durably.
 */
async function nbdWrite(node: VmNode, text: string): Promise<void> {
  await node.vm.copyIn(NBD, '/root/nbd.mjs');
  const script = `import { NbdClient } from '/root/nbd.mjs';
    const d = await NbdClient.open('/mars/dev/${R}.sock', '${R}');
    for (let i = 0; i < 600; i++) {
      const pos = ${(BEHIND + 1) * 4096} + ((i * 7919) % 1500) * 512, length = 512 * (1 + (i % 40));
      if (i % 10 === 3) await d.zero(pos, length);
      else if (i % 10 === 7) await d.trim(pos, length);
      else await d.write(pos, Buffer.alloc(length, i), i % 50 === 0);
    }
    await d.write(${BEHIND * 4096}, Buffer.from('${text}'.padEnd(4096, '.')), true);
    await d.close();`;
  await node.vm.put('/root/write.mjs', script);
  await node.vm.sh('node /root/write.mjs', { timeout: 180000 });
}

vmTest(
  'kernel and embedded engine in one cluster: each replays what the other has logged',
  async (t, lab) => {
    const nodes = await Promise.all([
      VmNode.make(lab, 'a', NODE),
      VmNode.make(lab, 'c', { ...NODE, engine: 'embedded' }),
    ]);
    const [a, c] = nodes;
    await VmCluster.of(nodes);
    await resource(nodes);
    t.is(await link(a, 'actual-c/engine'), 'embedded');
    t.is(await link(c, 'actual-a/engine'), 'kernel');
    t.is(await a.ask('view-get-device-path', R), DISK);
    t.regex(await a.ask('version'), /\(engine: kernel\)$/);

    await a.vm.sh(`mkfs.ext4 -q ${DISK} 24M; mount ${DISK} /mnt; cp /usr/bin/busybox /mnt/file; sync`);
    const open = await c.marsadm(['primary', R, '--json'], 3);
    t.regex(open.stdout, /"reason":\s*"device-open"/);
    t.true(open.stdout.includes(DISK));
    await a.vm.sh('umount /mnt');
    await a.marsadm(['wait-umount', R]);

    await c.marsadm(['primary', R]);
    t.is(await c.ask('view-get-device-path', R), `/mars/dev/${R}.sock`);
    await nbdWrite(c, 'written by the embedded engine');
    await c.marsadm(['wait-umount', R]);

    await a.marsadm(['primary', R]);
    await a.vm.sh(`mount ${DISK} /mnt; cmp /mnt/file /usr/bin/busybox; echo more >/mnt/more; umount /mnt`);
    const read = `dd if=${DISK} bs=4k skip=${BEHIND} count=1 2>/dev/null`;
    t.regex(await a.vm.sh(read), /^written by the embedded engine\.+$/);
    t.is(await disks(nodes, a), 1);
    for (const node of nodes) t.is(await node.stop(), 0);
    await a.vm.sh('rmmod mars');
  },
  { timeout: 600000 },
);

vmTest(
  'disks with blocks of 4096 and of 512 bytes replicate to each other, and recover',
  async (t, lab) => {
    const nodes = await Promise.all([
      VmNode.make(lab, 'a', { ...NODE, disk: { ...NODE.disk, block: 4096 } }),
      VmNode.make(lab, 'b', { ...NODE, kernel: lab.other }),
    ]);
    const [a, b] = nodes;
    const block = (node: VmNode): Promise<string> =>
      node.vm.sh(`cat '/sys/block/mars!${DEVICE}/queue/logical_block_size'`);
    a.vm.expected.push(/EXT4-fs .*recover/);
    await VmCluster.of(nodes);
    await resource(nodes);
    t.is(await block(a), '4096\n');
    await a.vm.sh(`mkfs.ext4 -q ${DISK} 24M; mount ${DISK} /mnt; cp /usr/bin/busybox /mnt/file; sync`);
    await a.vm.powerCut();
    await a.boot();
    await a.vm.until(`test -b ${DISK}`);
    await a.vm.sh(`mount ${DISK} /mnt; cmp /mnt/file /usr/bin/busybox; umount /mnt`);
    await a.marsadm(['wait-umount', R]);

    await b.marsadm(['primary', R]);
    t.is(await block(b), '512\n');
    const sectors = [1, 9, 10, 15, 24].map((n) => BEHIND * 8 + n);
    for (const sector of sectors)
      await b.vm.sh(
        `dd if=/usr/bin/busybox of=${DISK} bs=512 skip=${sector % 100} seek=${sector} count=2 oflag=direct`,
      );
    t.is(await disks([b, a], b), 1);
    for (const node of nodes) await node.marsadm(['up', R]);
    await a.marsadm(['primary', R]);
  },
  { enoughOn: '6.1', timeout: 600000 },
);

vmTest(
  'a daemon is killed under load: the device stays, the next one adopts it, nothing is lost',
  async (t, lab) => {
    const nodes = await Promise.all([
      VmNode.make(lab, 'a', { ...NODE, smp: 2 }),
      VmNode.make(lab, 'b', NODE),
    ]);
    const [a, b] = nodes;
    await VmCluster.of(nodes);
    await resource(nodes);
    await a.vm.sh(LOAD);
    for (let round = 0; round < 2; round++) {
      const writes = Number(await a.vm.sh(`echo ${brick('logger', 'writes')}`));
      await a.vm.until(`[ ${brick('logger', 'writes')} -gt ${writes + 50} ]`);
      await a.stop('KILL');
      await a.vm.until(`[ ${brick('logger', 'writes')} -gt ${writes + 100} ]`);
      const said = a.log.length;
      await a.start();
      t.regex(a.log.slice(said), /still primary, writing log 1$/m);
      t.is(await link(a, `resource-${R}/actual-a/is-primary`), '1');
      t.not(await link(a, `resource-${R}/actual-a/open-count`), '0');
    }
    await a.vm.sh('touch /root/enough');
    await a.vm.until('test -s /root/fio.rc', 300000);
    t.is(await a.vm.get('/root/fio.rc'), '0\n', await a.vm.get('/root/fio.log'));
    await a.marsadm(['log-rotate', R]);
    t.is(await a.vm.sh(`echo ${brick('logger', 'number')}`), '2\n');
    await b.stop('KILL');
    await a.vm.sh(`dd if=/usr/bin/busybox of=${DISK} bs=4k count=100 conv=fsync`);
    await b.start();
    t.is(await disks(nodes, a), 1);
  },
  { timeout: 600000 },
);

vmTest(
  'a daemon stops in an orderly way: open or not, devices stay; down takes them away',
  async (t, lab) => {
    const a = await VmNode.make(lab, 'a', NODE);
    await VmCluster.of([a]);
    await resource([a]);
    await a.vm.sh(`mkfs.ext4 -q ${DISK}; mount ${DISK} /mnt; echo kept >/mnt/f`);
    t.is(await a.stop(), 0);
    t.is(await link(a, 'actual-a/alive'), '0');
    t.is(await link(a, `resource-${R}/actual-a/is-primary`), '1');
    await a.vm.sh('echo alone >/mnt/g; sync');
    t.not((await a.vm.exec(['rmmod', 'mars'])).code, 0);
    const said = a.log.length;
    await a.start();
    t.is(await link(a, 'actual-a/alive'), '1');
    t.regex(a.log.slice(said), /still primary/);

    t.log('its disk grows: so does the device, in use');
    await a.vm.growDisk(a.data, 40 << 20);
    await a.vm.until(`[ $(readlink /mars/resource-${R}/actsize-a) = ${40 << 20} ]`);
    await a.marsadm(['resize', R]);
    await a.vm.until(`[ $(cat '/sys/block/mars!${DEVICE}/size') = ${(40 << 20) / 512} ]`);
    await a.vm.sh(`dd if=/usr/bin/busybox of=${DISK} bs=4k seek=9984 count=100 conv=fsync; umount /mnt`);
    t.is(await a.stop(), 0);
    await a.vm.sh(`test -b ${DISK}`);
    await a.start();
    await a.marsadm(['down', R]);
    t.is(await a.vm.sh('marsctl list'), '');
    await a.vm.sh(`test ! -e ${DISK}; mount ${a.data.path} /mnt; cat /mnt/f /mnt/g; umount /mnt`);
    await a.vm.sh(`dd if=${a.data.path} bs=4k skip=9984 count=100 | cmp -n 409600 - /usr/bin/busybox`);
  },
  { timeout: 600000 },
);

vmTest(
  'one kernel, two daemons: the second is refused, and later leaves the bricks of the first alone',
  async (t, lab) => {
    const a = await VmNode.make(lab, 'a', NODE);
    await VmCluster.of([a]);
    await resource([a]);
    const other = '/mars/other';
    await a.vm.sh(`mkdir ${other}; marsadm --dir ${other} create-cluster --address 127.0.0.1:7778`, {
      timeout: 180000,
    });
    const refused = await a.vm.exec(['marsd', '--dir', other], { timeout: 180000 });
    t.is(refused.code, 3);
    t.regex(refused.stderr, /engine-busy/);
    t.is(await a.stop(), 0);
    await a.vm.sh(`MARS_DIR=${other} setsid marsd >/root/other 2>&1 </dev/null & echo $! >/run/other.pid`);
    await a.vm.until('grep -q "^marsd: ready" /root/other', 180000);
    t.regex(await a.vm.get('/root/other'), new RegExp(`left alone: .*:${R}/device`));
    await a.vm.sh(`dd if=/usr/bin/busybox of=${DISK} bs=4k count=10 conv=fsync`);
    await a.vm.sh('kill $(cat /run/other.pid)');
    await a.vm.until('! kill -0 $(cat /run/other.pid) 2>/dev/null');
    const said = a.log.length;
    await a.start();
    t.regex(a.log.slice(said), /still primary/);
    await a.vm.sh(`cmp -n 40960 /usr/bin/busybox ${DISK}`);
    await a.vm.sh('truncate -s 8M /root/disk');
    const long = await a.marsadm(['create-resource', 'other', '/root/disk', 'n'.repeat(27), '--json'], 3);
    t.regex(long.stdout, /device-name-too-long/);
  },
  { timeout: 600000 },
);

vmTest(
  'a data disk that hangs while it is opened holds up no other resource',
  async (t, lab) => {
    const a = await VmNode.make(lab, 'a', { ...NODE, smp: 2 });
    const { vm } = a;
    const disk = await vm.disk('slow', { size: 16 << 20 });
    await vm.sh(
      `dmsetup create slow --table "0 32768 linear ${disk.path} 0"; dmsetup mknodes; ` +
        'setsid sh -c "echo \\$\\$ >/run/holder; exec sleep 100000" 9<>/dev/mapper/slow >/dev/null 2>&1 </dev/null & true',
    );
    await VmCluster.of([a]);
    await resource([a]);
    await a.marsadm(['create-resource', 'slow', '/dev/mapper/slow']);
    await vm.until('test -b /dev/mars/slow');
    await a.marsadm(['down', 'slow']);
    await vm.until('! marsctl list | grep -q :slow/');

    t.log('dirty pages that a disk at a standstill does not take');
    await vm.sh(
      'dd if=/dev/urandom of=/dev/mapper/slow bs=64k count=8 conv=notrunc 2>/dev/null; dmsetup suspend --nolockfs --noflush slow',
    );
    const up = a.marsadm(['up', 'slow']);
    await vm.until('cat /proc/$(cat /run/marsd.pid)/task/*/stack | grep -q filemap_write_and_wait');
    await a.marsadm(['log-rotate', R]);
    await vm.until(`[ ${brick('logger', 'number')} = 2 ]`);
    await vm.sh(`dd if=/usr/bin/busybox of=${DISK} bs=4k count=10 conv=fsync 2>/dev/null`);
    t.not((await vm.exec(['test', '-b', '/dev/mars/slow'])).code, 0);

    await vm.sh('dmsetup resume slow');
    await up;
    await vm.until('test -b /dev/mars/slow');
    await vm.sh('kill $(cat /run/holder)');
  },
  { timeout: 600000 },
);
