// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A simulated cluster: a few nodes, one resource, and everything that may happen
 * to them in an order drawn from the seed. After a while of that, `converge` mends
 * what is broken and lets the nodes run until nothing changes any more; then
 * all replicas have to be equal.
 */
import { keys } from '../../src/tree/catalogue.js';
import { NONE, type Entry } from '../../src/tree/types.js';
import { Check } from './check.js';
import { Daemon } from './daemon.js';
import { Network } from './network.js';
import { SimNode } from './node.js';
import { commands, HABITS, Operator } from './operator.js';
import { Random } from './random.js';
import { SimTree } from './tree.js';
import { BLOCKS, Disk, Truth } from './truth.js';

export const R = 'r';
export const CLUSTER = 'c'.repeat(32);

/** A node is killed in the middle of something. */
class Killed extends Error {}

export interface WorldOptions {
  readonly seed: number;
  /** people force switches, and start primaries without hearing everybody */
  readonly risky: boolean;
  /** a flush that is promised and not done: the checks have to notice */
  readonly lying?: boolean;
  /** told what happens, for reading a failure */
  readonly trace?: (text: string) => void;
}

type Event = (node: SimNode) => boolean;

export class World {
  readonly random: Random;
  readonly truth = new Truth();
  readonly check: Check;
  readonly nodes: readonly SimNode[];
  readonly network: Network;
  readonly operator: Operator;
  readonly #risky: boolean;
  readonly #lying: boolean;
  readonly #trace: ((text: string) => void) | undefined;
  /** how often what happened, to see that a run was worth something */
  readonly counts = new Map<string, number>();
  readonly #events: readonly (readonly [name: string, event: Event])[];
  #now = 1_700_000_000_000_000_000n;
  /** nodes may be killed in the middle of a step */
  #fragile = true;
  #value = 0;

  constructor(options: WorldOptions) {
    this.random = new Random(options.seed);
    this.#risky = options.risky;
    this.#lying = options.lying ?? false;
    this.#trace = options.trace;
    this.check = new Check(this);
    const hosts = ['a', 'b', 'c', 'd'].slice(0, 2 + this.random.below(3));
    this.nodes = hosts.map((host) => this.#node(host));
    this.network = new Network(this.nodes);
    this.operator = new Operator(this);
    this.#events = this.#allEvents();
    this.#found();
  }

  #node(host: string): SimNode {
    const skew = BigInt(this.random.below(5_000_000_000));
    const tree = new SimTree(
      host,
      () => this.#now + skew,
      (entries, source) => this.#changed(host, entries, source),
    );
    return new SimNode(
      host,
      tree,
      new Disk(Array.from({ length: BLOCKS }, () => -1 - this.random.below(1000))),
    );
  }

