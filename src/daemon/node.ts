// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The daemon of one node: tree, engine and cluster joined together.
 *
 * Observes three sources (tree changes, brick events, peers coming and going)
 * and tells the resources concerned to look again. Everything else is theirs.
 */
import type { BrickEvent } from '../engine/types.js';
import type { ReasonCode } from '../errors.js';
import type { FrameStream, JsonObject } from '../cluster/types.js';
import { keyResource, keys } from '../tree/catalogue.js';
import type { Entry } from '../tree/types.js';
import { LogRequest, SyncRequest } from '../transfer/messages.js';
import { shipLog } from '../transfer/logship.js';
import { serveSync } from '../transfer/syncsource.js';
import type { Context } from './context.js';
import { reasonOf } from './reasons.js';
import { Resource } from './resource.js';

/** After a start, how long members may take to be heard before a primary opens its device, ms. */
const HEAR_MS = 5000;
/** How often devices are measured, ms. */
const MEASURE_MS = 2000;

export class Node {
  readonly #ctx: Context;
  readonly #resources = new Map<string, Resource>();
  readonly #stop = new AbortController();
  readonly #loops: Promise<void>[] = [];

  #settled = false;
  /** what was said last of news that could not be taken in */
  #complaint = '';

  constructor(ctx: Omit<Context, 'settled'>) {
    this.#ctx = { ...ctx, settled: () => this.#settled };
  }

