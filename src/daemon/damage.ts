// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Local logs that are not what they were: bytes that changed, or no file at all. A start finds
 * that of all of them, replay of the one it meets.
 *
 * Such a log is forgotten from there on; then it is missing like any other, and fetched again.
 */
import type { ReasonCode } from '../errors.js';
import { historyOf, logName, sameLog, type LogRef } from '../strategy/history.js';
import type { ApplyGoal } from '../strategy/resource.js';
import { keys, parsePosition } from '../tree/catalogue.js';
import type { Snapshot } from '../tree/types.js';
import type { Found, LogStore } from './logstore.js';
import type { Replay } from './replay.js';

/** A log of which something is lost. */
export interface Loss {
  readonly log: LogRef;
  readonly reason: ReasonCode;
  /** for messages */
  readonly text: string;
  /** how far it was good before, bytes */
  readonly until: bigint;
}

/** A log that is not what it was. */
export interface Damage extends Loss {
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
  if (log) return met(log, store.get(log)?.end, replay);
  if (!next || !(await store.isLost(next.log))) return undefined;
  return { ...gone(next.log, store.get(next.log)?.end ?? 0n), keep: undefined };
}

/** Replay met bytes that were good before. */
function met(log: LogRef, until: bigint | undefined, replay: Replay): Damage | undefined {
  const status = replay.status();
  if (
    until === undefined ||
    !status ||
    (status.state !== 'replay-torn' && status.state !== 'replay-clean' && status.state !== 'replay-mismatch')
  )
    return undefined;
  const end = status.val['parsed'] ?? 0n;
  const left = status.state !== 'replay-mismatch' && end > 0n;
  return {
    ...damaged(log, 'bad-log', left ? end : 0n, until),
    keep: left ? { end, digest: status.digest } : undefined,
  };
}

/**
 * What is missing at a start of what this host has told of. Only of the newest log can be said that
 * it is gone: older ones go when nobody needs them.
 */
export function lossesOf(snap: Snapshot, resource: string, host: string, found: readonly Found[]): Loss[] {
  const newest = parsePosition(snap.value(keys.actual(resource, host, 'fetch-pos')) ?? '');
  const told = [...historyOf(snap, resource, host).values()].filter((p) => !newest || !sameLog(p, newest));
  return [...told, ...(newest ? [newest] : [])].flatMap((point) => {
    const file = found.find((f) => sameLog(f.log, point));
    if (file) return file.end < point.pos ? [damaged(point, file.reason, file.end, point.pos)] : [];
    return point === newest && point.pos > 0n ? [gone(point, point.pos)] : [];
  });
}

const gone = (log: LogRef, until: bigint): Loss => ({
  log,
  reason: 'no-such-file',
  text: `${logName(log)} is gone`,
  until,
});

const damaged = (log: LogRef, reason: ReasonCode, end: bigint, until: bigint): Loss => ({
  log,
  reason,
  text: `${logName(log)} is damaged behind ${end} of ${until} bytes`,
  until,
});

/** Losses that are not made good yet. */
export class Losses {
  readonly #say: (text: string) => void;
  #open: Loss[] = [];

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  note(...losses: readonly Loss[]): void {
    for (const { reason, text } of losses) this.#say(`${reason}: ${text}`);
    this.#open.push(...losses);
  }

  /** What was lost is no longer wanted. */
  clear(): void {
    this.#open = [];
  }

  /** Why something is still missing here that is to be applied; undefined when nothing is. */
  problem(store: LogStore, applied: (LogRef & { readonly pos: bigint }) | undefined): ReasonCode | undefined {
    const needed = ({ log, until }: Loss): boolean =>
      !applied || log.number > applied.number || (sameLog(log, applied) && until > applied.pos);
    this.#open = this.#open.filter((loss) => needed(loss) && (store.get(loss.log)?.end ?? 0n) < loss.until);
    return this.#open[0]?.reason;
  }
}
