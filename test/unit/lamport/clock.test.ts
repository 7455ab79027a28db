// SPDX-License-Identifier: GPL-2.0-or-later
import test from 'ava';
import { MarsError } from '../../../src/errors.js';
import { DEFAULT_MAX_FUTURE, formatStamp, LamportClock } from '../../../src/lamport/clock.js';

const SECOND = 1_000_000_000n;
const T0 = 1_700_000_000n * SECOND;

function manual(start = T0): { clock: LamportClock; set: (t: bigint) => void } {
  let now = start;
  return {
    clock: new LamportClock({ now: () => now }),
    set: (t) => {
      now = t;
    },
  };
}

test('shows real time while nobody pushes it', (t) => {
  const { clock, set } = manual();
  t.is(clock.read(), T0);
  set(T0 + 5n);
  t.is(clock.read(), T0 + 5n);
});

test('stamps are unique and increase while real time stands still', (t) => {
  const { clock } = manual();
  const stamps = Array.from({ length: 1000 }, () => clock.tick());
  for (const [i, stamp] of stamps.entries()) if (i > 0) t.true(stamp > (stamps[i - 1] ?? 0n));
});

test('is pushed just past what it observes, then runs at half speed until real time catches up', (t) => {
  const { clock, set } = manual();
  clock.observe(T0 + 10n * SECOND);
  t.is(clock.tick(), T0 + 10n * SECOND + 1n);
  set(T0 + 10n * SECOND);
  const half = clock.read();
  t.true(half >= T0 + 15n * SECOND && half <= T0 + 15n * SECOND + 1n);
  set(T0 + 30n * SECOND);
  t.is(clock.read(), T0 + 30n * SECOND);
});

test('reading very often does not stop it', (t) => {
  const { clock, set } = manual();
  clock.observe(T0 + 10_000n);
  for (let i = 1n; i <= 5000n; i++) {
    set(T0 + i);
    clock.read();
  }
  t.true(clock.read() >= T0 + 12_000n);
});

test('never goes back when real time does', (t) => {
  const { clock, set } = manual();
  const before = clock.tick();
  set(T0 - 3600n * SECOND);
  t.true(clock.tick() > before);
  set(T0 - 3600n * SECOND + 10n * SECOND);
  t.true(clock.read() >= before + 5n * SECOND);
});

test('goes on behind the stamp it is started with', (t) => {
  const clock = new LamportClock({ now: () => T0, start: T0 + 7n });
  t.is(clock.tick(), T0 + 8n);
});

test('refuses a stamp a year ahead and does not move', (t) => {
  const { clock } = manual();
  const error = t.throws(
    () => {
      clock.observe(T0 + 365n * 86_400n * SECOND);
    },
    { instanceOf: MarsError },
  );
  t.is(error.code, 'stamp-in-future');
  t.is(clock.read(), T0);
  clock.observe(T0 + DEFAULT_MAX_FUTURE);
  t.is(clock.read(), T0 + DEFAULT_MAX_FUTURE);
});

test('shows stamps with nanoseconds', (t) => {
  t.is(formatStamp(1_700_000_000_123_456_789n), '2023-11-14T22:13:20.123456789Z');
  t.is(formatStamp(-1n), '-1');
});
