// SPDX-License-Identifier: GPL-2.0-or-later
/** A resource of two members, and what one of them sees of it. */
import type { LogIdent } from '../../../src/engine/types.js';
import type { Point } from '../../../src/strategy/history.js';
import type { LocalLog, ResourceView } from '../../../src/strategy/resource.js';
import { formatVersion, keys, type Switch } from '../../../src/tree/catalogue.js';
import { snapshotOf } from '../../support/snapshot.js';

export const R = 'r';
export const digest = (text: string): string => text.padEnd(32, '0');
export const at = (number: number, origin: string, pos: number): Point => ({
  number: BigInt(number),
  origin,
  pos: BigInt(pos),
  digest: digest(`${number}${origin === 'a' ? 'a' : 'b'}${pos}`),
});

export function local(end: Point, prev?: Point, timeline = 1): LocalLog {
  const ident: LogIdent = {
    cluster: digest('c'),
    resource: digest('d'),
    salt: digest('e'),
    number: end.number,
    timeline,
    origin: end.origin,
    prevNumber: prev?.number ?? 0n,
    prevOrigin: prev?.origin ?? '',
    prevLength: prev?.pos ?? 0n,
    prevDigest: prev?.digest ?? digest(''),
  };
  return { number: end.number, origin: end.origin, end: end.pos, digest: end.digest, ident };
}

export const version = (host: string, own: Point, prev?: Point): Record<string, string> => ({
  [keys.version(R, own.number, host)]: formatVersion(prev ? { ...own, prev } : own),
});

export const switches = (host: string, off: readonly Switch[] = []): Record<string, string> =>
  Object.fromEntries(
    (['attach', 'connect', 'allow-replay', 'sync'] as const).map((s) => [
      keys.todo(R, host, s),
      off.includes(s) ? '0' : '1',
    ]),
  );

/** A resource of two complete members a and b. */
export const base = (primary: string): Record<string, string> => ({
  [keys.resourceUuid(R)]: digest('d'),
  [keys.size(R)]: '1048576',
  [keys.timeline(R)]: '1',
  [keys.data(R, 'a')]: '/a',
  [keys.data(R, 'b')]: '/b',
  [keys.syncstatus(R, 'a')]: '1048576',
  [keys.syncstatus(R, 'b')]: '1048576',
  [keys.primary(R)]: primary,
  [keys.merged('a', 'b')]: '1000000',
  [keys.merged('b', 'a')]: '1000000',
  ...switches('a'),
  ...switches('b'),
});

export function view(
  me: string,
  values: Record<string, string>,
  rest: Partial<ResourceView> = {},
): ResourceView {
  return {
    me,
    resource: R,
    snap: snapshotOf(values),
    logs: [],
    connected: new Set(['a', 'b']),
    settled: true,
    primary: false,
    applied: undefined,
    ...rest,
  };
}
