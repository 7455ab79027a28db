// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The primary's side of a sync: answer which leaves differ, and with what.
 *
 * Reads the data disk below the logger. What it reads may be older than what
 * the application sees, never newer than what is logged: the replica replays
 * from `start` (the checkpoint before the first read) to `end` (the log's end
 * after the last read) and is then equal to a past state.
 */
import type { FrameStream } from '../cluster/types.js';
import { asMarsError, MarsError } from '../errors.js';
import { openDisk, type DiskPlace } from './disk.js';
import { isZero, leafDigest, leavesOf } from './leaves.js';
import { DIGEST_SIZE, SyncQuestion } from './messages.js';

/** What the source knows of the resource while it runs as primary. */
export interface SyncSource {
  readonly disk: DiskPlace;
  readonly size: bigint;
  /** text of the published checkpoint; logs from it on stay until `release` */
  pin(): { readonly position: string; release(): void };
  /** throws MarsError `not-primary` once the device is gone: whatever was read since is worth nothing */
  check(): void;
  /** text of the position behind everything that may have touched the disk */
  dirtyEnd(): string;
}

/** Serve one sync until the other side has finished or gone. */
export async function serveSync(stream: FrameStream, source: SyncSource): Promise<void> {
  const disk = await openDisk(source.disk, false);
  const pin = source.pin();
  let answering = Promise.resolve();
  try {
    await stream.send({ t: 'start', position: pin.position, size: source.size.toString() });
    for await (const frame of stream) {
      const parsed = SyncQuestion.safeParse(frame.head);
      if (!parsed.success) throw new MarsError('bad-message', { found: 'an unknown sync question' });
      const question = parsed.data;
      if (question.t === 'finish') {
        await answering;
        source.check();
        await stream.send({ t: 'end', position: source.dirtyEnd() });
        continue;
      }
      if (question.at + BigInt(question.len) > source.size)
        throw new MarsError('bad-message', { found: `a range beyond the end at ${question.at}` });
      // The next range is read while one is on its way.
      const mine = disk.read(question.at, question.len);
      const before = answering;
      answering = Promise.all([mine, before]).then(([bytes]) => {
        source.check();
        return answer(stream, question.at, bytes, frame.body, () => disk.release(bytes));
      });
      answering.catch(() => undefined); // reported when it is waited for
      await before;
    }
    await answering;
  } catch (error) {
    stream.destroy(asMarsError(error));
    throw error;
  } finally {
    pin.release();
    await answering.catch(() => undefined);
    await disk.close();
  }
}

async function answer(
  stream: FrameStream,
  at: bigint,
  mine: Buffer,
  theirs: Uint8Array,
  sent: () => void,
): Promise<void> {
  let differ = 0;
  let zero = 0;
  const parts: Buffer[] = [];
  let run: { from: number; to: number } | undefined;
  for (const [i, leaf] of leavesOf(mine.length).entries()) {
    const bytes = mine.subarray(leaf.at, leaf.at + leaf.len);
    const digest = theirs.subarray(i * DIGEST_SIZE, (i + 1) * DIGEST_SIZE);
    if (sameLeaf(bytes, digest)) continue;
    differ |= 1 << i;
    if (isZero(bytes)) {
      zero |= 1 << i;
      continue;
    }
    if (run?.to !== leaf.at) {
      if (run) parts.push(mine.subarray(run.from, run.to));
      run = { from: leaf.at, to: leaf.at };
    }
    run.to = leaf.at + leaf.len;
  }
  if (run) parts.push(mine.subarray(run.from, run.to));
  const body = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
  await stream.send({ t: 'range', at: at.toString(), len: mine.length, differ, zero }, body, sent);
}

/** Compares without hashing when the other side's leaf is all zeros. */
function sameLeaf(bytes: Buffer, digest: Uint8Array): boolean {
  if (digest.every((b) => b === 0)) return isZero(bytes);
  return leafDigest(bytes).equals(digest);
}
