// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Those who may not, and those who may but speak nonsense, at the door of a
 * running daemon: tokens, certificates, bytes, names, clocks, a second daemon.
 * Afterwards the daemon serves as before.
 */
import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import { connect as tcp, createServer, type Socket } from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { openCluster } from '../../src/cluster/cluster.js';
import { encodeHead, FrameDecoder, FULL_LIMITS } from '../../src/cluster/frame.js';
import { loadIdentity, makeIdentity, type Identity } from '../../src/cluster/identity.js';
import type { JsonObject } from '../../src/cluster/types.js';
import { linkInfo, setLinkTime } from '../../src/engine/linktime.js';
import { LamportClock, realNow } from '../../src/lamport/clock.js';
import { openTree } from '../../src/tree/tree.js';
import { LabNode } from '../../lab/lab.js';
import { block, BLOCK, compareImages, makeLab, onDevice, R, refused, textOf } from './support.js';

const YEAR = 365n * 86_400n * 1_000_000_000n;

/** TLS to a node's daemon with this identity. */
async function dial(node: LabNode, identity: Identity): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: node.port,
    key: identity.key,
    cert: identity.certPem,
    ALPNProtocols: ['mars'],
    rejectUnauthorized: false,
  });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

const hello = (node: LabNode, host: string, more: JsonObject = {}): JsonObject => ({
  purpose: 'tree',
  protocol: { min: 1, max: 1 },
  cluster: node.link('uuid') ?? '',
  host,
  lamport: realNow().toString(),
  params: {},
  ...more,
});

/** Resolves when the connection is over, however it ended. */
const gone = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once('close', () => resolve()));

/** Send these bytes, return the heads that come back until the other side closes. */
async function say(socket: tls.TLSSocket, ...bytes: Buffer[]): Promise<JsonObject[]> {
  const decoder = new FrameDecoder(FULL_LIMITS);
  const heads: JsonObject[] = [];
  socket.on('data', (chunk: Buffer) => decoder.push(chunk, (frame) => heads.push(frame.head)));
  const closed = gone(socket);
  for (const part of bytes) socket.write(part);
  await closed;
  return heads;
}

const frame = (head: JsonObject, body = Buffer.alloc(0)): Buffer =>
  Buffer.concat([encodeHead(head, body.length), body]);

/** The resource works from end to end. */
async function serves(t: ExecutionContext, a: LabNode, b: LabNode, word: string): Promise<void> {
  await onDevice(a, (d) => d.write(0, block(word)));
  await b.marsadm(['wait-resource', R, 'uptodate']);
  t.is(textOf(await onDevice(a, (d) => d.read(0, BLOCK))), word);
}

test.serial('strangers and nonsense at the port change nothing', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];

  // a certificate that is no member's, under the name of one and of nobody
  for (const host of ['b', 'x'])
    for (const purpose of ['tree', 'log', 'sync']) {
      const socket = await dial(a, makeIdentity(host, new Date()));
      const [answer] = await say(socket, frame(hello(a, host, { purpose })));
      t.like(answer, { ok: false, code: 'cert-not-member' });
    }
  // a member under the name of another one, and one that is of another cluster
  const member = loadIdentity(b.dir);
  t.like((await say(await dial(a, member), frame(hello(a, 'a'))))[0], { ok: false, code: 'cert-not-member' });
  t.like((await say(await dial(a, member), frame(hello(a, 'b', { cluster: '0'.repeat(32) }))))[0], {
    ok: false,
    code: 'other-cluster',
  });
  t.like((await say(await dial(a, member), frame(hello(a, 'b', { protocol: { min: 77, max: 78 } }))))[0], {
    ok: false,
    code: 'protocol-mismatch',
  });
  await serves(t, a, b, 'after strangers');

  // no TLS at all
  for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(65_536, 0xa5), Buffer.alloc(0)]) {
    const socket = tcp(a.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const closed = gone(socket);
    socket.end(bytes);
    socket.resume();
    await closed;
  }
  // a member that sends rubbish: as its first words, and after a proper greeting
  const huge = Buffer.alloc(8);
  huge.writeUInt32LE(0xffff_fff0, 0);
  huge.writeUInt32LE(0x7fff_ffff, 4);
  const rubbish = [
    huge,
    Buffer.from([4, 0, 0, 0, 255, 255, 255, 255]),
    Buffer.concat([Buffer.from([8, 0, 0, 0, 4, 0, 0, 0]), Buffer.from('{{{{')]),
    frame({ t: 'entries', n: -1 }),
    frame({ t: 'entries', n: 1, lamport: '1' }, Buffer.alloc(70_000, 0xee)),
    Buffer.alloc(100_000, 0x41),
  ];
  for (const bytes of rubbish) await say(await dial(a, member), bytes);
  for (const purpose of ['log', 'sync'])
    for (const params of [
      {},
      { resource: '../../etc', uuid: 'x' },
      { resource: R, uuid: '0'.repeat(32), number: '1', origin: 'a', from: '-1' },
    ]) {
      const heads = await say(await dial(a, member), frame(hello(a, 'b', { purpose, params })));
      t.true(
        heads.some((h) => h['t'] === 'refused' || h['ok'] === false),
        `${purpose} ${JSON.stringify(params)}`,
      );
    }
  const uuid = a.link(`resource-${R}/uuid`) ?? '';
  const beyond = { resource: R, uuid, number: '1', origin: 'a', from: '999999999999' };
  const heads = await say(await dial(a, member), frame(hello(a, 'b', { purpose: 'log', params: beyond })));
  t.true(heads.some((h) => h['reason'] === 'position-beyond-end'));
  for (const bytes of rubbish)
    await say(
      await dial(a, member),
      frame(hello(a, 'b', { purpose: 'sync', params: { resource: R, uuid } })),
      bytes,
    );

  t.true(a.running);
  await serves(t, a, b, 'after rubbish');
  await compareImages(t, lab, a);
});

