// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One call of marsadm: its options, its state directory, and the world.
 *
 * The tree is opened when a command first needs it and closed by `close`. All
 * effects go through here, so that a command file only parses and prints.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { flock } from '../engine/linktime.js';
import { EXIT, MarsError, asMarsError } from '../errors.js';
import { isResource, keys, validHost, validResource } from '../tree/catalogue.js';
import { openLocalTree, type LinkTree } from '../tree/tree.js';
import type { Snapshot } from '../tree/types.js';
import { allResources, isMember } from '../view/facts.js';
import type { Local } from '../view/states.js';
import { execute, remarks, type Executor } from './execute.js';
import { combine, failure, type Outcome, type Report, type Streams } from './output.js';
import type { Plan, Situation } from './plan/plan.js';
import { daemonRuns, devicePresent, directoryWarnings } from './probe.js';

/** Options every command has. */
export interface GlobalOptions {
  readonly dir: string;
  readonly host: string;
  readonly json: boolean;
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly wait: boolean;
  /** milliseconds; undefined = forever */
  readonly timeout: number | undefined;
  readonly color: boolean;
}

export class Context {
  readonly options: GlobalOptions;
  readonly streams: Streams;
  readonly signal: AbortSignal;
  readonly warnings: string[] = [];
  #tree: LinkTree | undefined;

  constructor(options: GlobalOptions, streams: Streams, signal: AbortSignal) {
    this.options = options;
    this.streams = streams;
    this.signal = signal;
  }

  get host(): string {
    return validHost(this.options.host);
  }

  get dir(): string {
    return this.options.dir;
  }

  /** The tree of a host that is in a cluster. Throws `no-cluster`. */
  tree(): LinkTree {
    if (this.#tree) return this.#tree;
    const tree = openLocalTree({ dir: this.dir, host: this.host });
    this.#tree = tree;
    if (tree.snapshot().value(keys.uuid) === undefined)
      throw new MarsError('no-cluster', `${this.dir} has no uuid`);
    return tree;
  }

  /** The tree for writing: the acting host must be a member. */
  memberTree(): LinkTree {
    const tree = this.tree();
    if (tree.snapshot().get(keys.ip(this.host)) === undefined)
      throw new MarsError('not-a-member', {
        found: `${this.host}; members are ${tree
          .snapshot()
          .list(keys.ip(''))
          .map((e) => e.key.slice(keys.ip('').length))
          .join(', ')}`,
        next: 'name the host of this state directory with --host or MARS_HOST',
      });
    if (!this.isOwnHost)
      this.warn(`This directory is not that of ${this.host}: what is written reaches it through the tree.`);
    for (const text of directoryWarnings(this.dir, process.getuid?.())) this.warn(text);
    return tree;
  }

  /** Is this the directory of the host we act for? A daemon has links to all others, never to its own. */
  get isOwnHost(): boolean {
    return this.tree().snapshot().get(keys.peer(this.host)) === undefined;
  }

  close(): void {
    this.#tree?.close();
    this.#tree = undefined;
  }

  /** Warnings go to standard error at once; with --json into the result. */
  warn(text: string): void {
    if (this.warnings.includes(text)) return;
    this.warnings.push(text);
    if (!this.options.json) this.streams.err(`warning: ${text}\n`);
  }

  now(): bigint {
    return BigInt(Date.now()) * 1_000_000n;
  }

  /** 32 hex digits that nobody else has. */
  freshUuid(): string {
    return randomBytes(16).toString('hex');
  }

  situation(snap: Snapshot): Situation {
    return {
      snap,
      me: this.host,
      daemon: daemonRuns(this.dir),
      force: this.options.force,
      stamp: this.#stamp(),
    };
  }

  #stamp(): string {
    return this.memberTree().clock.tick().toString();
  }

