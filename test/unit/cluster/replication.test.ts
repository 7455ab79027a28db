// SPDX-License-Identifier: GPL-2.0-or-later
/** The tree between hosts: three nodes in one process, real TLS, real directories. */
import { cpSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import test from 'ava';
import { FULL_LIMITS } from '../../../src/cluster/frame.js';
import { makeIdentity } from '../../../src/cluster/identity.js';
import { SocketStream } from '../../../src/cluster/stream.js';
import { linkInfo, setLinkTime } from '../../../src/engine/linktime.js';
import { keys, MAX_VALUE } from '../../../src/tree/catalogue.js';
import { systemCalls, type TreeNative } from '../../../src/tree/disk.js';
import type { LinkTree } from '../../../src/tree/tree.js';
import { Net } from './support.js';

const K = keys.userspace('note');
const YEAR = 365n * 86_400n * 1_000_000_000n;

function trio(net: Net): [Net['nodes'][number], Net['nodes'][number], Net['nodes'][number]] {
  const [a, b, c] = net.nodes;
  if (a === undefined || b === undefined || c === undefined) throw new Error('three nodes');
  return [a, b, c];
}

function same(x: LinkTree, y: LinkTree): boolean {
  const horizon = x.horizon() > y.horizon() ? x.horizon() : y.horizon();
  return x.digests(horizon).equals(y.digests(horizon));
}

test('three nodes converge; what was written later never arrives earlier', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b, c] = trio(net);
  for (let i = 0; i < 1200; i++) a.tree.write({ [keys.userspace(`k${i}`)]: `${i}` });
  b.tree.write({ [keys.barrier('hostb')]: '1' });
  const stamp = a.tree.write({ [keys.barrier('hosta')]: '1' });
  await b.untilValue(keys.merged('hostc', 'hosta'), stamp.toString());
  t.is(c.tree.snapshot().list(keys.userspace('k')).length, 1200);
  await a.untilValue(keys.merged('hostb', 'hosta'), stamp.toString());
  t.is(b.tree.snapshot().list(keys.userspace('k')).length, 1200);
  await a.until('all equal', () => same(a.tree, b.tree) && same(a.tree, c.tree));
  await a.untilValue(keys.peer('hostb'), 'connected');
});

test('a partition: both sides go on, then agree; a third host forwards meanwhile', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b, c] = trio(net);
  await net.relays();
  await net.cut(a, c);
  await a.until('c unreachable', () => !a.connectedTo(c));
  await c.until('a unreachable', () => !c.connectedTo(a));
  t.true(c.value(keys.peer('hosta'))?.startsWith('unreachable:'));
  a.tree.write({ [K]: 'over b' });
  await c.untilValue(K, 'over b');
  await net.cut(b, c);
  await c.until('b unreachable', () => !c.connectedTo(b));
  a.tree.write({ [K]: 'left', [keys.userspace('left')]: '1' });
  const later = c.tree.write({ [K]: 'right', [keys.userspace('right')]: '1' });
  await b.untilValue(K, 'left');
  t.is(c.value(K), 'right');
  await net.restore(b, c);
  await net.restore(a, c);
  for (const node of net.nodes) {
    await node.untilValue(keys.userspace('left'), '1');
    await node.untilValue(keys.userspace('right'), '1');
    await node.untilValue(K, 'right');
    t.is(node.tree.snapshot().get(K)?.stamp, later);
  }
  await net.untilConnected();
});

test('a link over which no byte passes counts as dead; replication goes on when it is back', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb']);
  const [a, b] = net.nodes;
  if (a === undefined || b === undefined) throw new Error('two nodes');
  await net.relays();
  for (const relay of net.links.values()) relay.freeze();
  a.tree.write({ [K]: 'in vain' });
  await a.until('b dead', () => !a.connectedTo(b));
  await b.until('a dead', () => !b.connectedTo(a));
  for (const relay of net.links.values()) await relay.restore();
  await b.untilValue(K, 'in vain');
  t.true(a.notes.some((n) => n.kind === 'disconnected' && n.text.includes('peer-unreachable')));
});

test('rm by hand while the daemon is down: peers send it again', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb']);
  const [a, b] = net.nodes;
  if (a === undefined || b === undefined) throw new Error('two nodes');
  const stamp = a.tree.write({ [K]: 'x', [keys.primary('r')]: 'hosta' });
  await b.untilValue(keys.primary('r'), 'hosta');
  await b.down();
  unlinkSync(join(b.dir, K));
  rmSync(join(b.dir, 'resource-r'), { recursive: true });
  await b.up();
  await b.untilValue(K, 'x');
  await b.untilValue(keys.primary('r'), 'hosta');
  t.is(linkInfo(join(b.dir, K))?.mtimeNs, stamp);
});

