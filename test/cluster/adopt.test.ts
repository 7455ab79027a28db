// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A daemon dies, its bricks go on, the next daemon adopts them.
 *
 * That is the life of mars.ko. The embedded engine lives as long as its process,
 * so here a daemon is a thread of this one: ended without warning it is a daemon
 * that was killed, while logger and export serve on. Between two daemons the test
 * does to the bricks what the first might have done just before its end.
 */
import { rename } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { TreeNames, type BrickNames } from '../../src/daemon/names.js';
import { EmbeddedEngine } from '../../src/engine/engine.js';
import { FILE_FLAGS } from '../../src/engine/keys.js';
import { scanLogFile } from '../../src/engine/logscan.js';
import type { Lab, LabNode } from '../../lab/lab.js';
import type { NbdClient } from '../../lab/nbd.js';
import {
  block,
  BLOCK,
  compareImages,
  image,
  makeDisk,
  makeLab,
  onDevice,
  R,
  until,
  waitMessage,
  waitQuiet,
} from './support.js';

const MAIN = fileURLToPath(new URL('../../src/daemon/main.js', import.meta.url));
const SIZE = 8 << 20;

/** The engine of this process; the daemons in its threads use the same. */
const engine = new EmbeddedEngine();

/** The daemon of a node as a thread. */
class Thread {
  readonly #worker: Worker;
  said = '';

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async start(node: LabNode): Promise<Thread> {
    const worker = new Worker(MAIN, {
      argv: ['--engine=embedded', '--segment=4M', '--credits=8M'],
      env: { ...process.env, ...node.env },
      stdout: true,
      stderr: true,
    });
    const thread = new Thread(worker);
    const ready = new Promise<void>((resolve, reject) => {
      const line = (text: string): void => {
        thread.said += `${text}\n`;
        if (text === 'marsd: ready') resolve();
      };
      createInterface(worker.stdout).on('line', line);
      createInterface(worker.stderr).on('line', line);
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error(`the daemon of ${node.name} ended:\n${thread.said}`)));
    });
    await ready;
    return thread;
  }

  /** Wait for words of the daemon. They may come after `ready`, which is on another stream. */
  async says(words: RegExp): Promise<void> {
    await until(() => words.test(this.said));
  }

  /** No warning, no last word. */
  async kill(): Promise<void> {
    await this.#worker.terminate();
  }
}

interface Bed {
  readonly lab: Lab;
  readonly a: LabNode;
  readonly b: LabNode;
  readonly names: BrickNames;
  /** the daemon of node a that runs now */
  daemon: Thread;
}

/** Two nodes; the daemon of the first, which is primary, is a thread. */
async function bed(t: ExecutionContext): Promise<Bed> {
  const lab = await makeLab(t, { size: SIZE, join: [], resource: false });
  const [a, b] = [lab.node('a'), lab.node('b')];
  for (const node of lab.nodes) await makeDisk(image(lab, node), SIZE);
  await a.stop();
  const names = new TreeNames(a.link('uuid') ?? '', 'a').of(R);
  const it: Bed = { lab, a, b, names, daemon: await Thread.start(a) };
  t.teardown(async () => {
    if (!t.passed) t.log(`--- a\n${it.daemon.said}`);
    await it.daemon.kill();
    // what a failed test left open keeps its bricks
    await until(() => takeDown() || !t.passed);
  });
  await a.marsadm(['create-resource', R, image(lab, a)]);
  await b.marsadm(['join-resource', R, image(lab, b)]);
  await b.marsadm(['wait-resource', R, 'uptodate']);
  return it;
}

/** The device, opened; a test that fails must not leave it so, or its bricks stay. */
async function opened(t: ExecutionContext, it: Bed): Promise<NbdClient> {
  const device = await it.a.open(R);
  t.teardown(() => device.destroy());
  return device;
}

/** Is nothing left in the engine? Takes away what can be taken away now. */
function takeDown(): boolean {
  for (const { name } of engine.list()) {
    for (const act of [() => engine.switch(name, false), () => engine.destroy(name)]) {
      try {
        act();
      } catch {
        // a later round
      }
    }
  }
  return engine.list().length === 0;
}

