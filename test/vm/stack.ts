// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What a primary is made of, by hand and without a daemon: /dev/mars/x above a logger, above a
 * data disk (`d`) and a log file on a file system of its own (`l1`). And the loads that remember
 * what they were promised (guest_fsload.c).
 */
import { randomInt } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { Tally } from '../../lab/tally.js';
import type { Disk, DiskOptions } from '../../lab/vm/disk.js';
import type { Vm } from '../../lab/vm/vm.js';

const MIB = 1 << 20;

/** Choices of one run; MARS_TEST_SEED repeats them. */
export type Random = (below: number) => number;

/** Choices, and their seed in the test's log. */
export function seeded(t: ExecutionContext): Random {
  const seed = Number(process.env['MARS_TEST_SEED'] ?? randomInt(2 ** 31));
  t.log(`MARS_TEST_SEED=${seed}`);
  let state = seed >>> 0;
  return (below) => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}

/** File systems the loads run on. */
export type Fs = 'ext4' | 'xfs';

/** Commands that put a file system on a disk. */
export function mkfs(fs: Fs, disk: string): string {
  return fs === 'ext4' ? `mkfs.ext4 -q -b 4096 -E lazy_itable_init=0 ${disk}` : `mkfs.xfs -q -f ${disk}`;
}

/** Commands that fail when an unmounted, recovered file system has any fault. */
export function fsck(fs: Fs, disk: string): string {
  const check = fs === 'ext4' ? `e2fsck -fn ${disk}` : `xfs_repair -n ${disk}`;
  return `${check} >/tmp/fsck 2>&1 || { cat /tmp/fsck; false; }`;
}

export interface StackOptions {
  /** of the data disk; default 64 MiB, virtio, raw */
  readonly data?: DiskOptions;
  /** of the disk with the log files; default 256 MiB, virtio, raw */
  readonly log?: DiskOptions;
  /** shadow memory, bytes */
  readonly credits?: number;
  /** a device to use on top of a disk instead of the disk: `linear` tables of device mapper */
  readonly mapped?: boolean;
}

/** The bricks of a primary in a machine. */
export class Stack {
  readonly dev = '/dev/mars/x';
  /** number of the log now written */
  number = 0;
  readonly #credits: number | undefined;
  readonly #mapped: boolean;

  private constructor(
    readonly vm: Vm,
    readonly data: Disk,
    readonly log: Disk,
    options: StackOptions,
  ) {
    this.#credits = options.credits;
    this.#mapped = options.mapped ?? false;
  }

  /** Disks for a started machine; the log disk gets a file system. Nothing is up yet. */
  static async make(vm: Vm, options: StackOptions = {}): Promise<Stack> {
    const data = await vm.disk('data', { size: 64 * MIB, ...options.data });
    const log = await vm.disk('log', { size: 256 * MIB, ...options.log });
    const stack = new Stack(vm, data, log, options);
    await vm.sh(`mkfs.ext4 -q -b 4096 -m 0 -E lazy_itable_init=0 ${log.path}`);
    await stack.mount();
    return stack;
  }

  /** Path of the device under the data brick, or under the file system of the log. */
  device(which: 'data' | 'log'): string {
    return this.#mapped ? `/dev/mapper/${which}` : this[which].path;
  }

  /** Load the module and mount what the logs lie on: what a machine does when it boots. */
  async mount(): Promise<void> {
    const tables = (['data', 'log'] as const).map(
      (name) =>
        `echo "0 $(blockdev --getsz ${this[name].path}) linear ${this[name].path} 0" | dmsetup create ${name} && dmsetup mknodes`,
    );
    await this.vm.sh(
      `set -e; modprobe mars; ${this.#mapped ? tables.join('; ') : ':'}; mkdir -p /log; mount ${this.device('log')} /log`,
    );
  }

  path(number: number): string {
    return `/log/log-${String(number).padStart(9, '0')}-a`;
  }

  /** Commands for the control device; throws with the refusal. */
  async control(...lines: readonly string[]): Promise<void> {
    await this.vm.sh('marsctl batch', { stdin: `${lines.join('\n')}\n` });
  }

  dataCommands(): string[] {
    return [
      'create bdev d',
      `set d file.path text ${this.device('data')}`,
      'set d file.flags excl',
      'switch d on',
    ];
  }

  logCommands(brick: string, number: number): string[] {
    return [
      `create file ${brick}`,
      `set ${brick} file.path text ${this.path(number)}`,
      `set ${brick} file.flags direct,create,append`,
      `switch ${brick} on`,
    ];
  }

  identity(number: number): string {
    return `ident number=${number} origin=a timeline=1`;
  }

