// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The conditions commands wait for. Each explains itself with the host it waits
 * for, what it still sees there, and since when that host cannot be reached; each
 * that cannot come true any more fails at once instead of running into the
 * timeout. Pure functions over a snapshot.
 */
import { MarsError } from '../../errors.js';
import { keys, type Request } from '../../tree/catalogue.js';
import type { Snapshot } from '../../tree/types.js';
import {
  at,
  designated,
  devicePath,
  deviceSize,
  fact,
  is,
  isConsistent,
  isMember,
  members,
  messages,
  openCount,
  reach,
  replayStop,
  splitBrain,
  syncRest,
  wish,
  type Flag,
  type Scope,
} from '../../view/facts.js';
import { humanSize } from '../../view/format.js';
import { progress } from '../../view/logline.js';
import { failed, met, waiting, type Condition, type Verdict } from './plan.js';

/** `hostb: mydata is-primary is still 1`, and a word about reachability. */
function still(snap: Snapshot, me: string, host: string, text: string): Verdict {
  const state = reach(snap, me, host);
  const note = state.connected ? '' : ` (last known: ${host} is not reachable, ${state.reason ?? 'unknown'})`;
  return waiting(`${host}: ${text}${note}`);
}

/** A flag of a host has the wished value. */
export function flagIs(resource: string, host: string, what: Flag, on: boolean, me: string): Condition {
  return {
    name: `${host}: ${resource} ${what}=${on ? 1 : 0}`,
    judge: (snap) => {
      const s: Scope = { snap, resource, host };
      if (is(s, what) === on) return met;
      return still(snap, me, host, `${resource} ${what} is still ${fact(s, what) ?? 'unknown'}`);
    },
  };
}

/** The data device is in use by the daemon; a disk error ends the wait. */
export function attached(resource: string, host: string, me: string): Condition {
  const wanted = flagIs(resource, host, 'is-attached', true, me);
  return {
    name: wanted.name,
    judge: (snap) => diskTrouble({ snap, resource, host }) ?? wanted.judge(snap),
  };
}

function diskTrouble(s: Scope): Verdict | undefined {
  const error = fact(s, 'disk-error');
  if (error === undefined || error === '0' || is(s, 'is-attached')) return undefined;
  return failed(
    new MarsError('device-unusable', {
      found: `${s.host}: errno ${error} on ${s.snap.value(keys.data(s.resource, s.host)) ?? '?'}`,
      next: `mend the disk (dmesg), it is tried again by itself; or \`marsadm detach ${s.resource}\``,
    }),
  );
}

/** The daemon of `host` has answered a request with a stamp at least as new. */
export function answered(
  resource: string,
  host: string,
  request: Request,
  answer: string,
  stamp: string,
  me: string,
): Condition {
  return {
    name: `${host}: ${resource} ${answer}>=${stamp}`,
    judge: (snap) => {
      const s: Scope = { snap, resource, host };
      const text = fact(s, answer);
      if (text !== undefined && /^\d+$/.test(text) && BigInt(text) >= BigInt(stamp)) return met;
      const trouble = request === 'rotate' ? logTrouble(s) : undefined;
      return trouble ?? still(snap, me, host, `${resource} ${request} is not answered yet`);
    },
  };
}

/** A logger that could not write its log begins no other one before it was off. */
function logTrouble(s: Scope): Verdict | undefined {
  if (fact(s, 'state') !== 'log-write-error') return undefined;
  return failed(
    new MarsError('log-write-error', {
      found: `${s.host}: nothing more is written to the log of ${s.resource}`,
      next: `mend the disk of the logs, close or unmount the device, then \`marsadm detach ${s.resource} && marsadm attach ${s.resource}\``,
    }),
  );
}

/**
 * Every byte of log is here and applied, and the device is ours. Forced: what
 * replay says is no obstacle, since it may speak of the branch that is given up.
 *
 * @param others - who has to step down before
 */