test('a tombstone is collected when every member has it, and nothing comes back', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b, c] = trio(net);
  const before = a.tree.write({ [K]: 'x' });
  for (const node of [b, c]) await node.untilValue(K, 'x');
  await c.down();
  const deleted = a.tree.write({ [K]: null });
  await b.untilValue(K, undefined);
  const mark = a.tree.write({ [keys.barrier('hosta')]: '1' });
  await a.untilValue(keys.merged('hostb', 'hosta'), mark.toString());
  t.is(a.tree.snapshot().raw(K)?.stamp, deleted, 'kept while a member does not have it');
  await c.up();
  for (const node of net.nodes)
    await node.until('collected', () => node.tree.snapshot().raw(K) === undefined);
  for (const node of net.nodes) await node.until('horizon', () => node.tree.horizon() >= deleted);
  // the old link put back by hand, with its old time
  b.tree.write({ [keys.userspace('other')]: '1' });
  for (const node of net.nodes) t.is(linkInfo(join(node.dir, K)), undefined);
  t.true(before < deleted);
});

test('a node restored from a backup with a deleted key does not bring it back', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b, c] = trio(net);
  a.tree.write({ [K]: 'x', [keys.userspace('kept')]: 'old' });
  await c.untilValue(K, 'x');
  await c.down();
  const backup = `${c.dir}.backup`;
  t.teardown(() => {
    rmSync(backup, { recursive: true, force: true });
  });
  cpSync(c.dir, backup, { recursive: true, verbatimSymlinks: true });
  for (const leaf of ['note', 'kept'])
    setLinkTime(join(backup, 'userspace', leaf), linkInfo(join(c.dir, 'userspace', leaf))?.mtimeNs ?? 0n);
  await c.up();
  await net.untilConnected();
  const deleted = a.tree.write({ [K]: null, [keys.userspace('kept')]: 'new' });
  for (const node of net.nodes)
    await node.until(
      'collected',
      () => node.tree.snapshot().raw(K) === undefined && node.tree.horizon() >= deleted,
    );
  await c.down();
  rmSync(c.dir, { recursive: true });
  cpSync(backup, c.dir, { recursive: true, verbatimSymlinks: true });
  for (const leaf of ['note', 'kept'])
    setLinkTime(join(c.dir, 'userspace', leaf), linkInfo(join(backup, 'userspace', leaf))?.mtimeNs ?? 0n);
  await c.up();
  t.is(c.value(K), 'x', 'restored here');
  await c.untilValue(K, undefined);
  await c.untilValue(keys.userspace('kept'), 'new');
  const stamp = c.tree.write({ [keys.barrier('hostc')]: '1' });
  await c.untilValue(keys.merged('hosta', 'hostc'), stamp.toString());
  await c.untilValue(keys.merged('hostb', 'hostc'), stamp.toString());
  for (const node of [a, b]) t.is(node.tree.snapshot().raw(K), undefined);
  t.true(c.notes.some((n) => n.kind === 'stale-dropped'));
});

test('a member away beyond the retention is not waited for, is flagged, and cannot resurrect anything', async (t) => {
  const retention = 1_000_000_000n;
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc'], { retention });
  const [a, b, c] = trio(net);
  a.tree.write({ [K]: 'x' });
  await c.untilValue(K, 'x');
  await c.down();
  const deleted = a.tree.write({ [K]: null });
  // the next marks come by themselves; time passes by the clock of the hosts
  a.skew = b.skew = 3_600_000_000_000n;
  for (const node of [a, b]) {
    await node.until(
      'collected',
      () => node.tree.snapshot().raw(K) === undefined && node.tree.horizon() >= deleted,
    );
    await node.until('flagged', () => node.value(keys.nodeActual(node.host, 'away-hostc')) !== undefined);
  }
  c.skew = a.skew;
  await c.up({ retention });
  t.is(c.value(K), 'x');
  await c.untilValue(K, undefined);
  const stamp = c.tree.write({ [keys.barrier('hostc')]: '1' });
  await c.untilValue(keys.merged('hosta', 'hostc'), stamp.toString());
  for (const node of net.nodes) t.is(node.tree.snapshot().raw(K), undefined, node.host);
});

test('a host with its clock a year ahead is refused on both sides, reported, and infects nobody', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b, c] = trio(net);
  await b.down();
  b.skew = YEAR;
  await b.up();
  const future = b.tree.write({ [K]: 'from the future' });
  await a.until('reason', () =>
    a.cluster.peers().some((p) => p.host === 'hostb' && p.reason === 'stamp-in-future'),
  );
  await b.until('reason', () => b.cluster.peers().every((p) => p.reason === 'stamp-in-future'));
  t.is(a.value(keys.peer('hostb')), 'unreachable:stamp-in-future');
  a.tree.write({ [K]: 'now' });
  await c.untilValue(K, 'now');
  for (const node of [a, c]) t.true(node.tree.clock.tick() < future - YEAR / 2n);
  // corrected: back in the cluster, its own illegal stamps do not win
  await b.down();
  b.skew = 0n;
  await b.up();
  await net.untilConnected();
  await b.untilValue(K, 'now');
});

