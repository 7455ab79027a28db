// SPDX-License-Identifier: GPL-2.0-or-later
/** Who may speak to a node, and what it does with bad input from those who may not and those who may. */
import { once } from 'node:events';
import { connect as tcp, type Socket } from 'node:net';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { encodeHead, FrameDecoder, FULL_LIMITS } from '../../../src/cluster/frame.js';
import {
  ensureIdentity,
  fingerprint,
  loadIdentity,
  makeIdentity,
  type Identity,
} from '../../../src/cluster/identity.js';
import { createCluster, createToken, joinCluster, leaveCluster } from '../../../src/cluster/join.js';
import { formatToken, newSecret, parseToken, useSecret } from '../../../src/cluster/tokens.js';
import type { Frame, JsonObject } from '../../../src/cluster/types.js';
import { MarsError } from '../../../src/errors.js';
import { keys } from '../../../src/tree/catalogue.js';
import { freePort } from '../../../lab/port.js';
import { Net, type Node } from './support.js';

const K = keys.userspace('note');

function pair(net: Net): [Node, Node] {
  const [a, b] = net.nodes;
  if (a === undefined || b === undefined) throw new Error('two nodes');
  return [a, b];
}

function emptyDir(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'mars-join-'));
  t.teardown(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof MarsError ? error.code : String(error);
  }
  return 'ok';
}

/** A hand-made client: says `hello` and returns the frames it gets until the other side closes. */
class RawClient {
  readonly frames: Frame[] = [];
  readonly closed: Promise<unknown>;
  readonly #decoder = new FrameDecoder(FULL_LIMITS);
  #waiting: (() => void)[] = [];

  private constructor(readonly socket: tls.TLSSocket) {
    socket.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk, (frame) => this.frames.push(frame));
      for (const wake of this.#waiting.splice(0)) wake();
    });
    socket.on('error', () => undefined);
    this.closed = once(socket, 'close');
  }

  static async to(node: Node, identity: Identity, options: tls.ConnectionOptions = {}): Promise<RawClient> {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: node.port,
      key: identity.key,
      cert: identity.certPem,
      ALPNProtocols: ['mars'],
      rejectUnauthorized: false,
      ...options,
    });
    await once(socket, 'secureConnect');
    return new RawClient(socket);
  }

  send(head: JsonObject, body = Buffer.alloc(0)): void {
    this.socket.write(Buffer.concat([encodeHead(head, body.length), body]));
  }

  async next(): Promise<Frame> {
    while (this.frames.length === 0)
      await Promise.race([
        new Promise<void>((r) => this.#waiting.push(r)),
        this.closed.then(() => Promise.reject(new Error('closed'))),
      ]);
    return this.frames.shift() ?? { head: {}, body: Buffer.alloc(0) };
  }
}

function helloOf(node: Node, host: string, more: JsonObject = {}): JsonObject {
  return {
    purpose: 'tree',
    protocol: { min: 1, max: 1 },
    cluster: node.value(keys.uuid) ?? '',
    host,
    lamport: node.tree.clock.tick().toString(),
    params: {},
    ...more,
  };
}

/** A member without a daemon: its identity speaks by hand. */
async function puppet(t: ExecutionContext): Promise<{ a: Node; identity: Identity }> {
  const net = await Net.of(t, ['hosta', 'hostb']);
  const [a, b] = pair(net);
  await b.down();
  await a.until('alone', () => !a.connectedTo(b));
  return { a, identity: loadIdentity(b.dir) };
}

test('the private key is readable by its owner only, and kept', (t) => {
  const dir = emptyDir(t);
  const one = ensureIdentity(dir, 'hosta', new Date());
  t.is(statSync(join(dir, 'local/key.pem')).mode & 0o777, 0o600);
  t.deepEqual(ensureIdentity(dir, 'hosta', new Date()), one);
});

test('a stranger is refused, whatever it wants, except joining', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb']);
  const [a] = pair(net);
  const stranger = makeIdentity('hostb', new Date());
  for (const purpose of ['tree', 'log', 'sync', 'anything']) {
    const client = await RawClient.to(a, stranger);
    client.send(helloOf(a, 'hostb', { purpose }));
    const { head } = await client.next();
    t.like(head, { ok: false, code: 'cert-not-member' });
    await client.closed;
  }
});

test('a member may not speak under the name of another one', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b] = pair(net);
  const client = await RawClient.to(a, loadIdentity(b.dir));
  client.send(helloOf(a, 'hostc'));
  t.like((await client.next()).head, { ok: false, code: 'cert-not-member' });
});

