// SPDX-License-Identifier: GPL-2.0-or-later
/** Foreign programs at the daemon's socket, and at the replica's disk afterwards. */
import path from 'node:path';
import test from 'ava';
import { run } from '../../lab/lab.js';
import {
  block,
  BLOCK,
  compareImages,
  image,
  makeDisk,
  makeLab,
  onDevice,
  R,
  textOf,
  tool,
} from './support.js';

const SIZE = 64 << 20;
const uri = (socket: string, name = R): string => `nbd+unix:///${name}?socket=${socket}`;

test.serial('fio writes at the primary and verifies on the replica', async (t) => {
  const lab = await makeLab(t, { size: SIZE, daemonArgs: ['--segment', '4M', '--rotate-at', '8M'] });
  const [a, b] = [lab.node('a'), lab.node('b')];
  const job = [
    '--name=v',
    '--rw=randwrite',
    '--bsrange=4k-64k',
    `--size=${SIZE}`,
    '--verify=crc32c',
    '--verify_fatal=1',
    '--randseed=77',
    '--verify_state_save=0',
  ];
  const served = ['--thread', '--ioengine=nbd', `--uri=${uri(a.device(R))}`, '--iodepth=16', '--fsync=64'];
  await tool('fio', ...job, ...served, '--io_size=48M', '--do_verify=1');
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await b.marsadm(['pause-replay', R]);
  await tool(
    'fio',
    ...job,
    '--ioengine=psync',
    `--filename=${image(lab, b)}`,
    '--io_size=48M',
    '--verify_only',
  );

  // this check can fail
  const copy = path.join(lab.dir, 'copy.img');
  await tool('cp', image(lab, b), copy);
  await tool(
    'sh',
    '-c',
    `printf x | dd of=${copy} bs=1 seek=$((8 << 20)) conv=notrunc status=none; printf y | dd of=${copy} bs=1 seek=$(((24 << 20) + 5)) conv=notrunc status=none`,
  );
  for (let at = 0; at < SIZE; at += 1 << 20)
    await tool(
      'dd',
      'if=/dev/urandom',
      `of=${copy}`,
      'bs=512',
      'count=1',
      `seek=${at / 512}`,
      'conv=notrunc',
      'status=none',
    );
  const outcome = await run('fio', [
    ...job,
    '--ioengine=psync',
    `--filename=${copy}`,
    '--io_size=48M',
    '--verify_only',
  ]);
  t.not(outcome.code, 0);

  await b.marsadm(['resume-replay', R]);
  await compareImages(t, lab, a);
});

test.serial('nbdinfo, nbdcopy and qemu-io find an honest disk at the socket', async (t) => {
  const lab = await makeLab(t, { size: SIZE });
  const [a, b] = [lab.node('a'), lab.node('b')];
  const info = JSON.parse(await tool('nbdinfo', '--json', uri(a.device(R)))) as {
    exports: {
      'export-size': number;
      can_flush: boolean;
      can_fua: boolean;
      can_trim: boolean;
      can_multi_conn: boolean;
    }[];
  };
  t.like(info.exports[0], { 'export-size': SIZE, can_flush: true, can_fua: true });
  t.is((await tool('nbdinfo', '--size', uri(a.device(R), ''))).trim(), `${SIZE}`);

  const file = path.join(lab.dir, 'source.bin');
  await tool('dd', 'if=/dev/urandom', `of=${file}`, 'bs=1M', `count=${SIZE >> 20}`, 'status=none');
  await tool('nbdcopy', '--flush', file, uri(a.device(R)));
  const back = path.join(lab.dir, 'back.bin');
  await makeDisk(back, 0);
  await tool('nbdcopy', uri(a.device(R)), back);
  await tool('cmp', file, back);

  const io = await tool(
    'qemu-io', '-f', 'raw', uri(a.device(R)),
    '-c', 'write -P 0xab 4096 8192',
    '-c', 'read -P 0xab 4096 8192',
    '-c', 'write -z 65536 65536',
    '-c', 'read -P 0 65536 65536',
    '-c', 'write -P 0x11 513 100',
    '-c', 'read -P 0x11 513 100',
    '-c', 'discard 1M 1M',
    '-c', 'read -P 0 1M 1M',
    '-c', 'write -f -P 0xcd 2M 64k',
    '-c', 'flush',
  ); // prettier-ignore
  t.notRegex(io, /verification failed|error/i);
  await b.marsadm(['wait-resource', R, 'uptodate']);
  await onDevice(a, async (d) => {
    await d.write(0, block('and ours'));
    t.is(textOf(await d.read(0, BLOCK)), 'and ours');
  });
  await compareImages(t, lab, a);
  // the replica's disk, served by somebody else, equals what qemu-img saw
  await tool('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', image(lab, a), image(lab, b));
});