export function becamePrimary(
  resource: string,
  host: string,
  others: readonly string[],
  force = false,
): Condition {
  return {
    name: `${host}: ${resource} is-primary=1`,
    judge: (snap) => {
      const s: Scope = { snap, resource, host };
      const other = designated(s);
      if (other !== host)
        return failed(new MarsError('primary-changed', `the designated primary is ${other ?? 'nobody'} now`));
      if (is(s, 'is-primary') && fact(s, 'if-on') !== '0') return met;
      const trouble = diskTrouble(s) ?? (force ? undefined : replayTrouble(s));
      if (trouble) return trouble;
      const old = others.find((h) => is(at(s, h), 'is-primary'));
      if (old !== undefined) return still(snap, host, old, `${resource} is-primary is still 1`);
      return waiting(
        `${host}: ${resource} ${behind(s) ?? `is-primary is still ${fact(s, 'is-primary') ?? '0'}`}${codeNote(s)}`,
      );
    },
  };
}

/** The word the daemon publishes about why it does not go on. */
function codeNote(s: Scope): string {
  const code = fact(s, 'replay-code');
  const word =
    code === undefined || code === 'ok' ? messages(s).find((m) => m.key === 'waiting')?.text : code;
  return word === undefined ? '' : ` [${word}]`;
}

function behind(s: Scope): string | undefined {
  const p = progress(s);
  if (!p || p.applied >= p.end) return undefined;
  return `${humanSize(p.end - p.fetched)} to fetch, ${humanSize(p.fetched - p.applied)} to replay`;
}

function replayTrouble(s: Scope): Verdict | undefined {
  const stop = replayStop(s);
  if (stop === undefined) return undefined;
  // A sync that is not complete begins at another log when its source was killed and has dropped the first.
  if (stop === 'log-missing' && syncRest(s) > 0n) return undefined;
  if (stop === 'split-brain') return failed(new MarsError('split-brain', splitBrain(s).join('; ')));
  return failed(new MarsError('replay-error', `${s.host}: ${stop}`));
}

/** The full sync has begun, or there is nothing left to do for it. */
export function syncStarted(resource: string, host: string): Condition {
  return {
    name: `${host}: ${resource} sync has started`,
    judge: (snap) => {
      const s: Scope = { snap, resource, host };
      if (is(s, 'is-syncing') || isConsistent(s)) return met;
      const trouble = diskTrouble(s);
      if (trouble) return trouble;
      const primary = designated(s);
      if (primary === undefined) return waiting(`${host}: ${resource} has no designated primary`);
      if (!reach(snap, host, primary).connected)
        return still(snap, host, primary, `${resource} cannot be synchronised from it`);
      return waiting(`${host}: ${resource} sync has not started yet${codeNote(s)}`);
    },
  };
}

/** The device shows its new size; a growing size counts from the next log on. */
export function deviceHasSize(resource: string, host: string, bytes: bigint): Condition {
  return {
    name: `${host}: ${resource} device-size>=${bytes}`,
    judge: (snap) => {
      const s: Scope = { snap, resource, host };
      if (deviceSize(s) >= bytes) return met;
      const trouble = diskTrouble(s);
      if (trouble) return trouble;
      if (!is(s, 'is-primary'))
        return failed(new MarsError('not-primary', `${host} is no longer primary; the size is written`));
      return waiting(`${host}: ${resource} device-size is still ${deviceSize(s)}${stateNote(s)}`);
    },
  };
}

/** The named error state of the primary, if there is one. */
function stateNote(s: Scope): string {
  const state = fact(s, 'state');
  return state === undefined || state === 'ok' ? '' : ` [${state}]`;
}

/** Nobody uses the exported device on any member. */
export function unmounted(resource: string, me: string): Condition {
  return {
    name: `${resource}: open-count=0 everywhere`,
    judge: (snap) => {
      const s: Scope = { snap, resource, host: me };
      const user = members(s).find((h) => openCount(at(s, h)) > 0n);
      if (user === undefined) return met;
      return still(
        snap,
        me,
        user,
        `${resource} open-count of ${devicePath(at(s, user)) ?? 'the device'} is still ${openCount(at(s, user))}`,
      );
    },
  };
}

/** A member has merged everything this host had written when the stamp was made. */
export function merged(peer: string, me: string, stamp: string): Condition {
  return {
    name: `${peer}: merged-${me}>=${stamp}`,
    judge: (snap) => {
      const text = snap.value(keys.merged(peer, me));
      if (text !== undefined && /^\d+$/.test(text) && BigInt(text) >= BigInt(stamp)) return met;
      if (snap.get(keys.ip(peer)) === undefined) return met;
      return still(snap, me, peer, 'has not merged the latest writes of this host yet');
    },
  };
}