test('no TLS 1.2, no connection without a certificate, no plain text', async (t) => {
  const net = await Net.of(t, ['hosta']);
  const [a] = net.nodes;
  if (a === undefined) throw new Error('one node');
  const old = await t.throwsAsync(RawClient.to(a, loadIdentity(a.dir), { maxVersion: 'TLSv1.2' }));
  t.truthy(old);
  const nobody = tls.connect({
    host: '127.0.0.1',
    port: a.port,
    ALPNProtocols: ['mars'],
    rejectUnauthorized: false,
  });
  nobody.on('error', () => undefined);
  nobody.resume();
  await once(nobody, 'close');
  const plain = tcp(a.port, '127.0.0.1');
  plain.on('error', () => undefined);
  plain.resume();
  plain.write(encodeHead(helloOf(a, 'hosta'), 0));
  await once(plain, 'close');
  await a.until('reported', () => a.notes.filter((n) => n.kind === 'refused').length >= 3);
});

test('another cluster, another protocol, no handler, a clock far away: each has its reason', async (t) => {
  const { a, identity } = await puppet(t);
  const cases: [JsonObject, string][] = [
    [{ cluster: 'f'.repeat(32) }, 'other-cluster'],
    [{ protocol: { min: 7, max: 9 } }, 'protocol-mismatch'],
    [{ purpose: 'unheard-of' }, 'no-handler'],
    [{ lamport: '4000000000000000000' }, 'stamp-in-future'],
    [{ lamport: '1' }, 'stamp-in-future'],
    [{ host: '../x' }, 'bad-message'],
    [{ lamport: 5 }, 'bad-message'],
  ];
  for (const [change, code] of cases) {
    const client = await RawClient.to(a, identity);
    client.send(helloOf(a, 'hostb', change));
    const answer = code === 'bad-message' ? client.closed.then(() => ({ head: { code } })) : client.next();
    t.is((await answer).head['code'], code);
  }
});

test('unknown fields and unknown messages are ignored; the highest common version is spoken', async (t) => {
  const { a, identity } = await puppet(t);
  const client = await RawClient.to(a, identity);
  client.send(helloOf(a, 'hostb', { protocol: { min: 1, max: 50 }, news: [1, { a: 2 }] }));
  t.like((await client.next()).head, { ok: true, protocol: 1, host: 'hosta' });
  client.send({ t: 'start', horizon: '0', synced: '0', later: true });
  client.send({ t: 'from-the-future', x: 1 });
  client.send(
    { t: 'entries', n: 1, lamport: a.tree.clock.tick().toString(), more: null },
    Buffer.from('[["userspace/note","x","1000"]]'),
  );
  for (;;) if ((await client.next()).head['t'] === 'ack') break;
  t.is(a.value(K), 'x');
});

test('malformed messages of a member end the connection and nothing else', async (t) => {
  const { a, identity } = await puppet(t);
  const bad: (JsonObject | [JsonObject, string] | Buffer)[] = [
    { t: 'start', horizon: -1, synced: '0' },
    { t: 'ack', n: 99, lamport: '1' },
    { t: 'summary', last: true },
    [{ t: 'entries', n: 1, lamport: '1' }, 'no json'],
    [{ t: 'entries', n: 1, lamport: '1' }, '[["k"]]'],
    [{ t: 'entries', n: 1, lamport: '1' }, `[["${'k'.repeat(400)}","v","1"]]`],
    [{ t: 'digests' }, 'short'],
    { t: 'ping', lamport: '4000000000000000000' },
    Buffer.from([0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0]),
    Buffer.from([8, 0, 0, 0, 0xff, 0xff, 0, 0]),
    Buffer.from([9, 0, 0, 0, 5, 0, 0, 0, 0x6e, 0x75, 0x6c, 0x6c, 0x20]),
    Buffer.from([5, 0, 0, 0, 0, 0, 0, 0, 1]),
  ];
  for (const message of bad) {
    const client = await RawClient.to(a, identity);
    client.send(helloOf(a, 'hostb'));
    t.is((await client.next()).head['ok'], true);
    if (Buffer.isBuffer(message)) client.socket.write(message);
    else if (Array.isArray(message)) client.send(message[0], Buffer.from(message[1]));
    else client.send(message);
    await client.closed;
  }
  t.is(a.cluster.peers()[0]?.host, 'hostb');
  t.is(a.tree.snapshot().list('userspace/').length, 0);
});

test('a hello that is too big or never comes', async (t) => {
  const { a, identity } = await puppet(t);
  const client = await RawClient.to(a, identity);
  client.send(helloOf(a, 'hostb', { params: { x: 'y'.repeat(20_000) } }));
  await client.closed;
  await a.until('reported', () => a.notes.some((n) => n.text.startsWith('message-too-big')));
  t.pass();
});

