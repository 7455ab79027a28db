// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The words and structures here against the headers they mirror.
 *
 * The headers are read as text, so a number added there and forgotten here is
 * found without building anything.
 */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { COUNTERS } from '../../../src/engine/counters.js';
import { EngineError } from '../../../src/engine/errors.js';
import {
  EVENT_WORDS,
  FILE_FLAGS,
  FILE_ROOM,
  FILE_SPARE,
  PARAMS,
  REASON_TEXTS,
  REASON_WORDS,
  STATE_WORDS,
  VERBS,
} from '../../../src/engine/keys.js';
import { VERDICTS } from '../../../src/engine/logscan.js';
import {
  AT,
  checkLayout,
  decodeCursor,
  decodeIdent,
  decodeStatus,
  encodeCreate,
  encodeCursor,
  encodeIdent,
  encodeSet,
  encodeStatus,
  encodeWire,
  type LogCursor,
} from '../../../src/engine/structs.js';
import type { LogIdent } from '../../../src/engine/types.js';

const abi = strip(readFileSync('kernel/uapi/mars.h', 'utf8'));
const format = strip(readFileSync('kernel/core/log_format.h', 'utf8'));

function strip(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '');
}

/** Members of one enum, without the prefix, with their numbers. */
function members(header: string, name: string, prefix: string): [string, number][] {
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(header)?.[1];
  if (body === undefined) throw new Error(`no enum ${name}`);
  let next = 0;
  return body
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const [word = '', number] = part.split('=').map((half) => half.trim());
      next = number === undefined ? next : Number(number);
      return [word.slice(prefix.length), next++];
    });
}

const dashed = (word: string): string => word.toLowerCase().replaceAll('_', '-');
const camel = (word: string): string =>
  word.toLowerCase().replace(/_(.)/g, (_, c: string) => c.toUpperCase());

test('every verb has its number', (t) => {
  t.deepEqual(
    members(abi, 'mars_verb', 'MARS_VERB_').map(([word, nr]) => [dashed(word), nr]),
    Object.entries(VERBS),
  );
});

test('every reason has its word and its text', (t) => {
  t.deepEqual(
    members(abi, 'mars_reason', 'MARS_R_').map(([word, nr]) => [dashed(word), nr]),
    REASON_WORDS.map((word, nr) => [word, nr]),
  );
  t.deepEqual(Object.keys(REASON_TEXTS), [...REASON_WORDS]);
});

test('every state and every verdict has its word', (t) => {
  t.deepEqual(
    members(abi, 'mars_state', 'MARS_S_').map(([word, nr]) => [dashed(word), nr]),
    STATE_WORDS.map((word, nr) => [word, nr]),
  );
  t.deepEqual(
    members(format, 'mars_log_verdict', 'MARS_LOG_').map(([word, nr]) => [dashed(word), nr]),
    VERDICTS.map((word, nr) => [word, nr]),
  );
});

test('every event and every file flag has its bit', (t) => {
  const bits = (prefix: string): [string, number][] =>
    [...abi.matchAll(new RegExp(`#define ${prefix}(\\w+)\\s+\\(1u << (\\d+)\\)`, 'g'))].map((m) => [
      (m[1] ?? '').toLowerCase(),
      Number(m[2]),
    ]);
  t.deepEqual(
    bits('MARS_EV_'),
    EVENT_WORDS.map((word, bit) => [word, bit]),
  );
  t.deepEqual(
    bits('MARS_FILE_').map(([word, bit]) => [word, 1n << BigInt(bit)]),
    Object.entries(FILE_FLAGS),
  );
  const mebibytes = (name: string): string | undefined =>
    new RegExp(`#define ${name}\\s+\\((\\d+)ull << 20\\)`).exec(abi)?.[1];
  t.is(mebibytes('MARS_FILE_SPARE'), `${FILE_SPARE >> 20}`);
  t.is(mebibytes('MARS_FILE_ROOM'), `${FILE_ROOM >> 20}`);
});

test('every parameter has its number', (t) => {
  t.deepEqual(
    members(abi, 'mars_key', 'MARS_K_').map(([word, nr]) => [word.toLowerCase().replace('_', '.'), nr]),
    Object.entries(PARAMS).map(([word, param]) => [word, param.key]),
  );
});

test('every counter has its name and place', (t) => {
  for (const type of ['file', 'logger', 'replay', 'nbd'] as const) {
    t.deepEqual(
      members(abi, `mars_val_${type}`, `MARS_V_${type.toUpperCase()}_`).map(([word]) => camel(word)),
      [...(COUNTERS[type] ?? [])],
      type,
    );
  }
});

const ident: LogIdent = {
  cluster: '00112233445566778899aabbccddeeff',
  resource: 'ffeeddccbbaa99887766554433221100',
  salt: '0123456789abcdef0123456789abcdef',
  number: 7n,
  timeline: 3,
  origin: 'hosta',
  prevNumber: 6n,
  prevOrigin: 'hostb',
  prevLength: (1n << 63n) + 4096n,
  prevDigest: 'deadbeefdeadbeefdeadbeefdeadbeef',
};

test('an identity survives its bytes', (t) => {
  const bytes = encodeIdent(ident);
  t.is(bytes.length, AT.mars_log_ident);
  t.deepEqual(decodeIdent(bytes), ident);
  t.throws(() => encodeIdent({ ...ident, salt: 'short' }), { instanceOf: RangeError });
  t.throws(() => encodeIdent({ ...ident, salt: 'G'.repeat(32) }), { instanceOf: RangeError });
  t.throws(() => encodeIdent({ ...ident, origin: 'x'.repeat(64) }), { instanceOf: RangeError });
  t.is(decodeIdent(encodeIdent({ ...ident, origin: 'x'.repeat(63) })).origin.length, 63);
});

test('a cursor survives its bytes, digest known or not', (t) => {
  const cursor: LogCursor = {
    offset: 8192n,
    sequence: 2n,
    lamport: 1_764_000_000_123_456_789n,
    salt: ident.salt,
    digest: ident.prevDigest,
    deviceSize: 1n << 40n,
  };
  t.deepEqual(decodeCursor(encodeCursor(cursor)), cursor);
  t.deepEqual(decodeCursor(encodeCursor({ ...cursor, digest: undefined })), { ...cursor, digest: undefined });
});

test('what does not fit into a structure is refused before any call', (t) => {
  t.notThrows(() => encodeCreate('mem', 'n'.repeat(127)));
  t.throws(() => encodeCreate('mem', 'n'.repeat(128)), { instanceOf: RangeError });
  t.throws(() => encodeCreate('mem', 'ä'.repeat(64)), { instanceOf: RangeError });
  t.throws(() => encodeCreate('t'.repeat(16), 'x'), { instanceOf: RangeError });
  t.throws(() => encodeWire('a\0b', 0, 'c'), { instanceOf: RangeError });
  t.throws(() => encodeSet('x', 1, 0n, 'y'.repeat(1024)), { instanceOf: RangeError });
  t.is(decodeStatus(encodeStatus('event', '')), undefined);
});

test('another layout than ours is refused with a name', (t) => {
  t.notThrows(() => checkLayout({ ...AT }));
  t.throws(() => checkLayout({ ...AT, mars_ctl_set: 1192 }), {
    instanceOf: EngineError,
    code: 'ENGINE_MISMATCH',
    message: /mars_ctl_set/,
  });
  t.throws(() => checkLayout({}), { code: 'ENGINE_MISMATCH' });
});