test.serial('tokens: wrong, used, for somebody else; the cluster is the same afterwards', async (t) => {
  const lab = await makeLab(t, { nodes: ['a', 'b'] });
  const [a, b] = [lab.node('a'), lab.node('b')];
  const guest = (name: string): LabNode => {
    const node = new LabNode(name, path.join(lab.dir, name), a.port, []);
    mkdirSync(node.dir, { mode: 0o700 });
    return node;
  };
  const join = (token: string): string[] => ['join-cluster', token, '--address', '127.0.0.1:1'];
  const token = await a.ask('join-token');

  await refused(t, guest('m1'), join('nonsense'), 2, 'token-malformed');
  await refused(t, guest('m2'), join(`${token}x`), 2, 'token-malformed');
  // the same token with another secret
  const forged = await b.ask('join-token', '--address', `127.0.0.1:${a.port}`);
  await refused(t, guest('m3'), join(forged), 6, 'cert-mismatch');
  await refused(t, guest('a'.repeat(64)), join(token), 2, 'bad-name');

  const c = guest('c');
  await c.marsadm(join(token));
  await refused(t, guest('d'), join(token), 3, 'token-used');
  t.deepEqual((await a.ask('view-cluster-members')).split('\n'), ['a', 'b', 'c']);
  const again = await a.ask('join-token');
  await refused(t, c, join(again), 3, 'cluster-exists');
  await serves(t, a, b, 'after tokens');
});

test.serial('hostile names are refused before anything is written', async (t) => {
  const lab = await makeLab(t, { nodes: ['a'] });
  const a = lab.node('a');
  const names = [
    '../x',
    'a/b',
    'x'.repeat(64),
    'all',
    'none',
    'local',
    '.',
    '..',
    'a.b',
    'a b',
    'a\nb',
    'ä',
    '$(id)',
  ];
  for (const name of names)
    await refused(t, a, ['create-resource', name, path.join(lab.dir, 'a.img')], 2, 'bad-name');
  t.is(await a.ask('view-all-resources'), R);
  await refused(t, a, ['set-link', 'value', '../../outside'], 2, 'bad-key');
  await refused(t, a, ['set-link', '--force', 'value', 'resource-x/log-000000001-a'], 2, 'bad-key');
  await refused(t, a, ['set-link', '--force', '../../etc/passwd', `resource-${R}/primary`], 2, 'bad-value');
  await refused(t, a, ['set-link', 'two\nlines', 'userspace/note'], 2, 'bad-value');
  t.is(await a.ask('view-get-primary', R), 'a');
});

test.serial('a second daemon on the same tree is refused; the first one does not notice', async (t) => {
  const lab = await makeLab(t, { nodes: ['a'] });
  const a = lab.node('a');
  const outcome = await a.attempt();
  t.is(outcome.code, 3);
  t.regex(outcome.stderr, /daemon-running/);
  t.is(textOf(await onDevice(a, async (d) => (await d.write(0, block('one')), d.read(0, BLOCK)))), 'one');
});

