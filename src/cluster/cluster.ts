// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The cluster as one node lives it: the listening port, one link to every member, the
 * streams of the rest of the program, barriers, the collection of tombstones.
 *
 * The member list is the tree's, and is followed live: a new member is called, one
 * that is gone or has another certificate is cut off at once with all its streams.
 * If this host itself is taken from the list, it tells the others what it still
 * has to tell and then stays silent.
 *
 * Everything runs on the event loop; nothing here holds a lock. A failure of one
 * connection concerns nobody else and goes to `report`.
 */
import { MarsError } from '../errors.js';
import { keys, parseAddress, type Address } from '../tree/catalogue.js';
import type { LinkTree } from '../tree/tree.js';
import { DELETED, type Entry } from '../tree/types.js';
import { Collector, RETENTION } from './collector.js';
import { asClusterError, ClusterError } from './errors.js';
import { loadIdentity } from './identity.js';
import { answerJoin, isMember } from './join.js';
import { LINK_TIMES, PeerLink, type LinkTimes } from './peer.js';
import { PROTOCOL, type Hello, type ProtocolRange } from './schema.js';
import { SESSION_TIMES, TreeSession, type SessionTimes } from './session.js';
import type { SocketStream } from './stream.js';
import { connect, Listener, type Incoming, type Receiver, type Self } from './transport.js';
import type { Cluster, FrameStream, JsonObject, PeerState, Purpose } from './types.js';

/** Something an operator may want to know. */
export interface ClusterNote {
  readonly kind: 'connected' | 'disconnected' | 'refused' | 'stale-dropped' | 'failed';
  readonly host: string;
  readonly text: string;
}

export interface ClusterOptions {
  /** the tree of this host, opened as its guard */
  readonly tree: LinkTree;
  readonly report?: (note: ClusterNote) => void;
  /** 0 <= r < 1, for the jitter of back-off */
  readonly random?: () => number;
  /** wall clock, ms */
  readonly now?: () => number;
  readonly times?: Partial<SessionTimes & LinkTimes>;
  /** how long a silent member keeps tombstones alive, ns; default 30 days */
  readonly retention?: bigint;
  readonly protocol?: ProtocolRange;
}

type Handler = (stream: FrameStream, params: JsonObject) => Promise<void>;

const IP = keys.ip('');
const CERT = keys.cert('');
const BARRIER = keys.barrier('');

/** Is it of the member list? */
function isMembership(entry: Entry): boolean {
  return entry.key.startsWith('ips/');
}

/** The cluster of the tree. Nothing happens before start(). */
export function openCluster(options: ClusterOptions): TreeCluster {
  return new TreeCluster(options);
}

export class TreeCluster implements Cluster {
  readonly #tree: LinkTree;
  readonly #me: string;
  readonly #report: (note: ClusterNote) => void;
  readonly #random: () => number;
  readonly #now: () => number;
  readonly #times: SessionTimes & LinkTimes;
  readonly #retention: bigint;
  readonly #protocol: ProtocolRange;
  readonly #links = new Map<string, PeerLink>();
  readonly #handlers = new Map<string, Handler>();
  readonly #listeners = new Set<() => void>();
  /** every stream of a member, whoever opened it */
  readonly #streams = new Map<string, Set<SocketStream>>();
  /** certificate (base64) to member; rebuilt when the list changes */
  #members = new Map<string, string>();
  /** this host was taken from the list */
  #left = false;
  #self: Self | undefined;
  #listener: Listener | undefined;
  #collector: Collector | undefined;
  #unsubscribe: () => void = () => undefined;

  constructor(options: ClusterOptions) {
    this.#tree = options.tree;
    this.#me = options.tree.host;
    this.#report = options.report ?? (() => undefined);
    this.#random = options.random ?? Math.random;
    this.#now = options.now ?? Date.now;
    this.#times = { ...SESSION_TIMES, ...LINK_TIMES, ...options.times };
    this.#retention = options.retention ?? RETENTION;
    this.#protocol = options.protocol ?? PROTOCOL;
  }

