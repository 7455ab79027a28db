// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Join tokens: one-time invitations.
 *
 * The text `mars1.…` holds all a new host needs: where to call, which cluster, the
 * fingerprint of the certificate it will meet, and a secret of 256 random bits. The
 * member keeps only the hash of the secret, as local/join-tokens/HASH (JSON). Use is
 * written and durable before the answer goes out. The same host may repeat its own
 * join (its answer may have been lost): it is known by its certificate, and only while
 * the token is valid and the host is a member. Who was removed needs a new token.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { MarsError } from '../errors.js';
import { errnoOf } from '../tree/disk.js';
import { replaceFile } from '../tree/durable.js';
import { isHost, parseAddress } from '../tree/catalogue.js';

/** Default validity, s. */
export const TOKEN_SECONDS = 3600;
/** Used and expired tokens are remembered so long, to say so, s. */
const REMEMBER = 7 * 86_400;
const PREFIX = 'mars1.';
const DIR = 'local/join-tokens';

const tokenSchema = z.object({
  addr: z.string().refine((s) => parseAddress(s) !== undefined),
  uuid: z.string().regex(/^[0-9a-f]{32}$/),
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  secret: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  /** wall clock of the member, s */
  expires: z.int().positive(),
  host: z.string().refine(isHost),
});
export type Token = z.infer<typeof tokenSchema>;

const recordSchema = z.object({ expires: z.int(), usedBy: z.string().optional() });
type TokenRecord = z.infer<typeof recordSchema>;

export function formatToken(token: Token): string {
  return PREFIX + Buffer.from(JSON.stringify(token)).toString('base64url');
}

/** Throws MarsError `token-malformed`. */
export function parseToken(text: string): Token {
  try {
    if (!text.startsWith(PREFIX) || text.length > 2000) throw new Error(`it does not start with ${PREFIX}`);
    return tokenSchema.parse(JSON.parse(Buffer.from(text.slice(PREFIX.length), 'base64url').toString()));
  } catch (error) {
    throw new MarsError('token-malformed', { cause: error });
  }
}

/** A secret, remembered in `dir` until `expires` (s). */
export function newSecret(dir: string, expires: number, now: number): string {
  const secret = randomBytes(32).toString('base64url');
  mkdirSync(join(dir, DIR), { recursive: true, mode: 0o700 });
  purge(dir, now);
  save(dir, secret, { expires });
  return secret;
}

/**
 * May this secret be used by the host with this certificate? Throws `token-unknown`, `token-used`, `token-expired`.
 *
 * @param member is that host a member already?
 */
export function checkSecret(
  dir: string,
  secret: string,
  certificate: string,
  member: boolean,
  now: number,
): void {
  judge(dir, secret, certificate, member, now);
}

/** The same, and from now on nobody else may use it. Durable on return. False if this host had used it before. */
export function useSecret(
  dir: string,
  secret: string,
  certificate: string,
  member: boolean,
  now: number,
): boolean {
  const record = judge(dir, secret, certificate, member, now);
  if (record.usedBy !== undefined) return false;
  save(dir, secret, { ...record, usedBy: certificate });
  return true;
}

function judge(dir: string, secret: string, certificate: string, member: boolean, now: number): TokenRecord {
  let record: TokenRecord;
  try {
    record = recordSchema.parse(JSON.parse(readFileSync(path(dir, secret), 'utf8')));
  } catch (error) {
    throw new MarsError('token-unknown', { cause: error });
  }
  const repeats = record.usedBy === certificate && member;
  if (record.usedBy !== undefined && !repeats) throw new MarsError('token-used');
  if (record.expires < now) throw new MarsError('token-expired');
  return record;
}

function path(dir: string, secret: string): string {
  return join(dir, DIR, createHash('sha256').update(secret).digest('hex'));
}

function save(dir: string, secret: string, record: TokenRecord): void {
  try {
    replaceFile(path(dir, secret), JSON.stringify(record));
  } catch (error) {
    throw new MarsError('tree-not-writable', { found: String(error), cause: error });
  }
}

function purge(dir: string, now: number): void {
  for (const name of readdirSync(join(dir, DIR))) {
    const file = join(dir, DIR, name);
    try {
      const record = recordSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
      if (record.expires + REMEMBER < now) unlinkSync(file);
    } catch (error) {
      // Half-written leftovers are no tokens.
      if (errnoOf(error) === '') unlinkSync(file);
    }
  }
}