test('equal stamps with different values end up the same everywhere', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b, c] = trio(net);
  await net.relays();
  for (const [x, y] of [
    [a, b],
    [b, c],
    [a, c],
  ] as const)
    await net.cut(x, y);
  for (const node of net.nodes)
    await node.until('alone', () => node.cluster.peers().every((p) => !p.connected));
  for (const node of net.nodes) node.tree.merge([{ key: K, value: `by ${node.host}`, stamp: 1000n }]);
  for (const [x, y] of [
    [a, b],
    [b, c],
    [a, c],
  ] as const)
    await net.restore(x, y);
  for (const node of net.nodes) await node.untilValue(K, 'by hostc');
  t.pass();
});

test('what a host missed may be more than one message can hold', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb']);
  const [a, b] = net.nodes;
  if (a === undefined || b === undefined) throw new Error('two nodes');
  await b.down();
  // JSON makes two bytes of each quote.
  const value = '"'.repeat(MAX_VALUE);
  const written = Array.from({ length: 600 }, (_, i) => [keys.userspace(`big${i}`), value] as const);
  a.tree.write(Object.fromEntries(written));
  await b.up();
  const stamp = a.tree.write({ [keys.barrier('hosta')]: '1' });
  await a.untilValue(keys.merged('hostb', 'hosta'), stamp.toString());
  for (const [key] of written) t.is(b.value(key), value);
});

test('a member removed while a host restored from a backup was away is cut off when that comes to light', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b, c] = trio(net);
  const removed = makeIdentity('hostd', new Date());
  const list = { [keys.ip('hostd')]: '127.0.0.1:9', [keys.cert('hostd')]: removed.cert.toString('base64') };
  a.tree.write(list);
  await c.until('hostd listed', () => c.cluster.peers().some((p) => p.host === 'hostd'));
  await c.down();
  const backup = `${c.dir}.backup`;
  t.teardown(() => {
    rmSync(backup, { recursive: true, force: true });
  });
  const copy = (from: string, to: string): void => {
    cpSync(from, to, { recursive: true, verbatimSymlinks: true });
    for (const key of Object.keys(list)) setLinkTime(join(to, key), linkInfo(join(from, key))?.mtimeNs ?? 0n);
  };
  copy(c.dir, backup);
  await c.up();
  await net.untilConnected();
  const gone = a.tree.write({ [keys.ip('hostd')]: null, [keys.cert('hostd')]: null });
  for (const node of net.nodes) await node.until('collected', () => node.tree.horizon() >= gone);
  await c.down();
  // Nobody tells it before it has been seen to believe its backup.
  await a.down();
  await b.down();
  rmSync(c.dir, { recursive: true });
  copy(backup, c.dir);
  await c.up();
  t.true(c.cluster.peers().some((p) => p.host === 'hostd'));
  await a.up();
  await c.untilValue(keys.cert('hostd'), undefined);
  await c.until('not called any more', () => c.cluster.peers().every((p) => p.host !== 'hostd'));
  const socket = tls.connect({
    host: '127.0.0.1',
    port: c.port,
    key: removed.key,
    cert: removed.certPem,
    ALPNProtocols: ['mars'],
    rejectUnauthorized: false,
  });
  t.teardown(() => socket.destroy());
  const stream = new SocketStream(socket, FULL_LIMITS);
  await stream.send({
    purpose: 'log',
    protocol: { min: 1, max: 1 },
    cluster: c.value(keys.uuid) ?? '',
    host: 'hostd',
    lamport: c.tree.clock.tick().toString(),
    params: {},
  });
  t.like((await stream.take())?.head, { ok: false, code: 'cert-not-member' });
});

test('all who were removed are cut off, even if that cannot be written', async (t) => {
  const net = await Net.of(t, ['hosta', 'hostb', 'hostc']);
  const [a, b, c] = trio(net);
  await a.down();
  let full = false;
  const native: TreeNative = {
    ...systemCalls,
    flock: (fd, mode, wait) => {
      if (full) throw Object.assign(new Error('no locks left'), { code: 'ENOLCK' });
      return systemCalls.flock(fd, mode, wait);
    },
  };
  await a.up({}, native);
  await net.untilConnected();
  const off = { [keys.ip('hostb')]: null, [keys.cert('hostb')]: null };
  a.tree.write({ ...off, [keys.ip('hostc')]: null, [keys.cert('hostc')]: null });
  full = true;
  await a.until('both cut off', () => a.cluster.peers().length === 0);
  await a.until('reported', () => a.notes.some((n) => n.kind === 'failed'));
  full = false;
  t.not(a.value(keys.peer('hostb')), undefined);
  // What could not be removed goes with the next change of the list.
  a.tree.write({ [keys.ip('hosta')]: 'localhost:1' });
  for (const host of [b.host, c.host]) {
    await a.untilValue(keys.peer(host), undefined);
    await a.untilValue(keys.synced(host), undefined);
  }
});
