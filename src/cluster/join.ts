// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Making, joining and leaving a cluster; both sides of a join.
 *
 * A member is whoever has `ips/ip-H` and `ips/cert-H`; all functions work on the tree
 * and need no daemon, except that somebody must answer a join. The member that
 * answers adds the new host to its own tree, from where the news spreads; the new
 * host gets the member list and merges it, everything else comes with its first
 * tree session. A host that has left keeps its key; what it still had of the old
 * tree is removed when it makes or joins a cluster the next time.
 */
import { randomBytes } from 'node:crypto';
import { MarsError } from '../errors.js';
import { isReplicated, keys, parseAddress, validHost, type Address } from '../tree/catalogue.js';
import { openLocalTree, type LinkTree } from '../tree/tree.js';
import type { Entry } from '../tree/types.js';
import { ClusterError } from './errors.js';
import { ensureIdentity, fingerprint, loadIdentity } from './identity.js';
import {
  formatEntries,
  parseEntries,
  parseJoinRequest,
  parseVerdict,
  PROTOCOL,
  remoteReason,
} from './schema.js';
import { checkSecret, formatToken, newSecret, parseToken, TOKEN_SECONDS, useSecret } from './tokens.js';
import { connect, type Incoming } from './transport.js';

/** Whose tree, and where. */
export interface Here {
  /** MARS_DIR */
  readonly dir: string;
  readonly host: string;
}

/** Where other members reach this host, `HOST:PORT`. */
export interface Addressed extends Here {
  readonly address: string;
}

function checkAddress(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new MarsError('bad-address', JSON.stringify(text.slice(0, 200)));
  return address;
}