test('tokens: wrong, malformed, reused, expired, of another cluster', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb']);
  const [a, b] = pair(net);
  const port = await freePort();
  const join = (token: string, host = 'hostx'): Promise<unknown> =>
    joinCluster({ dir: emptyDir(t), host, address: `127.0.0.1:${port}`, token });
  const good = createToken(a).token;
  const token = parseToken(good);
  t.is(await codeOf(join('nonsense')), 'token-malformed');
  t.is(await codeOf(join(`${good.slice(0, -20)}x`)), 'token-malformed');
  t.is(await codeOf(join(formatToken({ ...token, secret: 'A'.repeat(43) }))), 'token-unknown');
  t.is(await codeOf(join(formatToken({ ...token, uuid: 'f'.repeat(32) }))), 'other-cluster');
  t.is(
    await codeOf(join(formatToken({ ...token, fingerprint: fingerprint(loadIdentity(b.dir).cert) }))),
    'cert-mismatch',
  );
  t.is(
    await codeOf(join(formatToken({ ...token, addr: `127.0.0.1:${await freePort()}` }))),
    'peer-unreachable',
  );
  t.is(
    await codeOf(join(createToken({ dir: a.dir, host: a.host, validSeconds: -5 }).token)),
    'token-expired',
  );
  t.is(await codeOf(join(good, 'hostb')), 'name-taken');
  t.is(await codeOf(join(good, '../x')), 'bad-name');
  t.is(await codeOf(join(good)), 'ok', 'none of the refusals has used it up');
  t.is(await codeOf(join(good, 'hosty')), 'token-used');
  t.is(a.value(keys.ip('hosty')), undefined);
  await b.untilValue(keys.ip('hostx'), `127.0.0.1:${port}`);
  for (const file of readdirSync(`${a.dir}/local/join-tokens`))
    t.false(
      readFileSync(`${a.dir}/local/join-tokens/${file}`, 'utf8').includes(token.secret),
      'only the hash is kept',
    );
});

test('a join whose answer was lost can be repeated by the same host, not by another', async (t) => {
  const net = await Net.of(t, ['hosta']);
  const [a] = net.nodes;
  if (a === undefined) throw new Error('one node');
  const dir = emptyDir(t);
  const { token } = createToken(a);
  const identity = ensureIdentity(dir, 'hostx', new Date());
  const client = await RawClient.to(a, identity);
  const params = { secret: parseToken(token).secret, address: '127.0.0.1:9' };
  client.send(helloOf(a, 'hostx', { purpose: 'join', params }));
  client.socket.pause();
  await a.untilValue(keys.ip('hostx'), '127.0.0.1:9');
  client.socket.destroy();
  const again = await joinCluster({ dir, host: 'hostx', address: '127.0.0.1:9', token });
  t.is(a.value(keys.uuid), again.uuid);
  t.is(
    await codeOf(joinCluster({ dir: emptyDir(t), host: 'hostx', address: '127.0.0.1:9', token })),
    'token-used',
  );
  t.is(await codeOf(joinCluster({ dir, host: 'hostx', address: '127.0.0.1:9', token })), 'cluster-exists');
});

test('a member taken from the list is cut off at once', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b] = pair(net);
  const c = net.nodes[2];
  if (c === undefined) throw new Error('three nodes');
  a.cluster.serve('log', async (stream) => {
    for await (const _ of stream) continue;
  });
  const stream = await c.cluster.open('hosta', 'log', {});
  a.tree.write({ [keys.ip('hostc')]: null, [keys.cert('hostc')]: null });
  t.not(
    await codeOf(
      (async () => {
        for await (const _ of stream) continue;
      })(),
    ),
    'ok',
  );
  await b.until('c gone', () => b.cluster.peers().every((p) => p.host !== 'hostc'));
  t.is(await codeOf(c.cluster.open('hosta', 'log', {})), 'cert-not-member');
  t.is(await codeOf(a.cluster.open('hostc', 'log', {})), 'not-a-member');
});

test('leaving: the others learn it, then the host may join again and starts afresh', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb']);
  const [a, b] = pair(net);
  a.tree.write({ [K]: 'x' });
  await b.untilValue(K, 'x');
  leaveCluster(b);
  await a.until('b gone', () => a.cluster.peers().length === 0);
  await b.down();
  a.tree.write({ [K]: null });
  await a.until('collected', () => a.tree.snapshot().raw(K) === undefined);
  t.is(
    await codeOf(joinCluster({ dir: a.dir, host: 'hosta', address: a.address, token: createToken(a).token })),
    'cluster-exists',
  );
  await joinCluster({ dir: b.dir, host: 'hostb', address: b.address, token: createToken(a).token });
  await b.up();
  await net.untilConnected();
  t.is(b.value(K), undefined);
  t.is(a.tree.snapshot().raw(K), undefined);
});

