// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which links of the chain does this node tell the others?
 *
 * Its own position, and the end of every log before it that is still here. A node
 * may be killed between opening a log and telling of it; members that are further
 * behind could never follow over a link that nobody has published.
 */
import { sameLog, type History, type Link, type Point } from './history.js';
import { prevOf, type LocalLog } from './resource.js';

/** Links from `at` backwards as far as the logs are here, newest first; `told` is what was published before. */
export function linksOf(logs: readonly LocalLog[], at: Point, told: History): Link[] {
  const links: Link[] = [];
  for (let point: Point | undefined = at; point && point.digest !== '' && point.pos > 0n; ) {
    const here: Point = point;
    const log = logs.find((l) => sameLog(l, here) && l.end >= here.pos);
    if (!log) break;
    const prev = prevOf(log.ident);
    const known = told.get(here.number);
    // Recovery begins behind what this host knew before: should it end there too, the difference was lost.
    if (!known || !sameLog(known, here) || known.pos <= here.pos)
      links.push({
        number: here.number,
        origin: here.origin,
        pos: here.pos,
        digest: here.digest,
        ...(prev && { prev }),
      });
    point = prev && prev.number < here.number ? prev : undefined;
  }
  return links;
}
