// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What must hold, checked while it runs.
 *
 * Some things may only go wrong when somebody took a risk: a forced switch, or a
 * primary that was started without hearing everybody. Such a run is `excused`
 * from the rules about one primary and one history, never from the rules about
 * contents.
 */
import { logName, sameLog, type Point } from '../../src/strategy/history.js';
import { reachedSyncpos, syncRest, type LocalLog, type OpenGoal } from '../../src/strategy/resource.js';
import { keys } from '../../src/tree/catalogue.js';
import type { Daemon } from './daemon.js';
import type { SimNode } from './node.js';
import { endOf, isAncestor, stateAt, type State } from './truth.js';
import { R, type World } from './world.js';

const same = (a: readonly number[], b: readonly number[]): boolean => a.every((v, i) => v === b[i]);

export class Check {
  readonly #world: World;
  excused = false;
  /** the newest state that must never be lost */
  #promised: State | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  #fail(host: string, what: string): never {
    throw new Error(`${host}: ${what}`);
  }

  /** Somebody was told that this state is safe. */
  promise(state: State): void {
    let last = state;
    // The header of a log that was opened in vain may go.
    while (!last.record && last.parent) last = last.parent;
    this.#promised = last;
  }

  /** A device is about to open. */
  opening(daemon: Daemon, goal: OpenGoal): void {
    const { host, disk, files } = daemon.node;
    const before = goal.prev && this.#world.truth.state(goal.prev.digest);
    if (goal.prev && !before) this.#fail(host, 'opens without knowing which history it continues');
    if (before && !same(before.blocks, disk.blocks()))
      this.#fail(host, 'opens a disk that is not what its history says');
    const old = files.get(logName({ number: goal.number, origin: host }));
    if (old && old.chain.length > 1) this.#fail(host, `would overwrite log ${goal.number}`);
    if (this.excused) return;
    const other = this.#world.nodes.find((n) => n.host !== host && n.daemon?.device);
    if (other) this.#fail(host, `opens while ${other.host} has the device`);
    if (this.#promised && !isAncestor(this.#promised, before))
      this.#fail(host, 'opens without a write that was flushed');
  }

  /** A log is about to be deleted. */
  deleting(daemon: Daemon, log: LocalLog): void {
    if (this.excused) return;
    for (const node of this.#world.nodes) {
      const at = this.#positionOf(node);
      // A replica that is not complete yet starts again.
      if (syncRest(node.tree.snapshot(), R, node.host) > 0n) continue;
      if (node === daemon.node || !at || at.number > log.number) continue;
      if (at.number === log.number && at.pos >= log.end) continue;
      const held = this.#world.nodes.some((n) => {
        const file = n === daemon.node ? undefined : n.files.get(logName(log));
        return file !== undefined && endOf(file) >= log.end;
      });
      if (!held) this.#fail(daemon.node.host, `deletes ${logName(log)}, which ${node.host} needs`);
    }
  }

  #positionOf(node: SimNode): Point | undefined {
    return node.tree.snapshot().value(keys.data(R, node.host)) === undefined
      ? undefined
      : node.daemon?.position();
  }

  /** A replica that counts as consistent is one state of one history. */
  node(node: SimNode): void {
    const { daemon } = node;
    if (!daemon || daemon.device) return;
    const snap = node.tree.snapshot();
    const at = daemon.position();
    if (!at || at.pos === 0n || snap.value(keys.data(R, node.host)) === undefined) return;
    if (syncRest(snap, R, node.host) > 0n || !reachedSyncpos(snap, R, node.host, at)) return;
    const { replay } = daemon;
    const here = replay && replay.checkpoint > 0n ? { ...replay.log, pos: replay.parsed } : at;
    const t = node.touched;
    if (t && sameLog(t, here) ? t.pos > here.pos : t && t.number >= here.number) return;
    const state = stateAt(node.files.get(logName(here)), here.pos) ?? this.#world.truth.state(at.digest);
    if (state && !same(state.blocks, node.disk.blocks()))
      this.#fail(node.host, `holds no state of the history at ${logName(here)},${here.pos}`);
  }

  /** Nobody may report a split brain that nobody caused. */
  forks(node: SimNode): void {
    if (this.excused || !node.daemon) return;
    const fork = node.tree.snapshot().value(keys.actual(R, node.host, 'split-brain'));
    if (node.daemon.why === 'split-brain' || fork !== undefined)
      this.#fail(node.host, `reports a split brain: ${fork ?? 'it stops'}`);
  }
}
