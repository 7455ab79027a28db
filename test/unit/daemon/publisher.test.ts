// SPDX-License-Identifier: GPL-2.0-or-later
/** Facts on their way into the tree: which are written at once, which are gathered. */
import test, { type ExecutionContext } from 'ava';
import { Publisher } from '../../../src/daemon/publisher.js';
import type { Timers } from '../../../src/timers.js';
import { temporaryDir, testTree } from '../tree/support.js';

const POSITION = 'userspace/position';
const ROLE = 'userspace/role';

/** A publisher on a real tree, with timers that go off when the test says so. */
function setUp(t: ExecutionContext) {
  const { tree } = testTree(t, temporaryDir(t));
  const armed = new Set<() => void>();
  const rests: number[] = [];
  let busy = 0;
  /** how long a write of the tree keeps the event loop busy, ms */
  let cost = 0;
  const write = tree.write.bind(tree);
  tree.write = (changes) => {
    busy += cost;
    return write(changes);
  };
  const timers: Timers = {
    busy: () => busy,
    set(ms, run) {
      rests.push(ms);
      armed.add(run);
      return { cancel: () => void armed.delete(run) };
    },
  };
  const publisher = new Publisher(tree, timers, (error) => t.fail(String(error)));
  const tick = (): void => {
    const due = [...armed];
    armed.clear();
    for (const run of due) run();
  };
  const dear = (ms: number): void => void (cost = ms);
  return { publisher, tick, rests, dear, value: (key: string) => tree.snapshot().value(key) };
}

test('positions that move all the time are gathered, whatever else is looked at meanwhile', (t) => {
  const { publisher, tick, value } = setUp(t);
  publisher.now({ [ROLE]: 'primary' });
  publisher.put({ [POSITION]: '1' });
  t.is(value(POSITION), '1', 'the first after a quiet time is written at once');
  for (const next of ['2', '3']) {
    publisher.put({ [POSITION]: next });
    publisher.now({ [ROLE]: 'primary' });
    t.is(value(POSITION), '1', 'a fact that is no news carries nothing along');
  }
  tick();
  t.is(value(POSITION), '3');
});

test('news goes out at once, in one batch with what was gathered', (t) => {
  const { publisher, value } = setUp(t);
  publisher.put({ [POSITION]: '1' });
  publisher.put({ [POSITION]: '2' });
  publisher.now({ [ROLE]: 'secondary' });
  t.is(value(POSITION), '2');
  t.is(value(ROLE), 'secondary');
});

test('the last word on a key is what is written', (t) => {
  const { publisher, value } = setUp(t);
  publisher.now({ [ROLE]: 'primary' });
  publisher.put({ [POSITION]: '1' });
  publisher.put({ [ROLE]: 'secondary' });
  publisher.now({ [ROLE]: 'primary' });
  publisher.flush();
  t.is(value(ROLE), 'primary');
});

test('where writing is dear it is done less often, but it is done', (t) => {
  const { publisher, tick, rests, dear, value } = setUp(t);
  publisher.put({ [POSITION]: '1' });
  for (const [ms, rest] of [
    [0, 200],
    [50, 500],
    [5000, 1000],
  ] as const) {
    dear(ms);
    publisher.put({ [POSITION]: `after ${ms}` });
    tick();
    t.is(value(POSITION), `after ${ms}`);
    t.is(rests.at(-1), rest);
  }
});
