// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Connections between hosts: TLS 1.3, mutual, one port for everything.
 *
 * Order of a connection: TCP, TLS with ALPN `mars` (each side shows its certificate
 * and proves the key), then one `hello` from the connecting side and one reply. The
 * connecting side sends nothing before the certificate is the one pinned for the host
 * it wanted. The accepting side refuses strangers, except for the purpose `join`, and
 * says why: other-cluster, cert-not-member, protocol-mismatch, stamp-in-future,
 * no-handler. Both clocks are compared: hosts that differ by more than the limit do
 * not talk, whoever of them is wrong.
 *
 * Connections of whoever has not shown the certificate of a member are bounded in number,
 * in time and in bytes. When there are too many, the oldest goes: those who keep silent
 * lock out nobody.
 */
import { once } from 'node:events';
import type { AddressInfo, OnReadOpts, Server, Socket } from 'node:net';
import tls from 'node:tls';
import { MarsError } from '../errors.js';
import { formatStamp, type LamportClock } from '../lamport/clock.js';
import type { Address } from '../tree/catalogue.js';
import { asClusterError, ClusterError } from './errors.js';
import { FULL_LIMITS, HELLO_LIMITS } from './frame.js';
import { fingerprint, type Identity } from './identity.js';
import { negotiate, parseHello, parseReply, remoteReason, type Hello, type ProtocolRange } from './schema.js';
import { SocketStream } from './stream.js';
import type { FrameStream, JsonObject } from './types.js';

const ALPN = 'mars';
/** time for handshake and hello, ms: four round trips of a bad link to a machine that is busy */
const GREETING_MS = 30_000;
/** a silent connection is probed after this time, ms: who serves one must not hold logs for a host that is gone */
const IDLE_MS = 10_000;
/** bytes taken from a socket at once: several TLS records */
const READ_BUFFER = 64 * 1024;
/** connections that are not known to be a member's, those in the handshake among them */
const MAX_STRANGERS = 128;

const TLS_OPTIONS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // AES-128 first: fastest where the processor has AES, and enough.
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
} as const satisfies tls.SecureContextOptions;

/** What this host says of itself. */
export interface Self {
  readonly host: string;
  readonly cluster: string;
  readonly identity: Identity;
  readonly clock: LamportClock;
  readonly protocol: ProtocolRange;
}

/** A stream that somebody opened to us. */
export interface Incoming {
  readonly stream: SocketStream;
  readonly hello: Hello;
  /** certificate of the other side, DER */
  readonly cert: Buffer;
}

/** What is done with the streams that come in. */
export interface Receiver {
  /** Host that has exactly this certificate, if it is a member. */
  memberOf(cert: Buffer): string | undefined;
  /** Throws ClusterError to refuse; otherwise says what is done with the stream. */
  accept(hello: Hello): (incoming: Incoming) => Promise<void>;
  /** An incoming connection was refused or has failed. */
  failed(error: MarsError, host: string | undefined): void;
}

/** Whom to call and why. */
export interface Call {
  readonly address: Address;
  readonly purpose: string;
  readonly params: JsonObject;
  /** is this the certificate of the host we want? */
  readonly trust: (cert: Buffer) => boolean;
  readonly signal?: AbortSignal;
}

/** The certificate the other side has proven to own. */
function peerCert(socket: tls.TLSSocket): Buffer {
  const cert = socket.getPeerX509Certificate();
  if (cert === undefined) throw new ClusterError('cert-not-member', 'no certificate was shown');
  return cert.raw;
}

/** Throws if the clocks of the two hosts differ too much. Moves no clock. */
function compareClocks(clock: LamportClock, theirs: bigint, who: string): void {
  if (theirs + clock.maxFuture < clock.real() || clock.isFuture(theirs)) {
    throw new ClusterError('stamp-in-future', {
      found: `${who} shows ${formatStamp(theirs)}, this host ${formatStamp(clock.real())}: one of the clocks is wrong`,
    });
  }
}

// ---- connecting ----

