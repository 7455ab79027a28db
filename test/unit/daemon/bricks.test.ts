// SPDX-License-Identifier: GPL-2.0-or-later
/** Events of bricks reach everyone, whatever one listener makes of them. */
import test, { type ExecutionContext } from 'ava';
import { Bricks } from '../../../src/daemon/bricks.js';
import { FakeEngine, refusal } from './support.js';

function setUp(t: ExecutionContext) {
  const engine = new FakeEngine();
  const bricks = new Bricks(engine);
  const failures: unknown[] = [];
  const abort = new AbortController();
  const pumping = bricks.pump(abort.signal, (error) => failures.push(error));
  t.teardown(async () => {
    abort.abort();
    await pumping;
  });
  return { engine, bricks, failures };
}

test('a listener that throws keeps no event from the others, and none from itself', async (t) => {
  const { engine, bricks, failures } = setUp(t);
  const wrong = new Error('wrong');
  let heard = 0;
  bricks.listen(() => {
    heard++;
    throw wrong;
  });
  engine.change('data');
  for (const ledOn of [true, false]) {
    const seen = bricks.wait('data', (s) => s.ledOn === ledOn);
    engine.change('data', { ledOn });
    t.is((await seen).ledOn, ledOn);
  }
  t.is(heard, 2);
  t.deepEqual(failures, [wrong, wrong]);
});

for (const when of ['at once', 'later']) {
  test(`who waits for a brick that cannot be looked at ${when} is told, and looks no more`, async (t) => {
    const { engine, bricks, failures } = setUp(t);
    engine.change('data');
    const wait = (): Promise<unknown> => bricks.wait('data', (s) => s.ledOn);
    const before = when === 'later' ? wait() : undefined;
    engine.broken = refusal('gone-mad');
    const told = before ?? wait();
    engine.change('data');
    await t.throwsAsync(told, { is: engine.broken });
    const { looks } = engine;
    const heard = new Promise<void>((resolve) => bricks.listen(() => resolve()));
    engine.change('data');
    await heard;
    t.is(engine.looks, looks);
    t.deepEqual(failures, []);
  });
}