  local(snap: Snapshot, resource?: string): Local {
    const path = resource === undefined ? undefined : snap.value(keys.data(resource, this.host));
    return {
      me: this.host,
      daemon: daemonRuns(this.dir),
      diskPresent: path === undefined ? undefined : devicePresent(path),
    };
  }

  executor(who = ''): Executor {
    const tree = this.memberTree();
    return {
      tree,
      alone: (body) => this.alone(body),
      removeFile: (name) => rmSync(join(this.dir, name), { force: true }),
      after: (ms, run) => {
        const timer = setTimeout(run, Math.min(ms, 2_147_483_647));
        return () => clearTimeout(timer);
      },
      warn: (text) => this.warn(who === '' ? text : `${who}: ${text}`),
      progress: (text) => this.streams.err(`waiting: ${text}\n`),
      signal: this.signal,
      timeout: this.options.timeout,
      wait: this.options.wait,
      dryRun: this.options.dryRun,
    };
  }

  /** Run `body` alone among the marsadm processes of this tree, on a fresh picture. */
  alone<T>(body: () => T): T {
    const tree = this.memberTree();
    const fd = openLock(join(this.dir, 'local'));
    try {
      flock(fd, 'exclusive', true);
      tree.refresh();
      return body();
    } finally {
      closeSync(fd);
    }
  }

  /** The resources a word names: `all`, one, or several joined by commas. */
  select(word: string | undefined, all: 'mine' | 'known' | 'never'): string[] {
    const snap = this.tree().snapshot();
    if (word === undefined || word === 'all') {
      if (all === 'never')
        throw new MarsError('usage', { found: '`all` is not allowed here', next: 'name the resource' });
      const known = allResources(snap);
      return all === 'known'
        ? known
        : known.filter((resource) => isMember({ snap, resource, host: this.host }));
    }
    return [...new Set(word.split(','))].map((name) => {
      if (!isResource(name)) validResource(name);
      return name;
    });
  }

  /** Plan and carry out for each resource at the same time; one report for all. */
  async perResource(
    word: string | undefined,
    plan: (sit: Situation, resource: string) => Plan,
    all: 'mine' | 'never' = 'mine',
  ): Promise<Report> {
    this.memberTree();
    // However many there are: what is forced is named.
    if (this.options.force && (word === undefined || word === 'all') && all !== 'never')
      throw new MarsError('usage', {
        found: '--force with `all` is not allowed',
        next: 'name the resources',
      });
    const names = this.select(word, all);
    if (names.length === 0) this.warn('No resources: nothing to do.');
    const results = await Promise.all(names.map((name) => this.#one(name, plan, names.length > 1)));
    return { outcome: combine(results) };
  }

  async #one(
    resource: string,
    plan: (sit: Situation, resource: string) => Plan,
    several: boolean,
  ): Promise<Outcome> {
    try {
      const done = await execute(this.executor(several ? resource : ''), (snap) =>
        plan(this.situation(snap), resource),
      );
      return {
        resource,
        ok: true,
        code: EXIT.ok,
        message: done.message,
        data: { writes: done.writes, pending: done.pending },
        remarks: remarks(done, this.options.dryRun),
      };
    } catch (thrown) {
      return failure(asMarsError(thrown), resource);
    }
  }
}

function openLock(folder: string): number {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return openSync(join(folder, 'marsadm.lock'), 'a', 0o600);
  } catch (error) {
    throw new MarsError('tree-not-writable', {
      found: `${folder}: ${asMarsError(error).found ?? ''}`,
      cause: error,
    });
  }
}

/** Software version from package.json, wherever the compiled files stand. */
export function softwareVersion(from: URL): string {
  for (const up of ['../../../package.json', '../../package.json', '../../../../package.json']) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(new URL(up, from), 'utf8'));
      if (
        typeof parsed === 'object' &&
        parsed !== null &&
        'version' in parsed &&
        typeof parsed.version === 'string'
      )
        return parsed.version;
    } catch {
      // the next place
    }
  }
  return 'unknown';
}
