// SPDX-License-Identifier: GPL-2.0-or-later
/** When a member is called: who calls, how long it pauses between calls that fail, what makes it hurry. */
import test from 'ava';
import { ClusterError } from '../../../src/cluster/errors.js';
import { PeerLink, type LinkTimes } from '../../../src/cluster/peer.js';

const TIMES: LinkTimes = { firstRetryMs: 100, maxRetryMs: 5000, patienceMs: 7000 };

/** One link that can never be made; time passes by hand. */
class Bench {
  /** what random() gives */
  chance = 0;
  dialled = 0;
  /** pauses so far, ms */
  readonly pauses: number[] = [];
  readonly link: PeerLink;
  #armed: (() => void) | undefined;
  #dials: (() => void)[] = [];
  #told: () => void = () => undefined;

  constructor(me: string, peer: string) {
    this.link = new PeerLink(peer, {
      me,
      times: TIMES,
      random: () => this.chance,
      now: () => 0,
      after: (ms, run) => {
        this.pauses.push(ms);
        this.#armed = run;
        this.#told();
        return () => {
          if (this.#armed === run) this.#armed = undefined;
        };
      },
      dial: () => {
        this.dialled++;
        return new Promise((_, reject) => {
          this.#dials.push(() => {
            reject(new ClusterError('peer-unreachable'));
          });
        });
      },
      session: () => {
        throw new Error('nobody answers');
      },
      changed: () => undefined,
    });
  }

  /** Does a call wait for its time? */
  get waits(): boolean {
    return this.#armed !== undefined;
  }

  /** The time of the next call has come. */
  ring(): void {
    const run = this.#armed;
    this.#armed = undefined;
    run?.();
  }

  /** The call fails; resolves when the next one has its time. */
  fail(): Promise<void> {
    return new Promise((resolve) => {
      this.#told = resolve;
      this.#dials.shift()?.();
    });
  }

  async failedCalls(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.ring();
      await this.fail();
    }
  }
}

test('pauses double up to a limit; chance makes them longer, never longer than the limit', async (t) => {
  const b = new Bench('hosta', 'hostb');
  await b.failedCalls(8);
  t.deepEqual(b.pauses, [0, 100, 200, 400, 800, 1600, 2500, 2500, 2500]);
  t.is(b.dialled, 8);
  b.chance = 1 - Number.EPSILON;
  await b.failedCalls(2000);
  const last = b.pauses.at(-1) ?? 0;
  t.true(last > 2500 && last <= TIMES.maxRetryMs, `${last}`);
  t.like(b.link.state, { connected: false, reason: 'peer-unreachable' });
});

test('the host with the bigger name waits to be called, then calls too', async (t) => {
  const b = new Bench('hostb', 'hosta');
  t.deepEqual(b.pauses, [TIMES.patienceMs]);
  t.is(b.dialled, 0);
  await b.failedCalls(3);
  t.is(b.dialled, 3);
  t.deepEqual(
    b.pauses.slice(1),
    [100, 200, 400].map((ms) => ms + TIMES.patienceMs),
  );
});

test('hurry calls at once, whoever it is, and pauses are short again', async (t) => {
  for (const [me, peer, patience] of [
    ['hosta', 'hostb', 0],
    ['hostb', 'hosta', TIMES.patienceMs],
  ] as const) {
    const b = new Bench(me, peer);
    await b.failedCalls(6);
    b.link.hurry();
    t.is(b.pauses.at(-1), 0);
    b.ring();
    t.is(b.dialled, 7);
    // One call at a time: nothing is armed while it goes on.
    b.link.hurry();
    t.false(b.waits);
    await b.fail();
    t.is(b.pauses.at(-1), 100 + patience);
  }
});

test('after a session that was complete pauses begin anew', async (t) => {
  const b = new Bench('hosta', 'hostb');
  await b.failedCalls(6);
  b.link.inSync();
  await b.failedCalls(1);
  t.is(b.pauses.at(-1), 100);
});

test('a link that is stopped calls nobody', async (t) => {
  const b = new Bench('hosta', 'hostb');
  await b.failedCalls(2);
  b.link.stop(new ClusterError('not-a-member'));
  t.false(b.waits);
  b.link.hurry();
  t.false(b.waits);
  t.is(b.link.state.reason, 'not-a-member');
});
