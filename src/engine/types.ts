// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The typed face of the engine: bricks, wires and their state.
 *
 * The daemon speaks to mars.ko and to the embedded engine through this one
 * interface. Calls take microseconds and are synchronous; what happens later
 * comes as events. Everything mirrors kernel/uapi/mars.h.
 */

/** Brick types the engine can make. */
export type BrickType =
  | 'file'
  | 'bdev'
  | 'mem'
  | 'logger'
  | 'replay'
  | 'nbd'
  | 'if'
  | 'limit'
  | 'check'
  | 'align';

/** Named states of a brick; `ok` is healthy. */
export type BrickState =
  | 'ok'
  | 'log-write-error'
  | 'data-write-error'
  | 'log-space-low'
  | 'log-space-full'
  | 'replay-end'
  | 'replay-clean'
  | 'replay-torn'
  | 'replay-mismatch'
  | 'read-error'
  | 'io-error'
  | 'bad-log';

/** What changed since the last event about the same brick. */
export type EventKind = 'led' | 'state' | 'progress' | 'open' | 'gone';

/** Identity of one log file, as it stands in the file header. */
export interface LogIdent {
  readonly cluster: string; // 32 lower-case hex digits
  readonly resource: string; // 32 lower-case hex digits
  readonly salt: string; // 32 lower-case hex digits
  readonly number: bigint;
  readonly timeline: number;
  readonly origin: string;
  readonly prevNumber: bigint;
  readonly prevOrigin: string;
  readonly prevLength: bigint;
  readonly prevDigest: string; // 32 lower-case hex digits
}

/** State of one brick at one moment. `val` holds the counters by name, see counters.ts. */
export interface BrickStatus {
  readonly name: string;
  readonly type: BrickType;
  readonly button: boolean;
  readonly ledOn: boolean;
  readonly ledOff: boolean;
  readonly state: BrickState;
  /** errno behind the state, positive; 0 = none */
  readonly error: number;
  readonly val: Readonly<Record<string, bigint>>;
  /** logger: running digest at the durable end; replay: at the verified end */
  readonly digest: string;
  /** logger: end digest of the log before; replay: at the checkpoint */
  readonly digest2: string;
}

/** A brick changed. Carries the state after the change. */
export interface BrickEvent {
  readonly kinds: readonly EventKind[];
  readonly status: BrickStatus;
}

/** Both clocks, in nanoseconds since the epoch. */
export interface ClockReading {
  readonly real: bigint;
  readonly lamport: bigint;
}

/** A value for {@link Engine.set}: a number, a text, or a log identity. */
export type SetValue =
  | { readonly value: bigint }
  | { readonly text: string }
  | { readonly ident: LogIdent; readonly value?: bigint };

/**
 * The control verbs. Each throws EngineError with `code` (errno name, e.g.
 * `EBUSY`), `errno` and `reason` (lower-case word of enum mars_reason, e.g.
 * `busy-users`) when refused; then nothing has changed.
 */
export interface Engine {
  readonly kind: 'embedded' | 'kernel';
  readonly logFormat: number;
  create(type: BrickType, name: string): void;
  destroy(name: string): void;
  connect(name: string, input: number, to: string): void;
  disconnect(name: string, input: number): void;
  /** Returns when the engine has taken the wish; the lamps tell of its end. Waits for devices: see {@link power}. */
  switch(name: string, on: boolean): void;
  /** The same; a device of mars.ko that hangs while it is opened holds up only who waits for this. */
  power(name: string, on: boolean): Promise<void>;
  /** `key` is a word of keys.ts, e.g. `file.path`, `logger.ident`. */
  set(name: string, key: string, value: SetValue): void;
  status(name: string): BrickStatus;
  /** Bricks whose names begin with `prefix`, but are longer, in order. */
  list(prefix?: string): BrickStatus[];
  /** Read both clocks; with `advance` first move the Lamport clock past it. */
  lamport(advance?: bigint): ClockReading;
  /** Changes as they happen, coalesced per brick; ends when `signal` aborts. */
  events(signal?: AbortSignal): AsyncIterable<BrickEvent>;
}