  /** Restore everything the tree says, then follow it. */
  async start(): Promise<void> {
    const { cluster, tree, bricks, publisher, host, home } = this.#ctx;
    const { signal } = this.#stop;
    const pump = bricks.pump(signal, (error) => this.#missed(error));
    this.#loops.push(pump, this.#followTree(signal));
    bricks.listen((event) => this.#onBrick(event));
    cluster.onPeerChange(() => this.#onPeers());
    cluster.serve('log', (stream, params) => this.#serveLog(stream, params));
    cluster.serve('sync', (stream, params) => this.#serveSync(stream, params));
    publisher.now({
      ...this.#forgetPeers(),
      [keys.nodeActual(host, 'alive')]: '1',
      [keys.nodeActual(host, 'engine')]: home.kind,
    });
    this.#look(tree.snapshot().list('resource-'));
    this.#adopt();
    await cluster.start();
    this.#ctx.timers.set(HEAR_MS, () => this.#settle());
    this.#onPeers();
    this.#measureAgain();
    // Whoever hears that we are ready must not meet facts of a daemon that was killed.
    await Promise.all([...this.#resources.values()].map((r) => r.looked));
  }

  /** Bricks may be left of an earlier daemon: somebody has to care, wanted or not. */
  #adopt(): void {
    const { bricks, names, log } = this.#ctx;
    const strangers: string[] = [];
    for (const { name, button, ledOff } of bricks.list('')) {
      const resource = names.resourceOf(name);
      if (resource !== undefined) this.#resource(resource).trigger();
      else if (button || !ledOff) strangers.push(name);
    }
    if (strangers.length > 0) log(`bricks of other trees are left alone: ${strangers.join(', ')}`);
  }

  #resource(name: string): Resource {
    const known = this.#resources.get(name);
    if (known) return known;
    const resource = new Resource(this.#ctx, name);
    this.#resources.set(name, resource);
    return resource;
  }

  /** What the last run knew of links is no longer true. */
  #forgetPeers(): Record<string, string> {
    const known = this.#ctx.tree.snapshot().list(keys.peer(''));
    return Object.fromEntries(known.map((e) => [e.key, 'unreachable:peer-unreachable']));
  }

  /** From now on it is assumed that no member holds a newer wish than the tree here. */
  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    for (const resource of this.#resources.values()) resource.trigger();
  }

  /** Devices may be enlarged at any time; nothing tells. */
  #measureAgain(): void {
    this.#ctx.timers.set(MEASURE_MS, () => {
      if (this.#stop.signal.aborted) return;
      const all = [...this.#resources.values()].map((r) => r.measure());
      void Promise.allSettled(all).then(() => this.#measureAgain());
    });
  }

  /**
   * Stop in an orderly way: logs drained, facts published, devices away. Devices that can do without
   * us stay, unless `halting`: the machine goes down. Afterwards nothing of this daemon is left, even if
   * it rejects, because something could not be stopped in order or the tree could not be written.
   */
  async close(halting = false): Promise<void> {
    const { cluster, publisher, host } = this.#ctx;
    const stopped = await Promise.allSettled([...this.#resources.values()].map((r) => r.stop(halting)));
    try {
      publisher.now({ [keys.nodeActual(host, 'alive')]: '0' });
      for (const outcome of stopped) if (outcome.status === 'rejected') throw outcome.reason;
    } finally {
      await cluster.close();
      this.#stop.abort();
      await Promise.allSettled(this.#loops);
    }
  }

  /** Is a device still in use? Then the engine ends with the process. */
  get devicesOpen(): boolean {
    return [...this.#resources.values()].some((r) => r.isPrimary);
  }

  async #followTree(signal: AbortSignal): Promise<void> {
    for await (const entries of this.#ctx.tree.changes(signal)) {
      try {
        this.#look(entries);
      } catch (error) {
        this.#missed(error);
      }
    }
  }

  /**
   * News could not be taken in. Ending would end devices too; whoever may have missed them looks
   * again instead, and tells in the tree what is wrong if it still is.
   */
  #missed(error: unknown): void {
    const text = `news not taken in: ${reasonOf(error)}: ${error instanceof Error ? error.message : String(error)}`;
    if (text !== this.#complaint) this.#ctx.log(text);
    this.#complaint = text;
    for (const resource of this.#resources.values()) resource.trigger();
  }

  /** Resources that changed look again; those that are new here get someone who cares. */
  #look(entries: readonly Entry[]): void {
    this.#tellEngineTime(entries);
    const names = new Set(entries.flatMap((e) => keyResource(e.key) ?? []));
    for (const name of names) {
      const joined = this.#ctx.tree.snapshot().value(keys.data(name, this.#ctx.host)) !== undefined;
      if (joined) this.#resource(name).trigger();
      else this.#resources.get(name)?.trigger();
    }
    // Choices for all resources concern each of them.
    const general = entries.some((e) => e.key.startsWith('defaults'));
    // A member has heard what this host wrote: a new primary may be waiting for that.
    const heard = `/merged-${this.#ctx.host}`;
    if (general || entries.some((e) => e.key.endsWith(heard)))
      for (const r of this.#resources.values()) r.trigger();
  }

  /** Log records carry stamps of the engine's clock: it must not lag behind what is known here. */
  #tellEngineTime(entries: readonly Entry[]): void {
    const newest = entries.reduce((max, e) => (e.stamp > max ? e.stamp : max), 0n);
    if (newest > 0n) this.#ctx.engine.lamport(newest);
  }

  #onBrick(event: BrickEvent): void {
    const resource = this.#ctx.names.resourceOf(event.status.name);
    if (resource !== undefined) this.#resources.get(resource)?.onBrick(event);
  }

  #onPeers(): void {
    if (this.#ctx.cluster.peers().every((p) => p.connected || p.reason !== undefined)) this.#settle();
    for (const resource of this.#resources.values()) resource.trigger();
  }

  // ---- what members may ask ----

  #asked(name: string, uuid: string): Resource | undefined {
    const known = this.#ctx.tree.snapshot().value(keys.resourceUuid(name));
    return known === uuid ? this.#resources.get(name) : undefined;
  }

  async #serveLog(stream: FrameStream, params: JsonObject): Promise<void> {
    const request = LogRequest.safeParse(params);
    const resource = request.success ? this.#asked(request.data.resource, request.data.uuid) : undefined;
    if (!request.success || !resource)
      return refuse(stream, request.success ? 'no-such-resource' : 'bad-message');
    // Right after a start the logs are still being verified; who is told that one is missing may believe it.
    await Promise.race([resource.looked, stream.closed]);
    const { number, origin, from, accept } = request.data;
    await shipLog(stream, resource.store, { number, origin }, from, this.#stop.signal, accept);
  }

  async #serveSync(stream: FrameStream, params: JsonObject): Promise<void> {
    const request = SyncRequest.safeParse(params);
    const resource = request.success ? this.#asked(request.data.resource, request.data.uuid) : undefined;
    const source = resource?.syncSource();
    if (!source) return refuse(stream, request.success ? 'not-primary' : 'bad-message');
    await serveSync(stream, source);
  }
}

async function refuse(stream: FrameStream, reason: ReasonCode): Promise<void> {
  await stream.send({ t: 'refused', reason });
  stream.close();
}
