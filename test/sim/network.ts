// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Links between the simulated nodes, and the tree sessions over them: in each
 * direction the newest version of every changed key in the order of the changes,
 * after what was found by comparing. A link that is cut is noticed later; what is
 * under way then is lost.
 */
import { keys } from '../../src/tree/catalogue.js';
import { isReplicated } from '../../src/tree/catalogue.js';
import type { Entry } from '../../src/tree/types.js';
import type { SimNode } from './node.js';

/** Stands in a queue behind what the first comparison found. */
const MARK = '';
const BARRIER = keys.barrier('');

interface Side {
  readonly node: SimNode;
  readonly queue: Map<string, Entry>;
  /** everything the other side had at the start is here */
  heard: boolean;
}

interface Link {
  readonly ends: readonly [SimNode, SimNode];
  up: boolean;
  sides: readonly [Side, Side] | undefined;
}

export class Network {
  readonly #nodes: readonly SimNode[];
  readonly links: Link[] = [];

  constructor(nodes: readonly SimNode[]) {
    this.#nodes = nodes;
    for (const [i, a] of nodes.entries())
      for (const b of nodes.slice(i + 1)) this.links.push({ ends: [a, b], up: true, sides: undefined });
  }

  /** A node to talk to right now: the link is up and its daemon runs. */
  reach(from: string, to: string): SimNode | undefined {
    const link = this.links.find(
      (l) => l.ends.some((n) => n.host === from) && l.ends.some((n) => n.host === to),
    );
    const there = link?.up ? link.ends.find((n) => n.host === to) : undefined;
    return there?.daemon ? there : undefined;
  }

  /** Members the host believes to be connected with. */
  heardBy(host: string): Set<string> {
    const found = new Set<string>();
    for (const { sides } of this.links)
      for (const [i, side] of (sides ?? []).entries())
        if (side.node.host === host && side.heard) found.add(sides?.[1 - i]?.node.host ?? '');
    return found;
  }

  /** Something is new at `host`: every session tells it, except the one it came from. */
  changed(host: string, entries: readonly Entry[], source: string | undefined): void {
    for (const { sides } of this.links) {
      const from = sides?.findIndex((s) => s.node.host === host) ?? -1;
      const mine = sides?.[from];
      if (!mine || sides[1 - from]?.node.host === source) continue;
      for (const entry of entries.filter((e) => isReplicated(e.key))) {
        mine.queue.delete(entry.key);
        mine.queue.set(entry.key, entry);
      }
    }
  }

  /** Begin a session wherever one is possible. */
  connect(link: Link): boolean {
    const [a, b] = link.ends;
    if (!link.up || link.sides || !a.daemon || !b.daemon) return false;
    const missing = (here: SimNode, there: SimNode): Map<string, Entry> => {
      const theirs = there.tree.snapshot();
      const list = here.tree.replicated().filter((e) => {
        const known = theirs.raw(e.key);
        return !known || known.stamp < e.stamp || (known.stamp === e.stamp && known.value !== e.value);
      });
      return new Map([...list, { key: MARK, value: '', stamp: 0n }].map((e) => [e.key, e]));
    };
    link.sides = [
      { node: a, queue: missing(a, b), heard: false },
      { node: b, queue: missing(b, a), heard: false },
    ];
    return true;
  }

  /** Both ends notice that the session is broken. */
  drop(link: Link): void {
    if (!link.sides) return;
    link.sides = undefined;
    const [a, b] = link.ends;
    for (const [here, there] of [
      [a, b],
      [b, a],
    ] as const) {
      if (!here.daemon) continue;
      here.tree.write({ [keys.peer(there.host)]: 'unreachable:peer-unreachable' });
      here.daemon.wanted = true;
    }
  }

  dropAll(host: string): void {
    for (const link of this.links) if (link.ends.some((n) => n.host === host)) this.drop(link);
  }

  /** Hand over up to `count` entries in one direction; false when there was none. */
  deliver(link: Link, from: 0 | 1, count: number): boolean {
    const source = link.up ? link.sides?.[from] : undefined;
    const target = link.sides?.[1 - from];
    if (!source || !target || source.queue.size === 0) return false;
    for (const entry of [...source.queue.values()].slice(0, count)) {
      source.queue.delete(entry.key);
      if (entry.key === MARK) this.#complete(source.node, target);
      else this.#merge(target.node, entry, source.node.host);
    }
    if (target.node.daemon) target.node.daemon.wanted = true;
    return true;
  }

  /** Take a version in; a barrier is answered. */
  #merge(node: SimNode, entry: Entry, from: string): void {
    node.tree.merge([entry], from);
    const host = entry.key.startsWith(BARRIER) ? entry.key.slice(BARRIER.length) : undefined;
    if (host !== undefined && host !== node.host)
      node.tree.write({ [keys.merged(node.host, host)]: entry.stamp.toString() });
  }

  #complete(from: SimNode, to: Side): void {
    to.heard = true;
    to.node.tree.write({ [keys.peer(from.host)]: 'connected' });
    if (to.node.daemon && this.heardBy(to.node.host).size === this.#nodes.length - 1)
      to.node.daemon.settled = true;
  }
}
