// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A resource while its device exists here: logger, log files, export.
 *
 *     device --> logger --0--> data
 *                       --1--> log file (and 2 during a rotation)
 *
 * Opened only by the strategy's decision; closing it is refused while the
 * device is in use, and drains everything: afterwards the data disk holds the
 * whole log. Where bricks outlive the daemon, one that is started later adopts
 * what runs: nothing is touched, and everything it must know is read from the
 * status of the logger and the headers of the logs.
 */
import { promises as fs } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine/errors.js';
import { FILE_FLAGS } from '../engine/keys.js';
import type { Place } from '../engine/homes.js';
import type { BrickState, BrickStatus, LogIdent } from '../engine/types.js';
import { MarsError } from '../errors.js';
import type { LogRef, Point } from '../strategy/history.js';
import type { OpenGoal } from '../strategy/resource.js';
import { neededByPrimary } from '../strategy/retention.js';
import type { Timers } from '../timers.js';
import { keys } from '../tree/catalogue.js';
import { NONE } from '../tree/types.js';
import type { Position } from '../tree/catalogue.js';
import type { Context } from './context.js';
import { syncBounds } from './facts.js';
import type { BrickNames } from './names.js';
import type { Ids, LogStore } from './logstore.js';

const EMPTY = '0'.repeat(32);
/** How long a daemon that is stopped waits for an open device to be written back, ms. */
const DRAIN_MS = 10_000;

export class Primary {
  readonly #ctx: Context;
  readonly #store: LogStore;
  readonly #ids: Ids;
  readonly #names: BrickNames;
  readonly #place: Place;
  readonly #timeline: number;
  /** log input now written: 1 or 2 */
  #slot = 1;
  #log: LogRef;
  /** the log before, until the logger has let it go */
  #old: { readonly ref: LogRef; readonly slot: number } | undefined;
  #rotating = false;
  /** of the logger, once it is off for good */
  #last: BrickStatus | undefined;
  /** bytes of the device: it grows with the disk, when a new log begins */
  #size = 0n;

  private constructor(
    ctx: Context,
    resource: string,
    store: LogStore,
    ids: Ids,
    goal: Pick<OpenGoal, 'number' | 'timeline'>,
  ) {
    this.#ctx = ctx;
    this.#names = ctx.names.of(resource);
    this.#place = placeOf(ctx, resource);
    this.#store = store;
    this.#ids = ids;
    this.#timeline = goal.timeline;
    this.#log = { number: goal.number, origin: ctx.host };
  }

  /** Start the logger with a fresh log, then the export. On failure nothing is left behind. */
  static async open(
    ctx: Context,
    resource: string,
    store: LogStore,
    ids: Ids,
    goal: OpenGoal,
  ): Promise<Primary> {
    const primary = new Primary(ctx, resource, store, ids, goal);
    const { device } = primary.#place;
    if (device.length > ctx.home.nameMax) throw new MarsError('device-name-too-long', { found: device });
    try {
      await primary.#startLogger(goal);
      await primary.#startExport();
      return primary;
    } catch (error) {
      await primary.#tearDown();
      throw error;
    }
  }

  /**
   * Go on with the bricks an earlier daemon has left, if they are a device that runs; undefined
   * if they are not. Rejects with MarsError `foreign-bricks`, and touches nothing, when they do not
   * write the logs of this directory.
   */
  static async adopt(
    ctx: Context,
    resource: string,
    store: LogStore,
    ids: Ids,
  ): Promise<Primary | undefined> {
    const names = ctx.names.of(resource);
    const runs = (name: string): BrickStatus | undefined => {
      const status = ctx.bricks.find(name);
      return status?.button && status.ledOn ? status : undefined;
    };
    const logger = runs(names.logger);
    if (!logger || !runs(names.device) || !runs(names.data)) return undefined;
    const number = logger.val['durableNumber'] ?? 0n;
    const log = { number, origin: ctx.host };
    // The next log may begin at any moment: those that are finished are verified, this one is believed.
    await store.load(ids, (ref) => ref.origin === ctx.host && ref.number >= number);
    const covered = await store.follow(log, logger.val['durable'] ?? 0n, logger.digest);
    const ident = store.get(log)?.ident;
    if (!ident || (ids.resource !== '' && ident.resource !== ids.resource))
      throw new MarsError('foreign-bricks', { found: store.path(log) });
    const primary = new Primary(ctx, resource, store, ids, { number, timeline: ident.timeline });
    primary.#size = covered;
    await primary.#takeOver(logger);
    return primary;
  }

