// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Tree replication with one member, over one stream. Both sides do the same.
 *
 *   start     collection horizon here, and the newest mark of the other side kept here
 *   digests   one digest per bucket of keys; equal buckets need no more
 *   summary   key, stamp and hash of every version in the buckets that differ
 *   entries   batch n of versions the other side lacks, oldest stamp first
 *   ack       batch n is in the tree, on disk
 *   mark      stamp s: everything this side had at s has been acknowledged
 *   marked    the mark is on disk
 *   ping/pong when nothing else is to say
 *
 * From the first moment every local change and everything adopted from third hosts
 * goes into the queue of the session, which holds the newest version of each key in
 * the order of the changes: what somebody wrote after something else never overtakes
 * it. What came from this peer is not sent back.
 *
 * A host whose mark of the peer is older than the peer's horizon was away (or comes
 * from a backup) while deletions were forgotten. Then whatever it has that the
 * peer does not, up to the horizon, was deleted: it drops these instead of sending
 * them. Nothing can be resurrected this way. See collector.ts for the horizon.
 *
 * The session ends when the stream does, when nothing was heard for the dead time,
 * or with the first illegal message. What the peer makes this side keep is bounded:
 * the lines of its summary, and answers that it does not take.
 */
import { DELETED, type Entry } from '../tree/types.js';
import { isReplicated, keys, parseCount } from '../tree/catalogue.js';
import { BUCKETS, DIGEST_BYTES, entryHash } from '../tree/store.js';
import type { LinkTree } from '../tree/tree.js';
import { ClusterError } from './errors.js';
import {
  checkDigests,
  formatEntry,
  joinEntries,
  parseEntries,
  parseSummary,
  parseTreeMessage,
  type SummaryLine,
  type TreeMessage,
} from './schema.js';
import type { Frame, FrameStream, JsonObject } from './types.js';

/** Times, ms. */
export interface SessionTimes {
  /** how often a ping is sent */
  readonly pingMs: number;
  /** after how long without a word the peer counts as dead */
  readonly deadMs: number;
  /** how often a mark is made when nothing asks for one */
  readonly markMs: number;
}

export const SESSION_TIMES: SessionTimes = { pingMs: 3000, deadMs: 10_000, markMs: 60_000 };

/** What a session tells its owner. */
export interface SessionEvents {
  /** the peer has everything we had at `stamp`, on disk */
  acknowledged(stamp: bigint): void;
  /**
   * the peer has sent everything it had when it made the mark; it has collected up
   * to `horizon`; `first`: nobody ever sent a mark to this host before
   */
  complete(horizon: bigint, first: boolean): void;
  /** stale keys were dropped */
  dropped(entries: readonly Entry[]): void;
}

/** A batch ends with so many entries, or with the one that makes it so many bytes; a message may have twice that. */
const BATCH = 500;
const BATCH_BYTES = 1024 * 1024;
/** Stands in the queue where a mark is to be made; no key is empty. */
const MARK = '';
/** batches on their way */
const WINDOW = 8;
const SUMMARY_LINES = 5000;
/** lines taken from the peer: far more keys than a cluster has */
const MAX_LINES = 500_000;
/** answers that wait to be taken */
const MAX_ANSWERS = 1000;

/** One session. Use run() once. */
export class TreeSession {
  readonly peer: string;
  readonly #stream: FrameStream;
  readonly #tree: LinkTree;
  readonly #times: SessionTimes;
  readonly #events: SessionEvents;
  /** newest version of each key to be sent, in order */
  readonly #queue = new Map<string, Entry>();
  #sent = 0;
  #acked = 0;
  #ourDigests: Buffer | undefined;
  #horizon = 0n;
  #theirHorizon = 0n;
  /** buckets that differ; undefined until the digests are compared */
  #differing: ReadonlySet<number> | undefined;
  readonly #theirs = new Map<string, SummaryLine>();
  #lines = 0;
  #answers = 0;
  #compared = false;
  #markWanted = true;
  /** made, and to be sent when this batch is acknowledged */
  #mark: { readonly stamp: bigint; readonly after: number } | undefined;
  #leaving = false;
  #heard: number;

  constructor(stream: FrameStream, tree: LinkTree, events: SessionEvents, times: SessionTimes) {
    this.peer = stream.peer;
    this.#stream = stream;
    this.#tree = tree;
    this.#events = events;
    this.#times = times;
    this.#heard = performance.now();
  }

