// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What the rest of the program needs of the cluster: framed streams to members
 * over mutually authenticated TLS 1.3, and who is reachable.
 */
import type { ReasonCode } from '../errors.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** One message: a small JSON head (at most 64 KiB) and raw bytes (at most 2 MiB + 64 KiB). */
export interface Frame {
  readonly head: JsonObject;
  readonly body: Uint8Array;
}

/**
 * An ordered stream of frames to one authenticated member. Iterating ends
 * normally when the other side closes, throws ClusterError when it breaks.
 */
export interface FrameStream extends AsyncIterable<Frame> {
  /** host name of the member at the other end, proven by its certificate */
  readonly peer: string;
  /** protocol version both sides agreed on */
  readonly protocol: number;
  /**
   * Queue one frame; resolves when it is right to send more (back-pressure). `taken` is called once
   * the memory of the body may be used for something else; never if the stream ends before.
   */
  send(head: JsonObject, body?: Uint8Array, taken?: () => void): Promise<void>;
  /** Give back the body of a received frame that nobody uses any more: saves memory and time. Optional. */
  recycle(body: Uint8Array): void;
  /** Send what is queued, then close. */
  close(): void;
  /** Close at once. */
  destroy(error?: Error): void;
  readonly closed: Promise<void>;
}

/** Purposes of a stream, named in its first frame. */
export type Purpose = 'tree' | 'log' | 'sync' | 'join';

/** Is a member reachable, and since when? */
export interface PeerState {
  readonly host: string;
  readonly connected: boolean;
  /** wall-clock ms since when it is so */
  readonly since: number;
  /** reason code of the last failure, e.g. `peer-unreachable`, `cert-not-member`; none before the first attempt */
  readonly reason?: ReasonCode;
}

/** The cluster as seen from this node. */
export interface Cluster {
  /** Start listening, tree replication and reconnecting. */
  start(): Promise<void>;
  close(): Promise<void>;
  peers(): readonly PeerState[];
  /** Called whenever peers() changes. */
  onPeerChange(listener: () => void): void;
  /** Open a stream of frames to a member; rejects with ClusterError. */
  open(peer: string, purpose: Purpose, params: JsonObject, signal?: AbortSignal): Promise<FrameStream>;
  /** Serve streams that members open to us. */
  serve(purpose: Purpose, handler: (stream: FrameStream, params: JsonObject) => Promise<void>): void;
}
