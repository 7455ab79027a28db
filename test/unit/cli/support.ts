// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Commands run on a real tree in a temporary directory. Facts that a daemon
 * would publish are written by a second picture of the same tree, as another
 * process would write them; a running daemon is its lock, really held.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { run } from '../../../src/cli/program.js';
import { flock } from '../../../src/engine/linktime.js';
import { keys } from '../../../src/tree/catalogue.js';
import { openLocalTree, type LinkTree } from '../../../src/tree/tree.js';
import type { Changes } from '../../../src/tree/types.js';

export const MIB = 1024 * 1024;
export const UUID = '0123456789abcdef0123456789abcdef';
export const CERT = 'A'.repeat(200);

/** What one command printed. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** parsed standard output of a call with --json */
  readonly json: JsonOutcome;
}

export interface JsonOutcome {
  readonly ok?: boolean;
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly found?: string;
  readonly next?: string;
  readonly data?: unknown;
  readonly results?: readonly JsonOutcome[];
  readonly resource?: string;
  readonly warnings?: readonly string[];
}

/** A call that is still going on. */
export interface Running {
  readonly done: Promise<Ran>;
  /** resolves when standard error shows the text */
  shows(text: string): Promise<void>;
  interrupt(): void;
}

export class Bench {
  readonly dir: string;
  readonly host: string;
  readonly facts: LinkTree;
  #lock: number | undefined;

  /** A member `hosta` of a cluster with `hostb`, no resources, no daemon. */
  constructor(t: ExecutionContext, host = 'hosta') {
    this.host = host;
    this.dir = mkdtempSync(join(tmpdir(), 'mars-cli-'));
    this.facts = openLocalTree({ dir: this.dir, host });
    t.teardown(() => {
      this.daemonOff();
      this.facts.close();
      rmSync(this.dir, { recursive: true, force: true });
    });
    this.facts.write({
      [keys.uuid]: UUID,
      [keys.ip('hosta')]: '127.0.0.1:7801',
      [keys.ip('hostb')]: '127.0.0.1:7802',
      [keys.cert('hosta')]: CERT,
      [keys.cert('hostb')]: CERT,
    });
  }

  /** Take the lock a daemon holds, as it is a fact of the system and not of the tree. */
  daemonOn(): void {
    mkdirSync(join(this.dir, 'local'), { recursive: true });
    this.#lock = openSync(join(this.dir, 'local/daemon.lock'), 'a');
    flock(this.#lock, 'exclusive');
    this.facts.write({ [keys.nodeActual(this.host, 'alive')]: '1' });
  }

  daemonOff(): void {
    if (this.#lock !== undefined) closeSync(this.#lock);
    this.#lock = undefined;
  }

  write(changes: Changes): void {
    this.facts.write(changes);
  }

  value(key: string): string | undefined {
    this.facts.refresh();
    return this.facts.snapshot().value(key);
  }

  /** A data file of `mib` MiB. */
  disk(name = 'disk', mib = 8): string {
    const path = join(this.dir, `${name}.img`);
    writeFileSync(path, '');
    truncateSync(path, mib * MIB);
    return path;
  }

  start(...argv: string[]): Running {
    const abort = new AbortController();
    let out = '';
    let err = '';
    const watchers = new Set<() => void>();
    const done = run({
      argv,
      env: { MARS_DIR: this.dir, MARS_HOST: this.host },
      streams: {
        out: (text) => (out += text),
        err: (text) => {
          err += text;
          for (const w of watchers) w();
        },
      },
      signal: abort.signal,
      terminal: false,
    }).then(
      (code): Ran => ({
        code,
        out,
        err,
        json: argv.includes('--json') ? (JSON.parse(out) as JsonOutcome) : {},
      }),
    );
    const shows = (text: string): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!err.includes(text)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      });
    return { done, shows, interrupt: () => abort.abort() };
  }

  run(...argv: string[]): Promise<Ran> {
    return this.start(...argv).done;
  }

  /** What a healthy member publishes about a resource. */
  replica(r: string, host: string, more: Changes = {}): void {
    this.write({
      [keys.data(r, host)]: `/dev/vg/${r}`,
      [keys.device(r, host)]: r,
      [keys.actsize(r, host)]: String(8 * MIB),
      [keys.syncstatus(r, host)]: String(8 * MIB),
      [keys.replay(r, host)]: 'log-000000001-hosta,8192,0',
      [keys.version(r, 1n, host)]: `${'d'.repeat(32)},log-000000001-hosta,8192:`,
      [keys.todo(r, host, 'attach')]: '1',
      [keys.todo(r, host, 'connect')]: '1',
      [keys.todo(r, host, 'allow-replay')]: '1',
      [keys.todo(r, host, 'sync')]: '1',
      [keys.actual(r, host, 'is-attached')]: '1',
      [keys.actual(r, host, 'is-primary')]: '0',
      [keys.actual(r, host, 'replay-code')]: 'ok',
      [keys.actual(r, host, 'fetch-pos')]: 'log-000000001-hosta,8192',
      ...more,
    });
  }

  /** Resource `r` with primary hosta and replica hostb, all well, both reachable. */
  resource(r = 'r1'): void {
    this.write({
      [keys.resourceUuid(r)]: UUID,
      [keys.size(r)]: String(8 * MIB),
      [keys.primary(r)]: 'hosta',
      [keys.lastPrimary(r)]: 'hosta',
      [keys.timeline(r)]: '1',
      [keys.maxnr(r)]: '1',
      [keys.peer(this.host === 'hosta' ? 'hostb' : 'hosta')]: 'connected',
    });
    this.replica(r, 'hosta', {
      [keys.actual(r, 'hosta', 'is-primary')]: '1',
      [keys.actual(r, 'hosta', 'if-on')]: '1',
      [keys.actual(r, 'hosta', 'device-size')]: String(8 * MIB),
    });
    this.replica(r, 'hostb');
  }
}