  /** Until the session ends. Throws ClusterError when it did not end regularly. */
  async run(): Promise<void> {
    const unsubscribe = this.#tree.subscribe((entries, source) => {
      this.#changed(entries, source === this);
    });
    const ping = setInterval(() => {
      this.#keepAlive();
    }, this.#times.pingMs);
    const mark = setInterval(() => {
      this.wantMark();
    }, this.#times.markMs);
    try {
      const synced = this.#tree.snapshot().value(keys.synced(this.peer)) ?? '0';
      this.#horizon = this.#tree.horizon();
      this.#send({ t: 'start', horizon: this.#horizon.toString(), synced });
      for await (const frame of this.#stream) this.#handle(frame);
    } catch (error) {
      this.#stream.destroy(error instanceof Error ? error : undefined);
      throw error;
    } finally {
      unsubscribe();
      clearInterval(ping);
      clearInterval(mark);
    }
  }

  /** Send a mark as soon as everything there is now is acknowledged. */
  wantMark(): void {
    this.#markWanted = true;
    this.#settle();
  }

  /** Close regularly as soon as the other side has everything. */
  closeWhenDone(): void {
    this.#leaving = true;
    this.#settle();
  }

  #changed(entries: readonly Entry[], fromPeer: boolean): void {
    for (const entry of entries) {
      if (!isReplicated(entry.key)) continue;
      if (entry.value === DELETED) this.#markWanted = true;
      if (fromPeer) continue;
      // Behind what is queued already, even if the key has a place there.
      this.#queue.delete(entry.key);
      this.#queue.set(entry.key, entry);
    }
    this.#settle();
  }

  #handle(frame: Frame): void {
    this.#heard = performance.now();
    const message = parseTreeMessage(frame.head);
    if (message === undefined) return;
    if ('lamport' in message) this.#tree.clock.observe(message.lamport);
    this.#obey(message, frame.body);
  }

  /** Answers are queued, never waited for: both sides may have much to send at the same time. */
  #obey(message: TreeMessage, body: Uint8Array): void {
    switch (message.t) {
      case 'start':
        if (this.#ourDigests !== undefined) throw new ClusterError('bad-message', 'a second start');
        this.#theirHorizon = message.horizon;
        this.#ourDigests = this.#tree.digests(this.#common());
        this.#send({ t: 'digests' }, this.#ourDigests);
        return;
      case 'digests':
        this.#compare(checkDigests(body));
        return;
      case 'summary':
        this.#summarised(parseSummary(body), message.last);
        return;
      case 'entries':
        this.#tree.merge(parseEntries(body), this);
        this.#answer({ t: 'ack', n: message.n, lamport: this.#now() });
        return;
      case 'ack':
        if (message.n > this.#sent)
          throw new ClusterError('bad-message', `ack ${message.n} of ${this.#sent}`);
        this.#acked = Math.max(this.#acked, message.n);
        this.#settle();
        return;
      case 'mark':
        this.#marked(message.stamp, message.horizon);
        return;
      case 'marked':
        this.#events.acknowledged(message.stamp);
        return;
      case 'ping':
        this.#answer({ t: 'pong', lamport: this.#now() });
        return;
      case 'pong':
        return;
    }
  }

  #marked(stamp: bigint, horizon: bigint): void {
    const first = this.#tree.snapshot().list(keys.synced('')).length === 0;
    this.#tree.write({ [keys.synced(this.peer)]: stamp.toString() });
    this.#events.complete(horizon, first);
    this.#answer({ t: 'marked', stamp: stamp.toString() });
  }

  // ---- comparing ----

  /** Tombstones up to here are known to one of us as collected. */
  #common(): bigint {
    return this.#horizon > this.#theirHorizon ? this.#horizon : this.#theirHorizon;
  }

  #compare(theirs: Uint8Array): void {
    const ours = this.#ourDigests;
    if (ours === undefined || this.#differing !== undefined)
      throw new ClusterError('bad-message', 'digests out of order');
    const differing = new Set<number>();
    for (let b = 0; b < BUCKETS; b++) {
      const at = b * DIGEST_BYTES;
      if (ours.compare(theirs, at, at + DIGEST_BYTES, at, at + DIGEST_BYTES) !== 0) differing.add(b);
    }
    this.#differing = differing;
    const lines = this.#tree
      .inBuckets(differing, this.#common())
      .map((e) => [e.key, e.stamp.toString(), shortHash(e)]);
    for (let at = 0; at === 0 || at < lines.length; at += SUMMARY_LINES) {
      const part = lines.slice(at, at + SUMMARY_LINES);
      const last = at + SUMMARY_LINES >= lines.length;
      this.#send({ t: 'summary', last }, Buffer.from(JSON.stringify(part)));
    }
  }

  #summarised(lines: readonly SummaryLine[], last: boolean): void {
    if (this.#differing === undefined || this.#compared)
      throw new ClusterError('bad-message', 'summary out of order');
    this.#lines += lines.length;
    if (this.#lines > MAX_LINES)
      throw new ClusterError('message-too-big', `a summary of more than ${MAX_LINES} lines`);
    for (const line of lines) this.#theirs.set(line[0], line);
    if (last) this.#reconcile(this.#differing);
  }

  /** The summary of the other side is complete: queue what it lacks, drop what was deleted. */
  #reconcile(differing: ReadonlySet<number>): void {
    const synced = parseCount(this.#tree.snapshot().value(keys.synced(this.peer))) ?? 0n;
    const wasAway = synced < this.#theirHorizon;
    const stale: Entry[] = [];
    const missing: Entry[] = [];
    for (const entry of this.#tree.inBuckets(differing, this.#common())) {
      const line = this.#theirs.get(entry.key);
      if (line === undefined && wasAway && entry.stamp <= this.#theirHorizon) stale.push(entry);
      else if (line === undefined || line[1] < entry.stamp) missing.push(entry);
      else if (line[1] === entry.stamp && line[2] !== shortHash(entry)) missing.push(entry);
    }
    this.#theirs.clear();
    this.#compared = true;
    this.#tree.forget(stale);
    if (stale.length > 0) this.#events.dropped(stale);
    this.#queueFirst(missing);
    this.#settle();
  }

  /** What was found by comparing goes before later changes, oldest first. */
  #queueFirst(entries: Entry[]): void {
    const later = [...this.#queue.values()];
    this.#queue.clear();
    entries.sort((a, b) => (a.stamp < b.stamp ? -1 : a.stamp > b.stamp ? 1 : 0));
    for (const entry of [...entries, ...later]) {
      this.#queue.delete(entry.key);
      this.#queue.set(entry.key, entry);
    }
  }

  // ---- sending and receiving ----

  #settle(): void {
    if (!this.#compared) return;
    if (this.#markWanted && this.#mark === undefined && !this.#queue.has(MARK)) {
      this.#markWanted = false;
      this.#queue.set(MARK, { key: MARK, value: '', stamp: this.#tree.clock.tick() });
    }
    while (this.#queue.size > 0 && this.#sent - this.#acked < WINDOW) this.#flush();
    if (this.#mark !== undefined && this.#acked >= this.#mark.after) {
      const { stamp } = this.#mark;
      this.#mark = undefined;
      this.#send({ t: 'mark', stamp: stamp.toString(), horizon: this.#tree.horizon().toString() });
    }
    if (this.#leaving && this.#queue.size === 0 && this.#acked === this.#sent) this.#stream.close();
  }

  /** Send one batch: at most BATCH entries and about BATCH_BYTES, ending where a mark is to be made. */
  #flush(): void {
    const batch: string[] = [];
    let bytes = 0;
    for (const entry of this.#queue.values()) {
      this.#queue.delete(entry.key);
      if (entry.key === MARK) {
        this.#mark = { stamp: entry.stamp, after: this.#sent + (batch.length > 0 ? 1 : 0) };
        break;
      }
      const formatted = formatEntry(entry);
      batch.push(formatted);
      bytes += Buffer.byteLength(formatted);
      if (batch.length === BATCH || bytes >= BATCH_BYTES) break;
    }
    if (batch.length === 0) return;
    this.#sent++;
    this.#send({ t: 'entries', n: this.#sent, lamport: this.#now() }, joinEntries(batch));
  }

  #keepAlive(): void {
    if (performance.now() - this.#heard > this.#times.deadMs) {
      this.#stream.destroy(
        new ClusterError('peer-unreachable', `nothing heard for ${this.#times.deadMs} ms`),
      );
    } else {
      this.#send({ t: 'ping', lamport: this.#now() });
    }
  }

  #now(): string {
    return this.#tree.clock.tick().toString();
  }

  /** Answers are not waited for; a peer that asks on and takes none is cut off. */
  #answer(head: JsonObject): void {
    if (this.#answers >= MAX_ANSWERS)
      throw new ClusterError('message-too-big', `${MAX_ANSWERS} answers wait to be taken`);
    this.#answers++;
    this.#send(head, undefined, () => this.#answers--);
  }

  /** A failure to send ends the stream, and thereby run(). */
  #send(head: JsonObject, body?: Uint8Array, sent?: () => void): void {
    this.#stream
      .send(head, body)
      .then(sent)
      .catch((error: unknown) => {
        this.#stream.destroy(error instanceof Error ? error : undefined);
      });
  }
}

function shortHash(entry: Entry): string {
  return entryHash(entry).toString('hex', 0, 8);
}
