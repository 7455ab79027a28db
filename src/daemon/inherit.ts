// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What an earlier daemon left in an engine that outlives it, where that is not a
 * device that runs (see Primary.adopt for those): a stack half built or half taken
 * down, or a replay. All of it is taken down; the only thing worth keeping is how
 * far a replay had come.
 */
import { sameLog, type Point } from '../strategy/history.js';
import type { LocalLog } from '../strategy/resource.js';
import type { Bricks } from './bricks.js';
import type { BrickNames } from './names.js';
import type { Replay } from './replay.js';

/** Where a replay stood, as the engine tells it: it does not say who wrote the log. */
export type Stand = Omit<Point, 'origin'>;

/** Take everything down. Throws EngineError `open` while a device is in use. */
export async function clear(bricks: Bricks, names: BrickNames, replay: Replay): Promise<Stand | undefined> {
  for (const name of [names.device, names.logger]) await bricks.remove(name);
  const stand = await replay.inherit();
  for (const log of bricks.list(names.logs)) await bricks.remove(log.name);
  for (const name of [names.align, names.data]) await bricks.remove(name);
  return stand;
}

/** The newer one of where a replay stood and what was told of it; in doubt what was told, which is safe. */
export function newer(stand: Stand, told: Point | undefined, logs: readonly LocalLog[]): Point | undefined {
  const [log, other] = logs.filter((l) => l.number === stand.number);
  if (!told || !log || other || log.end < stand.pos) return told;
  const further = sameLog(log, told) ? stand.pos > told.pos : stand.number > told.number;
  return further ? { ...stand, origin: log.origin } : told;
}
