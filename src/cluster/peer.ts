// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The link to one member: keep a tree session alive, forever.
 *
 * The host with the smaller name calls, the other one waits; if nobody has called
 * for a while, it calls as well (the smaller one may not be able to reach it).
 * Failed calls are repeated with exponential back-off and jitter, sooner if
 * something changes. Of two sessions the newer one stays: the peer may have
 * restarted without our noticing.
 */
import type { MarsError, ReasonCode } from '../errors.js';
import { asClusterError, ClusterError } from './errors.js';
import type { TreeSession } from './session.js';
import type { SocketStream } from './stream.js';
import type { PeerState } from './types.js';

/** Times, ms. */
export interface LinkTimes {
  readonly firstRetryMs: number;
  readonly maxRetryMs: number;
  /** how long the host with the bigger name waits to be called */
  readonly patienceMs: number;
}

export const LINK_TIMES: LinkTimes = { firstRetryMs: 200, maxRetryMs: 10_000, patienceMs: 3000 };

/** What a link needs of its surroundings. */
export interface LinkEnvironment {
  readonly me: string;
  readonly times: LinkTimes;
  /** 0 <= r < 1 */
  random(): number;
  /** wall clock, ms */
  now(): number;
  /** call `run` after `ms` milliseconds; returns how to call that off */
  after(ms: number, run: () => void): () => void;
  /** open a tree stream to the peer */
  dial(peer: string, signal: AbortSignal): Promise<SocketStream>;
  /** a session over this stream */
  session(link: PeerLink, stream: SocketStream): TreeSession;
  /** state() has changed */
  changed(link: PeerLink): void;
}

export class PeerLink {
  readonly peer: string;
  readonly #env: LinkEnvironment;
  #state: PeerState;
  #session: { readonly stream: SocketStream; readonly session: TreeSession } | undefined;
  #dialing: AbortController | undefined;
  /** call off the next call */
  #disarm: () => void = () => undefined;
  #failures = 0;
  #stopped = false;
  #leaving = false;

  constructor(peer: string, env: LinkEnvironment) {
    this.peer = peer;
    this.#env = env;
    this.#state = { host: peer, connected: false, since: env.now() };
    this.#schedule();
  }

  get state(): PeerState {
    return this.#state;
  }

  /** Try now rather than later. */
  hurry(): void {
    this.#failures = 0;
    if (this.#session === undefined && this.#dialing === undefined && !this.#stopped) this.#arm(0);
  }

  /** The peer has called. */
  async accept(stream: SocketStream): Promise<void> {
    this.#dialing?.abort();
    await this.#run(stream);
  }

  /** The peer has called and was refused. */
  refused(why: MarsError): void {
    // A host that leaves refuses everybody: that says nothing about what the peer knows.
    if (!this.#stopped && !this.#leaving && this.#session === undefined) this.#show(false, why.code);
  }

  /** Everything of the peer is here and everything of ours is being sent. */
  inSync(): void {
    this.#failures = 0;
    this.#show(true);
  }

  /** This host leaves the cluster: tell the peer what is left to tell, then stop. */
  leave(): void {
    this.#leaving = true;
    this.#session?.session.closeWhenDone();
  }

  /** Cut everything at once. */
  stop(why: MarsError): void {
    this.#stopped = true;
    this.#disarm();
    this.#dialing?.abort();
    this.#session?.stream.destroy(why);
    this.#session = undefined;
    this.#show(false, why.code);
  }

  async #run(stream: SocketStream): Promise<void> {
    if (this.#stopped) {
      stream.destroy();
      return;
    }
    this.#session?.stream.destroy(new ClusterError('stream-broken', 'replaced by a newer connection'));
    this.#disarm();
    const session = this.#env.session(this, stream);
    const current = { stream, session };
    this.#session = current;
    if (this.#leaving) session.closeWhenDone();
    let reason: ReasonCode = 'peer-unreachable';
    try {
      await session.run();
      stream.close();
      if (this.#leaving) this.stop(new ClusterError('not-a-member', 'this host has left'));
    } catch (error) {
      reason = asClusterError(error, 'internal').code;
    } finally {
      stream.destroy();
      if (this.#session === current) {
        this.#session = undefined;
        this.#failed(reason);
      }
    }
  }

  #schedule(): void {
    const { me, times } = this.#env;
    const base = Math.min(times.firstRetryMs * 2 ** Math.min(this.#failures, 20), times.maxRetryMs);
    const first = this.#failures === 0 ? 0 : base * (0.5 + this.#env.random() / 2);
    this.#arm(me < this.peer ? first : first + times.patienceMs);
  }

  #arm(ms: number): void {
    this.#disarm();
    this.#disarm = this.#env.after(ms, () => {
      void this.#call();
    });
  }

  async #call(): Promise<void> {
    if (this.#stopped || this.#session !== undefined || this.#dialing !== undefined) return;
    const dialing = new AbortController();
    this.#dialing = dialing;
    let stream: SocketStream;
    try {
      stream = await this.#env.dial(this.peer, dialing.signal);
    } catch (error) {
      this.#dialing = undefined;
      // Not if the peer has called meanwhile.
      if (!dialing.signal.aborted) this.#failed(asClusterError(error, 'peer-unreachable').code);
      return;
    }
    this.#dialing = undefined;
    if (dialing.signal.aborted) stream.destroy();
    else await this.#run(stream);
  }

  #failed(reason: ReasonCode): void {
    if (this.#stopped) return;
    if (this.#leaving && reason === 'cert-not-member') {
      // The peer knows already.
      this.stop(new ClusterError('not-a-member', 'this host has left'));
      return;
    }
    this.#failures++;
    this.#show(false, reason);
    this.#schedule();
  }

  #show(connected: boolean, reason?: ReasonCode): void {
    const { connected: was, reason: before } = this.#state;
    if (was === connected && before === reason) return;
    const since = was === connected ? this.#state.since : this.#env.now();
    this.#state = { host: this.peer, connected, since, ...(reason !== undefined && { reason }) };
    this.#env.changed(this);
  }
}
