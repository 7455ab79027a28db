// SPDX-License-Identifier: GPL-2.0-or-later
/** Looking at devices: files, loop devices where this machine has them, locks. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { daemonRuns, directoryWarnings, heldLocks, logFiles, probeDevice } from '../../../src/cli/probe.js';
import { flock } from '../../../src/engine/linktime.js';
import { MarsError } from '../../../src/errors.js';
import { keys } from '../../../src/tree/catalogue.js';
import { Bench, MIB } from './support.js';

const codeOf = (t: ExecutionContext, path: string): string => {
  const error = t.throws(() => probeDevice(path), { instanceOf: MarsError });
  return error.code;
};

/** A loop device on the file; undefined where none can be made. */
function loopDevice(t: ExecutionContext, file: string): string | undefined {
  try {
    const name = execFileSync('losetup', ['-f', '--show', file], { encoding: 'utf8', stdio: 'pipe' }).trim();
    t.teardown(() => execFileSync('losetup', ['-d', name]));
    return name;
  } catch (error) {
    if ((process.env['CI'] ?? '') !== '') throw error;
    t.log('no loop devices here');
    return undefined;
  }
}

test('a free file has its size; what is no disk is refused', (t) => {
  const b = new Bench(t);
  const disk = b.disk('d', 3);
  t.deepEqual(probeDevice(disk), { path: disk, bytes: BigInt(3 * MIB) });
  t.is(codeOf(t, `${disk}.not`), 'device-missing');
  t.is(codeOf(t, `${disk}/below`), 'device-missing');
  t.is(codeOf(t, b.dir), 'device-unusable');
  t.is(codeOf(t, '/dev/null'), 'device-unusable');
});

test.serial('a block device has its size; one that is claimed is busy, and so is the file behind it', (t) => {
  const b = new Bench(t);
  const disk = b.disk('d', 3);
  const loop = loopDevice(t, disk);
  if (loop === undefined) return t.pass();
  t.deepEqual(probeDevice(loop), { path: loop, bytes: BigInt(3 * MIB) });
  t.is(codeOf(t, disk), 'device-busy');
  const fd = openSync(loop, constants.O_RDWR | constants.O_EXCL);
  t.is(codeOf(t, loop), 'device-busy');
  closeSync(fd);
  t.is(probeDevice(loop).bytes, BigInt(3 * MIB));
});

test('a device that only says a size may be in use', async (t) => {
  const b = new Bench(t);
  b.resource();
  const disk = b.disk('grown', 12);
  const fd = openSync(disk, 'r+');
  t.teardown(() => closeSync(fd));
  flock(fd, 'exclusive');
  b.write({
    [keys.actsize('r1', 'hosta')]: String(16 * MIB),
    [keys.actsize('r1', 'hostb')]: String(16 * MIB),
  });
  const ran = await b.run('resize', 'r1', disk, '--json');
  t.is(ran.code, 0, ran.out);
  t.is(b.value(keys.size('r1')), String(12 * MIB));
  t.is((await b.run('resize', 'r1', b.dir, '--json')).json.reason, 'device-unusable');
  t.is((await b.run('resize', 'r1', '/dev/null', '--json')).json.reason, 'device-unusable');
  t.is((await b.run('resize', 'r1', `${disk}.not`, '--json')).json.reason, 'device-missing');
});

test('a daemon is its lock, not its traces', (t) => {
  const b = new Bench(t);
  t.false(daemonRuns(b.dir));
  b.daemonOn();
  t.true(daemonRuns(b.dir));
  b.daemonOff();
  t.false(daemonRuns(b.dir));
});

test('a lock on a file of another file system with an equal number is none on this one', (t) => {
  // major 8, minor 300 is 0x8:0x12c in one table and 8:300 in the other
  const file = { dev: (300n & 0xffn) | (8n << 8n) | ((300n & ~0xffn) << 12n), ino: 17n };
  const locks = (...files: string[]): string =>
    files.map((f, i) => `${i + 1}: FLOCK  ADVISORY  WRITE 42 ${f} 0 EOF\n`).join('');
  const mounts = [
    '22 1 8:300 / / rw,relatime shared:1 - ext4 /dev/sdx rw',
    '23 22 0:29 / /tmp rw - tmpfs none rw\n',
  ].join('\n');
  t.deepEqual(heldLocks(file, locks('00:1d:17', '08:12c:170', '08:12c:117'), mounts), []);
  t.is(
    heldLocks(file, locks('00:1d:17', '08:12c:17'), mounts).join(),
    '2: FLOCK  ADVISORY  WRITE 42 08:12c:17 0 EOF',
  );
  // who waits holds nothing
  t.deepEqual(heldLocks(file, `1: -> ${locks('08:12c:17').slice(3)}`, mounts), []);
  // where stat tells a device that is no mount, the number has to do
  t.is(heldLocks({ ...file, dev: 99n }, locks('00:1d:17'), mounts).length, 1);
});

test('a state directory that others may enter or that belongs to somebody else is worth a warning', (t) => {
  const b = new Bench(t);
  const uid = process.getuid?.() ?? 0;
  t.deepEqual(directoryWarnings(b.dir, uid), []);
  t.regex(directoryWarnings(b.dir, uid + 1).join(), /belongs to user/);
  t.regex(directoryWarnings('/', 0).join(), /can be entered by others/);
  t.deepEqual(logFiles(b.dir, 'r1'), []);
});
