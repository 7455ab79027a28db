// SPDX-License-Identifier: GPL-2.0-or-later
/** Direct and buffered IO on one file must agree, whatever the alignment. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import test from 'ava';
import { alignedBuffer, DirectFile } from '../../../src/engine/files.js';
import { sysBinding } from '../../../src/engine/bindings.js';

// Not the usual temporary directory: that may be tmpfs, which has no direct IO.
const dir = mkdtempSync(join(process.cwd(), 'build', 'files-'));
test.after.always(() => rmSync(dir, { recursive: true, force: true }));

/** A small repeatable generator, so that a failure can be replayed. */
function generator(seed: number): (below: number) => number {
  let state = BigInt(seed) | 1n;
  return (below) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number((state >> 33n) % BigInt(below));
  };
}

test('aligned memory starts at a page and is zero', (t) => {
  for (const size of [1, 4095, 4096, 1 << 20]) {
    const buffer = alignedBuffer(size);
    t.is(buffer.length, size);
    t.is(sysBinding().alignment(buffer), 4096);
    t.true(buffer.every((byte) => byte === 0));
  }
  t.is(sysBinding().alignment(alignedBuffer(4096).subarray(512)), 512);
  t.throws(() => alignedBuffer(0), { code: 'EINVAL' });
});

test('any mix of aligned and unaligned requests equals a plain file', async (t) => {
  const size = 1 << 20;
  const file = await DirectFile.open(join(dir, 'mix'), { write: true, create: true });
  await file.truncate(BigInt(size));
  const model = Buffer.alloc(size);
  const seed = Number(process.env['MARS_TEST_SEED'] ?? Date.now() % 1_000_000);
  const random = generator(seed);
  const pool = alignedBuffer(128 << 10);
  for (let i = 0; i < 400; i++) {
    const aligned = random(2) === 0;
    const unit = aligned ? 4096 : 1;
    const len = (1 + random(aligned ? 16 : 60_000)) * unit;
    const pos = random(Math.floor((size - len) / unit)) * unit;
    const skew = aligned && random(4) > 0 ? 0 : random(4096);
    const buffer = pool.subarray(skew, skew + len);
    if (random(2) === 0) {
      randomBytes(len).copy(buffer);
      await file.write(buffer, BigInt(pos));
      buffer.copy(model, pos);
    } else {
      t.is(await file.read(buffer, BigInt(pos)), len, `seed ${seed}`);
      t.true(model.subarray(pos, pos + len).equals(buffer), `seed ${seed} step ${i}`);
    }
  }
  await file.datasync();
  await file.close();
  t.true(readFileSync(join(dir, 'mix')).equals(model), `seed ${seed}`);
});

test('reading stops at an end that is no multiple of anything', async (t) => {
  const file = await DirectFile.open(join(dir, 'odd'), { write: true, create: true });
  await file.write(Buffer.alloc(10_001, 7), 0n);
  const buffer = alignedBuffer(16 << 10);
  t.is(await file.read(buffer, 0n), 10_001);
  t.true(buffer.subarray(0, 10_001).every((byte) => byte === 7));
  t.is(await file.read(buffer, 10_001n), 0);
  t.is(file.size(), 10_001n);
  await file.close();
});

test('failures reject like node:fs does', async (t) => {
  const path = join(dir, 'missing');
  await t.throwsAsync(DirectFile.open(path), { code: 'ENOENT' });
  const file = await DirectFile.open(path, { write: true, create: true });
  await file.close();
  const readOnly = await DirectFile.open(path);
  await t.throwsAsync(readOnly.write(Buffer.alloc(1), 0n), { code: 'EBADF' });
  await readOnly.close();
});

test('tmpfs, with or without direct IO, works all the same', async (t) => {
  const where = mkdtempSync('/dev/shm/mars-files-');
  t.teardown(() => rmSync(where, { recursive: true, force: true }));
  const file = await DirectFile.open(join(where, 'f'), { write: true, create: true });
  const buffer = alignedBuffer(8192).fill(9);
  await file.write(buffer, 0n);
  t.is(await file.read(alignedBuffer(8192), 0n), 8192);
  await file.close();
  t.true(readFileSync(join(where, 'f')).equals(buffer));
});
