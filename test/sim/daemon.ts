// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One run of a simulated daemon: what src/daemon/resource.ts does with bricks and
 * sockets, done to a model of disk and logs. Every decision is the real one
 * (strategy/), facts go through the real publisher. A step is one look; between
 * its parts the world may kill the node (`world.moment`).
 */
import { Publisher } from '../../src/daemon/publisher.js';
import type { Timers } from '../../src/timers.js';
import { forksOf, historyOf, logName, sameLog, type LogRef, type Point } from '../../src/strategy/history.js';
import {
  decide,
  prevOf,
  stepBack,
  touchedBy,
  type ApplyGoal,
  type FetchGoal,
  type Goal,
  type ResourceView,
  type SyncGoal,
} from '../../src/strategy/resource.js';
import { answerKey, mayInvalidate, pending } from '../../src/strategy/requests.js';
import { linksOf } from '../../src/strategy/links.js';
import { deletableLogs } from '../../src/strategy/retention.js';
import {
  formatPosition,
  formatVersion,
  keys,
  parseCount,
  parsePosition,
  type Position,
  type Request,
} from '../../src/tree/catalogue.js';
import { DELETED, type Changes } from '../../src/tree/types.js';
import { Device } from './device.js';
import type { SimNode } from './node.js';
import { endOf, localLog, PAGE, stateAt, type LogFile } from './truth.js';
import { CLUSTER, R, type World } from './world.js';

interface Replay {
  readonly log: LogRef;
  readonly from: bigint;
  end: bigint;
  parsed: bigint;
  checkpoint: bigint;
}

interface Sync {
  readonly goal: SyncGoal;
  readonly source: Daemon;
  readonly pin: { readonly number: bigint };
  at: number;
  started: boolean;
}

export class Daemon {
  readonly node: SimNode;
  readonly #world: World;
  readonly #publisher: Publisher;
  readonly #timers: (() => void)[] = [];
  /** something changed since the last look */
  wanted = true;
  settled = false;
  device: Device | undefined;
  replay: Replay | undefined;
  fetch: { readonly log: LogRef; readonly source: string } | undefined;
  sync: Sync | undefined;
  attached = false;
  why = 'ok';
  readonly pins = new Set<{ readonly number: bigint }>();
  #fetchProblem: string | undefined;
  readonly #resting = new Set<string>();
  #applied: Point | undefined;
  #touched: readonly Point[] | undefined;
  #loaded = false;

