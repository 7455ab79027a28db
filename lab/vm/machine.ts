// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Command lines of the emulator, and templates.
 *
 * A template is a guest booted once per kernel, shape and content: caches warm, then frozen, its
 * memory in a file. Clones map that file copy-on-write and are there in a tenth of a second.
 * They must have the very devices of the template, so disks are plugged in later. Always full
 * emulation (TCG): what hardware acceleration a build machine seems to offer can hang.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import path from 'node:path';
import { Agent } from './agent.js';
import { VM_DIR, type Kernel } from './files.js';
import { defects, parseKmsg } from './kernellog.js';
import { Program } from './process.js';
import { Qmp } from './qmp.js';

/** What a guest has beside its kernel. */
export interface Shape {
  /** processors; 2 for races */
  readonly smp: number;
  /** MiB of memory */
  readonly mem: number;
}

/** Where the sockets and logs of one machine are. */
export interface Place {
  readonly name: string;
  readonly dir: string;
}

/** A template's memory and device state. */
export interface Template {
  readonly memory: string;
  readonly state: string;
}

/** What a machine is started for. */
export interface Boot {
  /** take memory from there */
  readonly clone?: Template;
  /** keep memory there, to be cloned */
  readonly template?: Template;
  /** more words for the kernel */
  readonly append?: string;
  /** a reboot restarts the guest instead of ending the machine */
  readonly reboot?: boolean;
  /** squashfs images above the root image, the topmost first */
  readonly layers?: readonly string[];
  /** ext4 image for what the guest writes to its root; without it that is memory */
  readonly upper?: string;
}

/** The machine is gone, or never came up. */
export class MachineError extends Error {}

function memoryArgs(shape: Shape, boot: Boot): string[] {
  const file = boot.clone?.memory ?? boot.template?.memory;
  if (file === undefined) return [];
  const share = boot.template ? 'on' : 'off';
  return [
    '-object',
    `memory-backend-file,id=mem,size=${shape.mem}M,mem-path=${file},share=${share}`,
    '-machine',
    'memory-backend=mem',
  ];
}

/** Which disks hold the layers: the third and following. */
function upperWords(boot: Boot): string {
  const names = [...(boot.layers ?? []), ...(boot.upper === undefined ? [] : [boot.upper])].map(
    (_, i) => `/dev/vd${String.fromCharCode('c'.charCodeAt(0) + i)}`,
  );
  const upper = boot.upper === undefined ? undefined : names.pop();
  return (
    (names.length > 0 ? ` lab.layers=${names.join(',')}` : '') +
    (upper === undefined ? '' : ` lab.upper=${upper}`)
  );
}

/** Arguments for the emulator; the same devices for a template and its clones. */
export function machineArgs(kernel: Kernel, shape: Shape, place: Place, boot: Boot): string[] {
  const at = (file: string): string => path.join(place.dir, `${place.name}.${file}`);
  const disk = (id: string, file: string, readonly = 'on'): string[] => [
    '-drive',
    `file=${file},if=none,id=${id},format=raw,readonly=${readonly},cache=unsafe`,
    '-device',
    `virtio-blk-pci,drive=${id}`,
  ];
  return [
    // no erms: `rep movsb` is emulated byte by byte, and both kernel and libc prefer it;
    // no cx16: once slub's freelist broke, with flags on the stack that can only be the low half of what
    // cmpxchg16b compares; taken for the emulator's, not proven
    ...['-name', place.name, '-M', 'pc', '-accel', 'tcg,thread=multi,tb-size=256'],
    ...['-cpu', 'max,cx16=off,erms=off'],
    ...['-smp', String(shape.smp), '-m', String(shape.mem)],
    ...['-nodefaults', '-no-user-config', '-display', 'none', ...(boot.reboot ? [] : ['-no-reboot'])],
    ...['-kernel', kernel.image, '-initrd', kernel.initrd, '-append'],
    // norandmaps: what was translated for one process serves the next, which halves their time;
    // init_on_alloc=0: Debian's default would hide memory that is used before it is written
    'console=ttyS0 panic=-1 mitigations=off nokaslr norandmaps init_on_alloc=0 no_timer_check loglevel=4 hung_task_panic=0 ' +
      `${kernel.words} ` +
      (boot.append ?? '') +
      upperWords(boot),
    ...['-chardev', `file,id=con,path=${at('console')},append=on`, '-serial', 'chardev:con'],
    ...['-qmp', `unix:${at('qmp')},server=on,wait=off`],
    ...['-device', 'virtio-serial-pci,id=vs', '-chardev'],
    `socket,id=ctl,path=${at('ctl')},server=on,wait=off`,
    ...['-device', 'virtserialport,bus=vs.0,chardev=ctl,name=lab.ctl'],
    ...['-object', 'rng-random,id=rng0,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng0'],
    ...['-device', 'vmgenid,guid=auto'],
    ...disk('root', kernel.root),
    ...disk('payload', kernel.payload),
    ...(boot.layers ?? []).flatMap((layer, i) => disk(`layer${i}`, layer)),
    ...(boot.upper === undefined ? [] : disk('upper', boot.upper, 'off')),
    '-netdev',
    `dgram,id=n0,local.type=unix,local.path=${path.join(place.dir, place.name)}.net,` +
      `remote.type=unix,remote.path=${path.join(place.dir, 'switch')}`,
    ...['-device', 'virtio-net-pci,netdev=n0,id=nic0,mac=52:54:00:00:00:01,host_mtu=65000'],
    ...memoryArgs(shape, boot),
    ...(boot.clone ? ['-incoming', 'defer'] : []),
  ];
}