  get logger(): string {
    return this.#names.logger;
  }

  /** Where an application finds the device. */
  get path(): string {
    return this.#ctx.home.devicePath(this.#place);
  }

  /** A rotation was begun and not ended; {@link rotate} goes on with it. */
  get halfRotated(): boolean {
    return this.#ctx.bricks.find(this.#names.log(this.#log.number + 1n)) !== undefined;
  }

  /** The disk is larger than the device, which follows with the next log. */
  get mayGrow(): boolean {
    return this.#diskSize() > this.#size;
  }

  /** The log now written. */
  get log(): LogRef {
    return this.#log;
  }

  /** Number of the oldest log this host still needs itself. */
  get needed(): bigint {
    return neededByPrimary((this.#old?.ref ?? this.#log).number, this.status()?.val['ckptNumber']);
  }

  /** Between which positions others may copy the disk. */
  syncBounds(): { readonly start: Position; readonly end: Position } {
    return syncBounds(this.status()?.val ?? {}, this.#log);
  }

  /** Is there, or will there soon be, no room for the log? */
  get shortOfSpace(): boolean {
    const state = this.status()?.state;
    return state === 'log-space-low' || state === 'log-space-full';
  }

  /** Bytes of the exported device. */
  get size(): bigint {
    return this.#size;
  }

  #diskSize(): bigint {
    return this.#ctx.bricks.find(this.#names.data)?.val['size'] ?? 0n;
  }

  async #startLogger(goal: OpenGoal): Promise<void> {
    const { bricks, tuning } = this.#ctx;
    const ident = this.#ident(this.#log, goal.prev);
    // What is left behind the end this log names would be taken for a part of the log before, at the next start.
    if (goal.prev) await this.#trim(goal.prev);
    // A file without a valid header is what a crash left of an earlier start.
    if (!this.#store.get(this.#log)) await fs.rm(this.#store.path(this.#log), { force: true });
    await this.#createLog(this.#log);
    bricks.create('logger', this.logger, {
      'logger.credits': { value: tuning.credits },
      'logger.segment': { value: tuning.segment },
      'logger.ident': { ident },
    });
    bricks.connect(this.logger, 0, this.#names.data);
    bricks.connect(this.logger, 1, this.#brick(this.#log));
    this.#size = this.#diskSize();
    // Without room for a log it would try for ever; those who make room need this resource meanwhile.
    const status = await bricks.power(this.logger, true, (s) => s.state === 'log-space-full');
    this.#store.grow(this.#log, status.val['durable'] ?? 0n, status.digest, ident);
  }

  async #startExport(): Promise<void> {
    const { bricks, home } = this.#ctx;
    const { device } = this.#names;
    if (home.makesFolder) await fs.mkdir(path.dirname(this.path), { recursive: true, mode: 0o700 });
    bricks.create(home.exportType, device, home.exportParams(this.#place));
    bricks.connect(device, 0, this.logger);
    await bricks.power(device, true);
  }

  /** Adopted: what the earlier daemon knew of log inputs, and what it had not come to do. */
  async #takeOver(logger: BrickStatus): Promise<void> {
    const { slot = 0n, oldSlot = 0n, prevEnd = 0n } = logger.val;
    this.#slot = Number(slot);
    const before = { number: this.#log.number - 1n, origin: this.#log.origin };
    if (oldSlot !== 0n) {
      this.#old = { ref: before, slot: Number(oldSlot) };
      if (this.#store.get(before)) this.#store.grow(before, prevEnd, logger.digest2);
    } else if (this.#ctx.bricks.find(this.#names.log(before.number))) {
      this.#old = { ref: before, slot: this.#otherSlot() };
    }
    this.#growExport();
    await this.progress();
  }

  #otherSlot(): number {
    return this.#slot === 1 ? 2 : 1;
  }

  /** Where clients of the export do not ask for the size themselves. */
  #growExport(): void {
    const { growKey } = this.#ctx.home;
    if (growKey !== undefined) this.#ctx.bricks.set(this.#names.device, growKey, { value: 0n });
  }

  async #createLog(ref: LogRef): Promise<void> {
    const name = this.#brick(ref);
    this.#ctx.bricks.create('file', name, {
      'file.path': { text: this.#store.path(ref) },
      'file.flags': { value: FILE_FLAGS.direct | FILE_FLAGS.create | FILE_FLAGS.append },
    });
    try {
      await this.#ctx.bricks.power(name, true);
    } catch (error) {
      await this.#ctx.bricks.remove(name);
      throw error;
    }
  }

  #ident(ref: LogRef, prev: Point | undefined): LogIdent {
    return {
      cluster: this.#ids.cluster,
      resource: this.#ids.resource,
      salt: this.#ctx.randomHex(16),
      number: ref.number,
      timeline: this.#timeline,
      origin: ref.origin,
      prevNumber: prev?.number ?? 0n,
      prevOrigin: prev?.origin ?? '',
      prevLength: prev?.pos ?? 0n,
      prevDigest: prev?.digest || EMPTY,
    };
  }

  #brick(ref: LogRef): string {
    return this.#names.log(ref.number);
  }

