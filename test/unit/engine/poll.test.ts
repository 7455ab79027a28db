// SPDX-License-Identifier: GPL-2.0-or-later
/** Readiness of a descriptor: woken, ended, and gone with its thread. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { sysBinding } from '../../../src/engine/bindings.js';

const dir = mkdtempSync(join(tmpdir(), 'mars-poll-'));
test.after.always(() => rmSync(dir, { recursive: true, force: true }));

function pipe(name: string): number {
  const path = join(dir, name);
  execFileSync('mkfifo', [path]);
  return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
}

test('ready is called when there is something to read, and not after the end', async (t) => {
  const fd = pipe('a');
  let calls = 0;
  let woken = (): void => undefined;
  const stop = sysBinding().pollFd(fd, () => {
    calls++;
    readSync(fd, Buffer.alloc(16));
    woken();
  });
  for (let round = 1; round <= 3; round++) {
    const wake = new Promise<void>((resolve) => (woken = resolve));
    writeSync(fd, 'x');
    // The poller does not keep the process alive; something else must.
    const alive = setInterval(() => undefined, 1000);
    await wake;
    clearInterval(alive);
    t.is(calls, round);
  }
  stop();
  stop();
  writeSync(fd, 'x');
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  t.is(calls, 3);
  closeSync(fd);
});

test('what is no descriptor is refused', (t) => {
  t.throws(() => sysBinding().pollFd(9999, () => undefined), { code: 'EBADF' });
});

test('a thread that ends while it polls ends cleanly', async (t) => {
  const fd = pipe('b');
  const bindings = fileURLToPath(new URL('../../../src/engine/bindings.js', import.meta.url));
  const code = `import(${JSON.stringify(bindings)}).then(({ sysBinding }) => {
    sysBinding().pollFd(${fd}, () => undefined);
    require('node:worker_threads').parentPort.postMessage('polling');
    setInterval(() => undefined, 1000);
  });`;
  const worker = new Worker(code, { eval: true });
  await once(worker, 'message');
  t.is(await worker.terminate(), 1);
  closeSync(fd);
});
