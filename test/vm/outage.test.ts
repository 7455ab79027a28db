// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Machines of a cluster lose power, the whole way through module and daemon: the secondary
 * while it fetches and replays, the primary while it is written, and what neither had flushed is
 * gone. Each comes back by what a boot does. Everything that was reported durable is there, the
 * replicas become equal, byte for byte. Where both stock kernels are there, the secondary runs
 * another one than the primary.
 */
import { VmCluster, VmNode, type NodeOptions } from '../../lab/vm/cluster.js';
import { fsck, Load, mkfs, seeded, type Fs } from './stack.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;
const ROUNDS = Number(process.env['MARS_CUT_ROUNDS'] ?? 2);
/** Between rounds of a worker, ms: the other machine boots meanwhile. */
const PAUSE = 100;
const R = 'mydata';
const DISK = `/dev/mars/${R}`;

/** No smaller XFS exists. */
const SIZE: Readonly<Record<Fs, number>> = { ext4: 48 * MIB, xfs: 304 * MIB };

/** Contents of a data disk as they are on it, whatever is cached. */
async function sum(node: VmNode): Promise<string> {
  const read = `dd if=${node.data.path} bs=1M iflag=direct status=none | sha256sum`;
  return node.vm.sh(read, { timeout: 180000 });
}

for (const { fs, enoughOn } of [
  { fs: 'ext4', enoughOn: '6.1' },
  { fs: 'xfs', enoughOn: '6.12' },
] as const)
  vmTest(
    `primary and secondary lose power under load, and end equal: ${fs}`,
    async (t, lab) => {
      const random = seeded(t);
      const options: NodeOptions = {
        disk: { backend: 'volatile', bus: 'scsi', size: SIZE[fs] },
        stateSize: 192 * MIB,
        daemonArgs: ['--credits=16M'],
      };
      const nodes = await Promise.all([
        VmNode.make(lab, 'a', options),
        VmNode.make(lab, 'b', { ...options, kernel: lab.other }),
      ]);
      const [a, b] = nodes;
      const cluster = await VmCluster.of(nodes);
      for (const { vm } of [a, b]) vm.expected.push(/EXT4-fs .*recover/, /XFS .*recover/i);
      await cluster.resource(R);
      await a.vm.sh(mkfs(fs, DISK));
      for (let round = 0; round < ROUNDS; round++) {
        await a.vm.sh(`mkdir -p /mnt/x; mount -t ${fs} ${DISK} /mnt/x; mkdir /mnt/x/load${round}; sync`);
        const load = new Load(a.vm, 'run', `/mnt/x/load${round}`, random(2 ** 31), 0, undefined, PAUSE);
        await load.more(5 + random(40));
        await b.vm.powerCut();
        await load.more(5 + random(40));
        await b.boot();
        await load.more(5 + random(40));
        await a.vm.powerCut();
        await load.ended;
        await a.boot();
        await a.vm.until(`test -b ${DISK}`);
        await a.vm.sh(`mkdir -p /mnt/x; mount -t ${fs} ${DISK} /mnt/x`);
        await load.check();
        t.log(`round ${round}: ${load.count} acknowledged, none lost`);
        await a.vm.sh(`umount /mnt/x; ${fsck(fs, DISK)}`);
      }
      await a.marsadm(['secondary', R]);
      await a.marsadm(['wait-cluster']);
      await b.marsadm(['wait-resource', R, 'uptodate']);
      for (const node of cluster.nodes) await node.marsadm(['down', R]);
      t.is(await sum(a), await sum(b));
      await b.vm.sh(fsck(fs, b.data.path));
    },
    { enoughOn, timeout: 600000 },
  );
