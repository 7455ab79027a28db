// SPDX-License-Identifier: GPL-2.0-or-later
/** What a session bears from a member that does not play by the rules. */
import test, { type ExecutionContext } from 'ava';
import { createCluster } from '../../../src/cluster/join.js';
import { SESSION_TIMES, TreeSession } from '../../../src/cluster/session.js';
import type { Frame, FrameStream, JsonObject } from '../../../src/cluster/types.js';
import { MarsError } from '../../../src/errors.js';
import { BUCKETS, DIGEST_BYTES } from '../../../src/tree/store.js';
import { openLocalTree } from '../../../src/tree/tree.js';
import { temporaryDir } from '../tree/support.js';

/** A member that sends these frames and takes nothing, or all. */
class Member implements FrameStream {
  readonly peer = 'hostb';
  readonly protocol = 1;
  readonly closed = Promise.resolve();
  sent = 0;

  constructor(
    readonly frames: () => Iterable<Frame>,
    readonly takes: boolean,
  ) {}

  send(): Promise<void> {
    this.sent++;
    return this.takes ? Promise.resolve() : new Promise(() => undefined);
  }
  recycle(): void {
    // the bodies are the test's
  }
  close(): void {
    throw new Error('nobody leaves');
  }
  destroy(): void {
    // run() throws the reason
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void> {
    for (const frame of this.frames()) {
      yield frame;
      // As from a socket: what was taken is settled before the next frame comes.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function frame(head: JsonObject, body = Buffer.alloc(0)): Frame {
  return { head, body };
}

/** How the session with this member ends. */
async function codeOf(t: ExecutionContext, member: Member): Promise<string> {
  const here = { dir: temporaryDir(t), host: 'hosta', address: '127.0.0.1:9' };
  createCluster(here);
  const tree = openLocalTree(here);
  t.teardown(() => {
    tree.close();
  });
  const nothing = (): void => undefined;
  const events = { acknowledged: nothing, complete: nothing, dropped: nothing };
  try {
    await new TreeSession(member, tree, events, SESSION_TIMES).run();
  } catch (error) {
    return error instanceof MarsError ? error.code : String(error);
  }
  return 'ok';
}

const START = frame({ t: 'start', horizon: '0', synced: '0' });
const DIGESTS = frame({ t: 'digests' }, Buffer.alloc(BUCKETS * DIGEST_BYTES, 0xee));

function* pings(): Generator<Frame> {
  for (let n = 0; n < 5000; n++) yield frame({ t: 'ping', lamport: '1' });
}

test('answers that the member does not take end the session; taken ones never do', async (t) => {
  const deaf = new Member(pings, false);
  t.is(await codeOf(t, deaf), 'message-too-big');
  t.true(deaf.sent < 2000, `${deaf.sent} answers wait`);
  t.is(await codeOf(t, new Member(pings, true)), 'ok');
});

test('a summary without an end ends the session', async (t) => {
  let sent = 0;
  const member = new Member(function* () {
    yield START;
    yield DIGESTS;
    for (let n = 0; n < 30; n++) {
      const lines = Array.from({ length: 20_000 }, (_, i) => [`userspace/${n}-${i}`, '1', '0'.repeat(16)]);
      sent += lines.length;
      yield frame({ t: 'summary', last: false }, Buffer.from(JSON.stringify(lines)));
    }
  }, true);
  t.is(await codeOf(t, member), 'message-too-big');
  t.true(sent < 600_000, `${sent} lines were kept`);
});

test('a summary or a start that is out of order ends the session', async (t) => {
  const summary = frame({ t: 'summary', last: false }, Buffer.from('[]'));
  const last = frame({ t: 'summary', last: true }, Buffer.from('[]'));
  const orders = [[summary], [START, summary], [START, START], [START, DIGESTS, last, summary]];
  for (const order of orders) t.is(await codeOf(t, new Member(() => order, true)), 'bad-message');
  const regular = [START, DIGESTS, summary, last];
  t.is(await codeOf(t, new Member(() => regular, true)), 'ok');
});
