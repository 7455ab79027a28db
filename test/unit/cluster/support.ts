// SPDX-License-Identifier: GPL-2.0-or-later
/** Nodes of a cluster in one process: real directories, real TLS, links that can be cut. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import {
  openCluster,
  type ClusterNote,
  type ClusterOptions,
  type TreeCluster,
} from '../../../src/cluster/cluster.js';
import { createCluster, createToken, joinCluster } from '../../../src/cluster/join.js';
import { LamportClock, realNow } from '../../../src/lamport/clock.js';
import { keys } from '../../../src/tree/catalogue.js';
import { systemCalls, type TreeNative } from '../../../src/tree/disk.js';
import { openTree, type LinkTree, type TreeNote } from '../../../src/tree/tree.js';
import { freePort } from '../../../lab/port.js';
import { Relay } from '../../../lab/relay.js';

/** Short enough for tests, long enough for a loaded machine. */
export const TIMES = {
  pingMs: 200,
  deadMs: 5000,
  markMs: 300,
  firstRetryMs: 20,
  maxRetryMs: 200,
  patienceMs: 300,
};

/** One host: a directory, and while it is up a tree and a cluster. */
export class Node {
  readonly dir = mkdtempSync(join(tmpdir(), 'mars-cluster-'));
  readonly notes: (ClusterNote | TreeNote)[] = [];
  /** added to real time, ns */
  skew = 0n;
  tree!: LinkTree;
  cluster!: TreeCluster;
  readonly #waiting = new Set<() => void>();
  #up = false;

  constructor(
    readonly host: string,
    readonly port: number,
  ) {}

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async up(options: Partial<ClusterOptions> = {}, native: TreeNative = systemCalls): Promise<void> {
    const report = (note: ClusterNote | TreeNote): void => {
      this.notes.push(note);
      for (const look of this.#waiting) look();
    };
    const clock = new LamportClock({ now: () => realNow() + this.skew });
    const { dir, host } = this;
    this.tree = openTree({ dir, host, clock, native, guard: true, report, acceptClock: true });
    this.cluster = openCluster({ tree: this.tree, report, times: TIMES, ...options });
    this.cluster.onPeerChange(() => {
      for (const look of this.#waiting) look();
    });
    void this.#follow();
    await this.cluster.start();
    this.#up = true;
  }

  async #follow(): Promise<void> {
    for await (const _ of this.tree.changes()) for (const look of this.#waiting) look();
  }

  async down(): Promise<void> {
    if (!this.#up) return;
    this.#up = false;
    await this.cluster.close();
    this.tree.close();
  }

  /** Wait for a condition on this node: looked at after each change, report, change of a peer. */
  until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        this.#waiting.delete(look);
        reject(
          new Error(
            `${this.host}: ${what}; reports: ${JSON.stringify(this.notes.slice(-10))}; peers: ${JSON.stringify(this.cluster.peers())}`,
          ),
        );
      }, 60_000);
      const look = (): void => {
        if (!condition()) return;
        clearTimeout(limit);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  value(key: string): string | undefined {
    return this.tree.snapshot().value(key);
  }

  untilValue(key: string, value: string | undefined): Promise<void> {
    return this.until(`${key} = ${value}`, () => this.value(key) === value);
  }

  connectedTo(other: Node): boolean {
    return this.cluster.peers().some((p) => p.host === other.host && p.connected);
  }
}

/** A cluster of running nodes. Every directed link can be cut by `links`. */
export class Net {
  readonly nodes: readonly Node[];
  readonly links = new Map<string, Relay>();

  private constructor(nodes: readonly Node[]) {
    this.nodes = nodes;
  }

  static async of(
    t: ExecutionContext,
    hosts: readonly string[],
    options: Partial<ClusterOptions> = {},
  ): Promise<Net> {
    const nodes: Node[] = [];
    for (const host of hosts) nodes.push(new Node(host, await freePort()));
    const net = new Net(nodes);
    t.teardown(async () => {
      for (const node of nodes) await node.down();
      for (const relay of net.links.values()) await relay.cut();
      for (const node of nodes) rmSync(node.dir, { recursive: true, force: true });
    });
    const [first, ...rest] = nodes;
    if (first === undefined) throw new Error('no hosts');
    createCluster(first);
    await first.up(options);
    for (const node of rest) {
      await joinCluster({
        dir: node.dir,
        host: node.host,
        address: node.address,
        token: createToken(first).token,
      });
      await node.up(options);
    }
    await net.untilConnected();
    return net;
  }

  /** Put a relay into every directed link. Before that, links are direct. */
  async relays(): Promise<void> {
    for (const from of this.nodes) {
      const addresses: Record<string, string> = {};
      for (const to of this.nodes) {
        if (from === to) continue;
        const relay = await Relay.to(to.port);
        this.links.set(`${from.host}>${to.host}`, relay);
        addresses[keys.peerAddress(to.host)] = relay.address;
      }
      from.tree.write(addresses);
    }
    for (const node of this.nodes) await node.down();
    for (const node of this.nodes) await node.up();
    await this.untilConnected();
  }

  async cut(a: Node, b: Node): Promise<void> {
    await this.links.get(`${a.host}>${b.host}`)?.cut();
    await this.links.get(`${b.host}>${a.host}`)?.cut();
  }

  async restore(a: Node, b: Node): Promise<void> {
    await this.links.get(`${a.host}>${b.host}`)?.restore();
    await this.links.get(`${b.host}>${a.host}`)?.restore();
  }

  async untilConnected(nodes: readonly Node[] = this.nodes): Promise<void> {
    for (const a of nodes)
      for (const b of nodes) if (a !== b) await a.until(`connected to ${b.host}`, () => a.connectedTo(b));
  }
}