test.serial('links stamped a year ahead are reported, replaced, and infect nobody', async (t) => {
  const lab = await makeLab(t);
  const [a, b] = [lab.node('a'), lab.node('b')];
  await a.marsadm(['set-link', 'good', 'userspace/note']);
  await a.marsadm(['wait-cluster']);
  await b.stop();
  const ahead = realNow() + YEAR;
  const note = path.join(b.dir, 'userspace/note');
  setLinkTime(note, ahead);
  const own = path.join(b.dir, `resource-${R}/todo-b/connect`);
  setLinkTime(own, ahead);
  symlinkSync('evil', path.join(b.dir, 'userspace/evil'));
  setLinkTime(path.join(b.dir, 'userspace/evil'), ahead);
  await b.start();
  t.regex(b.log, /stamp-in-future userspace\/note/);
  await b.marsadm(['wait-cluster']);
  await a.marsadm(['wait-cluster']);
  t.is(a.link('userspace/note'), 'good');
  t.is(a.link('userspace/evil'), undefined);
  t.is(b.link(`resource-${R}/todo-b/connect`), '1');
  const limit = realNow() + YEAR / 2n;
  t.true((linkInfo(own)?.mtimeNs ?? ahead) < limit);
  t.true((linkInfo(path.join(a.dir, 'userspace/note'))?.mtimeNs ?? ahead) < limit);
  await a.marsadm(['set-link', 'better', 'userspace/note']);
  await b.waitLink('userspace/note', (v) => v === 'better');
  await serves(t, a, b, 'after the future');
  await compareImages(t, lab, a);
});

test.serial(
  'a member whose clock is a year ahead is refused, says so, and comes back when it is right',
  async (t) => {
    const lab = await makeLab(t);
    const [a, b] = [lab.node('a'), lab.node('b')];
    await serves(t, a, b, 'before');
    await b.stop();
    // what the daemon of b would be with such a clock: its tree, its key, its port
    const clock = new LamportClock({ now: () => realNow() + YEAR });
    const tree = openTree({ dir: b.dir, host: 'b', clock, guard: true });
    const cluster = openCluster({ tree });
    const told = new Promise<void>((resolve) => {
      cluster.onPeerChange(() => {
        if (cluster.peers().some((peer) => peer.reason === 'stamp-in-future')) resolve();
      });
    });
    await cluster.start();
    tree.write({ 'userspace/note': 'from the future', [`resource-${R}/primary`]: 'b' });
    await told;
    await a.waitLink('local/peer-b', (v) => v === 'unreachable:stamp-in-future');
    t.is(a.link('userspace/note'), undefined);
    t.is(a.link(`resource-${R}/primary`), 'a');
    t.true((await onDevice(a, (d) => d.read(0, BLOCK))).length === BLOCK);
    await cluster.close();
    tree.close();

    // the clock is right again, but what it wrote is not: somebody has to say so
    const outcome = await b.attempt();
    t.is(outcome.code, 1);
    t.regex(outcome.stderr, /clock-behind/);
    t.regex(outcome.stderr, /marsd --accept-clock/);
    await b.start(['--accept-clock']);
    await b.marsadm(['wait-cluster']);
    await b.stop();
    await b.start();
    await b.marsadm(['wait-cluster']);
    t.is(b.link(`resource-${R}/primary`), 'a');
    await a.marsadm(['set-link', 'from the present', 'userspace/note']);
    await b.waitLink('userspace/note', (v) => v === 'from the present');
    await serves(t, a, b, 'afterwards');
    await compareImages(t, lab, a);
  },
);

test.serial('a daemon whose port is taken ends with the reason, and opens nothing', async (t) => {
  const lab = await makeLab(t, { nodes: ['a'] });
  const a = lab.node('a');
  await onDevice(a, (d) => d.write(0, block('kept')));
  await a.stop();
  const other = createServer().listen(a.port, '127.0.0.1');
  await once(other, 'listening');
  const outcome = await a.attempt();
  t.is(outcome.code, 1);
  t.regex(outcome.stderr, /EADDRINUSE/);
  t.is(a.link(`resource-${R}/actual-a/is-primary`), '0');
  other.close();
  await once(other, 'close');
  await a.start();
  await a.marsadm(['wait-resource', R, 'is-primary']);
  t.is(textOf(await onDevice(a, (d) => d.read(0, BLOCK))), 'kept');
});