/** Do to bricks what no listener is there to hear of. */
async function power(name: string, on: boolean): Promise<void> {
  engine.switch(name, on);
  await until(() => (on ? engine.status(name).ledOn : engine.status(name).ledOff));
}

const number = (it: Bed): bigint => engine.status(it.names.logger).val['durableNumber'] ?? 0n;

async function restart(it: Bed): Promise<void> {
  it.daemon = await Thread.start(it.a);
}

/** Replication goes on: what is written now arrives, and all disks are equal. */
async function endsWell(t: ExecutionContext, it: Bed): Promise<void> {
  await onDevice(it.a, (device) => device.write(SIZE - BLOCK, block('the last one'), true));
  await compareImages(t, it.lab, it.a);
  t.is(engine.list().length, 0, 'bricks are left');
}

test.serial('a device that is open and written to goes on, and so does replication', async (t) => {
  const it = await bed(t);
  const device = await opened(t, it);
  let writes = 0;
  let failed: unknown;
  const control = { go: true };
  const writer = (async () => {
    while (control.go) {
      await device.write((writes % 512) * BLOCK, block(`write ${writes}`), writes % 7 === 0);
      writes++;
    }
  })().catch((error: unknown) => (failed = error));
  for (let round = 0; round < 3; round++) {
    const before = writes;
    await until(() => writes > before + 50);
    await it.daemon.kill();
    const alone = writes;
    await until(() => writes > alone + 200);
    t.is(it.a.link(`resource-${R}/actual-a/is-primary`), '1');
    await restart(it);
    // whichever log: on a slow machine the next one is due meanwhile
    await it.daemon.says(/still primary, writing log \d+\n/);
    t.notRegex(it.daemon.said, /no longer primary/);
    await it.a.waitLink(`resource-${R}/actual-a/open-count`, (count) => count === '1');
    const after = writes;
    await until(() => writes > after + 50);
  }
  control.go = false;
  await writer;
  t.is(failed, undefined);
  await device.flush();
  // A handover asks the adopted one as any other, once nothing else is in its way.
  let reason = '';
  while (reason !== 'device-open') {
    const { stdout } = await it.b.marsadm(['primary', R, '--json'], 3);
    reason = (JSON.parse(stdout) as { reason: string }).reason;
  }
  await device.close();
  await endsWell(t, it);
});

/** What a daemon may have done of a rotation before it was killed. */
const ROTATIONS = ['made the file', 'wired it', 'given the order', 'seen the end'] as const;

for (const [last, what] of ROTATIONS.entries()) {
  test.serial(`a rotation is finished by the next daemon; the first had ${what}`, async (t) => {
    const it = await bed(t);
    await onDevice(it.a, (device) => device.write(0, block('one'), true));
    await it.daemon.kill();
    const file = path.join(it.a.dir, `resource-${R}`, 'log-000000002-a');
    const first = (await scanLogFile(file.replace('002', '001'))).ident;
    if (!first) throw new Error('no header');
    const next = it.names.log(2n);
    engine.create('file', next);
    engine.set(next, 'file.path', { text: file });
    engine.set(next, 'file.flags', { value: FILE_FLAGS.direct | FILE_FLAGS.create | FILE_FLAGS.append });
    await power(next, true);
    if (last >= 1) engine.connect(it.names.logger, 2, next);
    if (last >= 2)
      engine.set(it.names.logger, 'logger.rotate', {
        ident: { ...first, number: 2n, salt: 'd'.repeat(32) },
        value: 2n,
      });
    if (last >= 3) await until(() => number(it) === 2n);
    await restart(it);
    await until(() => number(it) === 2n);
    await onDevice(it.a, (device) => device.write(BLOCK, block('two'), true));
    // A second one finds the inputs as the first has left them.
    await it.a.marsadm(['log-rotate', R]);
    t.is(number(it), 3n);
    await endsWell(t, it);
  });
}

