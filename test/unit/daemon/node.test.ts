// SPDX-License-Identifier: GPL-2.0-or-later
/** A node goes on hearing, whatever one piece of news leads to. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Cluster, Frame, FrameStream, JsonObject } from '../../../src/cluster/types.js';
import { Bricks } from '../../../src/daemon/bricks.js';
import { defaultTuning } from '../../../src/daemon/context.js';
import { TreeNames } from '../../../src/daemon/names.js';
import { Node } from '../../../src/daemon/node.js';
import { Publisher } from '../../../src/daemon/publisher.js';
import type { Timers } from '../../../src/timers.js';
import { homeOf } from '../../../src/engine/homes.js';
import { scanLogFile } from '../../../src/engine/logscan.js';
import { keys } from '../../../src/tree/catalogue.js';
import type { LinkTree } from '../../../src/tree/tree.js';
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

/** The only stream there is: keeps what is sent. */
class Line implements FrameStream {
  readonly peer = 'hostb';
  readonly protocol = 1;
  readonly sent = new Told<JsonObject>();
  end: () => void = () => undefined;
  readonly closed = new Promise<void>((resolve) => (this.end = resolve));

  send(head: JsonObject): Promise<void> {
    this.sent.add(head);
    return Promise.resolve();
  }
  recycle(): void {
    throw new Error('nothing is received');
  }
  close(): void {
    this.end();
  }
  destroy(): void {
    this.end();
  }
  // eslint-disable-next-line @typescript-eslint/require-await
  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void> {
    return;
  }
}

const never: Timers = { busy: () => 0, set: () => ({ cancel: () => undefined }) };

async function setUp(
  t: ExecutionContext,
  cluster = alone,
  prepare: (tree: LinkTree) => void = () => undefined,
) {
  const { tree } = testTree(t, temporaryDir(t));
  prepare(tree);
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
    cluster,
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

test('a log that is asked for while the logs are still being verified is served', async (t) => {
  const golden = 'native/test/golden/log-000000001-hosta';
  const { ident } = await scanLogFile(golden);
  if (!ident) throw new Error('the golden log has no header');
  const line = new Line();
  let serveLog: Parameters<Cluster['serve']>[1] = () => Promise.reject(new Error('not served'));
  let served: Promise<void> | undefined;
  const cluster: Cluster = {
    ...alone,
    serve: (purpose, handler) => {
      if (purpose === 'log') serveLog = handler;
    },
    // Members may ask as soon as this host listens.
    start: () => {
      const { number, origin, resource } = ident;
      const request = { resource: 'r1', uuid: resource, number: `${number}`, origin, from: '0' };
      served = serveLog(line, { ...request, accept: true });
      return Promise.resolve();
    },
  };
  await setUp(t, cluster, (tree) => {
    mkdirSync(join(tree.dir, 'resource-r1'), { mode: 0o700 });
    copyFileSync(golden, join(tree.dir, 'resource-r1/log-000000001-hosta'));
    tree.write({
      [keys.uuid]: ident.cluster,
      [keys.resourceUuid('r1')]: ident.resource,
      [keys.data('r1', 'hosta')]: '/nowhere',
    });
  });
  await line.sent.until((all) => all.length >= 2);
  t.deepEqual(line.sent.all, [{ t: 'accepted' }, { t: 'data', at: '0' }]);
  line.end();
  await served;
});
