// SPDX-License-Identifier: GPL-2.0-or-later
import test from 'ava';
import { MarsError } from '../../../src/errors.js';
import * as c from '../../../src/tree/catalogue.js';

test('names: good and hostile ones', (t) => {
  for (const name of ['a', 'host-a', '_x', '0', 'x'.repeat(63), 'A_b-9']) t.is(c.validHost(name), name);
  for (const name of [
    '',
    '-a',
    '../x',
    'a/b',
    'a.b',
    'x'.repeat(64),
    'all',
    'none',
    'localhost',
    'ä',
    'a b',
    'a\n',
    '.',
  ]) {
    const error = t.throws(() => c.validResource(name), { instanceOf: MarsError }, name);
    t.is(error.code, 'bad-name');
  }
});

test('addresses', (t) => {
  for (const text of ['127.0.0.1:7777', '[fe80::1]:1', 'node.example.org:65535']) {
    const address = c.parseAddress(text);
    t.truthy(address);
    t.is(address && c.formatAddress(address), text);
  }
  for (const text of ['', 'x', 'x:0', 'x:65536', ':1', 'a b:1', '[x]:1', '-a:1'])
    t.is(c.parseAddress(text), undefined, text);
});

test('positions', (t) => {
  const p = { number: 3n, origin: 'host-a', pos: 4096n, dirty: 12n };
  t.is(c.formatPosition(p), 'log-000000003-host-a,4096,12');
  t.deepEqual(c.parsePosition('log-000000003-host-a,4096,12'), p);
  t.deepEqual(c.parsePosition('log-000000003-host-a,4096'), { ...p, dirty: 0n });
  t.is(c.formatPosition({ number: 3n, origin: 'h', pos: 0n }), 'log-000000003-h,0');
  for (const text of [
    '',
    'log-3-h,0,0',
    'log-000000003-h',
    'log-000000003-h,-1',
    'log-000000003-h,1,2,3',
    'log-000000003-h,01',
  ])
    t.is(c.parsePosition(text), undefined, text);
  t.throws(() => c.formatLogName(1_000_000_000n, 'h'), { instanceOf: MarsError });
});

test('versions', (t) => {
  const first = `${'a'.repeat(32)},log-000000001-h,8192:`;
  const second = `${'b'.repeat(32)},log-000000002-g,0:${'a'.repeat(32)},log-000000001-h,8192`;
  for (const text of [first, second]) {
    const version = c.parseVersion(text);
    t.is(version && c.formatVersion(version), text);
  }
  t.is(c.parseVersion(first)?.prev, undefined);
  t.is(c.parseVersion(second)?.prev?.pos, 8192n);
  for (const text of ['', 'x', first.slice(0, -1), `${first}x`, second.slice(0, -1) + 'x'])
    t.is(c.parseVersion(text), undefined, text);
});

test('every builder makes a key, and knows who owns it', (t) => {
  const owned = [
    c.keys.ip('h-1'),
    c.keys.cert('h-1'),
    c.keys.nodeActual('h-1', 'alive'),
    c.keys.merged('h-1', 'p'),
    c.keys.barrier('h-1'),
    c.keys.data('r', 'h-1'),
    c.keys.device('r', 'h-1'),
    c.keys.actsize('r', 'h-1'),
    c.keys.replay('r', 'h-1'),
    c.keys.version('r', 7n, 'h-1'),
    c.keys.syncstatus('r', 'h-1'),
    c.keys.syncpos('r', 'h-1'),
    c.keys.todo('r', 'h-1', 'attach'),
    c.keys.actual('r', 'h-1', 'is-primary'),
    c.keys.msg('r', 'h-1', 'x'),
  ];
  for (const key of owned) {
    t.true(c.isReplicated(key), key);
    t.is(c.keyOwner(key), 'h-1', key);
  }
  for (const key of [
    c.keys.uuid,
    c.keys.primary('r'),
    c.keys.size('r'),
    c.keys.maxnr('r'),
    c.keys.timeline('r'),
    c.keys.resourceUuid('r'),
    c.keys.lastPrimary('r'),
    c.keys.default('x'),
    c.keys.userspace('x'),
  ]) {
    t.true(c.isReplicated(key), key);
    t.is(c.keyOwner(key), undefined, key);
  }
  for (const key of [
    c.keys.peer('h'),
    c.keys.listen,
    c.keys.peerAddress('h'),
    c.keys.horizon,
    c.keys.synced('h'),
  ]) {
    t.true(c.isKey(key), key);
    t.false(c.isReplicated(key), key);
  }
});

test('what is not a key', (t) => {
  for (const key of [
    'local-h/x',
    'cache/x',
    'backup-1/x',
    'dev/x',
    'ignore',
    'resource-r/.tmp-1',
    'resource-r/log-000000001-h',
    'userspace',
    'resource-r/todo-h',
    'resource-r/a/b',
    'resource-r/todo-h/a/b',
    '__proto__/x',
  ])
    t.false(c.isKey(key), key);
});

test('values must fit known keys; unknown keys take any printable text', (t) => {
  t.true(c.fitsKey('resource-r/actual-h/new-fact', 'anything at all'));
  t.true(c.fitsKey(c.keys.primary('r'), '(none)'));
  t.true(c.fitsKey(c.keys.size('r'), '.deleted'));
  t.false(c.fitsKey(c.keys.primary('r'), '../x'));
  t.false(c.fitsKey('userspace/x', 'bell\u0007'));
  t.false(c.fitsKey(c.keys.cert('h'), 'short'));
  // Nobody takes from a primary the number of its next log.
  t.true(c.fitsKey(c.keys.maxnr('r'), '999999998'));
  t.false(c.fitsKey(c.keys.maxnr('r'), '999999999'));
});
