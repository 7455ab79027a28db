// SPDX-License-Identifier: GPL-2.0-or-later
/** A source that is no longer primary must not answer: its disk is no longer what its log says. */
import { promises as fs } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import type { Frame, FrameStream, JsonObject } from '../../../src/cluster/types.js';
import { MarsError } from '../../../src/errors.js';
import { serveSync } from '../../../src/transfer/syncsource.js';
import { temporaryDir } from '../tree/support.js';

/** A stream on which the questions are already there; what is answered is kept. */
function asked(questions: readonly JsonObject[]): FrameStream & { readonly answers: JsonObject[] } {
  const answers: JsonObject[] = [];
  return {
    peer: 'b',
    protocol: 1,
    answers,
    closed: Promise.resolve(),
    send: (head) => Promise.resolve(void answers.push(head)),
    recycle: () => undefined,
    close: () => undefined,
    destroy: () => undefined,
    // eslint-disable-next-line @typescript-eslint/require-await
    async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void> {
      for (const head of questions) yield { head, body: new Uint8Array(16) };
    },
  };
}

const questions = [{ t: 'range', at: '0', len: 65536 }, { t: 'finish' }];

test('a range and the end are answered while the device is there, and never afterwards', async (t) => {
  const file = path.join(temporaryDir(t), 'disk');
  await fs.writeFile(file, Buffer.alloc(65536, 7));
  let primary = true;
  let pins = 0;
  const source = {
    disk: { path: file, direct: false },
    size: 65536n,
    pin: () => ({ position: `log-000000001-a,4096,${pins++}`, release: () => void pins-- }),
    check: () => {
      if (!primary) throw new MarsError('not-primary');
    },
    dirtyEnd: () => 'log-000000001-a,8192',
  };
  const good = asked(questions);
  await serveSync(good, source);
  t.deepEqual(
    good.answers.map((a) => a['t']),
    ['start', 'range', 'end'],
  );
  primary = false;
  for (const question of questions) {
    const bad = asked([question]);
    await t.throwsAsync(serveSync(bad, source), { instanceOf: MarsError });
    t.deepEqual(
      bad.answers.map((a) => a['t']),
      ['start'],
    );
  }
  t.is(pins, 0);
});
