// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The two engines behind one interface: embedded in this process, or mars.ko.
 *
 * Both take the same structures; they differ only in how a structure gets to
 * the dispatcher and in how a change is noticed. Verbs are synchronous and take
 * microseconds; only switching may wait for a device, hence `power`.
 */
import { closeSync, openSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { engineBinding, sysBinding, type ControlAnswer, type EngineBinding } from './bindings.js';
import { EngineError } from './errors.js';
import { EventFan } from './events.js';
import { PARAMS, REASON_TEXTS, REASON_WORDS, reasonWord, type Verb } from './keys.js';
import { flock } from './linktime.js';
import { Pace, REST_MAX_KERNEL_MS } from './pace.js';
import {
  ABI_VERSION,
  checkLayout,
  decodeAbi,
  decodeEvent,
  decodeLamport,
  decodeReason,
  decodeStatus,
  decodeVersion,
  encodeCreate,
  encodeDestroy,
  encodeIdent,
  encodeLamport,
  encodeSet,
  encodeStatus,
  encodeSwitch,
  encodeVersion,
  encodeWire,
  type VersionInfo,
} from './structs.js';
import type { BrickEvent, BrickStatus, BrickType, ClockReading, Engine, SetValue } from './types.js';

/** errno names; of two names for one number the one in common use. */
const ERRNO_NAMES = new Map(
  Object.entries(osConstants.errno)
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP')
    .map(([name, nr]) => [nr, name]),
);

/** The verbs, whoever takes them. */
abstract class ControlledEngine implements Engine {
  abstract readonly kind: 'embedded' | 'kernel';
  readonly #fan = new EventFan();
  #version: VersionInfo | undefined;

  /** Hand one structure to the dispatcher: 0 or -errno. */
  protected abstract control(struct: Buffer): number;
  /** The same for a verb that may wait for a device. */
  protected controlSlowly(struct: Buffer): Promise<ControlAnswer> {
    return Promise.resolve({ rc: this.control(struct), struct });
  }
  /** Begin to call {@link drain} when something changes. */
  protected abstract watch(): void;

  /** What the engine says of itself. */
  get version(): VersionInfo {
    this.#version ??= decodeVersion(this.#call('version', encodeVersion(), ''));
    return this.#version;
  }

  get logFormat(): number {
    return this.version.logFormat;
  }

  create(type: BrickType, name: string): void {
    this.#call('create', encodeCreate(type, name), `${type} ${name}`);
  }

  destroy(name: string): void {
    this.#call('destroy', encodeDestroy(name), name);
  }

  connect(name: string, input: number, to: string): void {
    this.#call('connect', encodeWire(name, input, to), `${name} input ${input} to ${to}`);
  }

  disconnect(name: string, input: number): void {
    this.#call('disconnect', encodeWire(name, input), `${name} input ${input}`);
  }

  switch(name: string, on: boolean): void {
    this.#call('switch', encodeSwitch(name, on), `${name} ${on ? 'on' : 'off'}`);
  }

  async power(name: string, on: boolean): Promise<void> {
    const { rc, struct } = await this.controlSlowly(encodeSwitch(name, on));
    this.#answer('switch', rc, struct, `${name} ${on ? 'on' : 'off'}`);
  }

  set(name: string, key: string, value: SetValue): void {
    const param = PARAMS[key];
    if (!param) throw refusal('set', 22, 'no-key', `${name} ${key}`);
    const number = 'value' in value ? (value.value ?? 0n) : 0n;
    const content = 'text' in value ? value.text : 'ident' in value ? encodeIdent(value.ident) : '';
    this.#call('set', encodeSet(name, param.key, number, content), `${name} ${key}`);
  }

  status(name: string): BrickStatus {
    const status = decodeStatus(this.#call('status', encodeStatus('status', name), name));
    if (!status) throw refusal('status', osConstants.errno.ENOENT, 'no-brick', name);
    return status;
  }

  list(prefix = ''): BrickStatus[] {
    const all: BrickStatus[] = [];
    for (let name = prefix; ; ) {
      const status = decodeStatus(this.#call('list', encodeStatus('list', name), name));
      if (!status?.name.startsWith(prefix)) return all;
      all.push(status);
      name = status.name;
    }
  }

  lamport(advance = 0n): ClockReading {
    return decodeLamport(this.#call('lamport', encodeLamport(advance), ''));
  }

  events(signal?: AbortSignal): AsyncIterable<BrickEvent> {
    this.watch();
    return this.#fan.subscribe(signal);
  }

  /** Take everything that changed and give it to all consumers; false when nothing has. */
  protected drain(): boolean {
    for (let any = false; ; any = true) {
      const event = decodeEvent(this.#call('event', encodeStatus('event', ''), ''));
      if (!event) return any;
      this.#fan.publish(event);
    }
  }

  /** End all event consumers. */
  protected finish(): void {
    this.#fan.end();
  }

  #call(verb: Verb, struct: Buffer, about: string): Buffer {
    return this.#answer(verb, this.control(struct), struct, about);
  }

  #answer(verb: Verb, rc: number, struct: Buffer, about: string): Buffer {
    if (rc >= 0) return struct;
    const reason = reasonWord(decodeReason(struct));
    if (reason === 'bad-version') throw mismatch('ABI', decodeAbi(struct), ABI_VERSION);
    throw refusal(verb, -rc, reason, about);
  }
}

function refusal(verb: Verb, errno: number, reason: string, about: string): EngineError {
  const code = ERRNO_NAMES.get(errno) ?? `E${errno}`;
  const word = REASON_WORDS.find((w) => w === reason);
  const text = word && word !== 'none' ? REASON_TEXTS[word] : code;
  return new EngineError({
    message: `${verb}${about ? ` ${about}` : ''}: ${text} (${reason}, ${code})`,
    code,
    errno,
    reason,
    syscall: verb,
  });
}

/** Newest log format this program can read. */
const LOG_FORMAT = 1;

/** Engine and program are of different ages: EngineError ENGINE_TOO_OLD or ENGINE_TOO_NEW. */
export function mismatch(what: string, theirs: number, ours: number): EngineError {
  const age = theirs < ours ? 'OLD' : 'NEW';
  return new EngineError({
    message: `the engine speaks ${what} version ${theirs}, this program ${ours}`,
    code: `ENGINE_TOO_${age}`,
  });
}

/** How the embedded engine is started. */
export interface EmbeddedOptions {
  /** executor threads, 0..256; 0 = the engine's default. Counts only for who starts it first. */
  readonly threads?: number;
}

/**
 * The engine inside this process.
 *
 * There is one a process: every instance, in every worker thread, sees the same
 * bricks. It outlives its instances like a kernel module; {@link shutdown}
 * takes it down. Events reach one thread only.
 */
export class EmbeddedEngine extends ControlledEngine {
  readonly kind = 'embedded';
  readonly #binding: EngineBinding;
  #pace: Pace | undefined;

  /** Throws EngineError ENGINE_NOT_BUILT or ENGINE_MISMATCH when the addon is missing or stale. */
  constructor(options: EmbeddedOptions = {}) {
    super();
    this.#binding = engineBinding();
    checkLayout(this.#binding.layout);
    this.#binding.init(options.threads ?? 0);
  }

  /**
   * Destroy all bricks, wait for IO in flight, stop the engine. Blocks the
   * thread meanwhile. Throws EBUSY, and goes on running, when another thread of
   * this process uses the engine or a brick refuses (an export still open).
   */
  shutdown(): void {
    this.#binding.exit();
    this.#pace?.stop();
    this.#pace = undefined;
    this.finish();
  }

  protected control(struct: Buffer): number {
    return this.#binding.control(struct);
  }

  protected watch(): void {
    if (this.#pace) return;
    const pace = new Pace(
      () => this.drain(),
      () => undefined,
    );
    this.#binding.listen(() => pace.wake());
    this.#pace = pace;
    // What happened before anybody listened woke nobody.
    setImmediate(() => pace.wake());
  }
}

/** Where mars.ko takes control. */
export const CONTROL_DEVICE = '/dev/mars-control';

/**
 * mars.ko, through its control device.
 *
 * Whatever it is told goes on when this process ends. News are taken by whoever
 * asks first, so only one process may follow events: see {@link claim}.
 */
export class KernelEngine extends ControlledEngine {
  readonly kind = 'kernel';
  readonly #fd: number;
  #pace: Pace | undefined;
  /** ends the wait for news, if there is one */
  #stop: (() => void) | undefined;

  /**
   * Throws the error of open(2), e.g. ENOENT when the module is not loaded, and EngineError
   * ENGINE_TOO_OLD or ENGINE_TOO_NEW when module and program do not fit.
   */
  constructor(path: string = CONTROL_DEVICE) {
    super();
    this.#fd = openSync(path, 'r+');
    try {
      if (this.logFormat !== LOG_FORMAT) throw mismatch('log format', this.logFormat, LOG_FORMAT);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** Take the engine for this process until it ends; false when another process has it. */
  claim(): boolean {
    return flock(this.#fd, 'exclusive');
  }

  /** Give the device back; bricks go on. */
  close(): void {
    this.#pace?.stop();
    this.#stop?.();
    this.finish();
    closeSync(this.#fd);
  }

  protected control(struct: Buffer): number {
    return sysBinding().controlFd(this.#fd, struct);
  }

  protected override controlSlowly(struct: Buffer): Promise<ControlAnswer> {
    return sysBinding().controlFdSlowly(this.#fd, struct);
  }

  protected watch(): void {
    if (this.#pace) return;
    this.#pace = new Pace(
      () => this.drain(),
      () => this.#await(),
      REST_MAX_KERNEL_MS,
    );
    this.#await();
  }

  /** While the pace rests the descriptor is not polled: it stays ready, and would wake us in vain. */
  #await(): void {
    this.#stop = sysBinding().pollFd(this.#fd, () => {
      this.#stop?.();
      this.#stop = undefined;
      this.#pace?.wake();
    });
  }
}
