// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The catalogue of keys: which exist, how their names and values are written.
 *
 * Everything that reads or writes the tree gets names from `keys` and values from
 * the parsers here. A key is DIRECTORY/LEAF; the set of directories is closed, so
 * no key can ever be in the way of another one's directory, and no path from a
 * peer can lead out of the tree. Leaves the catalogue does not know are allowed
 * in known directories (a newer version may have them) and are carried along; the
 * values of known keys must fit their grammar, wherever they come from.
 *
 * The last part of most leaves is the name of the host that owns the key.
 */
import { MarsError } from '../errors.js';
import { DELETED, NONE } from './types.js';

// ---- names ----

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$/;
const RESERVED = new Set([
  'none',
  'all',
  'any',
  'full',
  'empty',
  'undefined',
  'remote',
  'local',
  'localhost',
]);

/** May a host be called so? */
export function isHost(name: string): boolean {
  return NAME.test(name) && !RESERVED.has(name);
}

/** May a resource be called so? The rules are those of hosts. */
export const isResource = isHost;

function validName(kind: string, name: string): string {
  if (RESERVED.has(name)) throw new MarsError('bad-name', `${kind} ${name} is a reserved word`);
  if (!NAME.test(name)) throw new MarsError('bad-name', `${kind} ${JSON.stringify(name.slice(0, 80))}`);
  return name;
}

/** Returns the name; throws MarsError `bad-name`. */
export const validHost = (name: string): string => validName('host', name);
/** Returns the name; throws MarsError `bad-name`. */
export const validResource = (name: string): string => validName('resource', name);

// ---- addresses ----

/** A listening address. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `10.0.0.1:7777`, `[fe80::1]:7777` or `name:7777`; undefined if it is none of them. */
export function parseAddress(text: string): Address | undefined {
  const m =
    /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)):([0-9]{1,5})$/.exec(
      text,
    );
  const host = m?.[1] ?? m?.[2];
  const port = Number(m?.[3]);
  return host !== undefined && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** Inverse of {@link parseAddress}. */
