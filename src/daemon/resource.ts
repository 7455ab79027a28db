// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One resource on this node: look, decide, take a step, tell what is.
 *
 * `trigger` may be called any time by anything that changed; steps run one after
 * the other and always start from a fresh look, so a missed or doubled trigger
 * does no harm and a restart is the same as any other step. A step that fails is
 * reported in the tree and tried again with growing pauses. Bricks left by an earlier
 * daemon are adopted or taken down before the first decision.
 */
import { promises as fs } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine/errors.js';
import { deviceSize } from '../engine/files.js';
import { FILE_FLAGS } from '../engine/keys.js';
import type { BrickEvent } from '../engine/types.js';
import { MarsError, type ReasonCode } from '../errors.js';
import { describe, historyOf, sameLog, straysOf, type LogRef, type Point } from '../strategy/history.js';
import { answerKey, mayInvalidate, mayResync, pending } from '../strategy/requests.js';
import {
  decide,
  followed,
  stepBack,
  touchedBy,
  type Goal,
  type OpenGoal,
  type ResourceView,
} from '../strategy/resource.js';
import { restAfter } from '../timers.js';
import { formatPosition, keys, parseCount, parsePosition, type Request } from '../tree/catalogue.js';
import { DELETED, type Snapshot } from '../tree/types.js';
import type { SyncSource } from '../transfer/syncsource.js';
import type { DiskPlace } from '../transfer/disk.js';
import { Backoff } from './backoff.js';
import type { Context } from './context.js';
import { damageOf, Losses, lossesOf } from './damage.js';
import { decisiveFacts, errorFact, movingFacts, type Picture } from './facts.js';
import { Fetch } from './fetch.js';
import { clear, newer, type Stand } from './inherit.js';
import { forgetReplica } from './leaving.js';
import { LogStore, type Ids } from './logstore.js';
import type { BrickNames } from './names.js';
import { Primary } from './primary.js';
import { reasonOf } from './reasons.js';
import { Replay } from './replay.js';
import { Retention } from './retention.js';
import { Sync } from './sync.js';

/** First and longest pause after a failed step, ms. */
const RETRY_MS = 250;
const RETRY_MAX_MS = 5000;
/** How long an orderly stop waits for a rotation, ms. */
const STOP_MS = 5000;
/** Progress is looked at this much later, together with what follows it, ms; and while it goes on, this often. */
const GATHER_MS = 10;
const ONGOING_MS = 100;
const ONGOING_MAX_MS = 500;

export class Resource {
  readonly name: string;
  readonly store: LogStore;
  /** resolves when the first look was taken and told: what an earlier run told counts no longer */
  readonly looked: Promise<void>;
  #hasLooked: () => void = () => undefined;
  readonly #ctx: Context;
  readonly #names: BrickNames;
  readonly #replay: Replay;
  readonly #fetch: Fetch;
  readonly #sync: Sync;
  #primary: Primary | undefined;
  /** applied and flushed while nothing replays; undefined = no history here */
  #applied: Point | undefined;
  /** see ResourceView.touched */
  #touched: readonly Point[] | undefined;
  #loaded = false;
  /** a device of an earlier daemon runs that we can neither adopt nor take down */
  #stranger = false;
  /** the data disk is a block device */
  #blockDevice = false;
  #attached = false;
  #wanted = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  readonly #pauses = new Backoff(RETRY_MS, RETRY_MAX_MS);
  /** a step has failed a moment ago */
  #resting = false;
  #problem: ReasonCode | undefined;
  #diskError = 0;
  readonly #losses: Losses;
  #rotateWanted = false;
  #rotation: Promise<void> | undefined;
  #why: ReasonCode = 'ok';
  /** progress waits to be looked at, or has been a moment ago */
  #gathering: 'no' | 'wanted' | 'rests' = 'no';
  /** a log to be applied as far as it reaches, and the tree this was decided from */
  #following: { readonly log: LogRef; readonly snap: Snapshot } | undefined;
  readonly #retention: Retention;

