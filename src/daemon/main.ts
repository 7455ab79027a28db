// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Entry point of marsd: lock the state directory, open tree and engine, serve.
 *
 * Says `marsd: ready` on stdout (and READY=1 to the service manager) when
 * everything the tree asks for is under way. SIGTERM and SIGINT stop it in an
 * orderly way; after kill -9 the next start does the rest. Devices of mars.ko stay as
 * they are in both cases, unless the machine halts.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import process from 'node:process';
import { openCluster } from '../cluster/cluster.js';
import { homeOf } from '../engine/homes.js';
import { flock, notifyReady } from '../engine/linktime.js';
import { asMarsError, MarsError } from '../errors.js';
import { systemTimers } from '../timers.js';
import { keys } from '../tree/catalogue.js';
import { openLocalTree } from '../tree/tree.js';
import { Bricks } from './bricks.js';
import { openEngine } from './engine.js';
import { TreeNames } from './names.js';
import { Node } from './node.js';
import { parseOptions, USAGE, type DaemonOptions } from './options.js';
import { Publisher } from './publisher.js';

const say = (text: string): void => void process.stderr.write(`marsd: ${text}\n`);

/** One daemon per state directory; the lock goes with the process. */
function lockDirectory(dir: string): number {
  const fd = openLock(dir);
  if (flock(fd, 'exclusive')) return fd;
  closeSync(fd);
  throw new MarsError('daemon-running', { found: dir });
}

function openLock(dir: string): number {
  try {
    mkdirSync(path.join(dir, 'local'), { recursive: true, mode: 0o700 });
    return openSync(path.join(dir, 'local', 'daemon.lock'), 'a', 0o600);
  } catch (error) {
    throw new MarsError('tree-not-writable', { found: asMarsError(error).found ?? dir, cause: error });
  }
}

/** Is the whole machine going down? Only systemd can tell; without it devices stay until the end. */
function halting(): boolean {
  const asked = spawnSync('systemctl', ['is-system-running'], { encoding: 'utf8', timeout: 5000 });
  return !asked.error && asked.stdout.trim() === 'stopping';
}

async function serve(options: DaemonOptions, stop: Promise<string>): Promise<void> {
  const { dir, host, tuning, acceptClock } = options;
  const lock = lockDirectory(dir);
  const tree = openLocalTree({
    dir,
    host,
    guard: true,
    acceptClock,
    report: (note) => say(`${note.kind} ${note.key}: ${note.text}`),
  });
  try {
    if (tree.snapshot().value(keys.ip(host)) === undefined) throw new MarsError('no-cluster', { found: dir });
    const { engine, end } = openEngine(options.engine);
    const cluster = openCluster({ tree, report: (note) => say(`${note.kind} ${note.host}: ${note.text}`) });
    const publisher = new Publisher(tree, systemTimers, (error) =>
      say(`cannot write the tree: ${String(error)}`),
    );
    const node = new Node({
      dir,
      host,
      tree,
      engine,
      home: homeOf(engine.kind),
      names: new TreeNames(tree.snapshot().value(keys.uuid) ?? '', host),
      bricks: new Bricks(engine),
      cluster,
      publisher,
      timers: systemTimers,
      tuning,
      randomHex: (bytes) => randomBytes(bytes).toString('hex'),
      log: say,
    });
    try {
      await node.start();
      process.stdout.write('marsd: ready\n');
      notifyReady('READY=1', process.env['NOTIFY_SOCKET']);
      say(`stopping: ${await stop}`);
    } finally {
      // Also what a start that failed has begun.
      await node.close(halting()).finally(() => end(!node.devicesOpen));
    }
  } finally {
    tree.close();
    // Last: whoever gets it must be the only one who works here.
    closeSync(lock);
  }
}

async function main(): Promise<void> {
  const stop = new Promise<string>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal));
  });
  try {
    const options = parseOptions(process.argv.slice(2), process.env);
    if (options.help) process.stdout.write(USAGE);
    else await serve(options, stop);
  } catch (thrown) {
    const error = asMarsError(thrown);
    say(`${error.code}: ${error.message}`);
    if (error.next !== undefined) say(`next: ${error.next}`);
    if (error.code === 'internal' && thrown instanceof Error) say(thrown.stack ?? '');
    process.exitCode = error.exit;
  }
}

await main();