  /** State of the logger now. */
  status(): BrickStatus | undefined {
    return this.#ctx.bricks.find(this.logger);
  }

  /** How many clients have the device open. */
  openCount(): number {
    return Number(this.#ctx.bricks.find(this.#names.device)?.val['clients'] ?? 0n);
  }

  /** Take the logger's progress into the store: what is durable may be shipped. */
  note(status: BrickStatus): void {
    const { durableNumber, durable = 0n, prevEnd = 0n } = status.val;
    const log = durableNumber === this.#log.number ? this.#log : this.#old?.ref;
    if (log && log.number === durableNumber) this.#store.grow(log, durable, status.digest);
    if (this.#old && log === this.#log) this.#store.grow(this.#old.ref, prevEnd, status.digest2);
  }

  /** Let the old log go once the logger has. */
  async progress(): Promise<void> {
    const status = this.status();
    if (!status) return;
    this.note(status);
    if (this.#old && !this.#rotating && status.val['oldSlot'] === 0n) await this.#releaseOld(this.#old);
  }

  async #releaseOld(old: { readonly ref: LogRef; readonly slot: number }): Promise<void> {
    this.#old = undefined;
    try {
      this.#ctx.bricks.disconnect(this.logger, old.slot);
    } catch (error) {
      // An earlier daemon may have come so far.
      if (!refusedAs(error, 'not-connected')) throw error;
    }
    await this.#ctx.bricks.remove(this.#brick(old.ref));
    await this.#giveBack(old.ref);
  }

  /** Cut a log that is finished at its end: what lies behind was allocated ahead, or its writing failed. */
  async #trim(ref: LogRef): Promise<void> {
    const log = this.#store.get(ref);
    if (!log) return;
    try {
      await fs.truncate(this.#store.path(ref), Number(log.end));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }

  /** The same for the sake of the space: neither a handover nor a rotation fails for want of it. */
  async #giveBack(ref: LogRef): Promise<void> {
    try {
      await this.#trim(ref);
    } catch (error) {
      this.#ctx.log(`${this.#place.resource}: log ${ref.number} is not cut at its end: ${String(error)}`);
    }
  }

  /**
   * May a rotation start now? Only two logs are written at a time. A logger that could not write
   * its log takes no other one either: a device that is opened anew begins a new log.
   */
  canRotate(): boolean {
    return !this.#old && !this.#rotating && this.status()?.state !== 'log-write-error';
  }

  /**
   * Go on in a fresh log; resolves once the new one is written. Writers do not wait. Rejects with
   * MarsError `bad-log` or `log-write-error` when that will not happen.
   */
  async rotate(): Promise<void> {
    const next = { number: this.#log.number + 1n, origin: this.#log.origin };
    const slot = this.#otherSlot();
    this.#rotating = true;
    try {
      await this.#beginRotation(next, slot);
      const status = await this.#ctx.bricks.wait(
        this.logger,
        (s) => s.val['durableNumber'] === next.number || isStuck(s.state),
      );
      // A log that has begun counts, whatever became of it since.
      if (status.val['durableNumber'] !== next.number && isStuck(status.state))
        throw new MarsError(status.state, { found: this.#store.path(next) });
      this.#store.grow(this.#log, status.val['prevEnd'] ?? 0n, status.digest2);
      // The header says what it was begun with, be it by an earlier daemon.
      this.#size = await this.#store.follow(next, status.val['durable'] ?? 0n, status.digest);
      this.#growExport();
      this.#old = { ref: this.#log, slot: this.#slot };
      this.#log = next;
      this.#slot = slot;
    } finally {
      this.#rotating = false;
    }
    await this.progress();
  }

  /** Give the logger its next log, unless an earlier daemon has done so already. */
  async #beginRotation(next: LogRef, slot: number): Promise<void> {
    const { bricks } = this.#ctx;
    const name = this.#brick(next);
    const left = bricks.find(name);
    if (!left?.ledOn) {
      await bricks.remove(name);
      if (!this.#store.get(next)) await fs.rm(this.#store.path(next), { force: true });
      await this.#createLog(next);
    }
    try {
      bricks.connect(this.logger, slot, name);
      bricks.set(this.logger, 'logger.rotate', {
        ident: this.#ident(next, undefined),
        value: BigInt(slot),
      });
    } catch (error) {
      if (!left?.ledOn || !refusedAs(error, 'not-now', 'bad-value')) throw error;
    }
  }

  /**
   * Take the device away and drain the logger. Throws EngineError `open` while
   * the device is in use; then everything stays as it is. After any other error
   * it may be called again, and goes on.
   */
  async close(): Promise<BrickStatus> {
    const { device } = this.#names;
    if (this.#ctx.bricks.find(device)) await this.#ctx.bricks.power(device, false);
    await this.#ctx.bricks.remove(device);
    this.#last ??= await this.#ctx.bricks.power(this.logger, false);
    await this.progress();
    await this.#tearDown();
    await this.#giveBack(this.#log);
    return this.#last;
  }

  /** Did closing fail with the device already gone? */
  get halfClosed(): boolean {
    return this.#ctx.bricks.find(this.#names.device) === undefined;
  }

  /** Write everything back as far as it goes in a bounded time; the device stays. */
  async drain(timers: Timers): Promise<void> {
    this.#ctx.bricks.set(this.logger, 'logger.checkpoint', { value: 0n });
    const clean = this.#ctx.bricks.wait(this.logger, (s) => s.val['dirty'] === 0n || s.state !== 'ok');
    let timer: { cancel(): void } | undefined;
    const late = new Promise<void>((resolve) => (timer = timers.set(DRAIN_MS, resolve)));
    await Promise.race([clean, late]);
    timer?.cancel();
  }

  async #tearDown(): Promise<void> {
    const { device, logger, logs } = this.#names;
    for (const name of [device, logger]) await this.#ctx.bricks.remove(name);
    for (const brick of this.#ctx.bricks.list(logs)) await this.#ctx.bricks.remove(brick.name);
  }
}

/** Whose device it is; without a name of its own it has that of the resource. */
function placeOf(ctx: Context, resource: string): Place {
  const name = ctx.tree.snapshot().value(keys.device(resource, ctx.host));
  return { dir: ctx.dir, resource, device: name === undefined || name === NONE ? resource : name };
}

const refusedAs = (error: unknown, ...reasons: readonly string[]): boolean =>
  error instanceof EngineError && reasons.includes(error.reason);

/** Does a rotation not come to its end in this state? */
const isStuck = (state: BrickState): state is 'log-write-error' | 'bad-log' =>
  state === 'log-write-error' || state === 'bad-log';
