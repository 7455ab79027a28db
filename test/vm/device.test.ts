// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The disk /dev/mars/NAME as an operator and a file system meet it: on a device alone and above
 * a logger.
 */
import type { ExecutionContext } from 'ava';
import type { Disk, DiskOptions } from '../../lab/vm/disk.js';
import type { VmLab } from '../../lab/vm/lab.js';
import type { Vm } from '../../lab/vm/vm.js';
import { vmTest } from './support.js';

const MIB = 1 << 20;

/** Run lines of marsctl; throws when one is refused. */
async function control(vm: Vm, lines: string): Promise<void> {
  const outcome = await vm.exec(['marsctl', 'batch'], { stdin: lines });
  if (outcome.code !== 0) throw new Error(`${lines}\n${outcome.stderr}`);
}

/** A call that must be refused, with this reason. */
async function refused(t: ExecutionContext, vm: Vm, reason: string, ...argv: string[]): Promise<void> {
  const outcome = await vm.exec(['marsctl', ...argv]);
  t.is(outcome.code, 1, `${argv.join(' ')}: ${outcome.stderr}`);
  t.true(outcome.stderr.includes(`: ${reason} (`), `${argv.join(' ')}: ${outcome.stderr}`);
}

const BDEV = (path: string): string =>
  `create bdev b\nset b file.path text ${path}\nset b file.flags excl\nswitch b on\n`;
const DISK = (below: string, name = 'x'): string =>
  `create if i\nset i if.name text ${name}\nconnect i 0 ${below}\nswitch i on\n`;
const LOG = (input: number, text: string): string =>
  `create file l${input}\nset l${input} file.path text ${text}\nset l${input} file.flags direct,create,append\nswitch l${input} on\n`;

/** A machine with a disk on a device, nothing in between. */
async function direct(
  lab: VmLab,
  size = 64 * MIB,
  options: DiskOptions = {},
): Promise<{ vm: Vm; data: Disk }> {
  const vm = await lab.vm('a', { smp: 2 });
  const data = await vm.disk('data', { ...options, size });
  await vm.sh('modprobe mars');
  await control(vm, BDEV(data.path) + DISK('b'));
  return { vm, data };
}

/** A machine with a disk above a logger, whose log lies in /log. */
async function logged(
  lab: VmLab,
  size = 64 * MIB,
  logOptions: DiskOptions = {},
): Promise<{ vm: Vm; data: Disk; log: Disk }> {
  const vm = await lab.vm('a', { smp: 2 });
  const data = await vm.disk('data', { size });
  const log = await vm.disk('log', { size: 256 * MIB, ...logOptions });
  await vm.sh(
    `modprobe mars && mkfs.ext4 -q -m 0 -E lazy_itable_init=0 ${log.path}; mkdir /log && mount ${log.path} /log`,
  );
  await control(
    vm,
    BDEV(data.path) +
      LOG(1, '/log/log-000000001-a') +
      'create logger g\nset g logger.segment 4194304\nset g logger.ident ident number=1 origin=a\n' +
      'connect g 0 b\nconnect g 1 l1\nswitch g on\n' +
      DISK('g'),
  );
  return { vm, data, log };
}

const queue = async (vm: Vm, name: string): Promise<string> =>
  (await vm.sh(`cat '/sys/block/mars!x/queue/${name}'`)).trim();
const state = async (vm: Vm, name: string): Promise<string> =>
  (await vm.sh(`cat '/sys/block/mars!x/mars/${name}'`)).trim();

