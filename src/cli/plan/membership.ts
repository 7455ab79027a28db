// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plans for making, joining, leaving and deleting a resource.
 *
 * A replica exists at a host when `data-HOST` does. Leaving takes it apart in two
 * steps, wishes first, so that the daemon lets go of everything before the facts
 * vanish. What a resource leaves behind when it is deleted is `maxnr`: a resource
 * of the same name never uses a log number again.
 */
import { homeOf } from '../../engine/homes.js';
import { MarsError } from '../../errors.js';
import { formatPosition, keys, parseCount, SWITCHES } from '../../tree/catalogue.js';
import { NONE, type Changes, type Snapshot } from '../../tree/types.js';
import {
  actsize,
  at,
  designated,
  devicePath,
  engineOf,
  exists,
  is,
  isMember,
  members,
  openCount,
  size,
  allResources,
  type Scope,
} from '../../view/facts.js';
import { historyOf, relate } from '../../strategy/history.js';
import { replicaKeys } from '../../strategy/replica.js';
import { humanSize } from '../../view/format.js';
import { becamePrimary, deviceHasSize, flagIs, syncStarted } from './conditions.js';
import { plan, type Plan, type Situation } from './plan.js';

/** Sizes are multiples of a page. */
export const BLOCK = 4096n;

/** Nothing fits into less: an empty image or a mistaken unit. */
const LEAST = 64n << 10n;

/** A data device as it was found. */
export interface Device {
  readonly path: string;
  readonly bytes: bigint;
}

export const switches = (r: string, host: string, on: boolean): Changes =>
  Object.fromEntries(SWITCHES.map((s) => [keys.todo(r, host, s), on ? '1' : '0']));

const DAEMON_NOTE = 'No daemon runs here; it will be done when marsd is started.';

/** Refuse names and devices that another resource of this host already uses, or its engine cannot. */
function checkDevice(sit: Situation, resource: string, device: Device, name: string): void {
  const longest = homeOf(engineOf(sit.snap, sit.me))?.nameMax ?? name.length;
  if (name.length > longest)
    throw new MarsError('device-name-too-long', {
      found: `${name} has ${name.length} characters`,
      next: `the same command with --name and at most ${longest} characters`,
    });
  for (const other of allResources(sit.snap)) {
    if (other === resource) continue;
    if (sit.snap.value(keys.data(other, sit.me)) === device.path)
      throw new MarsError('device-busy', {
        found: `${device.path} belongs to resource ${other}`,
        next: 'name another device',
      });
    if (sit.snap.value(keys.device(other, sit.me)) === name)
      throw new MarsError('device-name-taken', {
        found: `${name} is the device of resource ${other}`,
        next: 'the same command with --name and a name of its own',
      });
  }
}

export interface CreateArgs {
  readonly resource: string;
  readonly device: Device;
  /** bytes, as {@link createdSize} says */
  readonly size: bigint;
  readonly name: string;
  /** 32 hex digits, fresh */
  readonly uuid: string;
}

export function planCreate(sit: Situation, args: CreateArgs): Plan {
  const { resource: r, device, uuid } = args;
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  if (exists(s) || members(s).length > 0) {
    const mine = isMember(s);
    throw new MarsError(mine ? 'already-joined' : 'resource-exists', {
      found: members(s).length > 0 ? `members: ${members(s).join(', ')}` : 'no members',
      next: mine
        ? `marsadm view ${r}`
        : members(s).length > 0
          ? `marsadm join-resource ${r} DEVICE`
          : `marsadm delete-resource ${r}`,
    });
  }
  const bytes = args.size;
  checkDevice(sit, r, device, args.name);
  const before = parseCount(sit.snap.value(keys.maxnr(r))) ?? 0n;
  const number = before + 1n;
  return plan(`resource ${r} created with ${humanSize(bytes)}, ${sit.me} is primary`, {
    warnings: sit.daemon ? [] : [DAEMON_NOTE],
    writes: {
      [keys.resourceUuid(r)]: uuid,
      [keys.size(r)]: bytes.toString(),
      [keys.data(r, sit.me)]: device.path,
      [keys.device(r, sit.me)]: args.name,
      [keys.primary(r)]: sit.me,
      [keys.lastPrimary(r)]: sit.me,
      [keys.timeline(r)]: '1',
      [keys.maxnr(r)]: number.toString(),
      [keys.syncstatus(r, sit.me)]: bytes.toString(),
      [keys.replay(r, sit.me)]: formatPosition({ number, origin: sit.me, pos: 0n, dirty: 0n }),
      ...switches(r, sit.me, true),
    },
    waitFor: sit.daemon ? [becamePrimary(r, sit.me, [])] : [],
  });
}