  constructor(ctx: Context, name: string) {
    this.#ctx = ctx;
    this.#names = ctx.names.of(name);
    this.name = name;
    this.looked = new Promise((resolve) => (this.#hasLooked = resolve));
    const trigger = (): void => this.trigger();
    this.store = new LogStore(path.join(ctx.dir, `resource-${name}`));
    this.store.onChange((ref) => this.#onLog(ref));
    this.#losses = new Losses((text) => ctx.log(`${name}: ${text}`));
    this.#retention = new Retention(ctx, this.store, trigger);
    this.#replay = new Replay(ctx, name, this.store);
    this.#fetch = new Fetch(ctx, name, this.store, trigger);
    this.#sync = new Sync(ctx, name, (position) => this.#beginSync(position), trigger);
  }

  get isPrimary(): boolean {
    return this.#primary !== undefined;
  }

  /** Something may have changed: look again soon. */
  trigger(): void {
    this.#wanted = true;
    if (this.#running || this.#stopped) return;
    this.#running = this.#loop().finally(() => {
      this.#running = undefined;
      if (this.#wanted) this.trigger();
    });
  }

  /** A brick of this resource changed. What is durable goes out at once, the rest when it is looked at. */
  onBrick(event: BrickEvent): void {
    if (this.#primary && event.status.name === this.#primary.logger) this.#primary.note(event.status);
    if (event.kinds.every((kind) => kind === 'progress')) this.#triggerLater();
    else this.trigger();
  }

  /** A log has grown: as long as nothing else has changed, more of it is applied at once. */
  #onLog(ref: LogRef): void {
    const log = this.store.get(ref);
    const following = this.#following;
    if (log && following && sameLog(following.log, ref) && following.snap === this.#ctx.tree.snapshot())
      this.#replay.extend(ref, log.end);
    this.#triggerLater();
  }

  /** Progress comes many times a second; a look each would cost more than the IO it tells of. */
  #triggerLater(): void {
    if (this.#gathering === 'no') this.#gather(GATHER_MS);
    this.#gathering = 'wanted';
  }

  #gather(ms: number): void {
    const { timers } = this.#ctx;
    const before = timers.busy();
    timers.set(ms, () => {
      this.#gathering = this.#gathering === 'wanted' ? 'rests' : 'no';
      if (this.#gathering === 'no') return;
      this.trigger();
      this.#gather(restAfter(timers.busy() - before, ONGOING_MS, ONGOING_MAX_MS));
    });
  }

  /** Stop everything in an orderly way; the tree keeps what is needed to go on later. Rejects, stopped, when it can't. */
  async stop(halting: boolean): Promise<void> {
    this.#stopped = true;
    await this.#running;
    // The next daemon goes on with it, and with a rotation that is under way.
    if (this.#primary && this.#ctx.home.outlives && !halting) return this.#tellLast();
    // A rotation takes a moment, or on a full log disk as long as that is full.
    const late = new Promise<void>((resolve) => void this.#ctx.timers.set(STOP_MS, resolve));
    if (this.#rotation) await Promise.race([this.#rotation, late]);
    await this.#detach().catch((error: unknown) => this.#report(error));
    // A device that is still open goes away with this process, as a disk with a volatile cache would.
    await this.#primary?.drain(this.#ctx.timers).catch((error: unknown) => this.#report(error));
    this.#tellLast();
  }

  #tellLast(): void {
    this.#publish();
    this.#ctx.publisher.flush();
  }

  async #loop(): Promise<void> {
    while (this.#wanted && !this.#stopped) {
      this.#wanted = false;
      if (!this.#resting) await this.#attempt();
      try {
        this.#publish();
      } catch (error) {
        this.#report(error);
      }
      this.#hasLooked();
    }
  }

  /** One step. After a failure none is taken for a while: what it has written and undone would call for the next one. */
  async #attempt(): Promise<void> {
    try {
      await this.#step();
      this.#pauses.reset();
      this.#problem = undefined;
    } catch (error) {
      this.#report(error);
      this.#resting = true;
      this.#ctx.timers.set(this.#pauses.failed(), () => {
        this.#resting = false;
        this.trigger();
      });
    }
  }

  #report(error: unknown): void {
    const reason = reasonOf(error);
    const text = error instanceof Error ? error.message : String(error);
    if (this.#problem !== reason) this.#ctx.log(`${this.name}: ${reason}: ${text}`);
    this.#problem = reason;
  }

  // ---- look ----

  #value(key: string): string | undefined {
    return this.#ctx.tree.snapshot().value(key);
  }

  #ids(): Ids {
    return {
      cluster: this.#value(keys.uuid) ?? '',
      resource: this.#value(keys.resourceUuid(this.name)) ?? '',
    };
  }

  async #load(): Promise<void> {
    if (this.#loaded) return;
    const replayed = await this.#takeOver();
    const found = this.#primary ? undefined : await this.store.load(this.#ids());
    const { host, tree } = this.#ctx;
    const snap = tree.snapshot();
    if (found) this.#losses.note(...lossesOf(snap, this.name, host, found));
    const at = parsePosition(snap.value(keys.replay(this.name, host)) ?? '');
    if (at) {
      const link = historyOf(snap, this.name, host).get(at.number);
      const digest = link && sameLog(link, at) && link.pos === at.pos ? link.digest : '';
      this.#applied = { number: at.number, origin: at.origin, pos: at.pos, digest };
    }
    if (this.#primary) this.#applied = undefined;
    else if (replayed) this.#applied = newer(replayed, this.#applied, this.store.list());
    this.#touched = touchedBy(this.store.list(), this.#position());
    this.#loaded = true;
  }

  /**
   * Bricks of an earlier daemon: a device that runs goes on as ours, everything else is taken
   * down. Returns where a replay stood.
   */
  async #takeOver(): Promise<Stand | undefined> {
    const { bricks, host } = this.#ctx;
    this.#stranger = bricks.list(this.#names.all).length > 0;
    if (!this.#stranger) return undefined;
    try {
      this.#primary = await Primary.adopt(this.#ctx, this.name, this.store, this.#ids());
    } catch (error) {
      // Whoever wants it down may have it down, whatever it is.
      const wished = this.#value(keys.todo(this.name, host, 'attach')) === '1';
      if (wished && this.#value(keys.data(this.name, host)) !== undefined) throw error;
    }
    const replayed = this.#primary
      ? this.#goOn(this.#primary)
      : await clear(this.#ctx.bricks, this.#names, this.#replay);
    this.#stranger = false;
    return replayed;
  }

  /** With a device that was adopted. */
  #goOn(primary: Primary): undefined {
    this.#attached = true;
    this.#blockDevice = this.#ctx.bricks.find(this.#names.data)?.type === 'bdev';
    this.#ctx.log(`${this.name}: still primary, writing log ${primary.log.number}`);
    if (primary.halfRotated) this.#rotate(primary);
    else this.#rotateWanted = primary.mayGrow;
  }

  /** What may have touched the disk before the start, until it is applied again. */
  #stillTouched(): readonly Point[] | undefined {
    const last = this.#touched?.at(-1);
    const at = this.#position();
    if (!last || !at || at.number > last.number || (sameLog(at, last) && at.pos >= last.pos))
      this.#touched = undefined;
    return this.#touched;
  }

  /** The flushed position, with its digest as far as it is known. */
  #position(): Point | undefined {
    const now = this.#replay.applied();
    const at = now && (!this.#applied || now.number >= this.#applied.number) ? now : this.#applied;
    if (!at || at.digest !== '') return at;
    const log = this.store.get(at);
    return log && log.end === at.pos ? { ...at, digest: log.digest } : at;
  }

  #view(): ResourceView {
    const connected = this.#ctx.cluster.peers().filter((p) => p.connected);
    return {
      me: this.#ctx.host,
      resource: this.name,
      snap: this.#ctx.tree.snapshot(),
      logs: this.store.list(),
      connected: new Set(connected.map((p) => p.host)),
      settled: this.#ctx.settled(),
      primary: this.#primary !== undefined,
      applied: this.#position(),
      touched: this.#stillTouched(),
    };
  }

  // ---- steps ----

  async #step(): Promise<void> {
    await this.#load();
    await this.#obeyRequests();
    await this.#stepBack();
    const view = this.#view();
    const goal = decide(view);
    this.#following = followed(view, goal);
    this.#why = goal.mode === 'primary' ? 'ok' : goal.why;
    if (this.#why === 'announcing') this.#announce();
    switch (goal.mode) {
      case 'off':
        await this.#detach();
        return this.#left();
      case 'primary':
        return this.#beOrBecomePrimary(goal);
      case 'follow':
        return this.#follow(goal);
    }
  }

  /** Ask the members to say that they know who is designated. */
  #announce(): void {
    const { host, tree } = this.#ctx;
    const designation = tree.snapshot().get(keys.primary(this.name))?.stamp ?? 0n;
    const asked = tree.snapshot().get(keys.barrier(host))?.stamp ?? 0n;
    if (asked < designation) tree.write({ [keys.barrier(host)]: designation.toString() });
  }

