// SPDX-License-Identifier: GPL-2.0-or-later
/** Giving up a member that is away, by the time that has really passed. */
import { promises as fs } from 'node:fs';
import test from 'ava';
import { LogStore } from '../../../src/daemon/logstore.js';
import { Publisher } from '../../../src/daemon/publisher.js';
import { Retention } from '../../../src/daemon/retention.js';
import { keys } from '../../../src/tree/catalogue.js';
import { at, base, local, R, version, view } from '../strategy/support.js';
import { temporaryDir, testTree } from '../tree/support.js';
import { FakeEngine } from './support.js';

const MINUTE = 60_000;
const ns = (ms: number): bigint => BigInt(ms) * 1_000_000n;

test('stamps that run ahead make no absence longer', async (t) => {
  const dir = temporaryDir(t);
  const store = new LogStore(dir);
  const logs = [local(at(1, 'a', 8192)), local(at(2, 'a', 4096), at(1, 'a', 8192))];
  for (const log of logs) await fs.writeFile(store.path(log), '');
  const kept = async (): Promise<string[]> => (await fs.readdir(dir)).sort();
  const values = {
    ...base('a'),
    ...version('a', at(1, 'a', 8192)),
    [keys.replay(R, 'a')]: 'log-000000002-a,4096,0',
    [keys.replay(R, 'b')]: 'log-000000001-a,4096,0',
    [keys.peer('b')]: 'unreachable:peer-unreachable',
    [keys.default('log-lost-after')]: '3600',
  };
  const timers = { busy: () => 0, set: () => ({ cancel: () => undefined }) };
  const { tree } = testTree(t, temporaryDir(t));
  const engine = new FakeEngine();
  const since = 1_700_000_000_000;
  const retention = new Retention(
    {
      engine,
      timers,
      publisher: new Publisher(tree, timers, (error) => t.fail(String(error))),
      cluster: {
        start: () => Promise.resolve(),
        close: () => Promise.resolve(),
        peers: () => [{ host: 'b', connected: false, since }],
        onPeerChange: () => undefined,
        open: () => Promise.reject(new Error('there is nobody')),
        serve: () => undefined,
      },
    },
    store,
    () => undefined,
  );
  const run = (away: number): Promise<void> => {
    const real = ns(since + away);
    engine.lamport = () => ({ real, lamport: real + ns(23 * 60 * MINUTE) });
    return retention.run(view('a', values, { logs, connected: new Set(['a']) }), 2n, true);
  };
  await run(MINUTE);
  t.deepEqual(await kept(), ['log-000000001-a', 'log-000000002-a']);
  await run(60 * MINUTE);
  t.deepEqual(await kept(), ['log-000000002-a']);
});
