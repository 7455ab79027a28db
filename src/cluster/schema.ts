// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Every message hosts exchange, as schemas: what does not fit is `bad-message` and
 * ends the connection. Unknown fields are ignored, so are tree messages of an
 * unknown type: a newer version may send them. Sizes are bounded here and in frame.ts.
 *
 * Stamps travel as decimal strings (they exceed what JSON numbers can hold).
 */
import { z } from 'zod';
import { isReasonCode, type ReasonCode } from '../errors.js';
import { isHost, MAX_KEY, MAX_VALUE, parseAddress } from '../tree/catalogue.js';
import { BUCKETS, DIGEST_BYTES } from '../tree/store.js';
import type { Entry } from '../tree/types.js';
import { ClusterError } from './errors.js';
import type { Json, JsonObject } from './types.js';

/** Protocol versions this program speaks. */
export const PROTOCOL: ProtocolRange = { min: 1, max: 1 };

export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

/** The highest version both speak. Throws ClusterError `protocol-mismatch`. */
export function negotiate(ours: ProtocolRange, theirs: ProtocolRange): number {
  const version = Math.min(ours.max, theirs.max);
  if (version < Math.max(ours.min, theirs.min))
    throw new ClusterError(
      'protocol-mismatch',
      `${ours.min}-${ours.max} here, ${theirs.min}-${theirs.max} there`,
    );
  return version;
}

const stamp = z
  .string()
  .regex(/^(?:0|[1-9][0-9]{0,18})$/)
  .transform((s) => BigInt(s));
const host = z.string().refine(isHost);
const uuid = z.string().regex(/^[0-9a-f]{32}$/);
const json: z.ZodType<JsonObject> = z.record(z.string().max(64), z.json() as z.ZodType<Json>);
const range = z.object({ min: z.int().min(1).max(9999), max: z.int().min(1).max(9999) });
const text = z.string().max(2000);

const hello = z.object({
  purpose: z.string().min(1).max(32),
  protocol: range,
  cluster: uuid,
  host,
  lamport: stamp,
  params: json,
});
/** First frame of the side that connects. */
export type Hello = z.infer<typeof hello>;

const reply = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), protocol: z.int(), host, lamport: stamp }),
  z.object({ ok: z.literal(false), code: z.string().max(64), text }),
]);
/** First frame of the side that was connected to. */
export type Reply = z.infer<typeof reply>;

const treeMessage = z.discriminatedUnion('t', [
  z.object({ t: z.literal('start'), horizon: stamp, synced: stamp }),
  z.object({ t: z.literal('digests') }),
  z.object({ t: z.literal('summary'), last: z.boolean() }),
  z.object({ t: z.literal('entries'), n: z.int().min(1), lamport: stamp }),
  z.object({ t: z.literal('ack'), n: z.int().min(1), lamport: stamp }),
  z.object({ t: z.literal('mark'), stamp, horizon: stamp }),
  z.object({ t: z.literal('marked'), stamp }),
  z.object({ t: z.literal('ping'), lamport: stamp }),
  z.object({ t: z.literal('pong'), lamport: stamp }),
]);
/** Heads of a tree session; see session.ts. */
export type TreeMessage = z.infer<typeof treeMessage>;
const TREE_TYPES: ReadonlySet<string> = new Set(treeMessage.options.map((o) => o.shape.t.value));

const joinRequest = z.object({
  secret: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  address: z.string().refine((s) => parseAddress(s) !== undefined),
});
/** Parameters of the purpose `join`. */
export type JoinRequest = z.infer<typeof joinRequest>;

const verdict = z.discriminatedUnion('t', [
  z.object({ t: z.literal('welcome') }),
  z.object({ t: z.literal('refused'), code: z.string().max(64), text }),
]);
/** The answer to a join: in the body of `welcome` the links a new member starts with. */
export type Verdict = z.infer<typeof verdict>;

const entries = z
  .array(z.tuple([z.string().min(1).max(MAX_KEY), z.string().min(1).max(MAX_VALUE), stamp]))
  .max(10_000);
const summary = z
  .array(z.tuple([z.string().min(1).max(MAX_KEY), stamp, z.string().regex(/^[0-9a-f]{16}$/)]))
  .max(20_000);
/** Key, stamp and the first bytes of the hash of one version. */
export type SummaryLine = z.infer<typeof summary>[number];

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new ClusterError(
    'bad-message',
    `${what}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.slice(0, 300),
  );
}

function parseBody(body: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'));
  } catch (error) {
    throw new ClusterError('bad-message', { found: `${what}: the body is not JSON`, cause: error });
  }
}

/** Each of these throws ClusterError `bad-message`. */
export const parseHello = (head: JsonObject): Hello => parse(hello, head, 'hello');
export const parseReply = (head: JsonObject): Reply => parse(reply, head, 'reply');
export const parseJoinRequest = (params: JsonObject): JoinRequest => parse(joinRequest, params, 'join');
export const parseVerdict = (head: JsonObject): Verdict => parse(verdict, head, 'verdict');

/** undefined for a type of message this version does not know. */
export function parseTreeMessage(head: JsonObject): TreeMessage | undefined {
  if (typeof head['t'] === 'string' && !TREE_TYPES.has(head['t'])) return undefined;
  return parse(treeMessage, head, 'tree message');
}

export function parseEntries(body: Uint8Array): Entry[] {
  return parse(entries, parseBody(body, 'entries'), 'entries').map(([key, value, s]) => ({
    key,
    value,
    stamp: s,
  }));
}

/** One entry as it stands in a message; see {@link joinEntries}. */
export function formatEntry(e: Entry): string {
  return JSON.stringify([e.key, e.value, e.stamp.toString()]);
}

/** The body of a message with these entries. */
export function joinEntries(formatted: readonly string[]): Buffer {
  return Buffer.from(`[${formatted.join(',')}]`);
}

export function formatEntries(list: readonly Entry[]): Buffer {
  return joinEntries(list.map(formatEntry));
}

export function parseSummary(body: Uint8Array): SummaryLine[] {
  return parse(summary, parseBody(body, 'summary'), 'summary');
}

export function checkDigests(body: Uint8Array): Uint8Array {
  if (body.length !== BUCKETS * DIGEST_BYTES)
    throw new ClusterError('bad-message', `digests of ${body.length} bytes`);
  return body;
}

/** A reason from the other side, as far as this version knows it. */
export function remoteReason(code: string): ReasonCode {
  return isReasonCode(code) ? code : 'peer-refused';
}
