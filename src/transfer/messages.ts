// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Messages of the `log` and `sync` streams. Positions are decimal strings,
 * since they may exceed 2^53. Unknown fields are ignored.
 */
import { z } from 'zod';

const u64 = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((s) => BigInt(s));
const name = z.string().min(1).max(64);
const uuid = z.string().regex(/^[0-9a-f]{32}$/);

/**
 * Opens a log stream: send me log `number` of `origin` from byte `from` on. Whoever sets `accept`
 * knows the message of that name.
 */
export const LogRequest = z.object({
  resource: name,
  uuid,
  number: u64,
  origin: name,
  from: u64,
  accept: z.boolean().optional(),
});
/** Opens a sync stream. */
export const SyncRequest = z.object({ resource: name, uuid });

/** From the holder of a log: bytes at a position, or why there are none. */
export const LogMessage = z.discriminatedUnion('t', [
  /** first, to whoever asked for it: the log is here, bytes follow as soon as there are any */
  z.object({ t: z.literal('accepted') }),
  z.object({ t: z.literal('data'), at: u64 }),
  /** the log ends here for good; everything was sent */
  z.object({ t: z.literal('closed'), end: u64 }),
  z.object({ t: z.literal('refused'), reason: z.string().max(64) }),
]);

/** From the node that is being synced. */
export const SyncQuestion = z.discriminatedUnion('t', [
  /** body: one digest of DIGEST_SIZE bytes for each leaf of the range; zeros = leaf of zeros */
  z.object({
    t: z.literal('range'),
    at: u64,
    len: z
      .number()
      .int()
      .positive()
      .max(1 << 20),
  }),
  z.object({ t: z.literal('finish') }),
]);

/** From the primary. */
export const SyncAnswer = z.discriminatedUnion('t', [
  /** replay must start here or earlier; logs from here on are kept */
  z.object({ t: z.literal('start'), position: z.string().max(256), size: u64 }),
  /** body: the leaves that differ and are not all zeros, one after the other */
  z.object({
    t: z.literal('range'),
    at: u64,
    len: z
      .number()
      .int()
      .positive()
      .max(1 << 20),
    differ: z.number().int().nonnegative(),
    zero: z.number().int().nonnegative(),
  }),
  /** the end of everything that may have touched the disk by now */
  z.object({ t: z.literal('end'), position: z.string().max(256) }),
  z.object({ t: z.literal('refused'), reason: z.string().max(64) }),
]);

/** Bytes per range and per leaf of it, and per digest of a leaf. */
export const RANGE = 1 << 20;
export const LEAF = 1 << 16;
export const DIGEST_SIZE = 16;
