// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Digests of leaves, the unit in which a sync compares two disks.
 *
 * SHA-256 cut to 16 bytes; a leaf of zeros has the digest zero, which costs no
 * hashing and makes empty space free on both sides.
 */
import { createHash } from 'node:crypto';
import { DIGEST_SIZE, LEAF } from './messages.js';

const ZEROS = Buffer.alloc(LEAF);

/** Leaves of a range of `len` bytes: offset and length of each. */
export function leavesOf(len: number): { at: number; len: number }[] {
  const leaves = [];
  for (let at = 0; at < len; at += LEAF) leaves.push({ at, len: Math.min(LEAF, len - at) });
  return leaves;
}

export const isZero = (leaf: Buffer): boolean => leaf.equals(ZEROS.subarray(0, leaf.length));

/** Digest of one leaf. */
export function leafDigest(leaf: Buffer): Buffer {
  if (isZero(leaf)) return ZEROS.subarray(0, DIGEST_SIZE);
  return createHash('sha256').update(leaf).digest().subarray(0, DIGEST_SIZE);
}

/** Digests of all leaves of a range, one after the other. */
export function rangeDigests(range: Buffer): Buffer {
  return Buffer.concat(leavesOf(range.length).map((l) => leafDigest(range.subarray(l.at, l.at + l.len))));
}