  /** Give up a log that was opened and never used, because history went on elsewhere. */
  async #stepBack(): Promise<void> {
    const point = stepBack(this.#view());
    if (!point || !this.#applied) return;
    await this.#stopReplay();
    const empty = this.#applied;
    this.#ctx.tree.write({
      [keys.version(this.name, empty.number, this.#ctx.host)]: null,
      [keys.replay(this.name, this.#ctx.host)]: formatPosition({ ...point, dirty: 0n }),
      [keys.actual(this.name, this.#ctx.host, 'fetch-pos')]: null,
    });
    this.#ctx.publisher.drop(keys.resource(this.name));
    this.#applied = point;
    await this.store.remove(empty);
  }

  async #attach(): Promise<void> {
    if (this.#attached) return;
    const { bricks, home, host } = this.#ctx;
    const device = this.#value(keys.data(this.name, host));
    const size = parseCount(this.#value(keys.size(this.name)));
    if (device === undefined || size === undefined) return;
    const name = this.#names.data;
    this.#blockDevice = (await fs.stat(device).catch(() => undefined))?.isBlockDevice() ?? false;
    bricks.create(home.dataType(this.#blockDevice), name, {
      'file.path': { text: device },
      'file.flags': { value: FILE_FLAGS.excl },
      'file.size': { value: size },
    });
    try {
      await bricks.power(name, true);
      this.#attached = true;
      this.#diskError = 0;
      await this.measure();
    } catch (error) {
      this.#attached = false;
      this.#diskError = error instanceof EngineError ? error.errno : 5;
      await bricks.remove(name);
      throw error;
    }
  }

  async #detach(): Promise<void> {
    if (!(await this.#stepDown())) return this.#primary && this.#stayPrimary(this.#primary);
    await this.#fetch.stop();
    await this.#sync.stop();
    await this.#stopReplay();
    await this.#ctx.bricks.remove(this.#names.data);
    this.#attached = false;
  }

  /** Once this host has left the resource on purpose, its logs are of no use to it. */
  async #left(): Promise<void> {
    const data = this.#ctx.tree.snapshot().raw(keys.data(this.name, this.#ctx.host))?.value;
    if (this.#attached || (data !== undefined && data !== DELETED)) return;
    // A tombstone may be collected before anybody looks; what is known here ends with the link in any case.
    this.#applied = undefined;
    this.#touched = undefined;
    this.#loaded = false;
    if (data === DELETED) await forgetReplica(this.#ctx, this.name, this.store);
  }

  async #beOrBecomePrimary(goal: Extract<Goal, { mode: 'primary' }>): Promise<void> {
    await this.#attach();
    // What was to be closed and is wanted again is closed first.
    if (this.#primary?.halfClosed === true && (await this.#stepDown())) return this.trigger();
    if (!this.#primary && goal.open) {
      await this.#fetch.stop();
      await this.#sync.stop();
      await this.#stopReplay();
      await this.#deleteLogs();
      // The tree may have changed meanwhile. From the last look to the announcement nothing waits:
      // whoever is told later that somebody else is designated has been told of this device before.
      const now = decide(this.#view());
      if (now.mode !== 'primary' || !now.open) return this.trigger();
      this.#ctx.publisher.now({ [keys.actual(this.name, this.#ctx.host, 'is-opening')]: '1' });
      this.#renounce(now.open);
      this.#primary = await Primary.open(this.#ctx, this.name, this.store, this.#ids(), now.open);
      this.#applied = undefined;
      this.#losses.clear();
      this.#ctx.log(`${this.name}: primary, writing log ${this.#primary.log.number}`);
    }
    if (this.#primary) await this.#stayPrimary(this.#primary);
    this.#resizeData();
    if (this.#primary && this.#shouldRotate(this.#primary)) this.#rotate(this.#primary);
  }

  /** What was told of and is lost is no part of the history from here on, whatever happens next. */
  #renounce({ number, prev }: OpenGoal): void {
    const { host, tree, publisher } = this.#ctx;
    const strays = straysOf(historyOf(tree.snapshot(), this.name, host), prev);
    if (strays.length === 0) return;
    tree.write({
      ...Object.fromEntries(strays.map((n) => [keys.version(this.name, n, host), null] as const)),
      [keys.replay(this.name, host)]: formatPosition({ number, origin: host, pos: 0n, dirty: 0n }),
    });
    publisher.drop(keys.resource(this.name));
    // As after a restart: should opening fail, only the log it has begun tells what that continues.
    this.#applied = { number, origin: host, pos: 0n, digest: '' };
  }

  /** What has to go on as long as the device exists, wanted or not. */
  async #stayPrimary(primary: Primary): Promise<void> {
    await primary.progress();
    await this.#deleteLogs();
  }

  async #follow(goal: Extract<Goal, { mode: 'follow' }>): Promise<void> {
    if (this.#primary) {
      if (await this.#stepDown()) this.trigger();
      else await this.#stayPrimary(this.#primary);
      return;
    }
    await this.#attach();
    this.#resizeData();
    if (goal.sync) await this.#stopReplay();
    else await this.#sync.stop();
    // After a repair the goal speaks of bytes that are gone.
    if (await this.#repairLog(goal)) return;
    await this.#runReplay(goal);
    const ids = this.#ids();
    await this.#fetch.run(goal.fetch, {
      ...ids,
      prev: goal.fetch && this.#expectedPrev(goal.fetch.log.number),
    });
    await this.#sync.run(goal.sync, this.#disk(), ids.resource);
    await this.#deleteLogs();
  }

  /** A log that is fetched from its start must continue the local one before it. */
  #expectedPrev(number: bigint): { pos: bigint; digest: string } | undefined {
    const at = this.#position();
    if (!at || number !== at.number + 1n) return undefined;
    const log = this.store.get(at);
    return log && log.end === at.pos ? { pos: at.pos, digest: at.digest } : undefined;
  }

  /** Stop being primary; false while the device is in use (an event follows when it is closed). */
  async #stepDown(): Promise<boolean> {
    const primary = this.#primary;
    if (!primary) return true;
    if (this.#rotation) return false;
    try {
      const last = await primary.close();
      this.#primary = undefined;
      const log = { number: last.val['ckptNumber'] ?? 0n, origin: this.#ctx.host };
      const end = this.store.get(log);
      const pos = last.val['ckpt'] ?? 0n;
      this.#applied = { ...log, pos, digest: end?.end === pos ? end.digest : '' };
      this.#ctx.log(`${this.name}: no longer primary`);
      return true;
    } catch (error) {
      if (error instanceof EngineError && error.reason === 'open') return false;
      throw error;
    }
  }

  // ---- replay ----

  async #runReplay(goal: Extract<Goal, { mode: 'follow' }>): Promise<void> {
    if (!goal.apply || goal.sync) return this.#stopReplay();
    if (goal.apply.next) {
      await this.#stopReplay();
      const next = goal.apply.next;
      // Replay may have gone further than the decision knew.
      if (this.#applied?.pos !== goal.apply.end) return this.trigger();
      this.#applied = { number: next.number, origin: next.origin, pos: 0n, digest: '' };
      this.trigger();
      return;
    }
    await this.#replay.run(goal.apply, this.#position()?.pos ?? 0n);
  }

  async #stopReplay(): Promise<void> {
    if (!this.#replay.running) return;
    const last = await this.#replay.stop();
    if (last) this.#applied = last;
  }

  /** Forget what is damaged of the log to be applied, and fetch it again. */
  async #repairLog(goal: Extract<Goal, { mode: 'follow' }>): Promise<boolean> {
    const damage = await damageOf(this.store, this.#replay, goal.sync ? undefined : goal.apply);
    if (!damage) return false;
    await this.#stopReplay();
    // A fetch that goes on behind the damage would leave a hole.
    await this.#fetch.stop();
    this.#losses.note(damage);
    if (damage.keep) await this.store.cut(damage.log, damage.keep.end, damage.keep.digest);
    else await this.store.remove(damage.log);
    this.trigger();
    return true;
  }

  // ---- sync ----

  /** A fresh sync begins: what was here is worth nothing any more. */
  async #beginSync(position: string): Promise<void> {
    const start = parsePosition(position);
    if (!start) throw new Error(`bad start position ${position}`);
    await this.#forget();
    this.#applied = { number: start.number, origin: start.origin, pos: start.pos, digest: '' };
    this.#ctx.tree.write({
      [keys.replay(this.name, this.#ctx.host)]: formatPosition({ ...start, dirty: 0n }),
    });
  }

  /** Drop own logs and history. */
  async #forget(): Promise<void> {
    await this.#fetch.stop();
    await this.#stopReplay();
    for (const log of this.store.list()) await this.store.remove(log);
    const { host, tree } = this.#ctx;
    const links = [...historyOf(tree.snapshot(), this.name, host).keys()];
    const gone = links.map((number) => [keys.version(this.name, number, host), null] as const);
    this.#ctx.publisher.drop(keys.resource(this.name));
    this.#losses.clear();
    this.#applied = undefined;
    this.#touched = undefined;
    tree.write({
      ...Object.fromEntries(gone),
      [keys.replay(this.name, host)]: null,
      [keys.syncpos(this.name, host)]: null,
    });
  }

  /** The data disk, for who uses it beside the engine. */
  #disk(): DiskPlace {
    const path = this.#value(keys.data(this.name, this.#ctx.host)) ?? '';
    return { path, direct: this.#ctx.home.bypassCache(this.#blockDevice) };
  }

  /** What a member that syncs from us needs; undefined while we are not primary. */
  syncSource(): SyncSource | undefined {
    const primary = this.#primary;
    const size = parseCount(this.#value(keys.size(this.name)));
    if (!primary || size === undefined) return undefined;
    return {
      disk: this.#disk(),
      size,
      pin: () => {
        const { start } = primary.syncBounds();
        return { position: describe(start), release: this.#retention.pin(start.number) };
      },
      check: () => {
        if (this.#primary !== primary || primary.status()?.ledOn !== true)
          throw new MarsError('not-primary', { found: this.name });
      },
      dirtyEnd: () => describe(primary.syncBounds().end),
    };
  }

  // ---- requests, rotation, deletion, size ----

  async #obeyRequests(): Promise<void> {
    const { host, tree } = this.#ctx;
    const asked = (what: Request): string | undefined => pending(tree.snapshot(), this.name, host, what);
    const invalidate = asked('invalidate');
    const again = invalidate !== undefined || mayResync(tree.snapshot(), this.name, host);
    if (again && !this.#primary && mayInvalidate(tree.snapshot(), this.name, host)) {
      if (invalidate === undefined) this.#ctx.log(`${this.name}: logs needed here were given up; full sync`);
      await this.#sync.stop();
      await this.#forget();
      tree.write({
        [keys.syncstatus(this.name, host)]: '0',
        ...(invalidate !== undefined && { [answerKey(this.name, host, 'invalidate')]: invalidate }),
      });
    }
    const rotate = asked('rotate');
    if (rotate !== undefined && !this.#rotation && this.#primary?.canRotate())
      this.#rotate(this.#primary, rotate);
    const remove = asked('log-delete');
    if (remove !== undefined) {
      await this.#deleteLogs();
      this.#ctx.publisher.now({ [answerKey(this.name, host, 'log-delete')]: remove });
    }
  }

  /** Beside the steps: with a full log disk it takes until logs are deleted, which a step does. */
  #rotate(primary: Primary, request?: string): void {
    const answer = answerKey(this.name, this.#ctx.host, 'rotate');
    const wanted = this.#rotateWanted;
    this.#rotateWanted = false;
    this.#rotation = primary
      .rotate()
      .then(() => {
        if (request !== undefined) this.#ctx.publisher.now({ [answer]: request });
      })
      .catch((error: unknown) => {
        this.#report(error);
        this.#rotateWanted ||= wanted;
        return new Promise<void>((resolve) => void this.#ctx.timers.set(RETRY_MAX_MS, resolve));
      })
      .finally(() => {
        this.#rotation = undefined;
        this.trigger();
      });
  }

  #shouldRotate(primary: Primary): boolean {
    const size = primary.status()?.val['pos'] ?? 0n;
    return (
      (this.#rotateWanted || size >= this.#ctx.tuning.rotateAt) && !this.#rotation && primary.canRotate()
    );
  }

  #deleteLogs(): Promise<void> {
    // A device that finds no room for its log is not opened: what failed then is the step.
    const failed = [this.#problem, this.#fetch.problem].includes('log-space-full');
    const short = failed || this.#primary?.shortOfSpace === true;
    return this.#retention.run(this.#view(), this.#primary?.needed, short);
  }

  /** Follow a growing size with the data brick; a log covers the size it was begun with. */
  #resizeData(): void {
    const { bricks } = this.#ctx;
    const size = parseCount(this.#value(keys.size(this.name)));
    const have = bricks.find(this.#names.data)?.val['size'];
    if (!this.#attached || size === undefined || have === undefined || have >= size) return;
    bricks.set(this.#names.data, 'file.size', { value: size });
    this.#rotateWanted = this.#primary !== undefined;
  }

  /** How large the device behind is; members tell each other, since the smallest limits all. */
  async measure(): Promise<void> {
    const device = this.#value(keys.data(this.name, this.#ctx.host));
    if (device === undefined || !this.#attached) return;
    const size = await deviceSize(device);
    this.#ctx.publisher.put({ [keys.actsize(this.name, this.#ctx.host)]: size.toString() });
  }

  // ---- tell ----

  #publish(): void {
    const { publisher, tree, host } = this.#ctx;
    // Of a device that runs without us the last word of the earlier daemon is nearer to the truth.
    if (this.#stranger) return publisher.now(errorFact(this.#picture(), this.#problem ?? 'foreign-bricks'));
    if (!tree.snapshot().value(keys.data(this.name, host))) {
      publisher.drop(keys.resource(this.name));
      return;
    }
    const picture = this.#picture();
    publisher.put(movingFacts(picture));
    publisher.now(decisiveFacts(picture));
  }

  #picture(): Picture {
    const primary = this.#primary;
    const missing = this.#losses.problem(this.store, this.#position());
    return {
      snap: this.#ctx.tree.snapshot(),
      resource: this.name,
      host: this.#ctx.host,
      attached: this.#attached,
      replaying: this.#replay.running,
      copying: this.#fetch.active,
      syncing: this.#sync.active,
      primary: primary && {
        log: primary.log,
        path: primary.path,
        size: primary.size,
        openCount: primary.openCount(),
      },
      logger: primary?.status(),
      replay: this.#replay.status(),
      logs: this.store.list(),
      position: this.#position(),
      diskError: this.#diskError,
      why: this.#why,
      problems: {
        step: this.#problem ?? missing,
        fetch: this.#fetch.problem,
        sync: this.#sync.problem,
      },
      stamp: () => this.#ctx.engine.lamport().lamport,
    };
  }
}
