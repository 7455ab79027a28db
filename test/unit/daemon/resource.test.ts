// SPDX-License-Identifier: GPL-2.0-or-later
/** A resource and the embedded engine, where a step fails in its middle: the next one does the rest. */
import { mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Bricks } from '../../../src/daemon/bricks.js';
import { defaultTuning } from '../../../src/daemon/context.js';
import { TreeNames } from '../../../src/daemon/names.js';
import { Publisher } from '../../../src/daemon/publisher.js';
import type { Timers } from '../../../src/timers.js';
import { Resource } from '../../../src/daemon/resource.js';
import { EmbeddedEngine } from '../../../src/engine/engine.js';
import { EngineError } from '../../../src/engine/errors.js';
import { homeOf } from '../../../src/engine/homes.js';
import type { BrickType } from '../../../src/engine/types.js';
import { historyOf, UNSHARED } from '../../../src/strategy/history.js';
import { formatPosition, formatVersion, keys } from '../../../src/tree/catalogue.js';
import { NONE } from '../../../src/tree/types.js';
import { diskDir } from '../engine/support.js';
import { testTree, until } from '../tree/support.js';

const R = 'r1';
const HOST = 'hosta';
const CLUSTER = 'c'.repeat(32);
const SIZE = 1 << 20;

const noMemory = (): EngineError =>
  new EngineError({ message: 'out of memory', code: 'ENOMEM', reason: 'no-memory' });

/** An engine in whose way the test may get. */
class Trapped extends EmbeddedEngine {
  /** called when a brick has been switched */
  switched: (name: string, on: boolean) => void = () => undefined;
  /** called before a brick is made */
  creating: (name: string) => void = () => undefined;
  /** called before a brick is destroyed */
  destroying: (name: string) => void = () => undefined;

  override async power(name: string, on: boolean): Promise<void> {
    await super.power(name, on);
    this.switched(name, on);
  }

  override create(type: BrickType, name: string): void {
    this.creating(name);
    super.create(type, name);
  }

  override destroy(name: string): void {
    this.destroying(name);
    super.destroy(name);
  }
}

/** The only member of a resource, with timers that go off when the test says so. */
function setUp(t: ExecutionContext, primary: string) {
  const dir = diskDir('resource');
  const engine = new Trapped();
  const { tree } = testTree(t, dir);
  const stop = new AbortController();
  // Neither engine nor tree keep the process alive.
  const alive = setInterval(() => undefined, 60_000);
  const disk = join(dir, 'disk');
  writeFileSync(disk, '');
  truncateSync(disk, SIZE);
  mkdirSync(join(dir, `resource-${R}`), { recursive: true, mode: 0o700 });
  tree.write({
    [keys.uuid]: CLUSTER,
    [keys.resourceUuid(R)]: 'd'.repeat(32),
    [keys.size(R)]: `${SIZE}`,
    [keys.timeline(R)]: '1',
    [keys.data(R, HOST)]: disk,
    [keys.syncstatus(R, HOST)]: `${SIZE}`,
    [keys.replay(R, HOST)]: formatPosition({ number: 1n, origin: HOST, pos: 0n, dirty: 0n }),
    [keys.primary(R)]: primary,
    [keys.todo(R, HOST, 'attach')]: '1',
  });
  const armed = new Set<() => void>();
  const timers: Timers = {
    busy: () => 0,
    set(_ms, run) {
      armed.add(run);
      return { cancel: () => void armed.delete(run) };
    },
  };
  const tick = (): void => {
    const due = [...armed];
    armed.clear();
    for (const run of due) run();
  };
  const names = new TreeNames(CLUSTER, HOST);
  const bricks = new Bricks(engine);
  const resource = new Resource(
    {
      dir,
      host: HOST,
      tree,
      engine,
      home: homeOf('embedded'),
      names,
      bricks,
      cluster: {
        start: () => Promise.resolve(),
        close: () => Promise.resolve(),
        peers: () => [],
        onPeerChange: () => undefined,
        open: () => Promise.reject(new Error('there are no others')),
        serve: () => undefined,
      },
      publisher: new Publisher(tree, timers, (error) => t.fail(String(error))),
      timers,
      settled: () => true,
      tuning: { ...defaultTuning, segment: 4n << 20n },
      randomHex: (bytes) => 'a5'.repeat(bytes),
      log: (message) => t.log(message),
    },
    R,
  );
  const pump = bricks.pump(stop.signal, (error) => t.fail(String(error)));
  t.teardown(async () => {
    stop.abort();
    await pump;
    clearInterval(alive);
    engine.shutdown();
    rmSync(dir, { recursive: true, force: true });
  });
  bricks.listen((event) => resource.onBrick(event));
  const value = (fact: string): string | undefined => tree.snapshot().value(keys.actual(R, HOST, fact));
  const fact = (name: string, wanted: (v: string | undefined) => boolean): Promise<void> =>
    until(tree, () => wanted(value(name)));
  return { disk, engine, tree, tick, resource, bricks: names.of(R), value, fact };
}

