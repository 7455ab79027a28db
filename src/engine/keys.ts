// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Words for the numbers of the control ABI (kernel/uapi/mars.h).
 *
 * Numbers are stable; a word is the C name in lower case with dashes. A number
 * without a word (a newer engine) is shown as `unknown-N`.
 */
import type { BrickState, BrickType, EventKind } from './types.js';

/** enum mars_verb */
export const VERBS = {
  version: 1,
  create: 2,
  destroy: 3,
  connect: 4,
  disconnect: 5,
  switch: 6,
  set: 7,
  status: 8,
  list: 9,
  lamport: 10,
  event: 11,
} as const;

export type Verb = keyof typeof VERBS;

/** enum mars_reason, by number */
export const REASON_WORDS = [
  'none',
  'bad-size',
  'bad-version',
  'bad-verb',
  'bad-flags',
  'bad-name',
  'no-type',
  'no-brick',
  'exists',
  'no-input',
  'connected',
  'not-connected',
  'loop',
  'no-output',
  'busy-users',
  'busy-on',
  'below-off',
  'no-key',
  'bad-value',
  'not-now',
  'no-memory',
  'io',
  'in-use',
  'too-small',
  'future',
  'missing',
  'bad-log',
  'no-space',
  'no-path',
  'denied',
  'too-deep',
  'open',
  'too-long',
] as const;

/** What each reason means, for messages. */
export const REASON_TEXTS: Readonly<Record<(typeof REASON_WORDS)[number], string>> = {
  none: 'no reason given',
  'bad-size': 'structure size does not fit the verb',
  'bad-version': 'the engine speaks another ABI version',
  'bad-verb': 'unknown verb',
  'bad-flags': 'unknown flag or non-zero padding',
  'bad-name': 'empty, too long, or hostile characters in a name',
  'no-type': 'no such brick type',
  'no-brick': 'no brick of that name',
  exists: 'a brick of that name exists',
  'no-input': 'the type has no such input',
  connected: 'the input is already connected elsewhere',
  'not-connected': 'the input is not connected',
  loop: 'the wire would close a cycle',
  'no-output': 'the lower brick has no output',
  'busy-users': 'bricks above still use it',
  'busy-on': 'the brick is not off',
  'below-off': 'a brick below is not on',
  'no-key': 'the type has no such parameter',
  'bad-value': 'parameter out of range',
  'not-now': 'the parameter cannot change in this state',
  'no-memory': 'out of memory',
  io: 'the lower layer failed',
  'in-use': 'file or device is exclusively held elsewhere',
  'too-small': 'the lower device is smaller than asked',
  future: 'Lamport stamp beyond the allowed future',
  missing: 'a required parameter was never set',
  'bad-log': 'log header or identity does not match',
  'no-space': 'no space left',
  'no-path': 'file or device does not exist',
  denied: 'permission denied',
  'too-deep': 'too many bricks in a row',
  open: 'the exported device is still open',
  'too-long': 'longer than a disk name may be (26 characters)',
};

/** enum mars_state, by number */
export const STATE_WORDS: readonly BrickState[] = [
  'ok',
  'log-write-error',
  'data-write-error',
  'log-space-low',
  'log-space-full',
  'replay-end',
  'replay-clean',
  'replay-torn',
  'replay-mismatch',
  'read-error',
  'io-error',
  'bad-log',
];

/** MARS_EV_*, by bit */
export const EVENT_WORDS: readonly EventKind[] = ['led', 'state', 'progress', 'open', 'gone'];

/** Types the engine can make; checked where a status is decoded. */
export const BRICK_TYPES: readonly BrickType[] = [
  'file',
  'bdev',
  'mem',
  'logger',
  'replay',
  'nbd',
  'if',
  'limit',
  'check',
  'align',
];

/** What a parameter takes: a number, a text, a log identity (and a number), or nothing. */
export type ParamKind = 'value' | 'text' | 'ident' | 'ident+value' | 'none';

/** enum mars_key: word to number and kind */
export const PARAMS: Readonly<Record<string, { readonly key: number; readonly kind: ParamKind }>> = {
  'file.path': { key: 1, kind: 'text' },
  'file.flags': { key: 2, kind: 'value' },
  'file.size': { key: 3, kind: 'value' },
  'mem.size': { key: 16, kind: 'value' },
  'logger.credits': { key: 32, kind: 'value' },
  'logger.durability': { key: 33, kind: 'value' },
  'logger.delay': { key: 34, kind: 'value' },
  'logger.ident': { key: 35, kind: 'ident' },
  'logger.rotate': { key: 36, kind: 'ident+value' },
  'logger.checkpoint': { key: 37, kind: 'none' },
  'logger.segment': { key: 38, kind: 'value' },
  'replay.ident': { key: 48, kind: 'ident' },
  'replay.start': { key: 49, kind: 'value' },
  'replay.end': { key: 50, kind: 'value' },
  'nbd.socket': { key: 64, kind: 'text' },
  'nbd.export': { key: 65, kind: 'text' },
  'nbd.readonly': { key: 66, kind: 'value' },
  'if.name': { key: 72, kind: 'text' },
  'if.readonly': { key: 73, kind: 'value' },
  'if.resize': { key: 74, kind: 'none' },
  'limit.bytes': { key: 80, kind: 'value' },
  'limit.ops': { key: 81, kind: 'value' },
  'check.error': { key: 96, kind: 'text' },
  'check.delay': { key: 97, kind: 'value' },
  'align.block': { key: 112, kind: 'value' },
};

/** MARS_FILE_*: bits of `file.flags` */
export const FILE_FLAGS = {
  direct: 1n << 0n,
  rdonly: 1n << 1n,
  create: 1n << 2n,
  excl: 1n << 3n,
  append: 1n << 4n,
} as const;

/** MARS_FILE_SPARE: bytes logs leave of their file system for the tree, beside what is reserved for root */
export const FILE_SPARE = 4 << 20;
/** MARS_FILE_ROOM: bytes logs leave besides, for a log that begins */
export const FILE_ROOM = 8 << 20;

export function reasonWord(reason: number): string {
  return REASON_WORDS[reason] ?? `unknown-${reason}`;
}