  /** Everything on, writing a fresh log. */
  async up(): Promise<void> {
    this.number++;
    await this.control(
      ...this.dataCommands(),
      ...this.logCommands('l1', this.number),
      'create logger g',
      'set g logger.segment 4194304',
      ...(this.#credits === undefined ? [] : [`set g logger.credits ${this.#credits}`]),
      `set g logger.ident ${this.identity(this.number)}`,
      'connect g 0 d',
      'connect g 1 l1',
      'switch g on',
      'create if x',
      'set x if.name text x',
      'connect x 0 g',
      'switch x on',
    );
  }

  /** Everything off and away, in order. */
  async down(): Promise<void> {
    await this.control(...['x', 'g', 'l1', 'd'].flatMap((b) => [`switch ${b} off`, `destroy ${b}`]));
  }

  /**
   * Commands that begin to apply the newest log to a disk, as a secondary does: bricks `rd`,
   * `rl` and `r`.
   *
   * @param disk - device path
   * @param start - position in the log, 0: all of it
   * @param end - bytes of the log that may be used; default: as far as it is valid
   */
  replayCommands(disk: string, start: number, end: bigint | number = 2n ** 64n - 1n): string[] {
    return [
      'create bdev rd',
      `set rd file.path text ${disk}`,
      'set rd file.flags excl',
      'switch rd on',
      'create file rl',
      `set rl file.path text ${this.path(this.number)}`,
      'set rl file.flags rdonly',
      'switch rl on',
      'create replay r',
      // a salt of zeros: whatever stands there
      `set r replay.ident ident number=${this.number} origin=a salt=${'0'.repeat(32)}`,
      `set r replay.start ${start}`,
      `set r replay.end ${end}`,
      'connect r 0 rd',
      'connect r 1 rl',
      'switch r on',
    ];
  }

  /** Apply the newest log from `start` (0: all of it) to its end; where it ended. */
  async replay(start = 0, disk = this.device('data')): Promise<number> {
    await this.control(...this.replayCommands(disk, start));
    const done = await this.vm.until(
      'case $(marsctl status r state) in replay-clean|replay-torn) ' +
        '[ "$(marsctl status r applied)" = "$(marsctl status r ckpt)" ] && marsctl status r applied;; *) false;; esac',
    );
    await this.control(...['r', 'rl', 'rd'].flatMap((b) => [`switch ${b} off`, `destroy ${b}`]));
    return Number(done);
  }

  /** A number or word of a brick's status. */
  async status(brick: string, field: string): Promise<string> {
    return (await this.vm.sh(`marsctl status ${brick} ${field}`)).trim();
  }

  /** Resolves when the field has that value. */
  async wait(brick: string, field: string, value: string | number): Promise<void> {
    await this.vm.sh(`marsctl wait ${brick} ${field} ${value} 60`, { timeout: 90000 });
  }
}

/** A load in a machine, with all it was told to be durable. */
export class Load {
  /** acknowledgements, as fsload prints them */
  acks = '';
  readonly #tally = new Tally();
  readonly ended: Promise<number>;
  error = '';

  /**
   * @param what - `run` on a mounted file system, `raw` on a disk
   * @param rounds - of each worker; 0: until killed
   * @param pause - of each worker between rounds, ms: where something else has to get on beside it
   */
  constructor(
    readonly vm: Vm,
    readonly what: 'run' | 'raw',
    readonly where: string,
    readonly seed: number,
    rounds = 0,
    /** told of each piece of acknowledgements */
    onAck: (text: string) => void = () => undefined,
    pause = 0,
  ) {
    const onOutput = (text: string): void => {
      this.acks += text;
      onAck(text);
      this.#tally.add(text.split('\n').length - 1);
    };
    this.ended = vm
      .exec(['fsload', what, where, String(seed), String(rounds), String(pause)], {
        timeout: 600000,
        onOutput,
      })
      .then(
        (outcome) => {
          this.error = outcome.stderr;
          return outcome.code;
        },
        () => -1,
      );
  }

  /** Acknowledgements so far. */
  get count(): number {
    return this.#tally.count;
  }

  /** Resolves when that many more acknowledgements have come; throws when the load ends before. */
  more(count: number): Promise<void> {
    return this.#tally.more(
      count,
      this.ended.then((code) => `exit ${code} ${this.error}`),
    );
  }

  /** Kill it, without waiting for its end; its workers may go with their parent before they are found. */
  async shoot(): Promise<void> {
    await this.vm.sh('killall -9 fsload 2>/dev/null; true');
  }

  /** End it as a user would; nothing that was acknowledged is taken back. */
  async kill(): Promise<void> {
    await this.shoot();
    await this.ended;
  }

  /** Everything that was acknowledged must be there. */
  async check(where = this.where, acked = this.acks): Promise<void> {
    const acks = acked.slice(0, acked.lastIndexOf('\n') + 1);
    const verb = this.what === 'run' ? 'check' : 'rawcheck';
    await this.vm.sh(`fsload ${verb} ${where} ${this.seed}`, { stdin: acks });
  }
}
