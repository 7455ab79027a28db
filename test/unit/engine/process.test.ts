// SPDX-License-Identifier: GPL-2.0-or-later
/** The engine's life in threads and processes: shared, left behind, cut off. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { engineBinding } from '../../../src/engine/bindings.js';
import { EmbeddedEngine } from '../../../src/engine/engine.js';
import { power, runModule } from './support.js';

const url = new URL('../../../src/engine/engine.js', import.meta.url).href;
const supportUrl = new URL('./support.js', import.meta.url).href;

/** A thread that starts the engine, runs `body`, says "ready" and stays until told to end. */
function thread(body: string): Worker {
  const code = `
    const { parentPort } = require('node:worker_threads');
    (async () => {
      const { EmbeddedEngine } = await import(${JSON.stringify(url)});
      const engine = new EmbeddedEngine();
      ${body}
      parentPort.postMessage('ready');
      parentPort.once('message', () => parentPort.close());
    })();`;
  return new Worker(code, { eval: true });
}

test.serial('threads share one engine, and it outlives the thread that filled it', async (t) => {
  const first = thread(`engine.create('mem', 'shared/1');`);
  const second = thread(`engine.create('mem', 'shared/2');`);
  await Promise.all([once(first, 'message'), once(second, 'message')]);
  const engine = new EmbeddedEngine();
  t.deepEqual(
    engine.list().map((s) => s.name),
    ['shared/1', 'shared/2'],
  );
  t.throws(() => engine.shutdown(), { code: 'EBUSY' });
  first.postMessage('end');
  await once(first, 'exit');
  await second.terminate();
  t.is(engine.list().length, 2);
  engine.set('shared/1', 'mem.size', { value: 4096n });
  await power(engine, 'shared/1', true);
  engine.shutdown();
  t.is(engineBinding().control(Buffer.alloc(16)), -19);
  const again = new EmbeddedEngine();
  t.deepEqual(again.list(), []);
  again.shutdown();
});

test.serial('events go to one thread; when it ends, another may take over', async (t) => {
  const engine = new EmbeddedEngine();
  const worker = thread(`engine.events();`);
  await once(worker, 'message');
  t.throws(() => engine.events(), { code: 'EBUSY' });
  await worker.terminate();
  engine.create('mem', 'takeover');
  engine.set('takeover', 'mem.size', { value: 4096n });
  t.true((await power(engine, 'takeover', true)).ledOn);
  engine.shutdown();
});

test.serial('threads come and go while bricks change', async (t) => {
  const engine = new EmbeddedEngine();
  engine.create('mem', 'busy');
  engine.set('busy', 'mem.size', { value: 4096n });
  for (let round = 0; round < 4; round++) {
    const workers = [thread(`engine.list();`), thread(`engine.events(); engine.status('busy');`)];
    let changes = 0;
    const ready = Promise.all(workers.map((worker) => once(worker, 'message')));
    const turn = (): Promise<'turn'> => new Promise((resolve) => setImmediate(() => resolve('turn')));
    do engine.switch('busy', changes++ % 2 === 0);
    while ((await Promise.race([ready, turn()])) === 'turn');
    await Promise.all(workers.map((worker) => worker.terminate()));
    engine.switch('busy', false);
  }
  t.is(engine.status('busy').name, 'busy');
  engine.shutdown();
});