/** A started emulator with its two control channels. */
export interface Machine {
  readonly program: Program;
  readonly qmp: Qmp;
  readonly agent: Agent;
  /** what came over the serial line */
  console(): string;
}

/** Start a machine. A clone runs when this returns; else it boots, see `Agent.hello`. */
export async function startMachine(kernel: Kernel, shape: Shape, place: Place, boot: Boot): Promise<Machine> {
  const at = (file: string): string => path.join(place.dir, `${place.name}.${file}`);
  for (const file of ['qmp', 'ctl', 'net']) rmSync(at(file), { force: true });
  const args = machineArgs(kernel, shape, place, boot);
  const program = new Program(place.name, 'qemu-system-x86_64', args, at('log'));
  const console = (): string => (existsSync(at('console')) ? readFileSync(at('console'), 'latin1') : '');
  const qmp = new Qmp(await program.connect(at('qmp')));
  await qmp.command('qmp_capabilities');
  const agent = new Agent(place.name, await program.connect(at('ctl')));
  void program.exited.then((how) => {
    qmp.close();
    const tail = console().slice(-2000);
    agent.close(new MachineError(`${place.name}: the machine is gone (${how})\n${program.output()}${tail}`));
  });
  if (boot.clone) await thaw(qmp, boot.clone);
  return { program, qmp, agent, console };
}

/** Memory stays in its file: only the state of the devices moves. */
async function memoryStays(qmp: Qmp): Promise<void> {
  await qmp.command('migrate-set-capabilities', {
    capabilities: [{ capability: 'x-ignore-shared', state: true }],
  });
}

async function thaw(qmp: Qmp, template: Template): Promise<void> {
  await memoryStays(qmp);
  await qmp.command('migrate-incoming', { uri: `exec:cat ${template.state}` });
  await qmp.until('query-status', ['paused', 'running', 'postmigrate', 'prelaunch']);
  await qmp.command('cont');
}

async function freeze(machine: Machine, template: Template): Promise<void> {
  await memoryStays(machine.qmp);
  await machine.qmp.command('stop');
  await machine.qmp.command('migrate', { uri: `exec:cat > ${template.state}` });
  await machine.qmp.until('query-migrate', ['completed']);
}

/** Load modules the tests need, and read into the page cache what they run: no more than that survives. */
const WARM_UP =
  'modprobe -a dm_mod xfs nvme sd_mod virtio_scsi 2>/dev/null; ' +
  'cd /usr/bin; cat /lib64/* /usr/lib/x86_64-linux-gnu/* node fio bash busybox dmsetup mkfs.ext4 mount umount ' +
  'ip e2fsck 2>/dev/null >/dev/null; sync';

async function make(kernel: Kernel, shape: Shape, dir: string): Promise<void> {
  const template = { memory: path.join(dir, 'memory'), state: path.join(dir, 'state') };
  const machine = await startMachine(kernel, shape, { name: 'template', dir }, { template });
  try {
    await machine.agent.hello(1);
    await machine.agent.exec(['sh', '-c', WARM_UP], { timeout: 180000 });
    await machine.agent.ping();
    const found = defects(parseKmsg(machine.agent.kmsg));
    if (found.length > 0) throw new MachineError(`kernel ${kernel.name} boots with:\n${found.join('\n\n')}`);
    await freeze(machine, template);
  } finally {
    await machine.program.kill();
  }
}

/**
 * Make a template in one go. Worth a second attempt: no module is loaded yet, and an emulated second
 * processor sometimes runs into an instruction that the booting kernel is just patching.
 */
async function makeOnce(kernel: Kernel, shape: Shape, dir: string): Promise<void> {
  const own = mkdtempSync(`${dir}.`);
  try {
    await make(kernel, shape, own);
    renameSync(own, dir);
  } catch (error) {
    rmSync(own, { recursive: true, force: true });
    if (!existsSync(dir)) throw error; // else somebody else was first
  }
}

/** The template for that kernel and shape; made when it does not exist yet (some seconds). */
export async function template(kernel: Kernel, shape: Shape): Promise<Template> {
  // the payload may change, but not its size
  const fixed = { ...kernel, payload: String(statSync(kernel.payload).size) };
  const words = machineArgs(fixed, shape, { name: 'x', dir: '/' }, {}).join(' ');
  const rootKey = readFileSync(path.join(VM_DIR, 'kernels', kernel.name, 'root.key'), 'utf8');
  const key = createHash('sha256').update(`${words} ${rootKey} ${WARM_UP}`).digest('hex').slice(0, 12);
  const dir = path.join(VM_DIR, 'templates', `${kernel.name}-${shape.smp}-${shape.mem}-${key}`);
  if (!existsSync(dir)) {
    mkdirSync(path.join(VM_DIR, 'templates'), { recursive: true });
    await makeOnce(kernel, shape, dir).catch(() => makeOnce(kernel, shape, dir));
  }
  const now = new Date();
  utimesSync(dir, now, now);
  return { memory: path.join(dir, 'memory'), state: path.join(dir, 'state') };
}
