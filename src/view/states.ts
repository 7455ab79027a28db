// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The four words in which an operator reads the state of a replica: diskstate,
 * replstate, flags and role. Each is the first rule that matches, in the order
 * written here. Pure functions; the only thing that is not in the tree is
 * whether the local data device exists, and whether the local daemon runs.
 */
import { aboutResource, isReasonCode, REASONS, type ReasonCode } from '../errors.js';
import { holders, isLost } from '../strategy/retention.js';
import { keys } from '../tree/catalogue.js';
import {
  actualPrimaries,
  at,
  designated,
  dirty,
  fact,
  is,
  isConsistent,
  isDesignated,
  isMember,
  reach,
  replayStop,
  splitBrain,
  syncRest,
  wish,
  type Scope,
} from './facts.js';
import { humanSize } from './format.js';
import { progress } from './logline.js';

/** What the tree cannot know of the node that looks. */
export interface Local {
  /** the host that looks */
  readonly me: string;
  /** does a daemon run on this state directory? */
  readonly daemon: boolean;
  /** does the data device of this resource exist? undefined = not looked */
  readonly diskPresent?: boolean | undefined;
}

/** `bad-crc` becomes `BadCrc`. */
export const camel = (word: string): string =>
  word.replace(/(^|-)([a-z])/g, (_, _dash: string, letter: string) => letter.toUpperCase());

/** Is there a data device? At another host it is taken as there once its size was seen. */
export function diskPresent(s: Scope, local: Local): boolean {
  if (!isMember(s)) return false;
  if (s.host === local.me && local.diskPresent !== undefined) return local.diskPresent;
  return s.snap.get(keys.actsize(s.resource, s.host)) !== undefined || is(s, 'is-attached');
}

export function diskstate(s: Scope, local: Local): string {
  const error = fact(s, 'disk-error');
  const prefix = error !== undefined && error !== '0' ? `DISK_ERROR=${error} ` : '';
  return prefix + diskWord(s, local);
}

function diskWord(s: Scope, local: Local): string {
  if (!isMember(s)) return 'NotJoined';
  if (s.host === local.me && local.diskPresent === false) return 'NotPresent';
  if (!wish(s, 'attach')) return is(s, 'is-attached') ? 'Detaching' : 'Detached';
  const stop = replayStop(s);
  if (stop === 'log-missing' || isLost(s.snap, s.resource, s.host)) return 'Orphan';
  if (stop !== undefined && stop !== 'split-brain') return `DefectiveLog[${stop}]`;
  if (!is(s, 'is-attached')) return 'NoAttach';
  const primary = isDesignated(s);
  if (primary && is(s, 'is-primary')) return primaryDisk(s);
  if (!isConsistent(s)) return 'InConsistent';
  const p = progress(s);
  if (p && p.applied < p.end) {
    if (primary) return `Recovery[${humanSize(p.end - p.applied)}]`;
    return `OutDated[${p.fetched < p.end ? 'F' : ''}${p.applied < p.fetched ? 'R' : ''}]`;
  }
  return 'UpToDate';
}

function primaryDisk(s: Scope): string {
  const state = fact(s, 'state');
  if (state !== undefined && state !== 'ok') return camel(state);
  return dirty(s) > 0n ? `WriteBack[${humanSize(dirty(s))}]` : 'UpToDate';
}

export function replstate(s: Scope, local: Local): string {
  if (s.host === local.me && !local.daemon) return 'NoDaemon';
  if (s.host !== local.me && s.snap.value(keys.nodeActual(s.host, 'alive')) === '0') return 'NoDaemon';
  if (!isMember(s)) return 'NotJoined';
  if (!wish(s, 'attach')) return 'NotStarted';
  if (replayStop(s) === 'split-brain' || splitBrain(s).length > 0) return 'SplitBrain';
  const primary = designated(s);
  if (primary === s.host) {
    if (!is(s, 'is-primary')) return 'NotYetPrimary';
    return fact(s, 'state') === 'log-space-full' ? 'LogSpaceFull' : 'Replicating';
  }
  if (syncRest(s) > 0n && !wish(s, 'sync')) return 'PausedSync';
  if (syncRest(s) > 0n && is(s, 'is-syncing')) return 'Syncing';
  if (!wish(s, 'connect')) return 'PausedFetch';
  if (!wish(s, 'allow-replay')) return 'PausedReplay';
  if (primary === undefined) return 'NoPrimaryDesignated';
  if (s.host === local.me && !reach(s.snap, local.me, primary).connected) return 'PrimaryUnreachable';
  if (syncRest(s) > 0n) return 'WaitingForSync';
  if (replayStop(s) !== undefined) return 'ReplayStopped';
  return 'Replaying';
}

/**
 * Six letters: Disk, Consistent, Attached, Sync, Fetch, Replay. Capital: all is
 * well; small: on the way there or differing from the wish; `-`: not.
 */
