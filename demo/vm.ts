// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The demo of the kernel module: two virtual machines, one with Linux 6.1 and one with 6.12, an
 * ext4 on /dev/mars/mydata with real files, a handover, and a power cut in the middle of writing.
 */
import { Tally } from '../lab/tally.js';
import { VmCluster, VmNode } from '../lab/vm/cluster.js';
import { VmLab } from '../lab/vm/lab.js';
import type { Vm } from '../lab/vm/vm.js';
import { Stage } from './stage.js';

const RES = 'mydata';
const DEVICE = `/dev/mars/${RES}`;
const DISK = { size: 96 << 20, backend: 'volatile' } as const;

/**
 * Writes files and has each synced; only then it says so. What it said must be there for ever, so
 * it remembers number and checksum outside of the machine.
 */
class FileWriter {
  readonly promised = new Map<number, string>();
  #next = 1;
  /** resolves, when the writer has ended, with what it said last */
  #ended: Promise<string> = Promise.resolve('not started');
  readonly #tally = new Tally();

  start(vm: Vm): void {
    const script =
      `i=${this.#next}; while [ ! -e /run/enough ]; do head -c 50000 /dev/urandom >/data/w$i; ` +
      'sync /data/w$i; sha256sum /data/w$i; i=$((i + 1)); done';
    let text = '';
    const onOutput = (piece: string): void => {
      const lines = (text + piece).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) this.#took(line);
    };
    this.#ended = vm.exec(['sh', '-c', script], { timeout: 600000, onOutput }).then(
      ({ code, stderr }) => `exit ${code} ${stderr}`,
      (error: unknown) => String(error),
    );
  }

  #took(line: string): void {
    const match = /^([0-9a-f]{64}) +\/data\/w(\d+)$/.exec(line);
    if (!match?.[1]) return;
    this.promised.set(Number(match[2]), match[1]);
    this.#next = Number(match[2]) + 1;
    this.#tally.add(1);
  }

  /** Resolves when that many more files were promised; rejects when the writer ends before. */
  more(n: number): Promise<void> {
    return this.#tally.more(n, this.#ended);
  }

  async stop(vm: Vm): Promise<void> {
    await vm.sh('touch /run/enough');
    await this.#ended;
    await vm.sh('rm /run/enough');
  }

  /** All promised files are on the mounted device, unchanged; how many. */
  async verify(vm: Vm): Promise<number> {
    const list = [...this.promised].map(([n, sum]) => `${sum}  /data/w${n}\n`).join('');
    const outcome = await vm.exec(['sha256sum', '--check', '--quiet'], { stdin: list, timeout: 180000 });
    if (outcome.code !== 0)
      throw new Error(`promised files are not there:\n${outcome.stdout}${outcome.stderr}`);
    return this.promised.size;
  }
}

const mount = (vm: Vm): Promise<string> => vm.sh(`mkdir -p /data && mount ${DEVICE} /data`);

const FILES = '/data/files.sha256';

/** The files that were copied at the beginning are unchanged. */
async function verifyFiles(vm: Vm): Promise<string> {
  await vm.sh(`cd /data && sha256sum --check --quiet ${FILES}`, { timeout: 180000 });
  return (await vm.sh(`wc -l <${FILES}`)).trim();
}

async function fill(stage: Stage, { vm }: VmNode): Promise<void> {
  await stage.act(`an ext4 on ${DEVICE} is filled with real files, on hosta`, async (say) => {
    await vm.until(`test -b ${DEVICE}`);
    await vm.sh(`mkfs.ext4 -q ${DEVICE}`);
    await mount(vm);
    await vm.sh(
      `cp -r /opt/mars /data/mars && cd /data && find mars -type f -exec sha256sum {} + >${FILES} && sync -f /data`,
      { timeout: 180000 },
    );
    say((await vm.sh('df -h /data | tail -n 1')).trim());
    say(
      (await vm.sh('lsblk -o NAME,SIZE,TYPE,MOUNTPOINTS $(findmnt -no SOURCE /data)')).split('\n')[1] ?? '',
    );
  });
}

