// SPDX-License-Identifier: GPL-2.0-or-later
/** Link times, locks and the readiness datagram against the real system. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import {
  flock,
  linkInfo,
  notifyReady,
  readLinks,
  setLinkTime,
  syncDir,
} from '../../../src/engine/linktime.js';

const dir = mkdtempSync(join(tmpdir(), 'mars-links-'));
test.after.always(() => rmSync(dir, { recursive: true, force: true }));

test('a link keeps every nanosecond of its stamp', (t) => {
  const path = join(dir, 'precise');
  symlinkSync('value', path);
  for (const ns of [0n, 1n, 999_999_999n, 1_764_000_000_123_456_789n, 4_102_444_800_000_000_001n]) {
    setLinkTime(path, ns);
    t.is(linkInfo(path)?.mtimeNs, ns);
    t.is(linkInfo(path)?.target, 'value');
  }
});

test('the time set is that of the link, not of what it points to', (t) => {
  const target = join(dir, 'target');
  symlinkSync('elsewhere', target);
  setLinkTime(target, 5n);
  symlinkSync(target, join(dir, 'pointer'));
  setLinkTime(join(dir, 'pointer'), 7n);
  t.is(linkInfo(target)?.mtimeNs, 5n);
  t.is(linkInfo(join(dir, 'pointer'))?.mtimeNs, 7n);
});

test('the change time tells that a link was set back to an old stamp', (t) => {
  const path = join(dir, 'changed');
  symlinkSync('value', path);
  setLinkTime(path, 10n);
  const before = linkInfo(path);
  unlinkSync(path);
  symlinkSync('value', path);
  setLinkTime(path, 10n);
  const after = linkInfo(path);
  t.is(after?.mtimeNs, before?.mtimeNs);
  t.true(after !== undefined && before !== undefined && after.ctimeNs >= before.ctimeNs);
});

test('linkInfo knows nothing of what is no symlink', (t) => {
  writeFileSync(join(dir, 'plain'), '');
  t.is(linkInfo(join(dir, 'plain')), undefined);
  t.is(linkInfo(join(dir, 'absent')), undefined);
  t.is(linkInfo(join(dir, 'plain', 'below')), undefined);
});

test('readLinks gives links and folders, and nothing else', (t) => {
  const sub = join(dir, 'many');
  mkdirSync(join(sub, 'folder'), { recursive: true });
  writeFileSync(join(sub, 'file'), '');
  for (let i = 0; i < 300; i++) {
    symlinkSync(`value-${i}`, join(sub, `key-${i}`));
    setLinkTime(join(sub, `key-${i}`), BigInt(i) * 1_000_000_007n);
  }
  const found = readLinks(sub);
  t.deepEqual(found.dirs, ['folder']);
  t.is(found.links.length, 300);
  for (const link of found.links) {
    const i = Number(link.name.slice(4));
    t.is(link.target, `value-${i}`);
    t.is(link.mtimeNs, BigInt(i) * 1_000_000_007n);
  }
});

test('failures name errno, call and path', (t) => {
  const path = join(dir, 'nowhere', 'x');
  t.like(
    t.throws(() => setLinkTime(path, 1n)),
    { code: 'ENOENT', errno: -2, syscall: 'utimensat', path },
  );
  t.like(
    t.throws(() => readLinks(path)),
    { code: 'ENOENT', syscall: 'opendir', path },
  );
  t.like(
    t.throws(() => syncDir(path)),
    { code: 'ENOENT', syscall: 'open', path },
  );
  t.throws(() => setLinkTime('a\0b', 1n), { instanceOf: TypeError });
  t.throws(() => setLinkTime(path, 1n << 64n), { instanceOf: TypeError });
  t.notThrows(() => syncDir(dir));
});

test('an exclusive lock keeps others out until it is given back', (t) => {
  const path = join(dir, 'lock');
  const mine = openSync(path, 'w');
  const other = openSync(path, 'r');
  t.true(flock(mine, 'exclusive'));
  t.false(flock(other, 'exclusive'));
  t.false(flock(other, 'shared'));
  t.true(flock(mine, 'unlock'));
  t.true(flock(other, 'shared'));
  t.true(flock(mine, 'shared'));
  t.false(flock(mine, 'exclusive'));
  closeSync(other);
  t.true(flock(mine, 'exclusive'));
  closeSync(mine);
});

test('a lock falls with the process that held it', async (t) => {
  const path = join(dir, 'lock2');
  const fd = openSync(path, 'w');
  const holder = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  t.false(flock(fd, 'exclusive'));
  // Closing its input ends cat, and with it the lock.
  holder.stdin.end();
  await once(holder, 'exit');
  t.true(flock(fd, 'exclusive'));
  closeSync(fd);
});

test('a lock on what is no open file is refused', (t) => {
  t.like(
    t.throws(() => flock(9999, 'shared')),
    { code: 'EBADF', syscall: 'flock' },
  );
});

test('readiness is told to whoever listens, and to nobody else', async (t) => {
  t.false(notifyReady('READY=1', undefined));
  t.like(
    t.throws(() => notifyReady('READY=1', join(dir, 'nobody'))),
    { code: 'ENOENT' },
  );
  const path = join(dir, 'notify');
  const script = `import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(${JSON.stringify(path)})
print("up", flush=True); print(s.recv(100).decode(), flush=True)`;
  const listener = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(listener.stdout, 'data');
  t.true(notifyReady('READY=1\nSTATUS=here', path));
  const chunks: Buffer[] = [];
  for await (const chunk of listener.stdout) chunks.push(chunk as Buffer);
  t.is(Buffer.concat(chunks).toString().trim(), 'READY=1\nSTATUS=here');
});