test.serial('growth that a daemon had only begun reaches the device', async (t) => {
  const it = await bed(t);
  await it.daemon.kill();
  for (const node of it.lab.nodes) await makeDisk(image(it.lab, node), 2 * SIZE);
  engine.set(it.names.data, 'file.size', { value: BigInt(2 * SIZE) });
  await restart(it);
  await it.a.waitLink(`resource-${R}/actual-a/device-size`, (v) => v === `${2 * SIZE}`);
  t.is(number(it), 2n);
});

test.serial('a stack that was half taken down is built anew, with a fresh log', async (t) => {
  const it = await bed(t);
  await onDevice(it.a, (device) => device.write(0, block('one'), true));
  await until(() => engine.status(it.names.device).val['clients'] === 0n);
  await it.daemon.kill();
  await power(it.names.device, false);
  await restart(it);
  await it.a.marsadm(['wait-resource', R, 'is-primary']);
  await until(() => engine.status(it.names.logger).ledOn);
  t.is(number(it), 2n);
  await endsWell(t, it);
});

test.serial(
  'wishes made while nobody was there are obeyed: down, as soon as the device is closed',
  async (t) => {
    const it = await bed(t);
    const device = await opened(t, it);
    await it.daemon.kill();
    await it.a.marsadm(['set-link', '--force', '0', `resource-${R}/todo-a/attach`]);
    await restart(it);
    t.true(engine.status(it.names.device).ledOn);
    t.is(it.a.link(`resource-${R}/actual-a/is-primary`), '1');
    await device.write(0, block('still there'), true);
    await device.close();
    await it.a.waitLink(`resource-${R}/actual-a/is-attached`, (v) => v === '0');
    t.is(engine.list().length, 0);
  },
);

test.serial('logs that are not those of the device are no reason to touch it', async (t) => {
  const it = await bed(t);
  await onDevice(it.a, (device) => device.write(0, block('one'), true));
  await until(() => engine.status(it.names.device).val['clients'] === 0n);
  await it.daemon.kill();
  const file = path.join(it.a.dir, `resource-${R}`, 'log-000000001-a');
  await rename(file, `${file}.away`);
  await restart(it);
  await it.daemon.says(/foreign-bricks/);
  await waitMessage(it.a, 'error', 'foreign-bricks');
  t.true(engine.status(it.names.device).ledOn);
  t.is(it.a.link(`resource-${R}/actual-a/is-primary`), '1');
  await rename(`${file}.away`, file);
  await waitQuiet(it.a, 'error');
  await endsWell(t, it);
});

test.serial('bricks of other trees are left alone, on or off', async (t) => {
  const it = await bed(t);
  await it.daemon.kill();
  const other = new TreeNames('f'.repeat(32), 'a').of(R);
  engine.create('mem', other.data);
  engine.set(other.data, 'mem.size', { value: 4096n });
  await power(other.data, true);
  engine.create('mem', 'nobody/data');
  await restart(it);
  await it.daemon.says(new RegExp(`left alone: ${other.data}\n`));
  t.true(engine.status(other.data).ledOn);
  t.true(engine.status('nobody/data').ledOff);
  await it.a.marsadm(['down', R]);
  t.deepEqual(
    engine
      .list()
      .map((s) => s.name)
      .sort(),
    [other.data, 'nobody/data'].sort(),
  );
});

test.serial('a replay is stopped where it is and goes on', async (t) => {
  const it = await bed(t);
  // The thread's node is the replica now.
  await it.b.marsadm(['primary', R]);
  await onDevice(it.b, async (device) => {
    for (let i = 0; i < 64; i++) await device.write(i * BLOCK, block(`first ${i}`), i % 8 === 0);
    await device.flush();
  });
  await until(() => (engine.list(it.names.all).find((s) => s.type === 'replay')?.val['applied'] ?? 0n) > 0n);
  await it.daemon.kill();
  await onDevice(it.b, (device) => device.write(0, block('while it was away'), true));
  t.true(engine.status(it.names.replay).button);
  await restart(it);
  await onDevice(it.b, (device) => device.write(BLOCK, block('afterwards'), true));
  await compareImages(t, it.lab, it.b);
});

test.after.always(async () => {
  await until(() => takeDown());
  engine.shutdown();
});
