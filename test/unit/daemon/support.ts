// SPDX-License-Identifier: GPL-2.0-or-later
/** An engine whose bricks the test makes, moves and breaks. */
import { EventFan } from '../../../src/engine/events.js';
import { EngineError } from '../../../src/engine/errors.js';
import type { BrickEvent, BrickStatus, ClockReading, Engine } from '../../../src/engine/types.js';

export const refusal = (reason: string): EngineError =>
  new EngineError({ message: reason, code: 'EIO', errno: 5, reason });

export class FakeEngine implements Engine {
  readonly kind = 'embedded';
  readonly logFormat = 1;
  readonly #fan = new EventFan();
  readonly #bricks = new Map<string, BrickStatus>();
  /** how often a brick was looked at */
  looks = 0;
  /** called with each stamp the clock is to pass */
  onLamport: (stamp: bigint) => void = () => undefined;
  /** thrown by whatever is asked, while it is set */
  broken: EngineError | undefined;

  /** A brick of this name has changed, or come into being. */
  change(name: string, change: Partial<BrickStatus> = {}): void {
    const old = this.#bricks.get(name) ?? NEW;
    const status = { ...old, ...change, name };
    this.#bricks.set(name, status);
    this.#fan.publish({ kinds: ['led'], status });
  }

  create(): void {
    throw refusal('not-permitted');
  }
  destroy = this.create.bind(this);
  connect = this.create.bind(this);
  disconnect = this.create.bind(this);
  switch = this.create.bind(this);
  set = this.create.bind(this);
  power(): Promise<void> {
    return Promise.reject(refusal('not-permitted'));
  }
  status(name: string): BrickStatus {
    this.looks++;
    if (this.broken) throw this.broken;
    const status = this.#bricks.get(name);
    if (!status) throw refusal('no-brick');
    return status;
  }
  list(prefix = ''): BrickStatus[] {
    return [...this.#bricks.values()].filter((b) => b.name.startsWith(prefix));
  }
  lamport(advance = 0n): ClockReading {
    this.onLamport(advance);
    if (this.broken) throw this.broken;
    return { real: advance, lamport: advance };
  }
  events(signal?: AbortSignal): AsyncIterable<BrickEvent> {
    return this.#fan.subscribe(signal);
  }
}

const NEW: BrickStatus = {
  name: '',
  type: 'mem',
  button: true,
  ledOn: false,
  ledOff: true,
  state: 'ok',
  error: 0,
  val: {},
  digest: '',
  digest2: '',
};