test.serial('a disk that goes while it is attached is not attached, and is once it is back', async (t) => {
  const { disk, engine, tick, resource, bricks, value, fact } = setUp(t, NONE);
  const away = `${disk}.away`;
  engine.switched = (name, on) => {
    if (name === bricks.data && on) renameSync(disk, away);
  };
  resource.trigger();
  await fact('msg-error', (v) => v !== undefined);
  t.is(value('is-attached'), '0');
  t.deepEqual(engine.list(bricks.all), []);

  engine.switched = () => undefined;
  renameSync(away, disk);
  tick();
  await fact('is-attached', (v) => v === '1');
  t.true(engine.status(bricks.data).ledOn);
  await resource.stop(false);
});

/** A device whose closing has failed once it was gone. */
async function halfClosed(t: ExecutionContext): Promise<ReturnType<typeof setUp>> {
  const bench = setUp(t, HOST);
  const { engine, tree, resource, bricks, fact } = bench;
  resource.trigger();
  await fact('is-primary', (v) => v === '1');
  engine.destroying = (name) => {
    if (name === bricks.log(1n)) throw noMemory();
  };
  tree.write({ [keys.primary(R)]: NONE });
  resource.trigger();
  await fact('msg-error', (v) => v !== undefined);
  return bench;
}

test.serial('a device whose closing fails half-way is closed by the next attempt', async (t) => {
  const { engine, tick, resource, bricks, value, fact } = await halfClosed(t);
  t.is(value('is-primary'), '1');

  engine.destroying = () => undefined;
  tick();
  await fact('is-primary', (v) => v === '0');
  await fact('msg-error', (v) => v === undefined);
  t.deepEqual(
    engine.list(bricks.all).map((b) => b.name),
    [bricks.data],
  );
  await resource.stop(false);
});

test.serial('a device that is wanted again before it was closed is closed and opened', async (t) => {
  const { engine, tree, tick, resource, bricks, value, fact } = await halfClosed(t);

  engine.destroying = () => undefined;
  tree.write({ [keys.primary(R)]: HOST });
  tick();
  await fact('msg-error', (v) => v === undefined);
  await fact('is-primary', (v) => v === '1');
  t.true(engine.status(bricks.device).ledOn);
  t.is(value('if-on'), '1');
  await resource.stop(false);
});

test.serial('a device that can not be opened is not tried again before the pause is over', async (t) => {
  const { engine, tree, tick, resource, bricks, value, fact } = setUp(t, HOST);
  const stop = new AbortController();
  let changes = 0;
  let attempts = 0;
  engine.creating = (name) => {
    if (name !== bricks.device) return;
    attempts++;
    throw noMemory();
  };
  const follow = (async () => {
    for await (const entries of tree.changes(stop.signal)) {
      changes += entries.length;
      resource.trigger();
    }
  })();
  resource.trigger();
  await fact('msg-error', (v) => v !== undefined);
  for (let i = 0; i < 20; i++) {
    const before = changes;
    tree.write({ 'userspace/round': String(i) });
    while (changes === before) await turn();
  }
  t.is(attempts, 1);
  engine.creating = () => undefined;
  for (; value('is-primary') !== '1'; await turn()) tick();
  stop.abort();
  await follow;
  await resource.stop(false);
});

test.serial(
  'forced on after a loss: who fails to open the device once does not forget the loss',
  async (t) => {
    const { engine, tree, tick, resource, bricks, value, fact } = setUp(t, HOST);
    resource.trigger();
    await fact('is-primary', (v) => v === '1');
    tree.write({ [keys.primary(R)]: NONE });
    resource.trigger();
    await fact('is-primary', (v) => v === '0');

    const told = { number: 1n, origin: HOST, pos: 1n << 20n, digest: 'e'.repeat(32) };
    const lost = { number: 2n, origin: HOST, pos: 8192n, digest: 'f'.repeat(32), prev: told };
    engine.creating = (name) => {
      if (name === bricks.device) throw noMemory();
    };
    tree.write({
      [keys.version(R, 2n, HOST)]: formatVersion(lost),
      [keys.timeline(R)]: '2',
      [keys.primary(R)]: HOST,
    });
    resource.trigger();
    await fact('msg-error', (v) => v !== undefined);
    t.is(value('is-primary'), '0');

    engine.creating = () => undefined;
    tick();
    await fact('is-primary', (v) => v === '1');
    const after = [...historyOf(tree.snapshot(), R, HOST).values()].filter((l) => l.number > 2n);
    t.deepEqual(
      after.flatMap(({ prev }) => (prev?.number === 1n ? [prev.digest] : [])),
      [UNSHARED],
    );
    await resource.stop(false);
  },
);

test.serial('facts that were told while the replica was being given up go with it', async (t) => {
  const { tree, resource, value, fact } = setUp(t, HOST);
  resource.trigger();
  await fact('is-primary', (v) => v === '1');
  await resource.looked;
  // As by force: nobody waits for this daemon, and what it had gathered is written over the tombstones.
  tree.write({ [keys.primary(R)]: NONE, [keys.data(R, HOST)]: null });
  const replay = keys.replay(R, HOST);
  tree.write({ [replay]: 'log-000000001-hosta,4096,0' });
  resource.trigger();
  await fact('is-primary', (v) => v === undefined);
  t.is(tree.snapshot().value(replay), undefined);
  t.is(value('is-attached'), undefined);
  t.deepEqual([...historyOf(tree.snapshot(), R, HOST).keys()], []);
  await resource.stop(false);
});