export function formatAddress(address: Address): string {
  const { host, port } = address;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

// ---- log names, positions, versions ----

/** A place in the history of a resource. */
export interface Position {
  /** number of the log, 1 .. 999999999 */
  readonly number: bigint;
  /** host that wrote the log */
  readonly origin: string;
  /** bytes from the start of the log */
  readonly pos: bigint;
  /** log bytes behind `pos` that may already have touched the disk */
  readonly dirty: bigint;
}

/** One end of a link of the content chain. */
export interface ChainPoint {
  readonly number: bigint;
  readonly origin: string;
  readonly pos: bigint;
  /** running digest at `pos`, 32 lower-case hex digits */
  readonly digest: string;
}

/** A `version-` value: how far a host knows a log, and what came before it. */
export interface Version extends ChainPoint {
  readonly prev?: ChainPoint;
}

/** Largest number of a log: names have nine digits. */
const LOG_MAX = 999_999_999n;
const LOG = 'log-([0-9]{9})-([A-Za-z0-9_][A-Za-z0-9_-]{0,62})';
const COUNT = '(0|[1-9][0-9]{0,18})';
const DIGEST = '([0-9a-f]{32})';
const LOG_NAME = new RegExp(`^${LOG}$`);
const POSITION = new RegExp(`^${LOG},${COUNT}(?:,${COUNT})?$`);
const VERSION = new RegExp(`^${DIGEST},${LOG},${COUNT}:(?:${DIGEST},${LOG},${COUNT})?$`);

/** File name of a log. */
export function formatLogName(number: bigint, origin: string): string {
  return `log-${nine(number)}-${origin}`;
}

/** Number and origin of a log file name; undefined if it is none. */
export function parseLogName(name: string): { number: bigint; origin: string } | undefined {
  const m = LOG_NAME.exec(name);
  return m?.[1] !== undefined && m[2] !== undefined ? { number: BigInt(m[1]), origin: m[2] } : undefined;
}

/** `log-000000003-hosta,4096,0` or the same without the last part (dirty = 0); undefined if it is none. */
export function parsePosition(text: string): Position | undefined {
  const m = POSITION.exec(text);
  if (m?.[1] === undefined || m[2] === undefined || m[3] === undefined) return undefined;
  return { number: BigInt(m[1]), origin: m[2], pos: BigInt(m[3]), dirty: BigInt(m[4] ?? 0) };
}

/** With `dirty` (`replay-`), or without if it is left out (`syncpos-`, `fetch-pos`). */
export function formatPosition(p: Omit<Position, 'dirty'> & { readonly dirty?: bigint }): string {
  const base = `${formatLogName(p.number, p.origin)},${p.pos}`;
  return p.dirty === undefined ? base : `${base},${p.dirty}`;
}

/** See {@link Version}; undefined if the text is none. */
export function parseVersion(text: string): Version | undefined {
  const m = VERSION.exec(text);
  const own = chainPoint(m?.slice(1, 5));
  const prev = chainPoint(m?.slice(5, 9));
  return own && (prev ? { ...own, prev } : own);
}

function chainPoint(parts: readonly (string | undefined)[] | undefined): ChainPoint | undefined {
  const [digest, number, origin, pos] = parts ?? [];
  if (digest === undefined || number === undefined || origin === undefined || pos === undefined)
    return undefined;
  return { digest, number: BigInt(number), origin, pos: BigInt(pos) };
}

/** `DIGEST,log-N-H,LEN:PREVDIGEST,log-M-H2,PREVLEN`; nothing behind the colon without a predecessor. */
export function formatVersion(v: Version): string {
  const part = (p: ChainPoint): string => `${p.digest},${formatLogName(p.number, p.origin)},${p.pos}`;
  return `${part(v)}:${v.prev ? part(v.prev) : ''}`;
}

function nine(number: bigint): string {
  if (number < 0n || number > LOG_MAX) throw new MarsError('bad-position', `log number ${number}`);
  return number.toString().padStart(9, '0');
}

/** A count as it stands in values: decimal, no sign, no leading zero; undefined if it is none. */
export function parseCount(text: string | undefined): bigint | undefined {
  return text !== undefined && /^(?:0|[1-9][0-9]{0,18})$/.test(text) ? BigInt(text) : undefined;
}

// ---- keys ----

/** Wish switches of a resource at one host. */
export const SWITCHES = ['attach', 'connect', 'allow-replay', 'sync'] as const;
export type Switch = (typeof SWITCHES)[number];
/** Requests with a stamp as value, answered in `actual-H`. */
export const REQUESTS = ['rotate', 'log-delete', 'invalidate'] as const;
export type Request = (typeof REQUESTS)[number];

/** Builders of key names. Names are not checked here: writes are. */
export const keys = {
  uuid: 'uuid',
  ip: (host: string): string => `ips/ip-${host}`,
  cert: (host: string): string => `ips/cert-${host}`,
  /** what host `host` says of itself: alive, version, protocol, ... */
  nodeActual: (host: string, fact: string): string => `actual-${host}/${fact}`,
  /** newest barrier stamp of `peer` that `host` has merged */
  merged: (host: string, peer: string): string => `actual-${host}/merged-${peer}`,
  barrier: (host: string): string => `todo-global/barrier-${host}`,
  default: (name: string): string => `defaults/${name}`,
  /** the same for one resource, which counts more */
  resourceDefault: (r: string, name: string): string => `resource-${r}/defaults/${name}`,
  userspace: (name: string): string => `userspace/${name}`,
  /** not replicated: `connected` or `unreachable:REASON` */
  peer: (host: string): string => `local/peer-${host}`,
  /** not replicated: the address to dial for a peer instead of `ips/ip-PEER` */
  peerAddress: (host: string): string => `local/address-${host}`,
  /** not replicated: the address to listen on instead of `ips/ip-ME` */
  listen: 'local/listen',
  /** not replicated: stamp of the peer up to which its tree and ours were the same */
  synced: (host: string): string => `local/synced-${host}`,
  /** not replicated: newest tombstone that was ever collected here */
  horizon: 'local/horizon',

  /** prefix of everything of one resource */
  resource: (r: string): string => `resource-${r}/`,
  resourceUuid: (r: string): string => `resource-${r}/uuid`,
  primary: (r: string): string => `resource-${r}/primary`,
  timeline: (r: string): string => `resource-${r}/timeline`,
  size: (r: string): string => `resource-${r}/size`,
  maxnr: (r: string): string => `resource-${r}/maxnr`,
  data: (r: string, host: string): string => `resource-${r}/data-${host}`,
  device: (r: string, host: string): string => `resource-${r}/device-${host}`,
  actsize: (r: string, host: string): string => `resource-${r}/actsize-${host}`,
  replay: (r: string, host: string): string => `resource-${r}/replay-${host}`,
  versionPrefix: (r: string): string => `resource-${r}/version-`,
  version: (r: string, number: bigint, host: string): string =>
    `resource-${r}/version-${nine(number)}-${host}`,
  syncstatus: (r: string, host: string): string => `resource-${r}/syncstatus-${host}`,
  syncpos: (r: string, host: string): string => `resource-${r}/syncpos-${host}`,
  todo: (r: string, host: string, what: Switch | Request): string => `resource-${r}/todo-${host}/${what}`,
  actual: (r: string, host: string, fact: string): string => `resource-${r}/actual-${host}/${fact}`,
  /** number of the oldest log `host` has kept when it gave up `member`, which needs older ones */
  lost: (r: string, host: string, member: string): string => `resource-${r}/actual-${host}/lost-${member}`,
  msg: (r: string, host: string, key: string): string => `resource-${r}/actual-${host}/msg-${key}`,
  lastPrimary: (r: string): string => `resource-${r}/userspace/last-primary`,
} as const;

/** Longest key and longest value, in bytes of UTF-8. */
export const MAX_KEY = 300;
export const MAX_VALUE = 4000;

const HOSTS = '[A-Za-z0-9_][A-Za-z0-9_-]{0,62}';
/** Directories whose links go to the other members. */
const SHARED_DIR = new RegExp(
  `^(?:ips|todo-global|defaults|defaults-${HOSTS}|userspace|actual-${HOSTS}` +
    `|resource-${HOSTS}(?:/(?:todo-${HOSTS}|actual-${HOSTS}|defaults|defaults-${HOSTS}|userspace))?)?$`,
);
/** Leaves that would be directories at their place. */
const DIR_LEAF = new RegExp(
  `^(?:ips|todo-global|defaults|userspace|local|dev|(?:defaults|actual|resource|todo)-${HOSTS})$`,
);
const LEAF = /^[A-Za-z0-9_][A-Za-z0-9_.,:+@=-]{0,127}$/;
const UNSHARED = /^(?:local|\.|cache|backup|probe|ignore|dev(?:\/|$))/;

/** Directory and leaf of a key; the directory of `uuid` is empty. */
export function splitKey(key: string): { dir: string; leaf: string } {
  const slash = key.lastIndexOf('/');
  return slash < 0 ? { dir: '', leaf: key } : { dir: key.slice(0, slash), leaf: key.slice(slash + 1) };
}

/** May this directory hold keys of the tree? The empty name is MARS_DIR itself. */
export function isTreeDir(dir: string): boolean {
  return dir === 'local' || (SHARED_DIR.test(dir) && !UNSHARED.test(dir));
}

/** Is this the name of a key that other members get? */
export function isReplicated(key: string): boolean {
  return !key.startsWith('local/') && isKey(key);
}

/** Is this the name of a key, whether the catalogue knows it or not? */
export function isKey(key: string): boolean {
  if (key.length > MAX_KEY) return false;
  const { dir, leaf } = splitKey(key);
  if (!isTreeDir(dir) || !LEAF.test(leaf) || /^log-[0-9]/.test(leaf)) return false;
  return dir === ''
    ? !DIR_LEAF.test(leaf) && !UNSHARED.test(leaf)
    : !DIR_LEAF.test(leaf) || !leafMayBeDir(dir);
}

/** Can a directory stand inside this one? */
function leafMayBeDir(dir: string): boolean {
  return /^resource-[^/]*$/.test(dir);
}

/**
 * Progress facts: they change all the time and are worth nothing after a crash
 * (the older value is as true), so they need not be durable at once.
 */
export function isVolatile(key: string): boolean {
  const { dir, leaf } = splitKey(key);
  if (dir === 'local') return leaf.startsWith('peer-');
  return /(?:^|\/)actual-[^/]*$/.test(dir) || leaf.startsWith('replay-');
}

/** The host that owns a key and is its only regular writer; undefined for common keys. */
export function keyOwner(key: string): string | undefined {
  const { dir, leaf } = splitKey(key);
  const inDir = /(?:^|\/)(?:actual|todo|defaults)-([^/]+)$/.exec(dir)?.[1];
  if (inDir !== undefined && inDir !== 'global') return inDir;
  const m = /^(?:ip|cert|barrier|data|device|actsize|replay|syncstatus|syncpos|version-[0-9]{9})-(.+)$/.exec(
    leaf,
  );
  return m?.[1];
}

/** The resource a key belongs to, if any. */
export function keyResource(key: string): string | undefined {
  return /^resource-([^/]+)\//.exec(key)?.[1];
}

// ---- values ----

type Grammar = (value: string) => boolean;
const count: Grammar = (v) => parseCount(v) !== undefined;
/** Of a log that another one can follow. */
const highest: Grammar = (v) => (parseCount(v) ?? LOG_MAX) < LOG_MAX;
const bit: Grammar = (v) => v === '0' || v === '1';
const hex32: Grammar = (v) => /^[0-9a-f]{32}$/.test(v);
const position: Grammar = (v) => parsePosition(v) !== undefined;
const absolutePath: Grammar = (v) => v.startsWith('/') && !v.split('/').includes('..');

/** Leaf patterns of known keys by kind of directory; the first match decides. */
const GRAMMAR: readonly (readonly [dir: RegExp, leaf: RegExp, fits: Grammar])[] = [
  [/^$/, /^uuid$/, hex32],
  [/^ips$/, /^ip-/, (v) => parseAddress(v) !== undefined],
  [/^ips$/, /^cert-/, (v) => /^[A-Za-z0-9+/]{100,3990}={0,2}$/.test(v)],
  [/^todo-global$/, /^barrier-/, count],
  [/^actual-[^/]+$/, /^alive$/, bit],
  [/^actual-[^/]+$/, /^protocol$/, (v) => /^[1-9][0-9]{0,3}-[1-9][0-9]{0,3}$/.test(v)],
  [/^actual-[^/]+$/, /^merged-/, count],
  [/^resource-[^/]+$/, /^uuid$/, hex32],
  [/^resource-[^/]+$/, /^primary$/, (v) => v === NONE || isHost(v)],
  [/^resource-[^/]+$/, /^(?:timeline|size|actsize-.+|syncstatus-.+)$/, count],
  [/^resource-[^/]+$/, /^maxnr$/, highest],
  [/^resource-[^/]+$/, /^data-/, absolutePath],
  [/^resource-[^/]+$/, /^device-/, (v) => v === NONE || isResource(v)],
  [/^resource-[^/]+$/, /^(?:replay|syncpos)-/, position],
  [/^resource-[^/]+$/, /^version-/, (v) => parseVersion(v) !== undefined],
  [/^resource-[^/]+\/todo-[^/]+$/, /^(?:attach|connect|allow-replay|sync)$/, bit],
  [/^resource-[^/]+\/todo-[^/]+$/, /^(?:rotate|log-delete|invalidate)$/, count],
  [/^resource-[^/]+\/actual-[^/]+$/, /^(?:is-[a-z]+|if-on)$/, bit],
  [/^resource-[^/]+\/actual-[^/]+$/, /^(?:open-count|device-size|disk-error|lamport)$/, count],
  [/^resource-[^/]+\/actual-[^/]+$/, /^fetch-pos$/, position],
  [/^resource-[^/]+\/actual-[^/]+$/, /^device-path$/, absolutePath],
  [/^resource-[^/]+\/actual-[^/]+$/, /^lost-/, count],
  [/^(?:resource-[^/]+\/)?defaults$/, /^log-lost-after$/, count],
  [/^(?:resource-[^/]+\/)?defaults$/, /^resync-lost$/, bit],
  [/^local$/, /^(?:address-.+|listen)$/, (v) => parseAddress(v) !== undefined],
  [/^local$/, /^(?:synced-.+|horizon)$/, count],
];

/** Does the value fit the key? Tombstones fit every key; unknown keys take any text. */
export function fitsKey(key: string, value: string): boolean {
  if (value === DELETED) return true;
  // No control characters: values end up on terminals.
  if (value === '' || /[\p{Cc}\p{Cs}]/u.test(value) || Buffer.byteLength(value) > MAX_VALUE) return false;
  const { dir, leaf } = splitKey(key);
  const known = GRAMMAR.find(([d, l]) => d.test(dir) && l.test(leaf));
  return known === undefined || known[2](value);
}

/** Throws MarsError `bad-key` or `bad-value`. */
export function checkEntry(key: string, value: string): void {
  if (!isKey(key)) throw new MarsError('bad-key', JSON.stringify(key.slice(0, MAX_KEY)));
  if (!fitsKey(key, value))
    throw new MarsError('bad-value', `${key} -> ${JSON.stringify(value.slice(0, 200))}`);
}