export function flags(s: Scope, local: Local): string {
  const present = diskPresent(s, local);
  const p = progress(s);
  const primary = isDesignated(s) && is(s, 'is-primary');
  const attach = wish(s, 'attach');
  const step = (reached: boolean, wished: boolean, letter: string): string =>
    reached ? letter : wished ? letter.toLowerCase() : '-';
  return [
    present ? (is(s, 'if-on') || !isDesignated(s) ? 'D' : 'd') : '-',
    isConsistent(s) ? 'C' : present ? 'c' : '-',
    attach && is(s, 'is-attached') ? 'A' : attach || is(s, 'is-attached') ? 'a' : '-',
    step(isMember(s) && syncRest(s) === 0n, wish(s, 'sync'), 'S'),
    step(wish(s, 'connect') && (primary || (p !== undefined && p.fetched >= p.end)), wish(s, 'connect'), 'F'),
    step(
      wish(s, 'allow-replay') && (primary || (p !== undefined && p.applied >= p.fetched)),
      wish(s, 'allow-replay'),
      'R',
    ),
  ].join('');
}

export function role(s: Scope): string {
  if (!isMember(s)) return 'None';
  if (isDesignated(s)) {
    if (!is(s, 'is-primary')) return 'NotYetPrimary';
    return actualPrimaries(s).length > 1 ? 'ForcedPrimary' : 'Primary';
  }
  return is(s, 'is-primary') ? 'RemainsPrimary' : 'Secondary';
}

/** The role the tree wishes for. */
export function todoRole(s: Scope): string {
  if (!isMember(s)) return 'None';
  return isDesignated(s) ? 'Primary' : 'Secondary';
}

/** A problem worth a line: never hidden, never aged. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly code: ReasonCode;
  readonly text: string;
  /** the next safe command, or what else helps */
  readonly next?: string;
}

/** Everything that is wrong with one replica. */
export function problems(s: Scope, local: Local): Problem[] {
  const found: Problem[] = [];
  const add = (severity: Problem['severity'], code: ReasonCode, detail = '', better?: string): void => {
    const { text, hint } = REASONS[code];
    const next = better ?? (hint === undefined ? undefined : aboutResource(hint, s.resource));
    found.push({
      severity,
      code,
      text: detail === '' ? text : `${text} ${detail}`,
      ...(next !== undefined && { next }),
    });
  };
  if (s.host === local.me && isMember(s)) {
    if (!local.daemon) add('error', 'no-daemon');
    if (local.diskPresent === false)
      add('error', 'device-missing', s.snap.value(keys.data(s.resource, s.host)));
  }
  const disk = fact(s, 'disk-error');
  if (disk !== undefined && disk !== '0') add('error', 'disk-error', `errno ${disk}`);
  const stop = replayStop(s);
  if (stop !== undefined) add('error', stop);
  const state = fact(s, 'state');
  if (state !== undefined && !isReasonCode(state)) {
    // of a member with a newer version
    add('error', 'unknown-reason', state);
  } else if (state !== undefined && state !== 'ok') {
    const held = state.startsWith('log-space-') ? heldBack(s, local) : undefined;
    add(state === 'log-space-low' ? 'warning' : 'error', state, held?.by, held?.next);
  }
  if (isLost(s.snap, s.resource, s.host) && stop !== 'log-missing') add('error', 'log-lost');
  const published = fact(s, 'split-brain');
  if (published !== undefined && published !== '' && stop !== 'split-brain')
    add('error', 'split-brain', published);
  return found;
}

/** For whom logs are kept that could go otherwise, and how they can. */
function heldBack(s: Scope, local: Local): { by: string; next: string } | undefined {
  const [host, ...more] = holders(s.snap, s.resource, s.host);
  if (host === undefined) return undefined;
  const others = more.length > 0 ? ` and ${more.length} more` : '';
  const r = s.resource;
  if (!wish(at(s, host), 'connect'))
    return {
      by: `Kept for ${host}${others}, which does not fetch.`,
      next: `\`marsadm resume-fetch ${r}\` on ${host}`,
    };
  if (!wish(at(s, host), 'allow-replay'))
    return {
      by: `Kept for ${host}${others}, which does not replay.`,
      next: `\`marsadm resume-replay ${r}\` on ${host}`,
    };
  const connected = reach(s.snap, local.me, host).connected;
  return {
    by: `Kept for ${host}${others}${connected ? '' : ', which is unreachable'}.`,
    next: connected
      ? `\`marsadm view ${r}\` on ${host}`
      : `bring ${host} back; or give its replica up: \`marsadm set-link SECONDS ${keys.resourceDefault(r, 'log-lost-after')}\`, ` +
        `or for good: \`marsadm leave-resource ${r} --host ${host} --force\``,
  };
}

/** All members at once, for a caller that wants every problem of a resource. */
export function allProblems(
  s: Scope,
  local: Local,
  hosts: readonly string[],
): { host: string; problem: Problem }[] {
  return hosts.flatMap((host) => problems(at(s, host), local).map((problem) => ({ host, problem })));
}