/**
 * How large a new resource becomes; without a wish as large as its device.
 *
 * @throws MarsError `bad-size`, `device-too-small`
 */
export function createdSize(device: Device, wished: bigint | undefined): bigint {
  if (wished !== undefined && wished % BLOCK !== 0n) throw new MarsError('bad-size', `${wished} bytes`);
  if (wished !== undefined && wished < LEAST)
    throw new MarsError('bad-size', {
      message: 'The size is below the least that a resource has.',
      found: `${wished} bytes, ${LEAST} are needed`,
      next: 'give at least 64K',
    });
  const needed = wished ?? LEAST;
  if (needed > device.bytes)
    throw new MarsError('device-too-small', {
      found: `${device.path} has ${device.bytes} bytes, ${needed} are needed`,
      next: `name a larger device${needed > LEAST && device.bytes >= LEAST ? ', or give a smaller SIZE' : ''}`,
    });
  return wished ?? device.bytes - (device.bytes % BLOCK);
}

export interface JoinArgs {
  readonly resource: string;
  readonly device: Device;
  readonly name: string;
}

export function planJoin(sit: Situation, args: JoinArgs): Plan {
  const { resource: r, device } = args;
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  if (!exists(s)) throw new MarsError('no-such-resource', r);
  if (isMember(s))
    throw new MarsError('already-joined', {
      found: `with ${sit.snap.value(keys.data(r, sit.me)) ?? ''}`,
      next: `marsadm view ${r}`,
    });
  const primary = designated(s);
  if (primary === undefined) throw new MarsError('no-primary', `members: ${members(s).join(', ') || 'none'}`);
  if (primary === sit.me)
    throw new MarsError('is-primary', {
      found: `${sit.me} is designated although it is not a member`,
      next: `\`marsadm primary ${r}\` on a member`,
    });
  if (device.bytes < size(s))
    throw new MarsError('device-too-small', {
      found: `${device.path} has ${device.bytes} bytes, the resource has ${size(s)}`,
      next: `name a device of at least ${size(s)} bytes`,
    });
  checkDevice(sit, r, device, args.name);
  const warnings = sit.daemon ? [] : [DAEMON_NOTE];
  if (device.bytes > size(s))
    warnings.push(`${device.path} is ${humanSize(device.bytes - size(s))} larger than the resource.`);
  return plan(`${sit.me} joined resource ${r}; ${humanSize(size(s))} come from ${primary}`, {
    warnings,
    writes: {
      [keys.data(r, sit.me)]: device.path,
      [keys.device(r, sit.me)]: args.name,
      [keys.syncstatus(r, sit.me)]: '0',
      ...switches(r, sit.me, true),
    },
    waitFor: sit.daemon ? [syncStarted(r, sit.me)] : [],
  });
}

const tombstones = (list: readonly string[]): Changes => Object.fromEntries(list.map((key) => [key, null]));

/** `logs`: regular log files of the resource in this state directory, relative names. */
export function planLeave(sit: Situation, r: string, logs: readonly string[]): Plan {
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  if (!exists(s) && members(s).length === 0) throw new MarsError('no-such-resource', r);
  if (!isMember(s)) return plan(`${sit.me} is not a member of ${r}`);
  if (openCount(s) > 0n && !sit.force)
    throw new MarsError('device-open', {
      found: `${sit.me}: open-count of ${devicePath(s) ?? 'the device'} is ${openCount(s)}`,
      next: `marsadm wait-umount ${r}`,
    });
  const role =
    designated(s) === sit.me
      ? 'is the designated primary'
      : is(s, 'is-primary')
        ? 'is still primary'
        : undefined;
  if (role !== undefined && !sit.force)
    throw new MarsError('is-primary', {
      found: `${sit.me} ${role}`,
      next: `\`marsadm primary ${r}\` on another member, or \`marsadm secondary ${r}\``,
    });
  if (!sit.force) checkNeeded(s);
  // Log numbers are never used again, so the highest one is noted before the history goes.
  const second = (snap: Snapshot): Plan =>
    plan(`${sit.me} left resource ${r}`, {
      writes: {
        ...tombstones(replicaKeys(snap, r, sit.me)),
        [keys.maxnr(r)]: highestLog(snap, r, logs).toString(),
      },
      removeFiles: logs,
    });
  const wait = sit.daemon && is(s, 'is-attached') && !sit.force;
  return plan(`${sit.me} lets go of resource ${r}`, {
    writes: {
      ...switches(r, sit.me, false),
      ...(designated(s) === sit.me && { [keys.primary(r)]: NONE }),
    },
    weak: [keys.primary(r)],
    waitFor: wait ? [flagIs(r, sit.me, 'is-attached', false, sit.me)] : [],
    next: second,
  });
}

