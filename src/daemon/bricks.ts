// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Bricks as the daemon handles them: find, switch and wait, take away.
 *
 * Keeps the newest state of every brick from the engine's events, so that
 * waiting for a lamp never asks twice and never polls. One instance serves the
 * whole daemon; it is fed by `pump`, which runs until the signal aborts.
 */
import type { BrickEvent, BrickStatus, BrickType, Engine, SetValue } from '../engine/types.js';
import { EngineError } from '../engine/errors.js';

type Listener = (event: BrickEvent) => void;

export class Bricks {
  readonly #engine: Engine;
  readonly #listeners = new Set<Listener>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Deliver engine events to everyone who waits or listens; what one of them throws goes to `failed`. */
  async pump(signal: AbortSignal, failed: (error: unknown) => void): Promise<void> {
    for await (const event of this.#engine.events(signal)) {
      for (const listener of [...this.#listeners]) {
        try {
          listener(event);
        } catch (error) {
          failed(error);
        }
      }
    }
  }

  /** Hear every event; returns the function that ends it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The brick's state now, or undefined when there is none of that name. */
  find(name: string): BrickStatus | undefined {
    try {
      return this.#engine.status(name);
    } catch (error) {
      if (error instanceof EngineError && error.reason === 'no-brick') return undefined;
      throw error;
    }
  }

  /** All bricks whose name starts with `prefix`. */
  list(prefix: string): BrickStatus[] {
    return this.#engine.list(prefix);
  }

  create(type: BrickType, name: string, params: Readonly<Record<string, SetValue>>): void {
    this.#engine.create(type, name);
    try {
      for (const [key, value] of Object.entries(params)) this.#engine.set(name, key, value);
    } catch (error) {
      this.#engine.destroy(name);
      throw error;
    }
  }

  connect(name: string, input: number, to: string): void {
    this.#engine.connect(name, input, to);
  }

  disconnect(name: string, input: number): void {
    this.#engine.disconnect(name, input);
  }

  set(name: string, key: string, value: SetValue): void {
    this.#engine.set(name, key, value);
  }

  /**
   * Press the button and wait until the lamps agree. Throws EngineError when refused, also when
   * that turns out later: then the lamps fall back to off, and the state says why. What a brick
   * would wait for without end may be `hopeless` to the caller; it is switched off again then.
   */
  async power(
    name: string,
    on: boolean,
    hopeless: (status: BrickStatus) => boolean = () => false,
  ): Promise<BrickStatus> {
    await this.#engine.power(name, on);
    const settled = (s: BrickStatus): boolean => s.ledOn || fellBack(s) || hopeless(s);
    const status = await this.wait(name, (s) => (on ? settled(s) : s.ledOff));
    if (!on || status.ledOn) return status;
    await this.#engine.power(name, false);
    throw new EngineError({
      message: `switching ${name} on failed: ${status.state} (errno ${status.error})`,
      code: 'EIO',
      errno: status.error,
      reason: status.state,
      syscall: 'switch',
    });
  }

  /** Wait until a brick satisfies `done`; sees the present state first. Rejects when it can't be seen. */
  wait(name: string, done: (status: BrickStatus) => boolean): Promise<BrickStatus> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        try {
          const status = this.find(name);
          if (!status)
            throw new EngineError({
              message: `brick ${name} is gone`,
              code: 'ENOENT',
              errno: 2,
              reason: 'no-brick',
            });
          if (!done(status)) return;
          resolve(status);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
        stop();
      };
      const stop = this.listen((event) => {
        if (event.status.name === name) look();
      });
      look();
    });
  }

  /** Switch off if need be, disconnect, and destroy once no request uses it any more. */
  async remove(name: string): Promise<void> {
    for (;;) {
      const status = this.find(name);
      if (!status) return;
      const gone = this.#nextGone(name);
      try {
        if (!status.ledOff || status.button) await this.power(name, false);
        this.#engine.destroy(name);
        gone.cancel();
        return;
      } catch (error) {
        if (!passesWithGone(error, this.find(name))) {
          gone.cancel();
          throw error;
        }
        await gone.promise;
      }
    }
  }

  #nextGone(name: string): { promise: Promise<void>; cancel: () => void } {
    let stop = (): void => undefined;
    const promise = new Promise<void>((resolve) => {
      stop = this.listen((event) => {
        if (event.status.name !== name || !event.kinds.includes('gone')) return;
        stop();
        resolve();
      });
    });
    return { promise, cancel: stop };
  }
}

/** The button is on, the lamps are off again. */
const fellBack = (s: BrickStatus): boolean => s.button && s.ledOff && s.state !== 'ok';

/** Refused only because requests on replaced routes still pass through the brick. */
function passesWithGone(error: unknown, status: BrickStatus | undefined): boolean {
  if (!(error instanceof EngineError) || !status) return false;
  return status.button ? error.reason === 'not-now' : error.reason === 'busy-users';
}
