// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What replay finds of a local log that was good when it came: bytes that changed, or no file at all.
 *
 * Such a log is forgotten from there on; then it is missing like any other, and fetched again.
 */
import { logName, type LogRef } from '../strategy/history.js';
import type { ApplyGoal } from '../strategy/resource.js';
import type { LogStore } from './logstore.js';
import type { Replay } from './replay.js';

/** A log that is not what it was. */
export interface Damage {
  readonly log: LogRef;
  /** for messages */
  readonly text: string;
  /** what is left of it; undefined = nothing */
  readonly keep: { readonly end: bigint; readonly digest: string } | undefined;
}

/** What is wrong with the log that is being applied, or is to be applied next; undefined when nothing is. */
export async function damageOf(
  store: LogStore,
  replay: Replay,
  next: ApplyGoal | undefined,
): Promise<Damage | undefined> {
  const log = replay.log;
  if (log) return store.get(log) && met(log, replay);
  if (!next || !(await store.isLost(next.log))) return undefined;
  return { log: next.log, text: `${logName(next.log)} is gone`, keep: undefined };
}

/** Replay met bytes that were good before. */
function met(log: LogRef, replay: Replay): Damage | undefined {
  const status = replay.status();
  if (
    !status ||
    (status.state !== 'replay-torn' && status.state !== 'replay-clean' && status.state !== 'replay-mismatch')
  )
    return undefined;
  const end = status.val['parsed'] ?? 0n;
  const left = status.state !== 'replay-mismatch' && end > 0n;
  return {
    log,
    text: `${logName(log)} is damaged behind ${end}; cutting it there`,
    keep: left ? { end, digest: status.digest } : undefined,
  };
}