vmTest('it says honestly what it can', async (t, lab) => {
  const { vm, data } = await logged(lab);
  const dev = '/dev/mars/x';
  t.is(await vm.sh(`blockdev --getss --getpbsz --getsize64 --getro ${dev}`), `512\n4096\n${64 * MIB}\n0\n`);
  t.is(await queue(vm, 'max_hw_sectors_kb'), '1024');
  t.is(await queue(vm, 'write_cache'), 'write back');
  t.is(await queue(vm, 'fua'), '1');
  t.is(await queue(vm, 'stable_writes'), '0');
  t.not(await queue(vm, 'discard_max_bytes'), '0');
  t.not(await queue(vm, 'write_zeroes_max_bytes'), '0');
  // the tree below, and the device below is ours alone
  const lower = data.path.slice('/dev/'.length);
  t.is(await vm.sh("ls '/sys/block/mars!x/slaves'"), `${lower}\n`);
  t.is(await vm.sh(`ls /sys/block/${lower}/holders`), 'mars!x\n');
  t.regex(await vm.sh(`lsblk -n -o NAME ${data.path}`), /mars\/x/);
  t.not((await vm.exec(['mkfs.ext4', '-F', '-q', data.path])).code, 0);
  // state, and nothing of a log without one
  t.is(await state(vm, 'state'), 'ok');
  t.is(await state(vm, 'brick'), 'i');
  t.is(await state(vm, 'open_count'), '0');
  t.is(await state(vm, 'log_number'), '1');
  await vm.sh(`dd if=/dev/urandom of=${dev} bs=64k count=4 conv=fsync`);
  t.true(Number(await state(vm, 'durable_position')) > 256 * 1024);
  t.is(await vm.sh('awk \'$3 == "mars!x" || $3 == "mars/x" { print ($8 > 0) }\' /proc/diskstats'), '1\n');
});

vmTest('what the disk below says of itself is said again', async (t, lab) => {
  const { vm, data } = await direct(lab, 64 * MIB, {
    bus: 'scsi',
    says: { physical: 16384, optimal: 262144, rotates: true },
  });
  const lower = data.path.slice('/dev/'.length);
  const both = async (name: string): Promise<readonly string[]> =>
    Promise.all([
      queue(vm, name),
      vm.sh(`cat /sys/block/${lower}/queue/${name}`).then((text) => text.trim()),
    ]);
  for (const [name, value] of [
    ['physical_block_size', '16384'],
    ['optimal_io_size', '262144'],
    ['rotational', '1'],
  ] as const)
    t.deepEqual(await both(name), [value, value], name);
  t.is(await queue(vm, 'minimum_io_size'), '16384');
  t.is(await queue(vm, 'discard_granularity'), '16384');
  t.is(await queue(vm, 'logical_block_size'), '512');
  const [mine = '', its = ''] = await both('dma_alignment');
  t.true(Number(mine) >= Number(its), 'no buffer goes through that the disk below could not take');
});

vmTest('a disk that does not rotate says so above, too', async (t, lab) => {
  const { vm } = await direct(lab, 64 * MIB, { bus: 'scsi', says: { rotates: false } });
  t.is(await queue(vm, 'rotational'), '0');
  t.is(await queue(vm, 'optimal_io_size'), '0');
});

for (const { bus, flushes, costs } of [
  { bus: 'scsi', flushes: false, costs: 'one write, where that has FUA' },
  { bus: 'virtio', flushes: true, costs: 'one write and a flush, where that has no FUA' },
] as const)
  vmTest(`a small write that is flushed costs the log disk ${costs}`, async (t, lab) => {
    const { vm, log } = await logged(lab, 64 * MIB, { bus });
    const write = (count: number): Promise<string> =>
      vm.sh(`dd if=/dev/urandom of=/dev/mars/x bs=4k count=${count} oflag=direct,dsync`);
    // many small ones in a row make the logger write zeros ahead; without these each is a commit of the journal
    await write(64);
    await vm.sh('sync -f /log');
    // fields of Documentation/block/stat.rst
    const stat = async (): Promise<readonly number[]> =>
      (await vm.sh(`cat /sys/block/${log.path.slice('/dev/'.length)}/stat`)).trim().split(/ +/).map(Number);
    const before = await stat();
    await write(64);
    const after = await stat();
    const [writes = 0, flushed = 0] = [4, 15].map((at) => (after[at] ?? 0) - (before[at] ?? 0));
    t.log(`${writes} writes, ${flushed} flushes`);
    // a flush counts as an empty write, too
    t.true(writes - flushed >= 64 && writes - flushed < 80);
    t.true(flushes ? flushed >= 64 && flushed < 80 : flushed < 8);
  });

