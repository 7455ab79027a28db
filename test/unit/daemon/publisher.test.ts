// SPDX-License-Identifier: GPL-2.0-or-later
/** Facts on their way into the tree: which are written at once, which are gathered. */
import test, { type ExecutionContext } from 'ava';
import { Publisher, type Timers } from '../../../src/daemon/publisher.js';
import { temporaryDir, testTree } from '../tree/support.js';

const POSITION = 'userspace/position';
const ROLE = 'userspace/role';

/** A publisher on a real tree, with timers that go off when the test says so. */
function setUp(t: ExecutionContext) {
  const { tree } = testTree(t, temporaryDir(t));
  const armed = new Set<() => void>();
  const timers: Timers = {
    set(_ms, run) {
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
  return { publisher, tick, value: (key: string) => tree.snapshot().value(key) };
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