test.serial('a thread may be terminated with scans of files under way', async (t) => {
  const logscan = new URL('../../../src/engine/logscan.js', import.meta.url).href;
  for (let round = 0; round < 5; round++) {
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
       import(${JSON.stringify(logscan)}).then(async ({ scanLogFile }) => {
         parentPort.postMessage('ready');
         const loop = async () => { for (;;) await scanLogFile(process.execPath); };
         await Promise.all([loop(), loop(), loop(), loop()]);
       });`,
      { eval: true },
    );
    await once(worker, 'message');
    t.is(await worker.terminate(), 1);
  }
});

test.serial('a thread may be terminated while it locks', async (t) => {
  const linktime = new URL('../../../src/engine/linktime.js', import.meta.url).href;
  const locking = `
    const { openSync } = require('node:fs');
    const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(linktime)}).then(({ flock }) => {
      const fd = openSync(process.execPath, 'r');
      parentPort.postMessage('ready');
      for (;;) flock(fd, 'shared', true);
    });`;
  const result = await runModule(`
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    const begin = () => new Worker(${JSON.stringify(locking)}, { eval: true, execArgv: [] });
    for (let round = 0; round < 10; round++) {
      const workers = [begin(), begin(), begin(), begin()];
      await Promise.all(workers.map((worker) => once(worker, 'message')));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    console.log('done');`);
  t.like(result, { code: 0, signal: null, output: 'done\n' });
});

test('an idle engine with a listener does not keep its process alive', async (t) => {
  const result = await runModule(`
    import { EmbeddedEngine } from ${JSON.stringify(url)};
    const engine = new EmbeddedEngine();
    engine.create('mem', 'idle');
    engine.events();
    console.log('done');`);
  t.like(result, { code: 0, signal: null, output: 'done\n' });
});

test('a process may end in the middle of writing', async (t) => {
  const result = await runModule(`
    import { spawn } from 'node:child_process';
    import { rmSync } from 'node:fs';
    import { EmbeddedEngine } from ${JSON.stringify(url)};
    import { diskDir, power, until } from ${JSON.stringify(supportUrl)};
    const dir = diskDir('exit');
    const engine = new EmbeddedEngine();
    engine.create('file', 'disk');
    engine.set('disk', 'file.path', { text: dir + '/disk' });
    engine.set('disk', 'file.flags', { value: 4n });
    engine.set('disk', 'file.size', { value: 64n << 20n });
    engine.create('nbd', 'export');
    engine.set('export', 'nbd.socket', { text: dir + '/sock' });
    engine.connect('export', 0, 'disk');
    await power(engine, 'disk', true);
    await power(engine, 'export', true);
    const writer = spawn('qemu-img', ['bench', '-w', '-f', 'raw', '-c', '1000000', '-d', '16', '-s', '4096',
      'nbd+unix:///?socket=' + dir + '/sock'], { stdio: 'ignore', env: { PATH: process.env.PATH } });
    await until(engine, 'export', (s) => s.val.clients > 0n);
    while (engine.status('export').val.writes < 100n) await new Promise((r) => setImmediate(r));
    console.log('writing');
    process.on('exit', () => { writer.kill('SIGKILL'); rmSync(dir, { recursive: true, force: true }); });
    process.exit(7);`);
  t.like(result, { code: 7, signal: null, output: 'writing\n' });
});

test('a missing addon is told in words', async (t) => {
  const bindings = fileURLToPath(new URL('../../../src/engine/bindings.js', import.meta.url));
  const result = await runModule(`
    import { cpSync, mkdtempSync, writeFileSync, symlinkSync, mkdirSync } from 'node:fs';
    import { dirname, join } from 'node:path';
    const root = mkdtempSync(join(process.cwd(), 'build', 'unbuilt-'));
    const { rmSync } = await import('node:fs');
    process.on('exit', () => rmSync(root, { recursive: true, force: true }));
    writeFileSync(join(root, 'package.json'), '{"type":"module"}');
    const engine = dirname(${JSON.stringify(bindings)});
    cpSync(engine, join(root, 'engine'), { recursive: true });
    cpSync(join(engine, '../timers.js'), join(root, 'timers.js'));
    const { EmbeddedEngine } = await import(join(root, 'engine', 'engine.js'));
    try { new EmbeddedEngine(); } catch (error) { console.log(error.code, /make build/.test(error.message)); }`);
  t.like(result, { code: 0, output: 'ENGINE_NOT_BUILT true\n' });
});
