// SPDX-License-Identifier: GPL-2.0-or-later
/** Every refusal: reason code, exit code, what was found, what to do; and nothing written. */
import { closeSync, mkdirSync, openSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { flock } from '../../../src/engine/linktime.js';
import { keys } from '../../../src/tree/catalogue.js';
import { NONE } from '../../../src/tree/types.js';
import { testRefusals, type Case } from './refusal.js';
import { Bench, MIB } from './support.js';

const onB = { host: 'hostb', daemon: true } as const;
const withR = (b: Bench): void => b.resource();

const CASES: readonly Case[] = [
  // making and joining
  {
    name: 'create: exists, joined',
    setup: withR,
    argv: (b) => ['create-resource', 'r1', b.disk()],
    reason: 'already-joined',
    code: 3,
    found: /hosta, hostb/,
  },
  {
    name: 'create: exists elsewhere',
    setup: (b) => {
      b.resource();
      b.write({ [keys.data('r1', 'hosta')]: null });
    },
    argv: (b) => ['create-resource', 'r1', b.disk()],
    reason: 'resource-exists',
    code: 3,
    next: /join-resource r1/,
  },
  {
    name: 'create: device missing',
    setup: () => undefined,
    argv: () => ['create-resource', 'r1', '/nowhere/disk'],
    reason: 'device-missing',
    code: 5,
  },
  {
    name: 'create: a directory',
    setup: () => undefined,
    argv: (b) => ['create-resource', 'r1', b.dir],
    reason: 'device-unusable',
    code: 3,
  },
  {
    name: 'create: too small',
    setup: () => undefined,
    argv: (b) => ['create-resource', 'r1', b.disk('d', 1), '2M'],
    reason: 'device-too-small',
    code: 3,
  },
  {
    name: 'create: odd size',
    setup: () => undefined,
    argv: (b) => ['create-resource', 'r1', b.disk(), '1000'],
    reason: 'bad-size',
    code: 2,
  },
  {
    name: 'create: no size at all',
    setup: () => undefined,
    argv: (b) => ['create-resource', 'r1', b.disk(), '8MiB'],
    reason: 'bad-size',
    code: 2,
  },
  {
    name: 'create: an empty file',
    setup: () => undefined,
    argv: (b) => ['create-resource', 'r1', b.disk('d', 0)],
    reason: 'device-too-small',
    code: 3,
    found: /d\.img has 0 bytes, 65536 are needed/,
  },
  {
    name: 'create: a size below the least',
    setup: () => undefined,
    argv: (b) => ['create-resource', 'r1', b.disk(), '60K'],
    reason: 'bad-size',
    code: 2,
    found: /61440 bytes, 65536 are needed/,
  },
  {
    name: 'create: device of another resource',
    setup: (b) => {
      b.resource('other');
      b.write({ [keys.data('other', 'hosta')]: join(b.dir, 'disk.img') });
    },
    argv: (b) => ['create-resource', 'r1', b.disk()],
    reason: 'device-busy',
    code: 3,
    found: /other/,
  },
  {
    name: 'create: device name taken',
    setup: (b) => b.resource('other'),
    argv: (b) => ['create-resource', 'r1', b.disk(), '--name', 'other'],
    reason: 'device-name-taken',
    code: 3,
  },
  {
    name: 'create: device name longer than a disk name may be',
    setup: (b) => b.write({ [keys.nodeActual('hosta', 'engine')]: 'kernel' }),
    argv: (b) => ['create-resource', 'r'.repeat(27), b.disk()],
    reason: 'device-name-too-long',
    code: 3,
    found: /has 27 characters/,
    next: /--name and at most 26/,
  },
  {
    name: 'create: name with a path',
    setup: () => undefined,
    argv: (b) => ['create-resource', '../x', b.disk()],
    reason: 'bad-name',
    code: 2,
  },
  {
    name: 'create: 64 characters',
    setup: () => undefined,
    argv: (b) => ['create-resource', 'x'.repeat(64), b.disk()],
    reason: 'bad-name',
    code: 2,
  },
  {
    name: 'create: reserved word',
    setup: () => undefined,
    argv: (b) => ['create-resource', 'localhost', b.disk()],
    reason: 'bad-name',
    code: 2,
  },
  {
    name: 'create all',
    setup: () => undefined,
    argv: (b) => ['create-resource', 'all', b.disk()],
    reason: 'bad-name',
    code: 2,
  },
  {
    name: 'join: unknown',
    setup: () => undefined,
    argv: (b) => ['join-resource', 'r1', b.disk()],
    reason: 'no-such-resource',
    code: 5,
  },
  {
    name: 'join: twice',
    setup: withR,
    argv: (b) => ['join-resource', 'r1', b.disk()],
    reason: 'already-joined',
    code: 3,
  },
  {
    name: 'join: nobody is primary',
    setup: (b) => {
      b.resource();
      b.write({ [keys.data('r1', 'hosta')]: null, [keys.primary('r1')]: '(none)' });
    },
    argv: (b) => ['join-resource', 'r1', b.disk()],
    reason: 'no-primary',
    code: 3,
  },
  {
    name: 'join: device too small',
    host: 'hostb',
    setup: (b) => {
      b.resource();
      b.write({ [keys.data('r1', 'hostb')]: null });
    },
    argv: (b) => ['join-resource', 'r1', b.disk('d', 4)],
    reason: 'device-too-small',
    code: 3,
  },
  // leaving
  {
    name: 'leave: primary',
    setup: withR,
    argv: () => ['leave-resource', 'r1'],
    reason: 'is-primary',
    code: 3,
    next: /secondary/,
  },
  {
    name: 'leave: still primary though not designated',
    setup: (b) => {
      b.resource();
      b.write({ [keys.primary('r1')]: 'hostb' });
    },
    argv: () => ['leave-resource', 'r1'],
    reason: 'is-primary',
    code: 3,
    found: /still primary/,
  },
  {
    name: 'leave: nobody is designated and another member lacks what is here',
    setup: (b) => {
      b.resource();
      b.write({
        [keys.primary('r1')]: NONE,
        [keys.actual('r1', 'hosta', 'is-primary')]: '0',
        [keys.version('r1', 1n, 'hosta')]: `${'e'.repeat(32)},log-000000001-hosta,12288:`,
      });
    },
    argv: () => ['leave-resource', 'r1'],
    reason: 'no-primary',
    code: 3,
    found: /hostb still needs what hosta holds/,
    next: /marsadm primary r1/,
  },
  {
    name: 'leave: device open',
    setup: (b) => {
      b.resource();
      b.write({
        [keys.actual('r1', 'hosta', 'open-count')]: '2',
        [keys.actual('r1', 'hosta', 'device-path')]: '/dev/mars/r1',
      });
    },
    argv: () => ['leave-resource', 'r1'],
    reason: 'device-open',
    code: 3,
    found: /open-count of \/dev\/mars\/r1 is 2/,
  },
  {
    name: 'leave: unknown',
    setup: () => undefined,
    argv: () => ['leave-resource', 'nope'],
    reason: 'no-such-resource',
    code: 5,
  },
  {
    name: 'delete: members left',
    setup: withR,
    argv: () => ['delete-resource', 'r1'],
    reason: 'still-members',
    code: 3,
    found: /hosta, hostb/,
  },
  {
    name: 'delete: unknown',
    setup: () => undefined,
    argv: () => ['delete-resource', 'r1'],
    reason: 'no-such-resource',
    code: 5,
  },
  // resizing
  {
    name: 'resize: not primary',
    host: 'hostb',
    setup: withR,
    argv: () => ['resize', 'r1'],
    reason: 'not-primary',
    code: 3,
    found: /hosta/,
  },
  {
    name: 'resize: shrinks',
    setup: withR,
    argv: () => ['resize', 'r1', '4M'],
    reason: 'size-shrinks',
    code: 3,
  },
  {
    name: 'resize: a replica is too small',
    setup: withR,
    argv: () => ['resize', 'r1', '16M'],
    reason: 'device-too-small',
    code: 3,
    next: /grow/,
  },
  // switches
  {
    name: 'detach: device open',
    setup: (b) => {
      b.resource();
      b.write({ [keys.actual('r1', 'hosta', 'open-count')]: '1' });
    },
    argv: () => ['detach', 'r1'],
    reason: 'device-open',
    code: 3,
    next: /wait-umount/,
  },
  {
    name: 'attach: not joined',
    setup: (b) => {
      b.resource();
      b.write({ [keys.data('r1', 'hosta')]: null });
    },
    argv: () => ['attach', 'r1'],
    reason: 'not-joined',
    code: 5,
  },
  {
    name: 'resume-sync: no primary',
    host: 'hostb',
    setup: (b) => {
      b.resource();
      b.write({ [keys.primary('r1')]: '(none)' });
    },
    argv: () => ['resume-sync', 'r1'],
    reason: 'no-primary',
    code: 3,
  },
  // logs
  {
    ...onB,
    name: 'log-rotate: not primary',
    setup: withR,
    argv: () => ['log-rotate', 'r1'],
    reason: 'not-primary',
    code: 3,
    found: /hosta/,
  },
  {
    name: 'log-delete: unknown',
    setup: () => undefined,
    argv: () => ['log-delete', 'r1'],
    reason: 'no-such-resource',
    code: 5,
  },
  // waiting and looking
  {
    name: 'wait-cluster: no daemon',
    setup: () => undefined,
    argv: () => ['wait-cluster'],
    reason: 'no-daemon',
    code: 7,
    found: /hostb/,
  },
  {
    name: 'wait-resource: condition',
    setup: withR,
    argv: () => ['wait-resource', 'r1', 'happy'],
    reason: 'unknown-condition',
    code: 2,
  },
  {
    name: 'wait-resource: unknown',
    setup: () => undefined,
    argv: () => ['wait-resource', 'r1', 'attached'],
    reason: 'no-such-resource',
    code: 5,
  },
  {
    name: 'view: unknown',
    setup: () => undefined,
    argv: () => ['view', 'nope'],
    reason: 'no-such-resource',
    code: 5,
  },
  {
    name: 'view-role: unknown',
    setup: () => undefined,
    argv: () => ['view-role', 'nope'],
    reason: 'no-such-resource',
    code: 5,
  },
  {
    name: 'view: hostile name',
    setup: () => undefined,
    argv: () => ['view', '../../etc'],
    reason: 'bad-name',
    code: 2,
  },
  // keys
  {
    name: 'get-link: missing',
    setup: () => undefined,
    argv: () => ['get-link', 'userspace/x'],
    reason: 'no-such-key',
    code: 5,
  },
  {
    name: 'get-link: outside',
    setup: () => undefined,
    argv: () => ['get-link', '/etc/passwd'],
    reason: 'bad-key',
    code: 2,
  },
  {
    name: 'set-link: protected',
    setup: withR,
    argv: () => ['set-link', 'hostb', 'resource-r1/primary'],
    reason: 'key-protected',
    code: 3,
  },
  {
    name: 'set-link: value',
    setup: withR,
    argv: () => ['set-link', '--force', '../x', 'resource-r1/primary'],
    reason: 'bad-value',
    code: 2,
  },
  {
    name: 'delete-file: missing',
    setup: () => undefined,
    argv: () => ['delete-file', 'userspace/x'],
    reason: 'no-such-key',
    code: 5,
  },
  {
    name: 'cat: missing',
    setup: () => undefined,
    argv: () => ['cat', 'nothing'],
    reason: 'no-such-file',
    code: 5,
  },
  {
    name: 'explain: unknown',
    setup: () => undefined,
    argv: () => ['explain', 'nonsense'],
    reason: 'unknown-reason',
    code: 5,
  },
  // who and where
  {
    name: 'acting for a stranger',
    setup: withR,
    argv: () => ['attach', 'r1', '--host', 'hostx'],
    reason: 'not-a-member',
    code: 3,
    found: /hosta, hostb/,
  },
  {
    name: 'hostile host name',
    setup: withR,
    argv: () => ['attach', 'r1', '--host', '../b'],
    reason: 'bad-name',
    code: 2,
  },
  {
    name: '--force with all',
    setup: (b) => {
      b.resource();
      b.resource('r2');
    },
    argv: () => ['attach', 'all', '--force'],
    reason: 'usage',
    code: 2,
  },
  {
    name: '--force with all, although that is one only',
    setup: withR,
    argv: () => ['leave-resource', 'all', '--force'],
    reason: 'usage',
    code: 2,
  },
];

testRefusals(CASES);

test('refused: a data file that somebody has locked', async (t) => {
  const b = new Bench(t);
  const disk = b.disk();
  const fd = openSync(disk, 'r+');
  t.teardown(() => closeSync(fd));
  flock(fd, 'exclusive');
  const ran = await b.run('create-resource', 'r1', disk, '--json');
  t.is(ran.json.reason, 'device-busy');
  t.regex(ran.json.found ?? '', new RegExp(`locked by process ${process.pid}`));
});

test('refused: no tree, and a tree that is not one', async (t) => {
  const b = new Bench(t);
  t.is((await b.run('view', '--dir', join(b.dir, 'nowhere'), '--json')).json.reason, 'no-cluster');
  mkdirSync(join(b.dir, 'empty'));
  const ran = await b.run('view', '--dir', join(b.dir, 'empty'), '--json');
  t.is(ran.json.reason, 'no-cluster');
  t.is(ran.code, 5);
  t.regex(ran.json.next ?? '', /create-cluster/);
});

test('refused: the lock directory cannot be made', async (t) => {
  const b = new Bench(t);
  b.resource();
  const other = join(b.dir, 'ro');
  mkdirSync(other);
  symlinkSync('0123456789abcdef0123456789abcdef', join(other, 'uuid'));
  mkdirSync(join(other, 'ips'));
  symlinkSync('127.0.0.1:7801', join(other, 'ips/ip-hosta'));
  // A file where a directory must be: not even root can write there.
  symlinkSync('nothing', join(other, 'local'));
  const ran = await b.run('set-link', 'v', 'userspace/k', '--dir', other, '--json');
  t.is(ran.json.reason, 'tree-not-writable', ran.out);
  t.is(ran.code, 1);
});

test('sizes in the refusal are bytes', async (t) => {
  const b = new Bench(t);
  const ran = await b.run('create-resource', 'r1', b.disk('d', 1), '2M', '--json');
  t.regex(ran.json.found ?? '', new RegExp(`${MIB} bytes, ${2 * MIB} are needed`));
});