vmTest('what it stands on can be rewired only as far as it stays true', async (t, lab) => {
  const { vm } = await logged(lab);
  const small = await vm.disk('small', { size: 16 * MIB });
  const same = await vm.disk('same', { size: 64 * MIB });
  await control(
    vm,
    `create bdev s\nset s file.path text ${small.path}\nswitch s on\n` +
      `create bdev o\nset o file.path text ${same.path}\nswitch o on\ncreate check c\nconnect c 0 b\nswitch c on\n`,
  );
  await refused(t, vm, 'not-now', 'connect', 'i', '0', 's'); // no logger
  await refused(t, vm, 'not-now', 'connect', 'g', '0', 's'); // another disk, and a smaller one
  await refused(t, vm, 'not-now', 'connect', 'g', '0', 'o');
  await refused(t, vm, 'not-now', 'disconnect', 'i', '0');
  // what only looks on may come and go, above the logger and below
  await control(vm, 'connect g 0 c\ncreate check d\nconnect d 0 g\nswitch d on\nconnect i 0 d\n');
  await refused(t, vm, 'not-now', 'disconnect', 'd', '0');
  await refused(t, vm, 'not-now', 'connect', 'c', '0', 'o');
  await vm.sh('dd if=/dev/urandom of=/dev/mars/x bs=64k count=4 conv=fsync 2>/dev/null');
  t.is(await state(vm, 'state'), 'ok');
  t.true(Number(await state(vm, 'durable_position')) > 256 * 1024);
  t.true(Number(await vm.sh('marsctl status d requests')) > 0);
  await control(vm, 'connect i 0 g\nconnect g 0 b\nswitch i off\n');
  // off it promises nothing
  await control(vm, 'connect i 0 s\ndisconnect i 0\n');
});