  #changed(host: string, entries: readonly Entry[], source: string | undefined): void {
    this.network.changed(host, entries, source);
    const daemon = this.nodes.find((n) => n.host === host)?.daemon;
    if (daemon) daemon.wanted = true;
  }

  /** Note that something worth testing has happened. */
  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Everybody up, a resource at the first node, some replicas to begin with. */
  #found(): void {
    const [first, ...others] = this.nodes;
    if (!first) return;
    const ips = this.nodes.map((n, i) => ({
      key: keys.ip(n.host),
      value: `10.0.0.${i + 1}:7777`,
      stamp: this.#now,
    }));
    for (const node of this.nodes) node.tree.merge(ips);
    this.#fragile = false;
    for (const node of this.nodes) node.daemon = new Daemon(node, this);
    this.operator.run(first, commands.create);
    this.#settle(40);
    for (const node of others) if (!this.random.once(4)) this.operator.run(node, commands.join);
    if (this.random.once(2)) this.#settle(60);
    this.#fragile = true;
  }

  /** A place where a kill would hurt. */
  moment(): void {
    if (this.#fragile && this.random.once(40)) throw new Killed();
  }

  // ---- what happens ----

  run(steps: number): void {
    let done = 0;
    // What cannot happen now does not count.
    for (let tries = 0; done < steps && tries < 20 * steps; tries++) {
      const node = this.random.pick(this.nodes);
      const event = this.random.pick(this.#events);
      if (node && event && this.#happen(node, event[0], event[1])) done++;
    }
  }

  #happen(node: SimNode, name: string, event: Event): boolean {
    this.#now += BigInt(this.random.below(20_000_000));
    try {
      if (!event(node)) return false;
      this.#trace?.(`${node.host} ${name}: ${describe(node)}`);
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.#trace?.(`${node.host} ${name}: killed in the middle`);
      this.#kill(node, this.random.once(2));
      this.count('killed in the middle');
    }
    this.check.node(node);
    this.check.forks(node);
    return true;
  }

  #allEvents(): (readonly [string, Event])[] {
    const often = (n: number, name: string, event: Event): (readonly [string, Event])[] =>
      Array.from({ length: n }, () => [name, event] as const);
    return [
      ...often(30, 'step', (n) => this.#step(n)),
      ...often(5, 'timer', (n) => this.#timer(n)),
      ...often(30, 'deliver', (n) => this.#deliver(n)),
      ...often(12, 'write', (n) => this.#write(n)),
      ...often(4, 'flush', (n) => this.#flush(n)),
      ...often(6, 'log', (n) => this.#log(n)),
      ...often(14, 'move', (n) => this.#move(n)),
      ...often(4, 'open or close', (n) => this.#openOrClose(n)),
      ...often(6, 'command', (n) => this.#command(n)),
      ...often(12, 'poll', (n) => this.#poll(n)),
      ...often(4, 'link', () => this.#link()),
      ...often(1, 'kill', (n) => this.#killed(n)),
      ...often(4, 'start', (n) => this.#start(n)),
    ];
  }

  #step(node: SimNode): boolean {
    if (!node.daemon?.wanted) return false;
    node.daemon.step();
    return true;
  }

  #timer(node: SimNode): boolean {
    const { daemon } = node;
    if (!daemon) return false;
    if (this.#risky && !daemon.settled && this.random.once(4)) this.#settleAlone(daemon);
    daemon.rested();
    daemon.fireTimer();
    return true;
  }

  /** The time to hear the others is over. */
  #settleAlone(daemon: Daemon): void {
    daemon.settled = true;
    daemon.wanted = true;
    this.check.excused = true;
  }

  #deliver(node: SimNode): boolean {
    const link = this.random.pick(this.network.links.filter((l) => l.ends.includes(node)));
    return (
      link !== undefined && this.network.deliver(link, this.random.once(2) ? 0 : 1, 1 + this.random.below(40))
    );
  }

  #write(node: SimNode): boolean {
    const device = node.daemon?.device;
    if (!device?.open) return false;
    device.write({ block: this.random.below(BLOCKS), value: ++this.#value });
    return true;
  }

  #flush(node: SimNode): boolean {
    const device = node.daemon?.device;
    if (!device?.open || !node.daemon) return false;
    if (!this.#lying) device.flush();
    this.check.promise(device.state);
    node.daemon.wanted = true;
    return true;
  }

  /** The logger works by itself. */
  #log(node: SimNode): boolean {
    const device = node.daemon?.device;
    if (!device || !node.daemon) return false;
    const what = this.random.below(4);
    if (what === 0) device.commit(1 + this.random.below(3));
    else if (what < 3) device.writeBack();
    else device.flushDisk();
    node.daemon.wanted = true;
    return true;
  }

  /** Bytes move: fetched, applied, copied. */
  #move(node: SimNode): boolean {
    const { daemon } = node;
    if (!daemon || !(daemon.fetch || daemon.replay || daemon.sync)) return false;
    const what = this.random.below(3);
    if (what === 0) daemon.receive(1 + this.random.below(4));
    else if (what === 1) daemon.apply();
    else daemon.copy();
    return true;
  }

  #openOrClose(node: SimNode): boolean {
    const device = node.daemon?.device;
    if (!device || !node.daemon) return false;
    device.open = !device.open;
    node.daemon.wanted = true;
    return true;
  }

  #command(node: SimNode): boolean {
    if (this.operator.busy(node) || !node.daemon) return false;
    const habit = this.random.pick(HABITS);
    if (habit === undefined) return false;
    if (this.#risky && habit === 'primary' && this.random.once(2)) return this.#force(node);
    const heard = this.network.heardBy(node.host).size === this.nodes.length - 1;
    // Nobody takes the last complete replica away.
    if (habit === 'leave' && node.tree.snapshot().value(keys.primary(R)) === NONE) return false;
    if (habit === 'primary' && !heard) {
      // Whoever resigned may have been followed by somebody who cannot be heard.
      if (!this.#risky) return false;
      this.check.excused = true;
    }
    const refused = this.operator.run(node, commands[habit]);
    if (refused === undefined) this.count(habit);
    this.#trace?.(`${node.host} ${habit}: ${refused ?? 'accepted'}`);
    return true;
  }

  #force(node: SimNode): boolean {
    this.operator.run(node, commands.disconnect);
    const refused = this.operator.run(node, commands.primary, true);
    this.#trace?.(`${node.host} primary --force: ${refused ?? 'accepted'}`);
    if (refused === undefined) this.check.excused = true;
    return true;
  }

  #poll(node: SimNode): boolean {
    if (!this.operator.busy(node)) return false;
    this.operator.poll(node);
    return true;
  }

  /** Cut, mend, notice, connect. */
  #link(): boolean {
    const link = this.random.pick(this.network.links);
    if (!link) return false;
    if (link.up && link.sides && this.random.once(6)) link.up = false;
    else if (link.up) return this.network.connect(link);
    else if (link.sides) this.network.drop(link);
    else link.up = true;
    return true;
  }

  #killed(node: SimNode): boolean {
    const { daemon } = node;
    if (!daemon || this.random.once(2)) return false;
    if (this.random.once(3)) {
      this.#fragile = false;
      daemon.shutdown();
      this.#fragile = true;
      this.#end(node);
    } else {
      this.#kill(node, this.random.once(2));
    }
    return true;
  }

  /** The process is gone at once; with `power` the machine too. */
  #kill(node: SimNode, power: boolean): void {
    node.daemon?.device?.commit(this.random.below(4));
    this.#end(node);
    if (!power) return;
    node.disk.losePower(() => this.random.once(2));
    node.tree.losePower((n) => this.random.below(n));
  }

  #end(node: SimNode): void {
    node.daemon?.vanish();
    node.daemon = undefined;
    this.network.dropAll(node.host);
    this.operator.giveUp(node);
  }

  #start(node: SimNode): boolean {
    if (node.daemon) return false;
    node.daemon = new Daemon(node, this);
    return true;
  }

  // ---- the end ----

  /** Let everybody do everything that is to do, `rounds` times at most; true when nothing is left. */
  #settle(rounds: number): boolean {
    // A source may be set aside for some rounds.
    for (let i = 0, idle = 0; i < rounds; i++) {
      idle = this.#round() ? 0 : idle + 1;
      if (idle === 8) return true;
    }
    return false;
  }

  #round(): boolean {
    let busy = false;
    const did = (what: boolean): void => {
      busy ||= what;
    };
    for (const link of this.network.links) {
      did(this.network.connect(link));
      did(this.network.deliver(link, 0, 1000) || this.network.deliver(link, 1, 1000));
      this.network.deliver(link, 1, 1000);
    }
    for (const node of this.nodes) {
      const { daemon } = node;
      if (!daemon) continue;
      this.#happen(node, 'work', () => this.#work(node, daemon));
      did(daemon.busy || this.operator.busy(node));
    }
    return busy;
  }

  #work(node: SimNode, daemon: Daemon): boolean {
    daemon.device?.commit(1000);
    if (daemon.device) {
      while (daemon.device.writeBack());
      daemon.device.flushDisk();
      daemon.publish();
    }
    daemon.receive(1000);
    for (let i = 0; i < 50 && daemon.replay; i++) daemon.apply();
    daemon.copy();
    if (this.random.once(4)) daemon.rested();
    for (let n = daemon.timersSet; n > 0; n--) daemon.fireTimer();
    if (daemon.wanted) daemon.step();
    this.operator.poll(node);
    return true;
  }

  /** Mend everything, resolve what was forced, and require that all replicas become equal. */
  converge(): void {
    this.#fragile = false;
    for (const link of this.network.links) {
      if (!link.up) this.network.drop(link);
      link.up = true;
    }
    for (const node of this.nodes) {
      this.#start(node);
      this.operator.giveUp(node);
      if (node.daemon?.device) node.daemon.device.open = false;
      this.operator.run(node, commands.up);
    }
    for (let tries = 0; tries < 12; tries++) {
      this.#settle(80);
      if (this.#resolved(tries > 6)) return;
    }
    throw new Error(`not resolved: ${this.#everything()}`);
  }

  /** True when all is well; otherwise somebody does what the messages say. */
  #resolved(impatient: boolean): boolean {
    const members = this.nodes.filter((n) => n.tree.snapshot().value(keys.data(R, n.host)) !== undefined);
    const primary = members.find((n) => n.daemon?.device);
    if (!primary) return this.#appoint(members, impatient);
    // A branch nobody wrote to is none yet.
    if (primary.daemon?.device && !primary.daemon.device.state.record) {
      primary.daemon.device.write({ block: 0, value: ++this.#value });
      primary.daemon.wanted = true;
      return false;
    }
    const wrong = members.filter((n) => n !== primary && !this.#equal(n, primary));
    const stop = (n: SimNode): string | undefined =>
      n.tree.snapshot().value(keys.actual(R, n.host, 'replay-code'));
    const split = wrong.filter((n) => n.daemon?.why === 'split-brain' || stop(n) === 'log-missing');
    for (const node of split) {
      if (!this.check.excused) throw new Error(`${node.host} stops: ${node.daemon?.why}, ${stop(node)}`);
      const refused = this.operator.run(node, commands.invalidate);
      this.#trace?.(`${node.host} invalidate: ${refused ?? 'accepted'}`);
    }
    if (wrong.length > split.length) throw new Error(`stuck: ${this.#everything()}`);
    return wrong.length === 0;
  }

  #equal(node: SimNode, primary: SimNode): boolean {
    const device = primary.daemon?.device;
    const at = node.daemon?.position();
    if (!device || at?.digest !== device.state.digest) return false;
    return node.disk.blocks().every((v, i) => v === device.state.blocks[i]);
  }

  #appoint(members: readonly SimNode[], impatient: boolean): boolean {
    for (const force of impatient && this.check.excused ? [true] : [false, true]) {
      for (const node of members) {
        if (force && !this.check.excused) break;
        if (force) this.operator.run(node, commands.disconnect);
        const refused = this.operator.run(node, commands.primary, force);
        this.#trace?.(`${node.host} primary${force ? ' --force' : ''}: ${refused ?? 'accepted'}`);
        if (force) this.operator.run(node, commands.connect);
        if (refused === undefined) return false;
      }
    }
    throw new Error(`nobody can become primary: ${this.#everything()}`);
  }

  #everything(): string {
    return this.nodes.map((n) => `\n  ${n.host} ${describe(n)}`).join('');
  }
}

function describe(node: SimNode): string {
  const { daemon } = node;
  if (!daemon) return 'down';
  const at = daemon.position();
  const { device, replay, fetch, sync } = daemon;
  return [
    daemon.why,
    `designated ${node.tree.snapshot().value(keys.primary(R)) ?? '?'}`,
    device && `device ${device.log.number}@${device.durable}${device.open ? ' open' : ''}`,
    at && `applied ${at.number}-${at.origin}@${at.pos}#${at.digest.replace(/^0+/, '')}`,
    replay && `replay ${replay.parsed}/${replay.end}`,
    fetch && `fetch ${fetch.log.number}-${fetch.log.origin} from ${fetch.source}`,
    sync && `sync ${sync.at}`,
    `logs ${[...node.files.values()].map((f) => `${f.ident.number}-${f.ident.origin}:${f.chain.length}<${f.ident.prevNumber}-${f.ident.prevOrigin}:${f.ident.prevLength / 4096n}`).join(' ')}`,
  ]
    .filter(Boolean)
    .join(', ');
}