/** Open a stream. Throws MarsError with the reason, also the one the other side gave. */
export async function connect(self: Self, call: Call): Promise<SocketStream> {
  const limit = AbortSignal.timeout(GREETING_MS);
  const signal = call.signal ? AbortSignal.any([call.signal, limit]) : limit;
  const options: tls.ConnectionOptions & { readonly onread: OnReadOpts } = {
    ...TLS_OPTIONS,
    host: call.address.host,
    port: call.address.port,
    key: self.identity.key,
    cert: self.identity.certPem,
    ALPNProtocols: [ALPN],
    // Identity is the pinned certificate, checked below before a byte is sent.
    rejectUnauthorized: false,
    // Received bytes go through one buffer: fresh ones cost as much as decryption. Node has
    // this for the connecting side only, which is the one that receives bulk data.
    onread: {
      buffer: Buffer.allocUnsafe(READ_BUFFER),
      callback: (bytes, buffer) => {
        stream.feed(buffer.subarray(0, bytes));
        return true;
      },
    },
  };
  const socket = tls.connect(options);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, IDLE_MS);
  const stream = new SocketStream(socket, HELLO_LIMITS, true);
  const abort = (): void => {
    socket.destroy(
      new ClusterError('peer-unreachable', call.signal?.aborted ? 'given up' : 'no answer in time'),
    );
  };
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    await once(socket, 'secureConnect');
    if (socket.alpnProtocol !== ALPN)
      throw new ClusterError('bad-message', 'the other side does not speak this protocol');
    const cert = peerCert(socket);
    if (!call.trust(cert)) throw new ClusterError('cert-mismatch', `sha256 ${fingerprint(cert)}`);
    return await greet(stream, self, call);
  } catch (error) {
    socket.destroy();
    throw asClusterError(error, 'peer-unreachable');
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function greet(stream: SocketStream, self: Self, call: Call): Promise<SocketStream> {
  await stream.send({
    purpose: call.purpose,
    protocol: { min: self.protocol.min, max: self.protocol.max },
    cluster: self.cluster,
    host: self.host,
    lamport: self.clock.tick().toString(),
    params: call.params,
  });
  const frame = await stream.take();
  if (frame === undefined) throw new ClusterError('stream-broken', 'closed instead of a reply');
  const reply = parseReply(frame.head);
  if (!reply.ok) throw new ClusterError(remoteReason(reply.code), { message: reply.text });
  negotiate(self.protocol, { min: reply.protocol, max: reply.protocol });
  compareClocks(self.clock, reply.lamport, reply.host);
  self.clock.observe(reply.lamport);
  stream.peer = reply.host;
  stream.protocol = reply.protocol;
  stream.limits = FULL_LIMITS;
  return stream;
}

// ---- being connected to ----

/** The same for a connection and for the TLS over it. */
function endsOf(socket: Socket): string {
  return `${socket.localAddress} ${socket.remoteAddress} ${socket.remotePort}`;
}

/** The listening port. */
export class Listener {
  readonly #self: Self;
  readonly #receiver: Receiver;
  readonly #server: Server;
  readonly #open = new Set<SocketStream>();
  /** connections that are not known to be a member's, by their ends, oldest first */
  readonly #strangers = new Map<string, Socket>();

  private constructor(self: Self, receiver: Receiver) {
    this.#self = self;
    this.#receiver = receiver;
    this.#server = tls.createServer({
      ...TLS_OPTIONS,
      key: self.identity.key,
      cert: self.identity.certPem,
      ALPNProtocols: [ALPN],
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: GREETING_MS,
    });
    this.#server.on('connection', (socket: Socket) => {
      this.#admit(socket);
    });
    this.#server.on('secureConnection', (socket: tls.TLSSocket) => {
      void this.#welcome(socket);
    });
    this.#server.on('tlsClientError', (error: Error) => {
      receiver.failed(asClusterError(error, 'bad-message'), undefined);
    });
  }

  /** Throws MarsError `io` if the address cannot be listened on. */
  static async listen(self: Self, receiver: Receiver, address: Address): Promise<Listener> {
    const listener = new Listener(self, receiver);
    try {
      listener.#server.listen(address.port, address.host);
      await once(listener.#server, 'listening');
    } catch (error) {
      throw new MarsError('io', {
        found: `listen on ${address.host}:${address.port}: ${String(error)}`,
        cause: error,
      });
    }
    listener.#server.on('error', (error) => {
      receiver.failed(asClusterError(error, 'io'), undefined);
    });
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const stream of this.#open) stream.destroy();
    await closed;
  }

  /** Everybody is a stranger at first. */
  #admit(socket: Socket): void {
    const ends = endsOf(socket);
    this.#strangers.set(ends, socket);
    socket.once('close', () => {
      if (this.#strangers.get(ends) === socket) this.#strangers.delete(ends);
    });
    if (this.#strangers.size <= MAX_STRANGERS) return;
    const [oldest] = this.#strangers.entries();
    if (oldest === undefined) return;
    this.#strangers.delete(oldest[0]);
    oldest[1].destroy();
  }

  async #welcome(socket: tls.TLSSocket): Promise<void> {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, IDLE_MS);
    socket.on('error', () => undefined);
    const stream = new SocketStream(socket, HELLO_LIMITS);
    this.#open.add(stream);
    void stream.closed.then(() => this.#open.delete(stream));
    let host: string | undefined;
    try {
      const cert = peerCert(socket);
      host = this.#receiver.memberOf(cert);
      if (host !== undefined) this.#strangers.delete(endsOf(socket));
      const { hello, handler } = await this.#greeted(stream, host);
      stream.limits = FULL_LIMITS;
      await handler({ stream, hello, cert });
    } catch (error) {
      const why = asClusterError(error, 'stream-broken');
      this.#receiver.failed(why, host);
      stream.destroy(why);
    }
  }

  async #greeted(
    stream: SocketStream,
    member: string | undefined,
  ): Promise<{ hello: Hello; handler: (incoming: Incoming) => Promise<void> }> {
    const timer = setTimeout(() => {
      stream.destroy(new ClusterError('bad-message', 'no hello in time'));
    }, GREETING_MS);
    try {
      const frame = await stream.take();
      if (frame === undefined) throw new ClusterError('bad-message', 'closed instead of a hello');
      return await this.#answer(stream, parseHello(frame.head), member);
    } finally {
      clearTimeout(timer);
    }
  }

  async #answer(
    stream: SocketStream,
    hello: Hello,
    member: string | undefined,
  ): Promise<{ hello: Hello; handler: (incoming: Incoming) => Promise<void> }> {
    try {
      const handler = this.#judge(stream, hello, member);
      const { protocol } = stream;
      await stream.send({
        ok: true,
        protocol,
        host: this.#self.host,
        lamport: this.#self.clock.tick().toString(),
      });
      return { hello, handler };
    } catch (error) {
      const why = asClusterError(error, 'internal');
      await stream.send({ ok: false, code: why.code, text: why.message.slice(0, 2000) });
      stream.close();
      await stream.closed;
      throw why;
    }
  }

  #judge(
    stream: SocketStream,
    hello: Hello,
    member: string | undefined,
  ): (incoming: Incoming) => Promise<void> {
    if (hello.cluster !== this.#self.cluster)
      throw new ClusterError('other-cluster', `${hello.host} is of ${hello.cluster}`);
    if (hello.purpose !== 'join' && member !== hello.host)
      throw new ClusterError('cert-not-member', `${hello.host} is known here as ${member ?? 'nobody'}`);
    stream.protocol = negotiate(this.#self.protocol, hello.protocol);
    compareClocks(this.#self.clock, hello.lamport, hello.host);
    // Who wants to join is believed once the token is: see answerJoin().
    if (hello.purpose !== 'join') this.#self.clock.observe(hello.lamport);
    stream.peer = hello.host;
    return this.#receiver.accept(hello);
  }
}

/** For callers that need no more than the interface. */
export type { FrameStream };