async function handover(stage: Stage, a: VmNode, b: VmNode, writer: FileWriter): Promise<void> {
  await stage.act('planned handover from hosta to hostb', async (say) => {
    await writer.stop(a.vm);
    await a.vm.sh('umount /data');
    await b.marsadm(['primary', RES]);
    await b.vm.until(`test -b ${DEVICE}`);
    await mount(b.vm);
    say(
      `${await verifyFiles(b.vm)} files and ${await writer.verify(b.vm)} written since are there, on Linux 6.12`,
    );
    writer.start(b.vm);
    await writer.more(3);
  });
}

async function powerCut(stage: Stage, b: VmNode, writer: FileWriter): Promise<void> {
  await stage.act('the power of hostb fails while it writes; its disks lose their caches', async (say) => {
    await writer.more(5);
    await b.vm.powerCut();
    say(`${writer.promised.size} files had been promised`);
    await b.boot();
    await b.marsadm(['wait-resource', RES, 'is-primary']);
    await b.vm.until(`test -b ${DEVICE}`);
    await mount(b.vm);
    say(`${await verifyFiles(b.vm)} files and ${await writer.verify(b.vm)} written since are there`);
    say(((await b.vm.log()).find((line) => line.includes('recovery')) ?? '').trim());
    await b.vm.sh('umount /data');
  });
}

async function compare(stage: Stage, nodes: readonly VmNode[]): Promise<void> {
  await stage.act('both replicas are compared', async (say) => {
    const [, b] = nodes;
    await b?.marsadm(['secondary', RES]);
    for (const node of nodes) await node.marsadm(['wait-resource', RES, 'uptodate']);
    for (const node of nodes) await node.marsadm(['down', RES]);
    const sums = new Set<string>();
    for (const node of nodes) {
      const sum = await node.sum();
      sums.add(sum);
      const check = await node.vm.sh(`e2fsck -fn ${node.data.path} 2>/dev/null | tail -n 1`);
      say(`${node.name}: sha256 ${sum.slice(0, 32)}  e2fsck: ${check.trim()}`);
    }
    if (sums.size !== 1) throw new Error('the replicas differ');
  });
}

async function play(stage: Stage, lab: VmLab): Promise<void> {
  const writer = new FileWriter();
  stage.meter(() => `${writer.promised.size} files written and synced`);
  const { nodes } = await stage.act('two machines start, load mars.ko and form a cluster', async (say) => {
    const kernels = { hosta: '6.1', hostb: '6.12' };
    const made = await Promise.all(
      Object.entries(kernels).map(([name, kernel]) => VmNode.make(lab, name, { kernel, disk: DISK })),
    );
    const cluster = await VmCluster.of(made);
    for (const { name, vm } of made)
      say(`${name}: ${(await vm.sh('uname -sr; lsmod | grep ^mars')).replace('\n', '  ').trim()}`);
    return cluster;
  });
  const [a, b] = nodes;
  if (!a || !b) throw new Error('no machines');
  await stage.act(`hosta creates the resource ${RES}, hostb joins it`, async (say) => {
    await a.marsadm(['create-resource', RES, a.data.path]);
    await b.marsadm(['join-resource', RES, b.data.path]);
    say((await a.ask('view', RES)).split('\n').slice(2).join('\n   '));
  });
  await fill(stage, a);
  await stage.act('the replica follows while hosta writes on', async (say) => {
    writer.start(a.vm);
    await b.marsadm(['wait-resource', RES, 'uptodate']);
    await writer.more(3);
    say((await b.ask('view', RES)).split('\n').slice(2).join('\n   '));
  });
  await handover(stage, a, b, writer);
  await powerCut(stage, b, writer);
  await compare(stage, nodes);
  await lab.check();
}

async function main(): Promise<void> {
  const lab = await VmLab.start('6.1');
  const stage = new Stage(process.stdout);
  const quit = (): void => void lab.dispose().then(() => process.exit(130));
  process.once('SIGINT', quit).once('SIGTERM', quit);
  try {
    await play(stage, lab);
    await lab.dispose();
    stage.done('demo finished: nothing was lost, both kernel logs are clean');
  } catch (error) {
    const logs = await Promise.all(
      lab.vms.map(async (vm) => `--- ${vm.name}\n${(await vm.log().catch(() => [])).slice(-40).join('\n')}`),
    );
    stage.failed(error, logs.join('\n'));
    process.exitCode = 1;
  } finally {
    await lab.dispose();
  }
}

await main();
