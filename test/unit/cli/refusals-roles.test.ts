// SPDX-License-Identifier: GPL-2.0-or-later
/** Refusals of handover, forced switch, secondary and invalidate. */
import { keys } from '../../../src/tree/catalogue.js';
import { testRefusals, type Case } from './refusal.js';
import type { Bench } from './support.js';

const onB = { host: 'hostb', daemon: true } as const;
const withR = (b: Bench): void => b.resource();

/** hostc was made primary by force while hosta kept its device open: hosta remains primary, without a fork. */
const overridden = (b: Bench): void => {
  b.resource();
  b.replica('r1', 'hostc', { [keys.actual('r1', 'hostc', 'is-primary')]: '1' });
  b.write({
    [keys.peer('hostc')]: 'connected',
    [keys.primary('r1')]: 'hostc',
    [keys.lastPrimary('r1')]: 'hostc',
    [keys.actual('r1', 'hosta', 'open-count')]: '1',
  });
};

const CASES: readonly Case[] = [
  // planned handover
  {
    ...onB,
    name: 'primary: old one is open',
    setup: (b) => {
      b.resource();
      b.write({ [keys.actual('r1', 'hosta', 'open-count')]: '1' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'device-open',
    code: 3,
    found: /hosta: open-count of r1 is 1$/,
  },
  {
    ...onB,
    name: 'primary: one that was overridden by force still has its device open',
    setup: overridden,
    argv: () => ['primary', 'r1'],
    reason: 'device-open',
    code: 3,
    found: /hosta: open-count of r1 is 1$/,
    next: /on hosta/,
  },
  {
    ...onB,
    name: 'primary: one that was overridden by force is away',
    setup: (b) => {
      overridden(b);
      b.write({ [keys.peer('hosta')]: 'unreachable:peer-unreachable' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'primary-unreachable',
    code: 3,
    found: /hostb believes that hosta is primary/,
  },
  {
    ...onB,
    name: 'primary: old one is away',
    setup: (b) => {
      b.resource();
      b.write({ [keys.peer('hosta')]: 'unreachable:peer-unreachable' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'primary-unreachable',
    code: 3,
    found: /hostb believes that hosta is primary/,
    next: /--force/,
  },
  {
    ...onB,
    name: 'primary: old one is away and was open',
    setup: (b) => {
      b.resource();
      b.write({
        [keys.peer('hosta')]: 'unreachable:peer-unreachable',
        [keys.actual('r1', 'hosta', 'open-count')]: '1',
      });
    },
    argv: () => ['primary', 'r1'],
    reason: 'primary-unreachable',
    code: 3,
    found: /believes that hosta is primary, with open-count 1/,
  },
  {
    ...onB,
    name: 'primary: not attached',
    setup: (b) => {
      b.resource();
      b.write({ [keys.todo('r1', 'hostb', 'attach')]: '0' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'not-attached',
    code: 3,
    next: /attach/,
  },
  {
    ...onB,
    name: 'primary: sync unfinished',
    setup: (b) => {
      b.resource();
      b.write({ [keys.syncstatus('r1', 'hostb')]: '4096' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'sync-unfinished',
    code: 3,
    next: /wait-resource/,
  },
  {
    ...onB,
    name: 'primary: before the sync position',
    setup: (b) => {
      b.resource();
      b.write({ [keys.syncpos('r1', 'hostb')]: 'log-000000001-hosta,12288' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'sync-unfinished',
    code: 3,
    found: /replay has not passed/,
  },
  {
    ...onB,
    name: 'primary: no position',
    setup: (b) => {
      b.resource();
      b.write({ [keys.replay('r1', 'hostb')]: null });
    },
    argv: () => ['primary', 'r1'],
    reason: 'no-replay-position',
    code: 3,
  },
  {
    ...onB,
    name: 'primary: fetch off',
    setup: (b) => {
      b.resource();
      b.write({ [keys.todo('r1', 'hostb', 'connect')]: '0' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'fetch-off',
    code: 3,
    next: /connect/,
  },
  {
    ...onB,
    name: 'primary: replay off',
    setup: (b) => {
      b.resource();
      b.write({ [keys.todo('r1', 'hostb', 'allow-replay')]: '0' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'replay-off',
    code: 3,
    next: /resume-replay/,
  },
  {
    ...onB,
    name: 'primary: replay error',
    setup: (b) => {
      b.resource();
      b.write({ [keys.actual('r1', 'hostb', 'replay-code')]: 'bad-crc' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'replay-error',
    code: 3,
    found: /bad-crc/,
  },
  {
    ...onB,
    name: 'primary: split brain published',
    setup: (b) => {
      b.resource();
      b.write({ [keys.actual('r1', 'hostb', 'split-brain')]: 'log-000000001-hosta,8192 vs hostb' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'split-brain',
    code: 10,
    next: /invalidate/,
  },
  {
    ...onB,
    name: 'primary: split brain seen in the histories',
    setup: (b) => {
      b.resource();
      b.write({ [keys.version('r1', 1n, 'hostb')]: `${'e'.repeat(32)},log-000000001-hosta,8192:` });
    },
    argv: () => ['primary', 'r1'],
    reason: 'split-brain',
    code: 10,
  },
  {
    ...onB,
    name: 'primary: another replica is being synchronised',
    setup: (b) => {
      b.resource();
      b.replica('r1', 'hostc', { [keys.syncstatus('r1', 'hostc')]: '0', [keys.peer('hostc')]: 'connected' });
    },
    argv: () => ['primary', 'r1'],
    reason: 'sync-running',
    code: 3,
    next: /--ignore-sync/,
  },
  {
    name: 'primary: no daemon',
    host: 'hostb',
    setup: withR,
    argv: () => ['primary', 'r1'],
    reason: 'no-daemon',
    code: 7,
  },
  // forced switch
  {
    ...onB,
    name: 'force: fetch is on',
    setup: withR,
    argv: () => ['primary', '--force', 'r1'],
    reason: 'fetch-on',
    code: 3,
    next: /disconnect/,
  },
  {
    ...onB,
    name: 'force: sync unfinished',
    setup: (b) => {
      b.resource();
      b.write({ [keys.syncstatus('r1', 'hostb')]: '4096' });
    },
    argv: () => ['force-primary', 'r1'],
    reason: 'sync-unfinished',
    code: 3,
  },
  {
    ...onB,
    name: 'force: replay off',
    setup: (b) => {
      b.resource();
      b.write({ [keys.todo('r1', 'hostb', 'allow-replay')]: '0' });
    },
    argv: () => ['force-primary', 'r1'],
    reason: 'replay-off',
    code: 3,
  },
  {
    ...onB,
    name: 'force: not attached',
    setup: (b) => {
      b.resource();
      b.write({ [keys.actual('r1', 'hostb', 'is-attached')]: '0' });
    },
    argv: () => ['force-primary', 'r1'],
    reason: 'not-attached',
    code: 3,
  },
  // secondary, invalidate
  {
    name: 'invalidate: the device is still open here',
    setup: (b) => {
      b.resource();
      b.write({ [keys.primary('r1')]: 'hostb', [keys.actual('r1', 'hosta', 'open-count')]: '1' });
    },
    argv: () => ['invalidate', 'r1'],
    reason: 'is-primary',
    code: 3,
    found: /still primary, with open-count 1/,
    next: /wait-resource r1 is-primary-off/,
  },
  {
    name: 'secondary: open',
    daemon: true,
    setup: (b) => {
      b.resource();
      b.write({ [keys.actual('r1', 'hosta', 'open-count')]: '1' });
    },
    argv: () => ['secondary', 'r1'],
    reason: 'device-open',
    code: 3,
  },
  {
    ...onB,
    name: 'secondary: primary is away',
    setup: (b) => {
      b.resource();
      b.write({ [keys.peer('hosta')]: 'unreachable:peer-unreachable' });
    },
    argv: () => ['secondary', 'r1'],
    reason: 'primary-unreachable',
    code: 3,
  },
  {
    name: 'invalidate: primary',
    daemon: true,
    setup: withR,
    argv: () => ['invalidate', 'r1'],
    reason: 'is-primary',
    code: 3,
  },
  {
    ...onB,
    name: 'invalidate: no primary',
    setup: (b) => {
      b.resource();
      b.write({ [keys.primary('r1')]: '(none)' });
    },
    argv: () => ['invalidate', 'r1'],
    reason: 'no-primary',
    code: 3,
  },
  {
    ...onB,
    name: 'invalidate: the designated primary is not there yet',
    setup: (b) => {
      b.resource();
      b.write({ [keys.actual('r1', 'hosta', 'is-primary')]: '0' });
    },
    argv: () => ['invalidate', 'r1'],
    reason: 'no-active-primary',
    code: 3,
    next: /wait-resource r1 is-primary --host hosta/,
  },
];

testRefusals(CASES);
