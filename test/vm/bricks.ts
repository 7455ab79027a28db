// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Bricks of a guest by hand: a brick that is a disk, and /dev/mars/NAME straight on top of it,
 * so that tests reach the lower brick with the tools every disk is tested with.
 */
import type { Vm } from '../../lab/vm/vm.js';

/** A disk brick to make. */
export interface LowerBrick {
  readonly type: 'bdev' | 'file';
  readonly path: string;
  /** words of marsctl, as `excl,direct`; default none */
  readonly flags?: string;
  readonly size?: number;
}

/** Commands that make the brick and switch it on. */
export function lowerCommands(name: string, { type, path, flags, size }: LowerBrick): string {
  return [
    `create ${type} ${name}`,
    `set ${name} file.path text ${path}`,
    ...(flags === undefined ? [] : [`set ${name} file.flags ${flags}`]),
    ...(size === undefined ? [] : [`set ${name} file.size ${size}`]),
    `switch ${name} on`,
  ].join('\n');
}

/** Make brick `NAME-low`, and on top of it /dev/mars/NAME, whose path is returned. */
export async function showDisk(vm: Vm, name: string, lower: LowerBrick): Promise<string> {
  const low = `${name}-low`;
  const commands = [
    lowerCommands(low, lower),
    `create if ${name}`,
    `set ${name} if.name text ${name}`,
    `connect ${name} 0 ${low}`,
    `switch ${name} on`,
  ];
  await vm.sh('marsctl batch', { stdin: `${commands.join('\n')}\n` });
  return `/dev/mars/${name}`;
}

/** Take both away again; when it returns the device or file below is closed. */
export async function hideDisk(vm: Vm, name: string): Promise<void> {
  const low = `${name}-low`;
  const commands = [`switch ${name} off`, `destroy ${name}`, `switch ${low} off`, `destroy ${low}`];
  await vm.sh('marsctl batch', { stdin: `${commands.join('\n')}\n` });
}

/** A number or word of a brick's status. */
export async function field(vm: Vm, brick: string, name: string): Promise<string> {
  return (await vm.sh(`marsctl status ${brick} ${name}`)).trim();
}

/** Try to switch a brick of that kind on; the reason of the refusal, or ''. Nothing is left of it. */
export async function refusal(vm: Vm, lower: LowerBrick): Promise<string> {
  const outcome = await vm.exec(['marsctl', 'batch'], { stdin: `${lowerCommands('try', lower)}\n` });
  if (outcome.code === 0) await vm.sh('marsctl switch try off');
  await vm.sh('marsctl destroy try');
  return outcome.code === 0 ? '' : outcome.stderr;
}

/** fio that writes, reads back and compares; its words besides the usual ones. */
export function verify(disk: string, words: string): string {
  return (
    `fio --name=v --filename=${disk} --verify=crc32c --do_verify=1 --verify_fatal=1 --randrepeat=0 ` +
    `--ioengine=libaio --output-format=terse ${words} >/tmp/fio.out || { cat /tmp/fio.out; false; }`
  );
}

/** Bytes of a range that are not zero, read past the page cache. */
export async function notZero(vm: Vm, file: string, offset: number, length: number): Promise<number> {
  const out = await vm.sh(
    `dd if=${file} bs=64k iflag=direct skip=${offset / 65536} count=${length / 65536} 2>/dev/null | tr -d '\\0' | wc -c`,
  );
  return Number(out);
}
