// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The running fetch of one resource: which log, from whom, and what went wrong.
 *
 * One stream at a time. A source that refuses, breaks off or sends rubbish
 * is set aside for a while, growing with each failure, and the next one is asked.
 */
import { ClusterError } from '../cluster/errors.js';
import type { FetchGoal } from '../strategy/resource.js';
import { sameLog } from '../strategy/history.js';
import { fetchLog, type Expected } from '../transfer/logfetch.js';
import { asMarsError, type ReasonCode } from '../errors.js';
import { Backoff } from './backoff.js';
import type { Context } from './context.js';
import type { LogStore } from './logstore.js';

/** First and longest time a failed source is left alone, ms. */
const RETRY_MS = 200;
const RETRY_MAX_MS = 5000;

/** What a fetch needs of the daemon. */
type Needs = Pick<Context, 'cluster' | 'timers' | 'log'>;

export class Fetch {
  readonly #ctx: Needs;
  readonly #resource: string;
  readonly #store: LogStore;
  readonly #changed: () => void;
  readonly #failing = new Map<string, Backoff>();
  readonly #resting = new Set<string>();
  #running:
    | {
        readonly goal: FetchGoal;
        readonly source: string;
        readonly abort: AbortController;
        done: Promise<void>;
      }
    | undefined;
  #connected = false;
  /** why the last fetch ended badly; undefined once data flows, or a source has the log, if that was all */
  problem: ReasonCode | undefined;
  /** the problem is one of what came or of keeping it: only data proves that it is over */
  #needsData = false;

  constructor(ctx: Needs, resource: string, store: LogStore, changed: () => void) {
    this.#ctx = ctx;
    this.#resource = resource;
    this.#store = store;
    this.#changed = changed;
  }

  /** Data flows, or would if there were any. */
  get active(): boolean {
    return this.#running !== undefined && this.#connected;
  }

  /** Move towards the goal: keep, replace or end the running fetch. */
  async run(goal: FetchGoal | undefined, expected: Expected): Promise<void> {
    const running = this.#running;
    if (running && (!goal || !sameLog(running.goal.log, goal.log) || !goal.sources.includes(running.source)))
      await this.stop();
    // Where nothing is to be fetched, nothing is amiss with that.
    if (!goal) {
      this.problem = undefined;
      this.#needsData = false;
      return;
    }
    if (this.#running) return;
    const source = goal.sources.find((s) => !this.#resting.has(s));
    if (source === undefined) return;
    const abort = new AbortController();
    this.#running = { goal, source, abort, done: Promise.resolve() };
    this.#running.done = this.#fetch(goal, source, expected, abort.signal);
  }

  /** End the running fetch; everything verified so far is kept. */
  async stop(): Promise<void> {
    this.#running?.abort.abort();
    await this.#running?.done;
  }

  async #fetch(goal: FetchGoal, source: string, expected: Expected, signal: AbortSignal): Promise<void> {
    // The goal was made before a pause; what counts is what is here now.
    const from = this.#store.get(goal.log)?.end ?? 0n;
    try {
      const stream = await this.#ctx.cluster.open(
        source,
        'log',
        {
          resource: this.#resource,
          uuid: expected.resource,
          number: goal.log.number.toString(),
          origin: goal.log.origin,
          from: from.toString(),
          accept: true,
        },
        signal,
      );
      const onAbort = (): void => stream.destroy();
      signal.addEventListener('abort', onAbort);
      if (signal.aborted) onAbort();
      this.#connected = true;
      this.#changed();
      const end = await fetchLog(
        stream,
        this.#store,
        goal.log,
        from,
        expected,
        () => this.#flows(source),
        () => this.#accepted(),
      );
      signal.removeEventListener('abort', onAbort);
      if (end.kind === 'refused') this.#failed(source, end.reason, signal);
      else if (end.kind === 'bad') this.#failed(source, end.reason, signal, true, end.detail);
      else if (end.kind === 'ended') this.#failed(source, 'stream-broken', signal);
    } catch (error) {
      this.#failed(source, reasonOf(error), signal, !(error instanceof ClusterError));
    } finally {
      this.#running = undefined;
      this.#connected = false;
      this.#changed();
    }
  }

  #flows(source: string): void {
    this.#failing.delete(source);
    this.problem = undefined;
    this.#needsData = false;
  }

  /** While nobody writes no data comes, for as long as that may be. */
  #accepted(): void {
    if (this.problem === undefined || this.#needsData) return;
    this.problem = undefined;
    this.#changed();
  }

  #failed(source: string, reason: ReasonCode, signal: AbortSignal, needsData = false, detail = ''): void {
    if (signal.aborted) return;
    const pauses = this.#failing.get(source) ?? new Backoff(RETRY_MS, RETRY_MAX_MS);
    this.#failing.set(source, pauses);
    this.problem = reason;
    this.#needsData = needsData;
    this.#ctx.log(`${this.#resource}: fetching from ${source} failed: ${reason}${detail && ` (${detail})`}`);
    this.#resting.add(source);
    this.#ctx.timers.set(pauses.failed(), () => {
      this.#resting.delete(source);
      this.#changed();
    });
  }
}

/** A full disk here is nobody else's fault, and has a name of its own. */
function reasonOf(error: unknown): ReasonCode {
  const full = error instanceof Error && 'code' in error && error.code === 'ENOSPC';
  return full ? 'log-space-full' : asMarsError(error).code;
}
