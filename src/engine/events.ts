// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One stream of brick events for any number of consumers.
 *
 * Each consumer sees every event from its subscription on. A consumer that lags
 * holds at most one pending event per brick: kinds add up, the newest status
 * wins. So memory is bounded by the number of bricks and no change is lost.
 */
import type { BrickEvent } from './types.js';

/** What one consumer has not seen yet, in order of the first change. */
class Backlog {
  readonly #pending = new Map<string, BrickEvent>();
  #wake: (() => void) | undefined;
  #ended = false;

  put(event: BrickEvent): void {
    const old = this.#pending.get(event.status.name);
    const kinds = old ? [...new Set([...old.kinds, ...event.kinds])] : event.kinds;
    this.#pending.set(event.status.name, { kinds, status: event.status });
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  get ended(): boolean {
    return this.#ended;
  }

  take(): BrickEvent | undefined {
    for (const [name, event] of this.#pending) {
      this.#pending.delete(name);
      return event;
    }
    return undefined;
  }

  /** Resolves when there may be something to take. */
  async ready(): Promise<void> {
    if (this.#pending.size > 0 || this.#ended) return;
    await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
  }
}

/** Distributes events; see the head of this file. */
export class EventFan {
  readonly #consumers = new Set<Backlog>();

  publish(event: BrickEvent): void {
    for (const consumer of this.#consumers) consumer.put(event);
  }

  /** End all subscriptions; what they hold is still delivered. */
  end(): void {
    for (const consumer of this.#consumers) consumer.end();
    this.#consumers.clear();
  }

  /** Begins now, not at the first `next()`; ends when `signal` aborts or the fan ends. */
  subscribe(signal?: AbortSignal): AsyncIterableIterator<BrickEvent> {
    const backlog = new Backlog();
    const stop = (): void => {
      signal?.removeEventListener('abort', stop);
      this.#consumers.delete(backlog);
      backlog.end();
    };
    if (signal?.aborted) backlog.end();
    else this.#consumers.add(backlog);
    signal?.addEventListener('abort', stop);
    return consume(backlog, () => signal?.aborted ?? false, stop);
  }
}

function consume(
  backlog: Backlog,
  aborted: () => boolean,
  stop: () => void,
): AsyncIterableIterator<BrickEvent> {
  const done = { done: true, value: undefined } as const;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      for (;;) {
        if (aborted()) return done;
        const event = backlog.take();
        if (event) return { done: false, value: event };
        if (backlog.ended) return done;
        await backlog.ready();
      }
    },
    return() {
      stop();
      return Promise.resolve(done);
    },
  };
}
