// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The replica's side of a sync: compare range by range, write what differs.
 *
 * Several ranges are under way at once, so that the link is full whatever its
 * latency. Progress is reported only behind data that is flushed, as a prefix:
 * a sync that was cut off resumes there. Replay must not run meanwhile.
 */
import { remoteReason } from '../cluster/schema.js';
import type { FrameStream } from '../cluster/types.js';
import { MarsError } from '../errors.js';
import type { Disk } from './disk.js';
import { leavesOf, rangeDigests } from './leaves.js';
import { RANGE, SyncAnswer } from './messages.js';

/** Ranges under way. */
const WINDOW = 16;
/** Flush and report progress after this many bytes. */
const REPORT = 64 << 20;

/** What the target does with the news. */
export interface SyncTarget {
  /** the disk to be written; closed when the sync is over */
  open(): Promise<Disk>;
  readonly size: bigint;
  readonly from: bigint;
  /** the position replay has to start from; called before anything is written */
  onStart(position: string): Promise<void>;
  /** everything below `done` is equal and durable */
  onProgress(done: bigint): void;
  /** all of it is; the replica is consistent once replay has passed `position` */
  onEnd(position: string): void;
}

/**
 * Run one sync to its end; the stream ends with it in any case. Throws MarsError when the other
 * side refuses or breaks off, and what opening, reading or writing the disk throws.
 */
export async function runSync(stream: FrameStream, target: SyncTarget): Promise<void> {
  let disk: Disk | undefined;
  try {
    disk = await target.open();
    const answers = stream[Symbol.asyncIterator]();
    const start = await next(answers);
    if (start.message.t !== 'start') throw unexpected(start.message.t);
    if (start.message.size > target.size)
      throw new MarsError('device-too-small', { found: `${target.size} bytes` });
    await target.onStart(start.message.position);
    await compareAll(stream, answers, disk, target);
    await disk.datasync();
    target.onProgress(target.size);
    await stream.send({ t: 'finish' });
    const end = await next(answers);
    if (end.message.t !== 'end') throw unexpected(end.message.t);
    target.onEnd(end.message.position);
  } finally {
    stream.destroy();
    await disk?.close();
  }
}

type Answers = AsyncIterator<{ head: unknown; body: Uint8Array }>;

async function compareAll(
  stream: FrameStream,
  answers: Answers,
  disk: Disk,
  target: SyncTarget,
): Promise<void> {
  let asked = target.from;
  let done = target.from;
  let reported = target.from;
  const lengthAt = (at: bigint): number =>
    target.size - at < BigInt(RANGE) ? Number(target.size - at) : RANGE;
  const ask = async (): Promise<void> => {
    const at = asked;
    const len = lengthAt(at);
    asked += BigInt(len);
    const mine = await disk.read(at, len);
    const digests = rangeDigests(mine);
    disk.release(mine);
    await stream.send({ t: 'range', at: at.toString(), len }, digests);
  };
  for (let i = 0; i < WINDOW && asked < target.size; i++) await ask();
  while (done < target.size) {
    const { message, body } = await next(answers);
    if (message.t !== 'range') throw unexpected(message.t);
    const { at, len } = message;
    if (at !== done || len !== lengthAt(done))
      throw new MarsError('bad-message', {
        found: `range of ${len} at ${at}, asked ${lengthAt(done)} at ${done}`,
      });
    // Writing one range and reading another do not touch.
    await Promise.all([apply(disk, message, body), asked < target.size ? ask() : undefined]);
    stream.recycle(body);
    done += BigInt(len);
    if (done - reported >= BigInt(REPORT)) {
      await disk.datasync();
      target.onProgress(done);
      reported = done;
    }
  }
}

async function apply(
  disk: Disk,
  range: { at: bigint; len: number; differ: number; zero: number },
  body: Uint8Array,
): Promise<void> {
  let used = 0;
  let run: { at: number; from: number } | undefined;
  const writeRun = async (): Promise<void> => {
    const { at, from } = run ?? { at: 0, from: used };
    run = undefined;
    if (from < used) await disk.write(body.subarray(from, used), at);
  };
  for (const [i, leaf] of leavesOf(range.len).entries()) {
    const at = Number(range.at) + leaf.at;
    const differs = (range.differ & (1 << i)) !== 0;
    const zero = differs && (range.zero & (1 << i)) !== 0;
    if (!differs || zero) {
      await writeRun();
      if (zero) await disk.write(Buffer.alloc(leaf.len), at);
      continue;
    }
    if (used + leaf.len > body.length)
      throw new MarsError('bad-message', { found: 'sync data of the wrong length' });
    run ??= { at, from: used };
    used += leaf.len;
  }
  if (used !== body.length) throw new MarsError('bad-message', { found: 'sync data of the wrong length' });
  await writeRun();
}

async function next(
  answers: Answers,
): Promise<{ message: (typeof SyncAnswer)['_output']; body: Uint8Array }> {
  const result = await answers.next();
  if (result.done) throw new MarsError('stream-broken', { found: 'the other side closed the sync' });
  const parsed = SyncAnswer.safeParse(result.value.head);
  if (!parsed.success) throw new MarsError('bad-message', { found: 'an unknown sync answer' });
  if (parsed.data.t === 'refused')
    throw new MarsError('sync-refused', { found: remoteReason(parsed.data.reason) });
  return { message: parsed.data, body: result.value.body };
}

const unexpected = (t: string): MarsError =>
  new MarsError('bad-message', { found: `unexpected answer ${t}` });