test('whoever was taken from the list does not come back with the token it once used', async (t) => {
  const net = await Net.of(t, ['hosta']);
  const [a] = net.nodes;
  if (a === undefined) throw new Error('one node');
  const dir = emptyDir(t);
  const { token } = createToken(a);
  const join = (address: string, secret = token): Promise<string> =>
    codeOf(joinCluster({ dir, host: 'hostx', address, token: secret }));
  const forget = (): void => {
    leaveCluster({ dir, host: 'hostx' });
  };
  t.is(await join('127.0.0.1:9'), 'ok');
  forget();
  t.is(await join('127.0.0.1:10'), 'ok', 'still on the list: it may repeat its join');
  t.is(a.value(keys.ip('hostx')), '127.0.0.1:10');
  a.tree.write({ [keys.ip('hostx')]: null, [keys.cert('hostx')]: null });
  forget();
  t.is(await join('127.0.0.1:9'), 'token-used');
  t.is(a.value(keys.ip('hostx')), undefined);
  t.is(a.value(keys.cert('hostx')), undefined);
  t.is(await join('127.0.0.1:9', createToken(a).token), 'ok', 'with a new one it may');
});

test('a join may be repeated only while its token is valid', (t) => {
  const dir = emptyDir(t);
  const secret = newSecret(dir, 1000, 900);
  t.true(useSecret(dir, secret, 'x', true, 1000));
  t.false(useSecret(dir, secret, 'x', true, 1000), 'a repetition');
  const code = (now: number, member: boolean): string =>
    t.throws(() => useSecret(dir, secret, 'x', member, now), { instanceOf: MarsError }).code;
  t.is(code(1001, true), 'token-expired');
  t.is(code(1000, false), 'token-used');
});

test('a join moves the clock only with a valid token', async (t) => {
  const net = await Net.of(t, ['hosta']);
  const [a] = net.nodes;
  if (a === undefined) throw new Error('one node');
  const stranger = makeIdentity('hostx', new Date());
  const ask = async (secret: string, lamport: bigint): Promise<JsonObject> => {
    const client = await RawClient.to(a, stranger);
    const params = { secret, address: '127.0.0.1:9' };
    client.send(helloOf(a, 'hostx', { purpose: 'join', lamport: lamport.toString(), params }));
    const { head } = await client.next();
    return head['ok'] === true ? (await client.next()).head : head;
  };
  const ahead = a.tree.clock.real() + 82_800_000_000_000n;
  t.like(await ask('A'.repeat(43), ahead), { t: 'refused', code: 'token-unknown' });
  t.true(a.tree.clock.read() < ahead);
  const { secret } = parseToken(createToken(a).token);
  t.like(await ask(secret, 4_000_000_000_000_000_000n), { ok: false, code: 'stamp-in-future' });
  t.like(await ask(secret, ahead), { t: 'welcome' });
  t.true(a.tree.clock.read() >= ahead);
});

test('strangers that keep silent, with and without TLS, lock out no member; the oldest have to go', async (t) => {
  const { a, identity } = await puppet(t);
  const stranger = makeIdentity('hostx', new Date());
  const sockets: Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (let n = 0; n < 129; n++) {
    const client = await RawClient.to(a, stranger);
    sockets.push(client.socket);
  }
  const member = await RawClient.to(a, identity);
  for (let n = 0; n < 129; n++) {
    const socket = tcp(a.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    sockets.push(socket);
    await once(socket, 'connect');
  }
  member.send(helloOf(a, 'hostb'));
  t.like((await member.next()).head, { ok: true }, 'it was here before most of them');
  const late = await RawClient.to(a, identity);
  late.send(helloOf(a, 'hostb'));
  t.like((await late.next()).head, { ok: true });
  for (const socket of sockets.slice(0, 130)) if (!socket.closed) await once(socket, 'close');
});

test('a cluster is not made twice, nor with a bad name or address', (t) => {
  const dir = emptyDir(t);
  const code = (address: string, host = 'hosta'): string =>
    t.throws(() => createCluster({ dir, host, address }), { instanceOf: MarsError }).code;
  t.is(code('nowhere'), 'bad-address');
  t.is(code('127.0.0.1:1', 'all'), 'bad-name');
  createCluster({ dir, host: 'hosta', address: '127.0.0.1:1' });
  t.is(code('127.0.0.1:1'), 'cluster-exists');
});