/** Until the primary works somebody may have to fetch from here; while there is none, anybody may become it. */
function checkNeeded(s: Scope): void {
  const { snap, resource: r, host: me } = s;
  const primary = designated(s);
  if (primary !== undefined && is(at(s, primary), 'is-primary')) return;
  const mine = historyOf(snap, r, me);
  const needy = (primary === undefined ? members(s) : [primary]).find(
    (host) => host !== me && relate(mine, historyOf(snap, r, host)).kind === 'ahead',
  );
  if (needy === undefined) return;
  const found = `${needy} still needs what ${me} holds`;
  if (primary === undefined)
    throw new MarsError('no-primary', {
      found,
      next: `\`marsadm primary ${r}\` on the member that shall go on`,
    });
  throw new MarsError('no-active-primary', {
    found,
    next: `marsadm wait-resource ${r} is-primary --host ${primary}`,
  });
}

export function planDelete(sit: Situation, r: string, logs: readonly string[]): Plan {
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  const all = sit.snap.list(keys.resource(r)).map((e) => e.key);
  const left = all.filter((key) => key !== keys.maxnr(r));
  if (left.length === 0) throw new MarsError('no-such-resource', r);
  if (members(s).length > 0 && !sit.force)
    throw new MarsError('still-members', {
      found: members(s).join(', '),
      next: `\`marsadm leave-resource ${r}\` on each of them`,
    });
  const maxnr = highestLog(sit.snap, r, logs);
  return plan(`resource ${r} deleted`, {
    writes: { ...tombstones(left), [keys.maxnr(r)]: maxnr.toString() },
    removeFiles: logs,
  });
}

/** The highest log number this tree knows of. */
function highestLog(snap: Snapshot, r: string, logs: readonly string[]): bigint {
  let max = parseCount(snap.value(keys.maxnr(r))) ?? 0n;
  const names = [
    ...snap.list(keys.versionPrefix(r)).map((e) => e.key.slice(keys.versionPrefix(r).length)),
    ...logs.map((l) => l.replace(/^.*\/log-/, '')),
  ];
  for (const name of names) {
    const number = parseCount(name.slice(0, 9).replace(/^0+(?=\d)/, '')) ?? 0n;
    if (number > max) max = number;
  }
  return max;
}

/** Grow the resource. */
export function planResize(sit: Situation, r: string, wanted: bigint | undefined): Plan {
  const s: Scope = { snap: sit.snap, resource: r, host: sit.me };
  requireMember(s);
  if (!is(s, 'is-primary') || designated(s) !== sit.me)
    throw new MarsError('not-primary', {
      found: `the primary is ${designated(s) ?? 'nobody'}`,
      next: `\`marsadm resize ${r}\` there`,
    });
  const hosts = members(s).map((host) => ({ host, bytes: actsize(at(s, host)) }));
  const smallest = hosts.reduce((a, b) => (b.bytes < a.bytes ? b : a));
  const bytes = wanted ?? smallest.bytes - (smallest.bytes % BLOCK);
  if (bytes <= 0n || bytes % BLOCK !== 0n) throw new MarsError('bad-size', `${bytes} bytes`);
  if (bytes > smallest.bytes)
    throw new MarsError('device-too-small', {
      found: `${smallest.host}: ${smallest.bytes} bytes, ${bytes} are needed`,
      next: `grow ${sit.snap.value(keys.data(r, smallest.host)) ?? 'the data device'} on ${smallest.host}`,
    });
  if (bytes < size(s))
    throw new MarsError('size-shrinks', {
      found: `${size(s)} bytes now, ${bytes} wished`,
      next: `give more than ${size(s)} bytes, or no size`,
    });
  const waitFor = sit.daemon ? [deviceHasSize(r, sit.me, bytes)] : [];
  if (bytes === size(s)) {
    const found = `${smallest.host} has ${humanSize(smallest.bytes)} as last measured`;
    return plan(`resource ${r} already has ${humanSize(bytes)}; ${found}`, { waitFor });
  }
  return plan(`resource ${r} has grown from ${humanSize(size(s))} to ${humanSize(bytes)}`, {
    warnings: sit.daemon ? [] : [DAEMON_NOTE],
    writes: { [keys.size(r)]: bytes.toString(), [keys.syncstatus(r, sit.me)]: bytes.toString() },
    waitFor,
  });
}

/** Throws `no-such-resource` or `not-joined`. */
export function requireMember(s: Scope): void {
  if (!exists(s) && members(s).length === 0) throw new MarsError('no-such-resource', s.resource);
  if (!isMember(s))
    throw new MarsError('not-joined', {
      found: `members of ${s.resource}: ${members(s).join(', ') || 'none'}`,
      next: `marsadm join-resource ${s.resource} DEVICE`,
    });
}
