// SPDX-License-Identifier: GPL-2.0-or-later
/** A node goes on hearing, whatever one piece of news leads to. */
import test, { type ExecutionContext } from 'ava';
import type { Cluster } from '../../../src/cluster/types.js';
import { Bricks } from '../../../src/daemon/bricks.js';
import { defaultTuning } from '../../../src/daemon/context.js';
import { TreeNames } from '../../../src/daemon/names.js';
import { Node } from '../../../src/daemon/node.js';
import { Publisher, type Timers } from '../../../src/daemon/publisher.js';
import { homeOf } from '../../../src/engine/homes.js';
import { temporaryDir, testTree } from '../tree/support.js';
import { FakeEngine, refusal } from './support.js';

const alone: Cluster = {
  start: () => Promise.resolve(),
  close: () => Promise.resolve(),
  peers: () => [],
  onPeerChange: () => undefined,
  open: () => Promise.reject(new Error('there is nobody')),
  serve: () => undefined,
};
const never: Timers = { set: () => ({ cancel: () => undefined }) };

/** Something that is told now and then, and may be waited for. */
class Told<T> {
  readonly all: T[] = [];
  #wake: () => void = () => undefined;

  add(what: T): void {
    this.all.push(what);
    this.#wake();
  }
  async until(done: (all: readonly T[]) => boolean): Promise<void> {
    while (!done(this.all)) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

async function setUp(t: ExecutionContext) {
  const { tree } = testTree(t, temporaryDir(t));
  const engine = new FakeEngine();
  const said = new Told<string>();
  const node = new Node({
    dir: tree.dir,
    host: tree.host,
    tree,
    engine,
    home: homeOf(engine.kind),
    names: new TreeNames('', tree.host),
    bricks: new Bricks(engine),
    cluster: alone,
    publisher: new Publisher(tree, never, (error) => t.fail(String(error))),
    timers: never,
    tuning: defaultTuning,
    randomHex: (bytes) => '0'.repeat(2 * bytes),
    log: (text) => said.add(text),
  });
  await node.start();
  t.teardown(() => node.close());
  return { tree, engine, said };
}

test('a change that cannot be taken in is told of once, and later ones are heard', async (t) => {
  const { tree, engine, said } = await setUp(t);
  const stamps = new Told<bigint>();
  engine.onLamport = (stamp) => stamps.add(stamp);
  engine.broken = refusal('gone-mad');
  for (const value of ['1', '2', '3']) {
    if (value === '3') engine.broken = undefined;
    const stamp = tree.write({ 'userspace/news': value });
    await stamps.until((all) => all.includes(stamp));
  }
  await said.until((all) => all.length > 0);
  t.deepEqual(
    said.all.filter((text) => text.includes('gone-mad')),
    said.all,
  );
  t.is(said.all.length, 1);
});