  /** Throws MarsError `no-cluster` if this host is no member, `io` if it cannot listen. */
  async start(): Promise<void> {
    const snap = this.#tree.snapshot();
    const address = snap.value(keys.listen) ?? snap.value(keys.ip(this.#me));
    const where = address === undefined ? undefined : parseAddress(address);
    if (!isMember(this.#tree) || where === undefined) throw new MarsError('no-cluster', this.#tree.dir);
    this.#self = {
      host: this.#me,
      cluster: snap.value(keys.uuid) ?? '',
      identity: loadIdentity(this.#tree.dir),
      clock: this.#tree.clock,
      protocol: this.#protocol,
    };
    this.#listener = await Listener.listen(this.#self, this.#receiver(), where);
    this.#collector = new Collector(this.#tree, this.#retention);
    this.#unsubscribe = this.#tree.subscribe((entries) => {
      this.#changed(entries);
    });
    this.#tree.write({
      [keys.nodeActual(this.#me, 'protocol')]: `${this.#protocol.min}-${this.#protocol.max}`,
    });
    this.#answerBarriers(snap.list(BARRIER));
    this.#followMembers();
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    this.#collector?.close();
    for (const link of this.#links.values())
      link.stop(new ClusterError('peer-unreachable', 'this host stops'));
    this.#links.clear();
    for (const host of [...this.#streams.keys()])
      this.#cut(host, new ClusterError('stream-broken', 'this host stops'));
    await this.#listener?.close();
  }

  peers(): readonly PeerState[] {
    return [...this.#links.values()].map((link) => link.state).sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  onPeerChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  async open(peer: string, purpose: Purpose, params: JsonObject, signal?: AbortSignal): Promise<FrameStream> {
    return this.#dial(peer, purpose, params, signal);
  }

  serve(purpose: Purpose, handler: Handler): void {
    this.#handlers.set(purpose, handler);
  }

  /** The port that is listened on. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  // ---- streams ----

  async #dial(
    peer: string,
    purpose: string,
    params: JsonObject,
    signal?: AbortSignal,
  ): Promise<SocketStream> {
    const self = this.#self;
    if (self === undefined) throw new ClusterError('peer-unreachable', 'this host has not started');
    const pinned = this.#pinned(peer);
    const address = this.#addressOf(peer);
    if (pinned === undefined || address === undefined) throw new ClusterError('not-a-member', peer);
    const stream = await connect(self, {
      address,
      purpose,
      params,
      trust: (cert) => cert.equals(pinned),
      ...(signal && { signal }),
    });
    if (stream.peer !== peer) {
      stream.destroy();
      throw new ClusterError('bad-message', `${peer} calls itself ${stream.peer}`);
    }
    this.#keep(peer, stream);
    return stream;
  }

  #pinned(host: string): Buffer | undefined {
    const snap = this.#tree.snapshot();
    const text = snap.value(keys.ip(host)) === undefined ? undefined : snap.value(keys.cert(host));
    return text === undefined ? undefined : Buffer.from(text, 'base64');
  }

  #addressOf(host: string): Address | undefined {
    const snap = this.#tree.snapshot();
    const text = snap.value(keys.peerAddress(host)) ?? snap.value(keys.ip(host));
    return text === undefined ? undefined : parseAddress(text);
  }

  #receiver(): Receiver {
    return {
      memberOf: (cert) => this.#members.get(cert.toString('base64')),
      accept: (hello) => this.#accept(hello),
      failed: (error, host) => {
        this.#report({ kind: 'refused', host: host ?? '', text: `${error.code}: ${error.message}` });
        if (host !== undefined) this.#links.get(host)?.refused(error);
      },
    };
  }

  #accept(hello: Hello): (incoming: Incoming) => Promise<void> {
    if (!isMember(this.#tree)) throw new ClusterError('not-a-member', this.#me);
    if (hello.purpose === 'join') return (incoming) => answerJoin(this.#tree, incoming);
    if (hello.purpose === 'tree') {
      return async ({ stream }) => {
        this.#keep(stream.peer, stream);
        await this.#links.get(stream.peer)?.accept(stream);
      };
    }
    const handler = this.#handlers.get(hello.purpose);
    if (handler === undefined) throw new ClusterError('no-handler', hello.purpose);
    return async ({ stream }) => {
      this.#keep(stream.peer, stream);
      await handler(stream, hello.params);
    };
  }

  #keep(host: string, stream: SocketStream): void {
    const streams = this.#streams.get(host) ?? new Set();
    this.#streams.set(host, streams.add(stream));
    void stream.closed.then(() => {
      streams.delete(stream);
    });
  }

  #cut(host: string, why: MarsError): void {
    for (const stream of this.#streams.get(host) ?? []) stream.destroy(why);
    this.#streams.delete(host);
  }

  // ---- following the tree ----

  #changed(entries: readonly Entry[]): void {
    if (entries.some(isMembership)) this.#followMembers();
    for (const entry of entries) {
      const address = entry.key.startsWith(IP) ? IP : keys.peerAddress('');
      if (entry.key.startsWith(address)) this.#links.get(entry.key.slice(address.length))?.hurry();
    }
    this.#answerBarriers(entries.filter((e) => e.key.startsWith(BARRIER) && e.value !== DELETED));
  }

  #followMembers(): void {
    const before = this.#members;
    this.#members = new Map();
    const snap = this.#tree.snapshot();
    for (const { key, value } of snap.list(CERT)) {
      const host = key.slice(CERT.length);
      if (snap.value(keys.ip(host)) !== undefined) this.#members.set(value, host);
    }
    if (!isMember(this.#tree)) {
      this.#left = true;
      // Sessions hear of a change after us: what makes us leave must be in their queues before they close.
      const links = [...this.#links.values()];
      queueMicrotask(() => {
        for (const link of links) link.leave();
      });
      return;
    }
    if (this.#left) this.#links.clear();
    this.#left = false;
    // Cutting comes first: whether the tree can be written must not matter for it.
    const expelled = [...before]
      .filter(([cert, host]) => this.#members.get(cert) !== host)
      .map(([, host]) => host);
    for (const host of expelled) this.#expel(host);
    this.#attempt('', () => {
      this.#forgetTraces(expelled);
      this.#collector?.run();
    });
    for (const host of this.#members.values()) {
      if (host === this.#me || this.#links.has(host)) continue;
      this.#links.set(host, new PeerLink(host, this.#environment()));
      this.#tellPeers();
    }
  }

  #expel(host: string): void {
    const why = new ClusterError('not-a-member', host);
    this.#links.get(host)?.stop(why);
    this.#links.delete(host);
    this.#cut(host, why);
    this.#tellPeers();
  }

  /** Remove what is kept here of these hosts, and of others that are no members: of them it may have failed before. */
  #forgetTraces(expelled: readonly string[]): void {
    const snap = this.#tree.snapshot();
    const members = new Set(this.#members.values());
    const gone: Record<string, null> = {};
    for (const prefix of [keys.peer(''), keys.synced('')]) {
      for (const { key } of snap.list(prefix)) {
        const host = key.slice(prefix.length);
        if (!members.has(host) || expelled.includes(host)) gone[key] = null;
      }
    }
    this.#tree.write(gone);
  }

  /** For what nothing else depends on: the tree may not be writable just now. */
  #attempt(host: string, body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#report({ kind: 'failed', host, text: asClusterError(error, 'internal').message });
    }
  }

  #answerBarriers(barriers: readonly Entry[]): void {
    const answers: Record<string, string> = {};
    for (const { key, stamp } of barriers) {
      const host = key.slice(BARRIER.length);
      if (host !== this.#me) answers[keys.merged(this.#me, host)] = stamp.toString();
    }
    this.#tree.write(answers);
  }

  // ---- links ----

  #environment(): ConstructorParameters<typeof PeerLink>[1] {
    return {
      me: this.#me,
      times: this.#times,
      random: this.#random,
      now: this.#now,
      after: (ms, run) => {
        const timer = setTimeout(run, ms);
        return () => {
          clearTimeout(timer);
        };
      },
      dial: (peer, signal) => this.#dial(peer, 'tree', {}, signal),
      session: (link, stream) => this.#session(link, stream),
      changed: (link) => {
        this.#linkChanged(link);
      },
    };
  }

  #session(link: PeerLink, stream: SocketStream): TreeSession {
    const host = link.peer;
    return new TreeSession(
      stream,
      this.#tree,
      {
        acknowledged: (stamp) => this.#collector?.acknowledged(host, stamp),
        complete: (horizon, first) => {
          this.#collector?.complete(horizon, first);
          link.inSync();
        },
        dropped: (entries) => {
          const text = `deleted while this host was away: ${entries.map((e) => e.key).join(' ')}`.slice(
            0,
            2000,
          );
          this.#report({ kind: 'stale-dropped', host, text });
          // There is no version to pass on, so #changed() hears nothing of it.
          if (entries.some(isMembership)) this.#followMembers();
        },
      },
      this.#times,
    );
  }

  #linkChanged(link: PeerLink): void {
    const { host, connected, reason } = link.state;
    if (this.#links.get(host) === link) {
      const text = connected ? 'connected' : `unreachable:${reason ?? 'peer-unreachable'}`;
      this.#attempt(host, () => this.#tree.write({ [keys.peer(host)]: text }));
      this.#report({ kind: connected ? 'connected' : 'disconnected', host, text });
    }
    this.#tellPeers();
  }

  #tellPeers(): void {
    for (const listener of this.#listeners) listener();
  }
}