vmTest('what it stands on stays until the disk is gone', async (t, lab) => {
  const vm = await lab.vm('a');
  await vm.sh('modprobe mars; truncate -s 1M /tmp/b /tmp/o');
  const image = (name: string): string =>
    `create file ${name}\nset ${name} file.path text /tmp/${name}\nset ${name} file.flags excl\nswitch ${name} on\n`;
  await control(vm, image('b') + image('o') + DISK('b') + 'create check c\nconnect c 0 b\nswitch c on\n');
  // the only processor that work items may use has something else to do: switched off, the disk is still there
  await vm.sh('echo 1 >/sys/devices/virtual/workqueue/cpumask');
  await vm.put(
    '/tmp/between',
    'marsctl switch i off nowait; [ -d "/sys/block/mars!x/mars" ] && echo yes >/tmp/there; ' +
      'marsctl connect i 0 o 2>/tmp/other; marsctl connect i 0 c && echo yes >/tmp/onlooker',
  );
  await vm.sh('taskset 1 chrt -f 1 sh /tmp/between');
  t.is(await vm.get('/tmp/there'), 'yes\n');
  t.regex(await vm.get('/tmp/other'), /: not-now \(/);
  t.is(await vm.get('/tmp/onlooker'), 'yes\n');
  await vm.until('[ "$(marsctl status i off)" = 1 ] && ! test -e "/sys/block/mars!x"');
  await control(vm, 'connect i 0 o\n');
});

vmTest('names fit a disk or are refused with words', async (t, lab) => {
  const { vm, data } = await direct(lab);
  const longest = 'abcdefghijklmnopqrstuvwxyz';
  t.is(data.backend, 'raw');
  await control(vm, 'create if j\n');
  await refused(t, vm, 'too-long', 'set', 'j', 'if.name', 'text', `${longest}0`);
  for (const name of ['a/b', '.a', 'a b', '..'])
    await refused(t, vm, 'bad-value', 'set', 'j', 'if.name', 'text', name);
  await refused(t, vm, 'missing', 'switch', 'j', 'on');
  await control(vm, 'set j if.name text x\nconnect j 0 b\n');
  await refused(t, vm, 'exists', 'switch', 'j', 'on');
  await control(vm, `set j if.name text ${longest}\nswitch j on\n`);
  t.is(await vm.sh(`blockdev --getsize64 /dev/mars/${longest}`), `${64 * MIB}\n`);
  await refused(t, vm, 'not-now', 'set', 'j', 'if.name', 'text', 'y');
  t.is(await vm.sh(`ls -d '/sys/block/mars!x/mars/log_number' 2>/dev/null | wc -l`), '0\n');
  await control(vm, 'switch j off\ndestroy j\nswitch i off\nswitch b off\n');
  t.is(await vm.sh('ls /dev/mars 2>/dev/null | wc -l'), '0\n');
});

for (const [name, make] of [
  ['on a device', direct],
  ['above a logger', logged],
] as const) {
  vmTest(`a file system lives on it, ${name}`, async (t, lab) => {
    const { vm } = await make(lab, 96 * MIB, { size: 400 * MIB });
    for (const fs of name === 'on a device' ? ['ext4'] : ['ext4', 'xfs']) {
      if (fs === 'xfs') {
        // xfs asks for 300 MiB nowadays, and says how to do without in a test
        await vm.sh('mkfs.xfs -q -f -d size=64m --unsupported /dev/mars/x || mkfs.xfs -q -f /dev/mars/x');
      } else {
        await vm.sh('mkfs.ext4 -q -F /dev/mars/x');
      }
      await vm.sh(
        'mkdir -p /mnt; mount /dev/mars/x /mnt; cp -r /usr/lib/modules/*/modules.* /mnt/; cd /mnt; ' +
          'sha256sum * >/tmp/sums; cd /; fsfreeze -f /mnt; fsfreeze -u /mnt; umount /mnt; ' +
          'mount /dev/mars/x /mnt; cd /mnt; sha256sum -c --quiet /tmp/sums; cd /; fallocate -l 1m /mnt/f; ' +
          'fallocate -p -o 4096 -l 8192 /mnt/f; rm /mnt/f; sync; umount /mnt',
      );
      await vm.sh(fs === 'ext4' ? 'e2fsck -f -n /dev/mars/x' : 'xfs_repair -n /dev/mars/x');
    }
    t.is(await state(vm, 'open_count'), '0');
  });

  vmTest(`what is written is read again in every way, ${name}`, async (t, lab) => {
    const { vm } = await make(lab);
    const job = (options: string): Promise<string> =>
      vm.sh(
        `fio --name=j --filename=/dev/mars/x --size=8m --verify=crc32c --do_verify=1 --randseed=7 ${options}`,
      );
    await job('--rw=randwrite --bs=512-64k --direct=1 --ioengine=libaio --iodepth=16');
    await job('--rw=randwrite --bs=4k --ioengine=psync --fsync=8');
    await job('--rw=write --bs=4m --direct=1 --ioengine=libaio --iodepth=2');
    // without waiting in submission: refused by the block layer when we did not offer it
    await job('--rw=randwrite --bs=4k --direct=1 --ioengine=io_uring --iodepth=8');
    t.is(await vm.sh("xfs_io -d -c 'pwrite -q -N -V 1 0 4096' /dev/mars/x && echo done"), 'done\n');
    t.is(await state(vm, 'open_count'), '0');
    t.is((await vm.sh('marsctl status i in_flight')).trim(), '0');
  });

  vmTest(`what is discarded or zeroed reads as zeros, ${name}`, async (t, lab) => {
    const { vm, data } = await make(lab);
    const bytes = (from: number, to: number, what = '/dev/mars/x'): Promise<string> =>
      vm.sh(
        `dd if=${what} bs=4k skip=${from} count=${to - from} iflag=direct 2>/dev/null | tr -d '\\0' | wc -c`,
      );
    await vm.sh("head -c 4M /dev/zero | tr '\\0' A | dd of=/dev/mars/x bs=1M oflag=direct iflag=fullblock");
    await vm.sh('blkdiscard -o 4096 -l 65536 /dev/mars/x; blkdiscard -z -o 1052672 -l 131072 /dev/mars/x');
    const check = async (what?: string): Promise<void> => {
      t.is(await bytes(0, 1, what), '4096\n');
      t.is(await bytes(1, 17, what), '0\n');
      t.is(await bytes(17, 18, what), '4096\n');
      t.is(await bytes(257, 289, what), '0\n');
      t.is(await bytes(289, 1024, what), `${735 * 4096}\n`);
    };
    await check();
    await vm.sh('sync');
    if (name === 'above a logger')
      await control(vm, 'switch i off\nset g logger.checkpoint\nwait g dirty 0\nswitch g off\n');
    else await control(vm, 'switch i off\n');
    await control(vm, 'switch b off\n');
    await check(data.path);
  });
}

vmTest('it grows while it is open', async (t, lab) => {
  const { vm, data } = await direct(lab);
  await vm.sh('mkfs.ext4 -q -F /dev/mars/x; mkdir -p /mnt; mount /dev/mars/x /mnt; echo here >/mnt/f; sync');
  await control(vm, 'set i if.resize\n');
  t.is(await vm.sh('blockdev --getsize64 /dev/mars/x'), `${64 * MIB}\n`);
  data.resize(128 * MIB);
  await vm.growDisk(data, 128 * MIB);
  await vm.until(`[ "$(blockdev --getsize64 ${data.path})" = ${128 * MIB} ]`);
  await control(vm, 'set i if.resize\n');
  t.is(await vm.sh('blockdev --getsize64 /dev/mars/x'), `${128 * MIB}\n`);
  await vm.sh('resize2fs /dev/mars/x; head -c 80M /dev/zero >/mnt/big; sync; cat /mnt/f; umount /mnt');
  await vm.sh('e2fsck -f -n /dev/mars/x');
  t.true((await vm.log()).some((line) => line.includes('detected capacity change')));
});

vmTest('a log decides when growth is seen', async (t, lab) => {
  const { vm, data } = await logged(lab);
  data.resize(96 * MIB);
  await vm.growDisk(data, 96 * MIB);
  await vm.until(`[ "$(blockdev --getsize64 ${data.path})" = ${96 * MIB} ]`);
  await control(vm, 'set i if.resize\n');
  t.is(await vm.sh('blockdev --getsize64 /dev/mars/x'), `${64 * MIB}\n`);
  await vm.sh('dd if=/dev/urandom of=/dev/mars/x bs=64k count=4 conv=fsync');
  await control(vm, LOG(2, '/log/log-000000002-a') + 'connect g 2 l2\n');
  await control(vm, 'set g logger.rotate 2 ident number=2 origin=a\nwait g slot 2\nset i if.resize\n');
  t.is(await vm.sh('blockdev --getsize64 /dev/mars/x'), `${96 * MIB}\n`);
  await vm.sh('dd if=/dev/urandom of=/dev/mars/x bs=64k count=4 seek=1400 conv=fsync');
});

vmTest('read-only means so', async (t, lab) => {
  const { vm } = await direct(lab);
  await vm.sh('mkfs.ext4 -q -F /dev/mars/x');
  await control(vm, 'switch i off\nset i if.readonly 1\nswitch i on\n');
  t.is(await vm.sh('blockdev --getro /dev/mars/x'), '1\n');
  t.regex(
    (await vm.exec(['dd', 'if=/dev/zero', 'of=/dev/mars/x', 'count=1'])).stderr,
    /Read-only file system/,
  );
  t.not((await vm.exec(['blockdev', '--setrw', '/dev/mars/x'])).code, 0);
  await vm.sh('mkdir -p /mnt; mount -o ro /dev/mars/x /mnt; ls /mnt/lost+found; umount /mnt');
  await refused(t, vm, 'bad-value', 'set', 'i', 'if.readonly', '2');
  await control(vm, 'set i if.readonly 0\n');
  await vm.sh('dd if=/dev/zero of=/dev/mars/x bs=4k count=1 seek=100 conv=fsync');
  // what an operator has set so can be taken back
  await vm.sh('blockdev --setro /dev/mars/x');
  t.not((await vm.exec(['dd', 'if=/dev/zero', 'of=/dev/mars/x', 'count=1'])).code, 0);
  await vm.sh('blockdev --setrw /dev/mars/x');
  await vm.sh('dd if=/dev/zero of=/dev/mars/x bs=4k count=1 seek=100 conv=fsync');
});

vmTest('one user at a time who wants it alone', async (t, lab) => {
  const { vm } = await direct(lab);
  await vm.sh('mkfs.ext4 -q -F /dev/mars/x; mkdir -p /mnt /mnt2; mount /dev/mars/x /mnt');
  t.not((await vm.exec(['mkfs.ext4', '-F', '-q', '/dev/mars/x'])).code, 0);
  t.not((await vm.exec(['mkfs.xfs', '-f', '-q', '/dev/mars/x'])).code, 0);
  t.not((await vm.exec(['dmsetup', 'create', 'd', '--table', '0 8 linear /dev/mars/x 0'])).code, 0);
  await vm.sh('umount /mnt');
  // other drivers on top are fine
  await vm.sh(
    "dmsetup create d --table '0 131072 linear /dev/mars/x 0'; dmsetup mknodes; mount /dev/mapper/d /mnt",
  );
  t.not((await vm.exec(['mount', '/dev/mars/x', '/mnt2'])).code, 0);
  await refused(t, vm, 'open', 'switch', 'i', 'off');
  await vm.sh('umount /mnt; dmsetup remove d');
});

vmTest('a table of a guest makes no partitions here', async (t, lab) => {
  const { vm } = await direct(lab);
  const table =
    "printf '\\203\\0\\0\\0\\0\\010\\0\\0\\0\\200\\0\\0' | dd of=/dev/mars/x bs=1 seek=450; " +
    "printf '\\125\\252' | dd of=/dev/mars/x bs=1 seek=510 conv=fsync";
  await vm.sh(table);
  await control(vm, 'switch i off\nswitch i on\n');
  t.is(await vm.sh('ls /dev/mars'), 'x\n');
  t.is(await vm.sh("ls -d '/sys/block/mars!x/mars!x'* 2>/dev/null | wc -l"), '0\n');
  // who wants them asks for them
  t.is(
    await vm.sh('modprobe loop; losetup -P /dev/loop0 /dev/mars/x; blockdev --getsz /dev/loop0p1'),
    '32768\n',
  );
  await vm.sh('losetup -d /dev/loop0');
});

vmTest('open, it is not switched off, and the module stays', async (t, lab) => {
  const { vm } = await direct(lab);
  const device = '/dev/mars/x';
  await vm.sh(`setsid sh -c 'exec 3<>${device}; echo >/tmp/ready; exec sleep 1000' >/dev/null 2>&1 &`);
  await vm.until('[ -e /tmp/ready ]');
  t.is((await vm.sh('marsctl status i clients')).trim(), '1');
  await refused(t, vm, 'open', 'switch', 'i', 'off');
  t.not((await vm.exec(['rmmod', 'mars'])).code, 0);
  await vm.sh(`dd if=/dev/zero of=${device} bs=4k count=1 oflag=direct`);
  await vm.sh("kill $(ps -eo pid,args | awk '/[s]leep 1000/ { print $1 }')");
  await vm.sh('marsctl wait i clients 0');
  t.not((await vm.exec(['rmmod', 'mars'])).code, 0);
  await control(vm, 'switch i off\nswitch b off\n');
  t.not((await vm.exec(['test', '-e', device])).code, 0);
  await vm.until('rmmod mars');
});

vmTest('a writer that waits for log space keeps it open, and nobody hangs', async (t, lab) => {
  const { vm } = await logged(lab, 64 * MIB, { size: 48 * MIB });
  await vm.sh('dd if=/dev/zero of=/log/filler bs=1M 2>/dev/null; sync -f /log; df /log >&2; true');
  await vm.sh(
    "setsid sh -c 'dd if=/dev/urandom of=/dev/mars/x bs=64k count=256 oflag=direct; echo $? >/tmp/end' >/dev/null 2>&1 &",
  );
  await vm.sh('marsctl wait g state log-space-full 60');
  t.is(await state(vm, 'state'), 'log-space-full');
  await refused(t, vm, 'open', 'switch', 'i', 'off');
  await refused(t, vm, 'busy-users', 'switch', 'g', 'off');
  await vm.sh('dd if=/dev/mars/x of=/dev/null bs=1M count=8 iflag=direct');
  await vm.sh('rm /log/filler');
  t.is(await vm.until('[ -s /tmp/end ] && cat /tmp/end'), '0\n');
  await control(vm, 'wait i clients 0\nswitch i off\nswitch g off\n');
});

vmTest('its requests keep the rules, and errors from below arrive as they are', async (t, lab) => {
  const { vm } = await logged(lab);
  await control(vm, 'create check c\nconnect c 0 g\nswitch c on\n');
  await vm.sh(
    "setsid sh -c 'fio --name=j --filename=/dev/mars/x --size=8m --rw=randwrite --bs=512-64k --direct=1 " +
      "--ioengine=libaio --iodepth=16 --verify=crc32c --fsync=32 --randseed=3 >/tmp/fio 2>&1; echo $? >/tmp/end' " +
      '>/dev/null 2>&1 &',
  );
  // the check brick slides in and out under load, at least once
  const rewired = await vm.sh(
    'n=0; until [ -s /tmp/end ] && [ $n -gt 0 ]; do marsctl connect i 0 c && marsctl connect i 0 g || exit 1; ' +
      'n=$((n + 1)); done; cat /tmp/end; marsctl connect i 0 c',
    { timeout: 120000 },
  );
  t.is(rewired, '0\n', await vm.get('/tmp/fio'));
  // flush in front of a write: the journal of a file system
  await vm.sh(
    'mkfs.ext4 -q -F /dev/mars/x; mkdir -p /mnt; mount /dev/mars/x /mnt; echo kept >/mnt/f; sync; umount /mnt',
  );
  t.true(Number(await vm.sh('marsctl status c requests')) > 0);
  for (const rule of ['twice', 'align', 'vec', 'range'])
    t.is((await vm.sh(`marsctl status c ${rule}`)).trim(), '0', rule);
  for (const [errno, words] of [
    [28, /No space left/],
    [5, /Input\/output error/],
  ] as const) {
    await vm.sh(`marsctl set c check.error text 'write ${errno} 0 1'`);
    const outcome = await vm.exec([
      'dd',
      'if=/dev/zero',
      'of=/dev/mars/x',
      'bs=4k',
      'count=1',
      'oflag=direct',
    ]);
    t.regex(outcome.stderr, words);
  }
  await vm.sh('dd if=/dev/zero of=/dev/mars/x bs=4k count=1 oflag=direct');
});

vmTest('write through makes every write durable by itself', async (t, lab) => {
  const { vm } = await logged(lab);
  await control(vm, 'set g logger.delay 1000000\n');
  const positions = async (): Promise<readonly [string, string]> => [
    await state(vm, 'log_position'),
    await state(vm, 'durable_position'),
  ];
  const cache = "'/sys/block/mars!x/queue/write_cache'";
  const write = 'dd if=/dev/urandom of=/dev/mars/x bs=4k count=1 oflag=direct';
  await vm.sh(`echo 'write through' >${cache}`);
  for (const command of [write, 'blkdiscard -o 65536 -l 65536 /dev/mars/x', write]) {
    const before = await positions();
    await vm.sh(command);
    const [pos, durable] = await positions();
    t.true(Number(pos) > Number(before[0]), command);
    t.is(pos, durable, command);
  }
  await vm.sh(`echo 'write back' >${cache}`);
  const groups = (await vm.sh('marsctl status g flushes')).trim();
  await vm.sh('dd if=/dev/urandom of=/dev/mars/x bs=4k count=1 conv=fsync');
  t.true(Number((await vm.sh('marsctl status g flushes')).trim()) > Number(groups));
});

vmTest('durability=always shows as write through', async (t, lab) => {
  const { vm } = await logged(lab);
  await control(vm, 'switch i off\nset g logger.durability 1\nswitch i on\n');
  t.is(await queue(vm, 'write_cache'), 'write through');
  await control(vm, 'set g logger.durability 0\nset g logger.delay 1000000\n');
  await vm.sh('dd if=/dev/urandom of=/dev/mars/x bs=4k count=1 oflag=direct');
  t.is(await state(vm, 'log_position'), await state(vm, 'durable_position'));
});

vmTest('it comes and goes while others look and open', async (t, lab) => {
  const { vm } = await logged(lab);
  await vm.put(
    '/tmp/look',
    'while [ ! -e /tmp/stop ]; do cat /sys/block/mars!x/mars/* /sys/block/mars!x/ro; done >/dev/null 2>&1\n',
  );
  await vm.put(
    '/tmp/open',
    'while [ ! -e /tmp/stop ]; do [ -b /dev/mars/x ] && dd if=/dev/mars/x of=/dev/null count=8; done >/dev/null 2>&1\n',
  );
  await vm.sh('for f in look open; do setsid sh /tmp/$f >/dev/null 2>&1 & done');
  await vm.put(
    '/tmp/switch',
    `n=0; open=0
while [ $n -lt 40 ]; do
  if e=$(marsctl switch i off 2>&1); then marsctl switch i on || exit 1; n=$((n + 1))
  else case "$e" in *": open ("*) open=$((open + 1)) ;; *) echo "$e"; exit 1 ;; esac; fi
done
echo $n $open
`,
  );
  t.regex(await vm.sh('sh /tmp/switch', { timeout: 120000 }), /^40 \d+\n$/);
  await vm.sh('touch /tmp/stop');
  await vm.until('marsctl switch i off');
});
