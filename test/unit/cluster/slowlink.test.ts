// SPDX-License-Identifier: GPL-2.0-or-later
/** Streams that are closed with much still to be sent, over links that take their time. */
import { mock } from 'node:test';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { FrameDecoder, FULL_LIMITS } from '../../../src/cluster/frame.js';
import { SocketStream } from '../../../src/cluster/stream.js';
import type { Frame } from '../../../src/cluster/types.js';

/** A link that takes the next bytes when it is told to. */
class Link extends Duplex {
  readonly taken: Buffer[] = [];
  #take: (() => void) | undefined;

  override _read(): void {
    // The other side says nothing.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const copy = Buffer.from(chunk);
    this.#take = () => {
      this.taken.push(copy);
      done();
    };
  }

  /** Take what is offered; false = nothing is. */
  accept(): boolean {
    const take = this.#take;
    this.#take = undefined;
    take?.();
    return take !== undefined;
  }
}

test.before(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
});
test.after(() => {
  mock.timers.reset();
});

test.serial('what waits when a stream is closed arrives, however long it takes', async (t) => {
  const link = new Link();
  const stream = new SocketStream(link, FULL_LIMITS);
  const body = Buffer.alloc(1024 * 1024, 'log');
  await stream.send({ t: 'data' }, body);
  stream.close();
  let pieces = 0;
  while (link.accept()) {
    pieces++;
    await turn();
    mock.timers.tick(4000);
    await turn();
  }
  t.true(pieces > 4, `${pieces} pieces`);
  const frames: Frame[] = [];
  const decoder = new FrameDecoder(FULL_LIMITS);
  decoder.push(Buffer.concat(link.taken), (frame) => frames.push(frame));
  t.true(decoder.ended);
  t.true(body.equals(frames[0]?.body ?? new Uint8Array(0)));
  mock.timers.tick(5000);
  t.true(link.destroyed, 'the other side had its time to close too');
});

test.serial('a link that takes nothing more is given up', async (t) => {
  const link = new Link();
  const stream = new SocketStream(link, FULL_LIMITS);
  await stream.send({ t: 'data' }, Buffer.alloc(1024 * 1024));
  stream.close();
  mock.timers.tick(59_000);
  t.false(link.destroyed);
  mock.timers.tick(1000);
  t.true(link.destroyed);
  await stream.closed;
});