function withTree<T>(here: Here, create: boolean, body: (tree: LinkTree) => T): T {
  const tree = openLocalTree({ ...here, create });
  try {
    return body(tree);
  } finally {
    tree.close();
  }
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Is the host of this tree a member? */
export function isMember(tree: LinkTree): boolean {
  const snap = tree.snapshot();
  return snap.value(keys.uuid) !== undefined && snap.value(keys.ip(tree.host)) !== undefined;
}

/** Forget an earlier cluster. Throws `cluster-exists` if this host still is a member. */
function startAfresh(tree: LinkTree): void {
  const snap = tree.snapshot();
  if (isMember(tree)) throw new MarsError('cluster-exists', `cluster ${snap.value(keys.uuid) ?? ''}`);
  const known = snap.list('').map((e) => e.key);
  const entries = [...known.filter(isReplicated).map((key) => snap.raw(key)), ...tree.tombstones()];
  tree.forget(entries.filter((e): e is Entry => e !== undefined));
  const local: Record<string, null> = { [keys.horizon]: null };
  for (const key of known)
    if (key.startsWith(keys.synced('')) || key.startsWith(keys.peer(''))) local[key] = null;
  tree.write(local);
}

/** Make a new cluster with this host as its only member. */
export function createCluster(options: Addressed): { readonly uuid: string } {
  validHost(options.host);
  checkAddress(options.address);
  return withTree(options, true, (tree) => {
    startAfresh(tree);
    const identity = ensureIdentity(options.dir, options.host, new Date());
    const uuid = randomBytes(16).toString('hex');
    tree.write({
      [keys.uuid]: uuid,
      [keys.ip(options.host)]: options.address,
      [keys.cert(options.host)]: identity.cert.toString('base64'),
    });
    return { uuid };
  });
}

/**
 * Make a join token for one new member.
 *
 * @param options.validSeconds how long it may be used; default one hour
 * @param options.address where the new host shall call, if not `ips/ip-ME`
 */
export function createToken(options: Here & { readonly validSeconds?: number; readonly address?: string }): {
  readonly token: string;
  /** wall clock, s */
  readonly expires: number;
} {
  return withTree(options, false, (tree) => {
    if (!isMember(tree)) throw new MarsError('no-cluster', options.dir);
    const snap = tree.snapshot();
    const now = seconds();
    const expires = now + (options.validSeconds ?? TOKEN_SECONDS);
    const token = formatToken({
      addr: options.address ?? snap.value(keys.ip(options.host)) ?? '',
      uuid: snap.value(keys.uuid) ?? '',
      fingerprint: fingerprint(loadIdentity(options.dir).cert),
      secret: newSecret(options.dir, expires, now),
      expires,
      host: options.host,
    });
    return { token, expires };
  });
}

/** Join the cluster that the token is of. Throws MarsError with the reason. */
export async function joinCluster(
  options: Addressed & { readonly token: string; readonly signal?: AbortSignal },
): Promise<{ readonly uuid: string; readonly via: string }> {
  const { dir, host } = options;
  validHost(host);
  checkAddress(options.address);
  const token = parseToken(options.token);
  const address = checkAddress(token.addr);
  const tree = openLocalTree({ dir, host, create: true });
  try {
    startAfresh(tree);
    const identity = ensureIdentity(dir, host, new Date());
    const self = { host, cluster: token.uuid, identity, clock: tree.clock, protocol: PROTOCOL };
    const stream = await connect(self, {
      address,
      purpose: 'join',
      params: { secret: token.secret, address: options.address },
      trust: (cert) => fingerprint(cert) === token.fingerprint,
      ...(options.signal && { signal: options.signal }),
    });
    const frame = await stream.take();
    if (frame === undefined) throw new ClusterError('stream-broken', 'closed instead of an answer');
    const verdict = parseVerdict(frame.head);
    if (verdict.t === 'refused') throw new MarsError(remoteReason(verdict.code), { message: verdict.text });
    tree.merge(parseEntries(frame.body));
    stream.close();
    await stream.closed;
    if (!isMember(tree)) throw new ClusterError('bad-message', 'the answer lacks this host');
    return { uuid: token.uuid, via: token.host };
  } finally {
    tree.close();
  }
}

/** Take this host out of the member list. Its daemon tells the others, or they learn it some other way. */
export function leaveCluster(options: Here): void {
  withTree(options, false, (tree) => {
    tree.write({ [keys.ip(options.host)]: null, [keys.cert(options.host)]: null });
  });
}

/** Answer a join: the handler of streams with the purpose `join`. */
export async function answerJoin(tree: LinkTree, incoming: Incoming): Promise<void> {
  const { stream, hello, cert } = incoming;
  try {
    const request = parseJoinRequest(hello.params);
    admit(tree, hello.host, request.secret, request.address, cert);
    tree.clock.observe(hello.lamport);
    const snap = tree.snapshot();
    const start = [...snap.list('ips/'), snap.get(keys.uuid)].filter((e) => e !== undefined);
    await stream.send({ t: 'welcome' }, formatEntries(start));
  } catch (error) {
    if (!(error instanceof MarsError)) throw error;
    await stream.send({ t: 'refused', code: error.code, text: error.message.slice(0, 2000) });
  }
  stream.close();
  await stream.closed;
}

function admit(tree: LinkTree, host: string, secret: string, address: string, cert: Buffer): void {
  const print = fingerprint(cert);
  const snap = tree.snapshot();
  const text = cert.toString('base64');
  const listed = snap.value(keys.ip(host)) !== undefined;
  const member = listed && snap.value(keys.cert(host)) === text;
  checkSecret(tree.dir, secret, print, member, seconds());
  if (listed && !member) throw new MarsError('name-taken', host);
  const twin = snap.list(keys.cert('')).find((e) => e.value === text && e.key !== keys.cert(host));
  if (twin !== undefined)
    throw new MarsError('name-taken', `this key is that of ${twin.key.slice(keys.cert('').length)}`);
  const first = useSecret(tree.dir, secret, print, member, seconds());
  // A repetition never writes the certificate: it may have been removed a moment ago.
  tree.write({ [keys.ip(host)]: address, ...(first && { [keys.cert(host)]: text }) });
}