/** A member knows that this host has left: the daemon here has told it and hung up. */
export function farewell(peer: string, me: string): Condition {
  return {
    name: `${peer}: knows that ${me} has left`,
    judge: (snap) => {
      const state = reach(snap, me, peer);
      if (!state.connected && ['not-a-member', 'cert-not-member'].includes(state.reason ?? '')) return met;
      return still(snap, me, peer, `has not yet heard that ${me} has left`);
    },
  };
}

// ---- conditions by name, for wait-resource ----

type Test = (s: Scope) => boolean;

const FACTS: Readonly<Record<string, { readonly is: Test; readonly todo?: Test }>> = {
  attach: { is: (s) => is(s, 'is-attached'), todo: (s) => wish(s, 'attach') },
  fetch: { is: (s) => is(s, 'is-copying'), todo: (s) => wish(s, 'connect') },
  replay: { is: (s) => is(s, 'is-replaying'), todo: (s) => wish(s, 'allow-replay') },
  sync: { is: (s) => is(s, 'is-syncing'), todo: (s) => wish(s, 'sync') },
  primary: { is: (s) => is(s, 'is-primary'), todo: (s) => designated(s) === s.host },
  secondary: {
    is: (s) => isMember(s) && !is(s, 'is-primary'),
    todo: (s) => isMember(s) && designated(s) !== s.host,
  },
  device: { is: (s) => is(s, 'if-on') },
  opened: { is: (s) => openCount(s) > 0n },
  member: { is: isMember },
  synced: { is: (s) => isMember(s) && syncRest(s) === 0n },
  consistent: { is: isConsistent },
  uptodate: { is: (s) => isConsistent(s) && (is(s, 'is-primary') || reached(s)) },
  'split-brain': { is: (s) => splitBrain(s).length > 0 },
};

const SYNONYMS: Readonly<Record<string, string>> = {
  attached: 'attach',
  connect: 'fetch',
  copying: 'fetch',
  fetching: 'fetch',
  replaying: 'replay',
  apply: 'replay',
  syncing: 'sync',
  'sync-finished': 'synced',
};

function reached(s: Scope): boolean {
  const p = progress(s);
  return p !== undefined && p.applied >= p.end;
}

/** Words `wait-resource` knows, for help and completion. */
export const CONDITION_WORDS: readonly string[] = [...Object.keys(FACTS), ...Object.keys(SYNONYMS)];

/**
 * `[is-|has-|todo-]WORD[-on|-off]`: a fact (is-, has-) or a wish (todo-). Without
 * a prefix a switch means its wish, everything else the fact.
 *
 * @throws MarsError `unknown-condition`
 */
export function namedCondition(resource: string, host: string, text: string): Condition {
  const m = /^(is-|has-|todo-)?(.+?)(-on|-off)?$/.exec(text);
  const word = m?.[2] ?? '';
  const entry = FACTS[SYNONYMS[word] ?? word];
  const prefix = m?.[1];
  const test = prefix === 'todo-' ? entry?.todo : prefix ? entry?.is : (entry?.todo ?? entry?.is);
  if (!test) throw new MarsError('unknown-condition', `${text}; known are ${CONDITION_WORDS.join(', ')}`);
  const on = m?.[3] !== '-off';
  return {
    name: `${host}: ${resource} ${text}`,
    judge: (snap) => {
      const s: Scope = { snap, resource, host };
      if (test(s) === on) return met;
      const trouble =
        prefix !== 'todo-' && on && ['consistent', 'uptodate', 'primary'].includes(word)
          ? replayTrouble(s)
          : undefined;
      return trouble ?? waiting(`${host}: ${resource} ${text} does not hold${behindNote(s)}${codeNote(s)}`);
    },
  };
}

function behindNote(s: Scope): string {
  const rest = isMember(s) ? syncRest(s) : 0n;
  const logs = behind(s);
  if (rest > 0n) return `, ${humanSize(rest)} to synchronise`;
  return logs === undefined ? '' : `, ${logs}`;
}