  constructor(node: SimNode, world: World) {
    this.node = node;
    this.#world = world;
    const timers: Timers = {
      busy: () => 0,
      set: (_ms, run) => {
        this.#timers.push(run);
        return { cancel: () => void this.#timers.splice(this.#timers.indexOf(run), 1) };
      },
    };
    this.#publisher = new Publisher(node.tree, timers, (error) => {
      throw error;
    });
    node.tree.write({
      ...Object.fromEntries(
        node.tree
          .snapshot()
          .list(keys.peer(''))
          .map((e) => [e.key, 'unreachable:peer-unreachable']),
      ),
      ...this.#answers(),
      [keys.nodeActual(node.host, 'alive')]: '1',
    });
  }

  /** Barriers are answered at the start, too. */
  #answers(): Record<string, string> {
    const barriers = this.node.tree.snapshot().list(keys.barrier(''));
    return Object.fromEntries(
      barriers
        .filter((e) => e.key !== keys.barrier(this.#host))
        .map((e) => [keys.merged(this.#host, e.key.slice(keys.barrier('').length)), e.stamp.toString()]),
    );
  }

  get #host(): string {
    return this.node.host;
  }

  #value(key: string): string | undefined {
    return this.node.tree.snapshot().value(key);
  }

  /** There is something to do that does not wait for anybody else. */
  get busy(): boolean {
    const r = this.replay;
    return (
      this.wanted || this.sync !== undefined || (r !== undefined && (r.checkpoint === 0n || r.parsed < r.end))
    );
  }

  get timersSet(): number {
    return this.#timers.length;
  }

  fireTimer(): void {
    this.#timers.shift()?.();
  }

  // ---- look and decide ----

  position(): Point | undefined {
    const now = this.#replayed();
    const at = now && (!this.#applied || now.number >= this.#applied.number) ? now : this.#applied;
    if (!at || at.digest !== '') return at;
    const file = this.node.files.get(logName(at));
    return file && endOf(file) === at.pos ? { ...at, digest: localLog(file).digest } : at;
  }

  view(): ResourceView {
    return {
      me: this.#host,
      resource: R,
      snap: this.node.tree.snapshot(),
      logs: [...this.node.files.values()].map(localLog),
      connected: this.#world.network.heardBy(this.#host),
      settled: this.settled,
      primary: this.device !== undefined,
      applied: this.position(),
      touched: this.#stillTouched(),
    };
  }

  step(): void {
    this.wanted = false;
    this.#load();
    this.#obey();
    this.#giveUpEmpty();
    const goal = decide(this.view());
    this.why = goal.mode === 'primary' ? 'ok' : goal.why;
    if (this.why === 'announcing') this.#announce();
    this.#world.moment();
    this.#act(goal);
    this.#world.moment();
    this.publish();
  }

  #act(goal: Goal): void {
    switch (goal.mode) {
      case 'off':
        this.#detach();
        return this.#left();
      case 'primary':
        return this.#bePrimary(goal);
      case 'follow':
        return this.#follow(goal);
    }
  }

  #load(): void {
    if (this.#loaded) return;
    this.#loaded = true;
    const snap = this.node.tree.snapshot();
    const at = parsePosition(snap.value(keys.replay(R, this.#host)) ?? '');
    if (!at) return;
    const logs = [...this.node.files.values()].map(localLog);
    const link = historyOf(snap, R, this.#host).get(at.number);
    const digest = link && sameLog(link, at) && link.pos === at.pos ? link.digest : '';
    this.#applied = { number: at.number, origin: at.origin, pos: at.pos, digest };
    this.#touched = touchedBy(logs, this.#applied);
  }

  #stillTouched(): readonly Point[] | undefined {
    const last = this.#touched?.at(-1);
    const at = this.position();
    if (!last || !at || at.number > last.number || (sameLog(at, last) && at.pos >= last.pos))
      this.#touched = undefined;
    return this.#touched;
  }

  #announce(): void {
    const snap = this.node.tree.snapshot();
    const designation = snap.get(keys.primary(R))?.stamp ?? 0n;
    if ((snap.get(keys.barrier(this.#host))?.stamp ?? 0n) < designation)
      this.node.tree.write({ [keys.barrier(this.#host)]: designation.toString() });
  }

  #giveUpEmpty(): void {
    const point = stepBack(this.view());
    if (!point || !this.#applied) return;
    this.#stopReplay();
    const empty = this.#applied;
    this.node.tree.write({
      [keys.version(R, empty.number, this.#host)]: null,
      [keys.replay(R, this.#host)]: formatPosition({ ...point, dirty: 0n }),
    });
    this.#publisher.drop(keys.resource(R));
    this.#applied = point;
    this.#world.count('step back');
    this.#world.moment();
    this.node.remove(empty);
    this.wanted = true;
  }

  #bePrimary(goal: Extract<Goal, { mode: 'primary' }>): void {
    this.attached = true;
    if (!this.device && goal.open) {
      this.fetch = undefined;
      this.#stopSync();
      this.#stopReplay();
      const now = decide(this.view());
      if (now.mode !== 'primary' || !now.open) return void (this.wanted = true);
      this.#publisher.now({ [keys.actual(R, this.#host, 'is-opening')]: '1' });
      this.#world.moment();
      this.#world.check.opening(this, now.open);
      const uuid = this.#value(keys.resourceUuid(R)) ?? '';
      this.device = new Device(this.node, this.#world.truth, CLUSTER, uuid, now.open);
      this.#applied = undefined;
      this.#world.count(now.open.prev && now.open.prev.origin !== this.#host ? 'handover' : 'opened');
      this.#world.moment();
    }
    this.#deleteLogs();
  }

  #follow(goal: Extract<Goal, { mode: 'follow' }>): void {
    if (this.device) {
      this.wanted = this.#stepDown();
      return;
    }
    this.attached = true;
    if (goal.sync) this.#stopReplay();
    else this.#stopSync();
    this.#runReplay(goal);
    this.#runFetch(goal.fetch);
    this.#runSync(goal.sync);
    this.#deleteLogs();
  }

  #stepDown(): boolean {
    if (!this.device) return true;
    if (this.device.open) return false;
    this.#applied = { ...this.device.close(), origin: this.#host };
    this.#world.check.promise(this.device.state);
    this.device = undefined;
    return true;
  }

  #detach(): void {
    if (!this.#stepDown()) return;
    this.fetch = undefined;
    this.#stopSync();
    this.#stopReplay();
    this.attached = false;
  }

  #left(): void {
    if (this.attached || this.node.tree.snapshot().raw(keys.data(R, this.#host))?.value !== DELETED) return;
    for (const file of [...this.node.files.values()]) this.node.remove(file.ident);
    this.#applied = undefined;
    this.#loaded = false;
  }

  // ---- replay ----

  #runReplay(goal: Extract<Goal, { mode: 'follow' }>): void {
    if (!goal.apply || goal.sync) return this.#stopReplay();
    const { next } = goal.apply;
    if (next) {
      this.#stopReplay();
      if (this.#applied?.pos !== goal.apply.end) return void (this.wanted = true);
      this.#applied = { number: next.number, origin: next.origin, pos: 0n, digest: '' };
      this.wanted = true;
      return;
    }
    if (this.replay && !sameLog(this.replay.log, goal.apply.log)) this.#stopReplay();
    if (!this.replay) this.#startReplay(goal.apply, this.position()?.pos ?? 0n);
    else if (goal.apply.end > this.replay.end) this.replay.end = goal.apply.end;
  }

  #startReplay(goal: ApplyGoal, from: bigint): void {
    if (!this.node.files.has(logName(goal.log)) || (from >= goal.end && from > 0n)) return;
    this.replay = { log: goal.log, from, end: goal.end, parsed: 0n, checkpoint: 0n };
  }

  /** Verify up to the start, or apply the next record. */
  apply(): void {
    const r = this.replay;
    if (!r) return;
    const file = this.node.files.get(logName(r.log));
    if (r.checkpoint === 0n) {
      r.parsed = r.checkpoint = r.from > PAGE ? r.from : PAGE;
      this.wanted = true;
    } else if (r.parsed < r.end) {
      const record = stateAt(file, r.parsed + PAGE)?.record;
      if (!record) throw new Error(`${this.#host}: replay behind the end of ${logName(r.log)}`);
      this.node.write(record, { ...r.log, pos: r.parsed + PAGE });
      r.parsed += PAGE;
    }
    if (r.parsed === r.end) this.checkpoint();
  }

  checkpoint(): void {
    if (!this.replay || this.replay.parsed === this.replay.checkpoint) return;
    this.node.disk.flush();
    this.replay.checkpoint = this.replay.parsed;
    this.wanted = true;
  }

  #replayed(): Point | undefined {
    const r = this.replay;
    if (!r || r.checkpoint === 0n) return undefined;
    const digest = stateAt(this.node.files.get(logName(r.log)), r.checkpoint)?.digest ?? '';
    return { number: r.log.number, origin: r.log.origin, pos: r.checkpoint, digest };
  }

  #stopReplay(): void {
    this.checkpoint();
    const last = this.#replayed();
    if (last) this.#applied = last;
    this.replay = undefined;
  }

  // ---- fetch ----

  #runFetch(goal: FetchGoal | undefined): void {
    const running = this.fetch;
    if (running && (!goal || !sameLog(running.log, goal.log) || !goal.sources.includes(running.source)))
      this.fetch = undefined;
    if (!goal || this.fetch) return;
    const source = goal.sources.find((s) => !this.#resting.has(s));
    if (source !== undefined) this.fetch = { log: goal.log, source };
  }

  /** Receive up to `count` pages of what is being fetched. */
  receive(count: number): void {
    const f = this.fetch;
    if (!f) return;
    const source = this.#world.network.reach(this.#host, f.source);
    if (!source) return this.#fetchEnded('stream-broken');
    const theirs = source.files.get(logName(f.log));
    if (!theirs) return this.#fetchEnded('no-such-log');
    const have = this.node.files.get(logName(f.log));
    const length = have?.chain.length ?? 0;
    if (length > theirs.chain.length) return this.#fetchEnded('position-beyond-end');
    const wrong = this.#mismatch(theirs, have);
    if (wrong) return this.#fetchEnded(wrong);
    if (length === theirs.chain.length) {
      const closed = [...source.files.values()].some((file) => {
        const prev = prevOf(file.ident);
        return prev && sameLog(prev, f.log) && prev.pos === endOf(theirs);
      });
      if (closed) this.#fetchEnded(undefined);
      return;
    }
    this.node.files.set(logName(f.log), {
      ident: theirs.ident,
      chain: theirs.chain.slice(0, length + count),
    });
    this.#fetchProblem = undefined;
    this.#world.count('fetched');
    this.wanted = true;
  }

  /** What the scanner of the real fetch would say to these bytes. */
  #mismatch(theirs: LogFile, have: LogFile | undefined): string | undefined {
    const last = have?.chain.at(-1);
    if (last) return theirs.chain[(have?.chain.length ?? 0) - 1] === last ? undefined : 'torn';
    const at = this.position();
    const file = at && theirs.ident.number === at.number + 1n ? this.node.files.get(logName(at)) : undefined;
    if (!at || !file || endOf(file) !== at.pos) return undefined;
    const { prevLength, prevDigest } = theirs.ident;
    return prevLength === at.pos && (at.digest === '' || prevDigest === at.digest) ? undefined : 'bad-chain';
  }

  #fetchEnded(problem: string | undefined): void {
    if (problem !== undefined && this.fetch) this.#resting.add(this.fetch.source);
    this.#fetchProblem = problem;
    this.fetch = undefined;
    this.wanted = true;
  }

  /** Sources that were set aside may be asked again. */
  rested(): void {
    if (this.#resting.size > 0) this.wanted = true;
    this.#resting.clear();
  }

  // ---- sync ----

  #runSync(goal: SyncGoal | undefined): void {
    if (!goal) return this.#stopSync();
    if (this.sync) return;
    const source = this.#world.network.reach(this.#host, goal.source)?.daemon;
    if (!source?.device) return;
    const pin = { number: source.device.checkpoint.number };
    source.pins.add(pin);
    const start = formatPosition({ ...source.device.checkpoint, origin: source.#host });
    const size = parseCount(this.#value(keys.size(R))) ?? 0n;
    this.sync = { goal: { ...goal, size }, source, pin, at: Number(goal.from / PAGE), started: false };
    if (goal.from === 0n) this.#beginSync(start);
    this.node.tree.write({ [keys.actual(R, this.#host, 'sync-timeline')]: goal.timeline });
    this.wanted = true;
  }

  #stopSync(): void {
    this.sync?.source.pins.delete(this.sync.pin);
    this.sync = undefined;
  }

  #beginSync(position: string): void {
    const start = parsePosition(position);
    if (!start) throw new Error(`bad start ${position}`);
    this.#forget();
    this.node.touched = undefined;
    this.#world.moment();
    this.#applied = { number: start.number, origin: start.origin, pos: start.pos, digest: '' };
    this.node.tree.write({ [keys.replay(R, this.#host)]: formatPosition({ ...start, dirty: 0n }) });
  }

  /** Stop in an orderly way. A device that is open stays in use to the end. */
  shutdown(): void {
    this.#detach();
    this.publish();
    this.#publisher.flush();
    this.node.tree.write({ [keys.nodeActual(this.#host, 'alive')]: '0' });
  }

  /** Whatever it does for others or they for it ends with it. */
  vanish(): void {
    this.#stopSync();
  }

  /** Copy one block, or finish. */
  copy(): void {
    const s = this.sync;
    if (!s) return;
    const there = this.#world.network.reach(this.#host, s.goal.source);
    if (there?.daemon !== s.source || !s.source.device) {
      this.#stopSync();
      this.wanted = true;
      return;
    }
    const blocks = s.source.node.disk.blocks();
    if (s.at < blocks.length) {
      this.node.disk.write({ block: s.at, value: blocks[s.at] ?? 0 });
      s.at++;
      if (s.at === blocks.length || !this.#world.random.once(3)) return;
      this.node.disk.flush();
      this.node.tree.write({ [keys.syncstatus(R, this.#host)]: (PAGE * BigInt(s.at)).toString() });
      return;
    }
    this.node.disk.flush();
    const { log, durable } = s.source.device;
    const end: Position = { ...log, pos: durable, dirty: 0n };
    this.node.tree.write({
      [keys.syncstatus(R, this.#host)]: s.goal.size.toString(),
      [keys.actual(R, this.#host, 'sync-timeline')]: null,
      [keys.syncpos(R, this.#host)]: formatPosition({ number: end.number, origin: end.origin, pos: end.pos }),
    });
    this.#stopSync();
    this.#world.count('synced');
    this.wanted = true;
  }

  #forget(): void {
    this.fetch = undefined;
    this.#stopReplay();
    for (const file of [...this.node.files.values()]) this.node.remove(file.ident);
    const links = [...historyOf(this.node.tree.snapshot(), R, this.#host).keys()];
    this.#publisher.drop(keys.resource(R));
    this.#applied = undefined;
    this.#touched = undefined;
    this.node.tree.write({
      ...Object.fromEntries(links.map((n) => [keys.version(R, n, this.#host), null])),
      [keys.replay(R, this.#host)]: null,
      [keys.syncpos(R, this.#host)]: null,
    });
  }

  // ---- requests and deletion ----

  #obey(): void {
    const asked = (what: Request): string | undefined =>
      pending(this.node.tree.snapshot(), R, this.#host, what);
    const invalidate = asked('invalidate');
    if (invalidate !== undefined && !this.device && mayInvalidate(this.node.tree.snapshot(), R, this.#host)) {
      this.#stopSync();
      this.#forget();
      this.#world.moment();
      this.node.tree.write({
        [keys.syncstatus(R, this.#host)]: '0',
        [answerKey(R, this.#host, 'invalidate')]: invalidate,
      });
    }
    const rotate = asked('rotate');
    if (rotate !== undefined && this.device?.canRotate()) {
      this.device.rotate();
      this.#publisher.now({ [answerKey(R, this.#host, 'rotate')]: rotate });
    }
    const remove = asked('log-delete');
    if (remove !== undefined) {
      this.#deleteLogs();
      this.#publisher.now({ [answerKey(R, this.#host, 'log-delete')]: remove });
    }
  }

  #deleteLogs(): void {
    const view = this.view();
    const own = this.device?.checkpoint.number ?? view.applied?.number;
    const gone = deletableLogs(
      view,
      own,
      [...this.pins].map((p) => p.number),
    );
    for (const log of gone.logs) {
      this.#world.check.deleting(this, log);
      this.#world.count('log deleted');
      this.node.remove(log);
    }
    if (gone.versions.length > 0)
      this.#publisher.put(Object.fromEntries(gone.versions.map((key) => [key, null])));
  }

  // ---- tell ----

  publish(): void {
    if (this.#value(keys.data(R, this.#host)) === undefined) return this.#publisher.drop(keys.resource(R));
    const flag = (on: boolean): string => (on ? '1' : '0');
    const actual = (facts: Record<string, string | null>): Changes =>
      Object.fromEntries(
        Object.entries(facts).map(([name, value]) => [keys.actual(R, this.#host, name), value]),
      );
    const newest = [...this.node.files.values()]
      .map(localLog)
      .reduce<LogFileEnd>((a, b) => (a && a.number >= b.number ? a : b), undefined);
    const fetched = newest
      ? formatPosition({ number: newest.number, origin: newest.origin, pos: newest.end })
      : null;
    this.#publisher.put({ ...this.#positions(), ...actual({ 'fetch-pos': fetched }) });
    this.#publisher.now(
      actual({
        'is-attached': flag(this.attached),
        'is-replaying': flag(this.replay !== undefined),
        'is-copying': flag(this.fetch !== undefined),
        'is-syncing': flag(this.sync !== undefined),
        'is-primary': flag(this.device !== undefined),
        'is-opening': '0',
        'if-on': flag(this.device !== undefined),
        'open-count': flag(this.device?.open ?? false),
        'replay-code':
          this.why === 'split-brain'
            ? 'split-brain'
            : this.#fetchProblem === 'no-such-log'
              ? 'log-missing'
              : 'ok',
        'split-brain': forksOf(this.node.tree.snapshot(), R, this.#host)[0]?.text ?? null,
      }),
    );
  }

  #positions(): Changes {
    if (this.device) {
      const { number, pos } = this.device.checkpoint;
      return {
        [keys.replay(R, this.#host)]: formatPosition({ number, origin: this.#host, pos, dirty: 0n }),
        ...this.#history({ ...this.device.log, pos: this.device.durable, digest: this.device.durableDigest }),
      };
    }
    const at = this.position();
    if (!at || at.pos === 0n) return {};
    return { [keys.replay(R, this.#host)]: formatPosition({ ...at, dirty: 0n }), ...this.#history(at) };
  }

  #history(at: Point): Changes {
    const links = linksOf(
      [...this.node.files.values()].map(localLog),
      at,
      historyOf(this.node.tree.snapshot(), R, this.#host),
    );
    return Object.fromEntries(
      links.map((link) => [keys.version(R, link.number, this.#host), formatVersion(link)]),
    );
  }
}

type LogFileEnd = ReturnType<typeof localLog> | undefined;
