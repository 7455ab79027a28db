// SPDX-License-Identifier: GPL-2.0-or-later
/** When a busy engine is looked at: at once after quiet, gathered under load, never later than the bound. */
import test from 'ava';
import { Pace, REST_MAX_KERNEL_MS, REST_MAX_MS, REST_MIN_MS } from '../../../src/engine/pace.js';
import { REST_SHARE } from '../../../src/timers.js';

/** An engine with news, and a clock the test moves. */
function setUp(longest?: number) {
  let now = 0;
  let busy = 0;
  let news = 0;
  let timer: { readonly at: number; readonly run: () => void } | undefined;
  const looks: { readonly at: number; readonly news: number }[] = [];
  let idle = 0;
  const pace = new Pace(
    () => {
      looks.push({ at: now, news });
      const any = news > 0;
      news = 0;
      return any;
    },
    () => void idle++,
    longest,
    {
      busy: () => busy,
      set(ms, run) {
        if (timer) throw new Error('one rest at a time');
        timer = { at: now + ms, run };
        return { cancel: () => (timer = undefined) };
      },
    },
  );
  return {
    looks,
    pace,
    idle: () => idle,
    pending: () => timer !== undefined,
    happens(): void {
      news++;
      pace.wake();
    },
    /** Let the rest end, during which the process was busy for `cost`. Returns how long it was. */
    rest(cost: number): number {
      const due = timer;
      if (!due) throw new Error('nothing rests');
      const length = due.at - now;
      now = due.at;
      busy += cost;
      timer = undefined;
      due.run();
      return length;
    },
  };
}

test('the first news after a quiet time are taken at once, those that follow together', (t) => {
  const engine = setUp();
  engine.happens();
  t.deepEqual(engine.looks, [{ at: 0, news: 1 }]);
  for (let i = 0; i < 50; i++) engine.happens();
  t.is(engine.looks.length, 1, 'nobody looks while it rests');
  t.is(engine.rest(0), REST_MIN_MS);
  t.deepEqual(engine.looks[1], { at: REST_MIN_MS, news: 50 });
});

test('when there are no news any more, the engine has to call', (t) => {
  const engine = setUp();
  engine.happens();
  t.is(engine.idle(), 0);
  engine.rest(0);
  t.is(engine.idle(), 1);
  t.false(engine.pending(), 'no timer runs while all is quiet');
  engine.happens();
  t.is(engine.looks.at(-1)?.news, 1, 'and is heard at once');
});

for (const longest of [undefined, REST_MAX_KERNEL_MS])
  test(`a rest is a multiple of what the round before has cost, within bounds (longest ${longest ?? 'as usual'})`, (t) => {
    const engine = setUp(longest);
    const bound = longest ?? REST_MAX_MS;
    engine.happens();
    for (const [cost, next] of [
      [bound / 2 / REST_SHARE, bound / 2],
      [1000, bound],
      [0, REST_MIN_MS],
    ] as const) {
      engine.happens();
      engine.rest(cost);
      engine.happens();
      t.true(Math.abs(engine.rest(cost) - next) < 1e-9, `after a cost of ${cost}`);
    }
  });

test('no news wait longer than the longest rest, whatever rounds cost', (t) => {
  const engine = setUp();
  engine.happens();
  for (let i = 0; i < 20; i++) {
    engine.happens();
    t.true(engine.rest(i % 2 === 0 ? 500 : 0) <= REST_MAX_MS);
    t.is(engine.looks.at(-1)?.news, 1);
  }
});

test('what was stopped looks no more', (t) => {
  const engine = setUp();
  engine.happens();
  engine.pace.stop();
  t.false(engine.pending());
  engine.happens();
  t.is(engine.looks.length, 1);
});
