// SPDX-License-Identifier: GPL-2.0-or-later
/** What a fetch complains about, and for how long. */
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { Frame, FrameStream, JsonObject } from '../../../src/cluster/types.js';
import { Fetch } from '../../../src/daemon/fetch.js';
import { LogStore } from '../../../src/daemon/logstore.js';
import { scanLogFile } from '../../../src/engine/logscan.js';
import { temporaryDir } from '../tree/support.js';

const GOLDEN = 'native/test/golden/log-000000001-hosta';
const { ident, end } = await scanLogFile(GOLDEN);
if (!ident) throw new Error('the golden log has no header');
const golden = readFileSync(GOLDEN).subarray(0, Number(end));
const GOAL = { log: { number: ident.number, origin: ident.origin }, from: 0n, sources: ['a'] };
const EXPECTED = { cluster: ident.cluster, resource: ident.resource, prev: undefined };

/** A source whose frames the test sends. */
class Source implements FrameStream {
  readonly peer = 'a';
  readonly protocol = 1;
  readonly closed = Promise.resolve();
  readonly #frames: (Frame & { readonly done: () => void })[] = [];
  #over = false;
  #wake: () => void = () => undefined;

  /** Send a frame; resolves when the next one is asked for. */
  says(head: JsonObject, body: Uint8Array = new Uint8Array(0)): Promise<void> {
    return new Promise((done) => {
      this.#frames.push({ head, body, done });
      this.#wake();
    });
  }
  send(): Promise<void> {
    throw new Error('a fetch says nothing');
  }
  recycle(): void {
    // the bodies are the test's
  }
  close(): void {
    throw new Error('a fetch destroys its stream');
  }
  destroy(): void {
    this.#over = true;
    this.#wake();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame) {
        yield frame;
        frame.done();
      } else if (this.#over) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** A fetch from one source, again and again; each time it is connected to a new stream. */
function setUp(t: ExecutionContext) {
  let wake = (): void => undefined;
  const changed = (): void => wake();
  let rested = (): void => undefined;
  let source = new Source();
  const store = new LogStore(temporaryDir(t));
  const fetch = new Fetch(
    {
      cluster: {
        start: () => Promise.resolve(),
        close: () => Promise.resolve(),
        peers: () => [],
        onPeerChange: () => undefined,
        open: () => Promise.resolve((source = new Source())),
        serve: () => undefined,
      },
      timers: {
        busy: () => 0,
        set: (_ms, run) => {
          rested = run;
          return { cancel: () => undefined };
        },
      },
      log: (text) => t.log(text),
    },
    'r1',
    store,
    changed,
  );
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise<void>((resolve) => (wake = resolve));
  };
  /** Ask the source (again), and return what it has to answer on. */
  const ask = async (): Promise<Source> => {
    rested();
    await fetch.run(GOAL, EXPECTED);
    await until(() => fetch.active);
    return source;
  };
  t.teardown(() => fetch.stop());
  return { fetch, store, ask, until };
}

test('a source that was without the log and has it now ends the complaint, though it has no bytes yet', async (t) => {
  const { fetch, ask, until } = setUp(t);
  void (await ask()).says({ t: 'refused', reason: 'no-such-log' });
  await until(() => !fetch.active);
  t.is(fetch.problem, 'no-such-log');
  const source = await ask();
  t.is(fetch.problem, 'no-such-log', 'being connected says nothing');
  await source.says({ t: 'accepted' });
  t.is(fetch.problem, undefined);
  t.true(fetch.active);
});

test('a source that has sent rubbish is believed when it has sent something else', async (t) => {
  const { fetch, store, ask, until } = setUp(t);
  void (await ask()).says({ t: 'data', at: '77' });
  await until(() => !fetch.active);
  t.is(fetch.problem, 'bad-position');
  const source = await ask();
  await source.says({ t: 'accepted' });
  t.is(fetch.problem, 'bad-position');
  const grown = store.changed(GOAL.log, new AbortController().signal);
  void source.says({ t: 'data', at: '0' }, golden);
  await grown;
  t.is(fetch.problem, undefined);
  t.true(fetch.active);
});
