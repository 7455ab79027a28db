// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The structures of the control ABI as bytes, and back.
 *
 * AT holds every size and offset used here; {@link checkLayout} compares it
 * with what the C compiler made of kernel/uapi/mars.h, so a mismatch is found
 * at start and not in the data. Structures never leave the machine: integers
 * are in host byte order.
 */
import { endianness } from 'node:os';
import type { Layout } from './bindings.js';
import { EngineError } from './errors.js';
import { BRICK_TYPES, EVENT_WORDS, STATE_WORDS, VERBS, type Verb } from './keys.js';
import { nameCounters } from './counters.js';
import type { BrickEvent, BrickStatus, LogIdent } from './types.js';

const LITTLE = endianness() === 'LE';
/** of kernel/uapi/mars.h, as this program knows it */
export const ABI_VERSION = 1;
const NAME_MAX = 128;
const TYPE_MAX = 16;
const HOST_MAX = 64;
const DIGEST = 16;
/** texts of `set` are shorter than this, bytes */
export const TEXT_MAX = 1024;

/** "NAME" is a size, "NAME.FIELD" an offset, in bytes. */
export const AT = {
  mars_ctl_hdr: 16,
  'mars_ctl_hdr.version': 4,
  'mars_ctl_hdr.verb': 6,
  'mars_ctl_hdr.flags': 8,
  'mars_ctl_hdr.reason': 12,
  mars_ctl_version: 96,
  'mars_ctl_version.abi': 16,
  'mars_ctl_version.log_format': 20,
  'mars_ctl_version.embedded': 24,
  'mars_ctl_version.build': 32,
  mars_ctl_create: 160,
  'mars_ctl_create.type': 16,
  'mars_ctl_create.name': 32,
  mars_ctl_name: 144,
  'mars_ctl_name.name': 16,
  mars_ctl_wire: 280,
  'mars_ctl_wire.name': 16,
  'mars_ctl_wire.input': 144,
  'mars_ctl_wire.to': 152,
  mars_ctl_switch: 152,
  'mars_ctl_switch.name': 16,
  'mars_ctl_switch.on': 144,
  mars_ctl_set: 1184,
  'mars_ctl_set.name': 16,
  'mars_ctl_set.key': 144,
  'mars_ctl_set.len': 148,
  'mars_ctl_set.value': 152,
  'mars_ctl_set.text': 160,
  mars_ctl_lamport: 40,
  'mars_ctl_lamport.advance': 16,
  'mars_ctl_lamport.real': 24,
  'mars_ctl_lamport.lamport': 32,
  mars_ctl_status: 400,
  'mars_ctl_status.name': 16,
  'mars_ctl_status.type': 144,
  'mars_ctl_status.button': 160,
  'mars_ctl_status.led_on': 161,
  'mars_ctl_status.led_off': 162,
  'mars_ctl_status.state': 163,
  'mars_ctl_status.error': 164,
  'mars_ctl_status.events': 168,
  'mars_ctl_status.nr_val': 172,
  'mars_ctl_status.val': 176,
  'mars_ctl_status.digest': 368,
  'mars_ctl_status.digest2': 384,
  mars_log_ident: 224,
  'mars_log_ident.resource': 16,
  'mars_log_ident.salt': 32,
  'mars_log_ident.number': 48,
  'mars_log_ident.prev_length': 56,
  'mars_log_ident.prev_digest': 64,
  'mars_log_ident.prev_number': 80,
  'mars_log_ident.timeline': 88,
  'mars_log_ident.origin': 96,
  'mars_log_ident.prev_origin': 160,
  mars_log_cursor: 72,
  'mars_log_cursor.sequence': 8,
  'mars_log_cursor.lamport': 16,
  'mars_log_cursor.salt': 24,
  'mars_log_cursor.digest': 40,
  'mars_log_cursor.digest_known': 56,
  'mars_log_cursor.device_size': 64,
} as const satisfies Layout;

/** Compare AT with the layout of the addon. Throws EngineError ENGINE_MISMATCH. */
export function checkLayout(found: Layout): void {
  const mine: Layout = AT;
  for (const key of new Set([...Object.keys(mine), ...Object.keys(found)])) {
    if (mine[key] === found[key]) continue;
    throw new EngineError({
      message: `the addon was built from other sources: ${key} is ${found[key]}, not ${mine[key]}; run "make build"`,
      code: 'ENGINE_MISMATCH',
    });
  }
}

/** A structure being filled or read. */
class Bytes {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  u8(at: number): number {
    return this.bytes.readUInt8(at);
  }
  u16(at: number): number {
    return LITTLE ? this.bytes.readUInt16LE(at) : this.bytes.readUInt16BE(at);
  }
  u32(at: number): number {
    return LITTLE ? this.bytes.readUInt32LE(at) : this.bytes.readUInt32BE(at);
  }
  s32(at: number): number {
    return this.u32(at) | 0;
  }
  u64(at: number): bigint {
    return LITTLE ? this.bytes.readBigUInt64LE(at) : this.bytes.readBigUInt64BE(at);
  }
  hex(at: number, size: number): string {
    return this.bytes.toString('hex', at, at + size);
  }
  /** text up to the first NUL */
  text(at: number, max: number): string {
    const end = this.bytes.indexOf(0, at);
    return this.bytes.toString('utf8', at, end < 0 ? at + max : Math.min(end, at + max));
  }
  putU16(at: number, value: number): void {
    if (LITTLE) this.bytes.writeUInt16LE(value, at);
    else this.bytes.writeUInt16BE(value, at);
  }
  putU32(at: number, value: number): void {
    if (LITTLE) this.bytes.writeUInt32LE(value, at);
    else this.bytes.writeUInt32BE(value, at);
  }
  putU64(at: number, value: bigint): void {
    if (LITTLE) this.bytes.writeBigUInt64LE(value, at);
    else this.bytes.writeBigUInt64BE(value, at);
  }
  /** Throws RangeError unless `value` is exactly `size` bytes of hex digits. */
  putHex(at: number, size: number, value: string, what: string): void {
    if (!/^[0-9a-f]*$/.test(value) || value.length !== size * 2)
      throw new RangeError(`${what} must be ${size * 2} lower-case hex digits, not '${value}'`);
    this.bytes.write(value, at, size, 'hex');
  }
  /** Throws RangeError when the text with its NUL does not fit or holds a NUL. */
  putText(at: number, max: number, value: string, what: string): void {
    if (Buffer.byteLength(value) >= max || value.includes('\0'))
      throw new RangeError(`${what} must be shorter than ${max} bytes and hold no NUL`);
    this.bytes.write(value, at, 'utf8');
  }
}

function request(verb: Verb, size: number): Bytes {
  const b = new Bytes(Buffer.alloc(size));
  b.putU32(0, size);
  b.putU16(AT['mars_ctl_hdr.version'], ABI_VERSION);
  b.putU16(AT['mars_ctl_hdr.verb'], VERBS[verb]);
  return b;
}

/** enum mars_reason left by the call. */
export function decodeReason(bytes: Buffer): number {
  return new Bytes(bytes).u32(AT['mars_ctl_hdr.reason']);
}

/** ABI version the engine itself speaks; it stands in the answer to a call of another version. */
export function decodeAbi(bytes: Buffer): number {
  const b = new Bytes(bytes);
  return b.u16(AT['mars_ctl_hdr.version']);
}

export function encodeVersion(): Buffer {
  return request('version', AT.mars_ctl_version).bytes;
}

/** Answer of `version`. */
export interface VersionInfo {
  readonly abi: number;
  readonly logFormat: number;
  readonly embedded: boolean;
  readonly build: string;
}

export function decodeVersion(bytes: Buffer): VersionInfo {
  const b = new Bytes(bytes);
  return {
    abi: b.u32(AT['mars_ctl_version.abi']),
    logFormat: b.u32(AT['mars_ctl_version.log_format']),
    embedded: b.u32(AT['mars_ctl_version.embedded']) === 1,
    build: b.text(AT['mars_ctl_version.build'], 64),
  };
}

export function encodeCreate(type: string, name: string): Buffer {
  const b = request('create', AT.mars_ctl_create);
  b.putText(AT['mars_ctl_create.type'], TYPE_MAX, type, 'brick type');
  b.putText(AT['mars_ctl_create.name'], NAME_MAX, name, 'brick name');
  return b.bytes;
}

export function encodeDestroy(name: string): Buffer {
  const b = request('destroy', AT.mars_ctl_name);
  b.putText(AT['mars_ctl_name.name'], NAME_MAX, name, 'brick name');
  return b.bytes;
}

/** `to` absent: disconnect. */
export function encodeWire(name: string, input: number, to?: string): Buffer {
  const b = request(to === undefined ? 'disconnect' : 'connect', AT.mars_ctl_wire);
  b.putText(AT['mars_ctl_wire.name'], NAME_MAX, name, 'brick name');
  b.putU32(AT['mars_ctl_wire.input'], input);
  if (to !== undefined) b.putText(AT['mars_ctl_wire.to'], NAME_MAX, to, 'brick name');
  return b.bytes;
}

export function encodeSwitch(name: string, on: boolean): Buffer {
  const b = request('switch', AT.mars_ctl_switch);
  b.putText(AT['mars_ctl_switch.name'], NAME_MAX, name, 'brick name');
  b.putU32(AT['mars_ctl_switch.on'], on ? 1 : 0);
  return b.bytes;
}

/** @param content text or blob, shorter than TEXT_MAX bytes */
export function encodeSet(name: string, key: number, value: bigint, content: string | Uint8Array): Buffer {
  const b = request('set', AT.mars_ctl_set);
  const text = typeof content === 'string' ? Buffer.from(content) : content;
  b.putText(AT['mars_ctl_set.name'], NAME_MAX, name, 'brick name');
  if (text.length >= TEXT_MAX) throw new RangeError(`parameter text must be shorter than ${TEXT_MAX} bytes`);
  b.putU32(AT['mars_ctl_set.key'], key);
  b.putU32(AT['mars_ctl_set.len'], text.length);
  b.putU64(AT['mars_ctl_set.value'], value);
  b.bytes.set(text, AT['mars_ctl_set.text']);
  return b.bytes;
}

export function encodeLamport(advance: bigint): Buffer {
  const b = request('lamport', AT.mars_ctl_lamport);
  b.putU64(AT['mars_ctl_lamport.advance'], advance);
  return b.bytes;
}

export function decodeLamport(bytes: Buffer): { real: bigint; lamport: bigint } {
  const b = new Bytes(bytes);
  return { real: b.u64(AT['mars_ctl_lamport.real']), lamport: b.u64(AT['mars_ctl_lamport.lamport']) };
}

/** Questions answered by a status: of `name`, of the one after `name`, of any with events. */
export function encodeStatus(verb: 'status' | 'list' | 'event', name: string): Buffer {
  const b = request(verb, AT.mars_ctl_status);
  b.putText(AT['mars_ctl_status.name'], NAME_MAX, name, 'brick name');
  return b.bytes;
}

/** The status in an answer; `undefined` when it names no brick. */
export function decodeStatus(bytes: Buffer): BrickStatus | undefined {
  const b = new Bytes(bytes);
  const name = b.text(AT['mars_ctl_status.name'], NAME_MAX);
  if (name === '') return undefined;
  const word = b.text(AT['mars_ctl_status.type'], TYPE_MAX);
  const type = BRICK_TYPES.find((t) => t === word);
  const state = STATE_WORDS[b.u8(AT['mars_ctl_status.state'])];
  if (!type || !state)
    throw new EngineError({
      message: `brick ${name} is of unknown type or state (${word})`,
      code: 'ENGINE_MISMATCH',
    });
  const values = Array.from({ length: b.u32(AT['mars_ctl_status.nr_val']) }, (_, i) =>
    b.u64(AT['mars_ctl_status.val'] + 8 * i),
  );
  return {
    name,
    type,
    button: b.u8(AT['mars_ctl_status.button']) !== 0,
    ledOn: b.u8(AT['mars_ctl_status.led_on']) !== 0,
    ledOff: b.u8(AT['mars_ctl_status.led_off']) !== 0,
    state,
    error: Math.abs(b.s32(AT['mars_ctl_status.error'])),
    val: nameCounters(type, values),
    digest: b.hex(AT['mars_ctl_status.digest'], DIGEST),
    digest2: b.hex(AT['mars_ctl_status.digest2'], DIGEST),
  };
}

/** The event in an answer of `event`; `undefined` when there is none. */
export function decodeEvent(bytes: Buffer): BrickEvent | undefined {
  const status = decodeStatus(bytes);
  const bits = new Bytes(bytes).u32(AT['mars_ctl_status.events']);
  return status && { kinds: EVENT_WORDS.filter((_, bit) => bits & (1 << bit)), status };
}

export function encodeIdent(ident: LogIdent): Buffer {
  const b = new Bytes(Buffer.alloc(AT.mars_log_ident));
  b.putHex(0, 16, ident.cluster, 'cluster');
  b.putHex(AT['mars_log_ident.resource'], 16, ident.resource, 'resource');
  b.putHex(AT['mars_log_ident.salt'], 16, ident.salt, 'salt');
  b.putU64(AT['mars_log_ident.number'], ident.number);
  b.putU64(AT['mars_log_ident.prev_length'], ident.prevLength);
  b.putHex(AT['mars_log_ident.prev_digest'], DIGEST, ident.prevDigest, 'prevDigest');
  b.putU64(AT['mars_log_ident.prev_number'], ident.prevNumber);
  b.putU32(AT['mars_log_ident.timeline'], ident.timeline);
  b.putText(AT['mars_log_ident.origin'], HOST_MAX, ident.origin, 'origin');
  b.putText(AT['mars_log_ident.prev_origin'], HOST_MAX, ident.prevOrigin, 'prevOrigin');
  return b.bytes;
}

export function decodeIdent(bytes: Uint8Array): LogIdent {
  const b = new Bytes(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  return {
    cluster: b.hex(0, 16),
    resource: b.hex(AT['mars_log_ident.resource'], 16),
    salt: b.hex(AT['mars_log_ident.salt'], 16),
    number: b.u64(AT['mars_log_ident.number']),
    prevLength: b.u64(AT['mars_log_ident.prev_length']),
    prevDigest: b.hex(AT['mars_log_ident.prev_digest'], DIGEST),
    prevNumber: b.u64(AT['mars_log_ident.prev_number']),
    timeline: b.u32(AT['mars_log_ident.timeline']),
    origin: b.text(AT['mars_log_ident.origin'], HOST_MAX),
    prevOrigin: b.text(AT['mars_log_ident.prev_origin'], HOST_MAX),
  };
}

/** struct mars_log_cursor: where a verified part of a log ends. */
export interface LogCursor {
  /** file position of the next group */
  readonly offset: bigint;
  /** its sequence number; 0 = unknown */
  readonly sequence: bigint;
  /** stamp of the last group, ns; 0 = unknown */
  readonly lamport: bigint;
  /** of the file, 32 hex digits */
  readonly salt: string;
  /** running digest up to `offset`, 32 hex digits; `undefined` = unknown */
  readonly digest: string | undefined;
  /** no record may reach beyond, bytes; 0 = unknown */
  readonly deviceSize: bigint;
}

export function encodeCursor(cursor: LogCursor): Buffer {
  const b = new Bytes(Buffer.alloc(AT.mars_log_cursor));
  b.putU64(0, cursor.offset);
  b.putU64(AT['mars_log_cursor.sequence'], cursor.sequence);
  b.putU64(AT['mars_log_cursor.lamport'], cursor.lamport);
  b.putHex(AT['mars_log_cursor.salt'], 16, cursor.salt, 'salt');
  if (cursor.digest !== undefined) {
    b.putHex(AT['mars_log_cursor.digest'], DIGEST, cursor.digest, 'digest');
    b.bytes[AT['mars_log_cursor.digest_known']] = 1;
  }
  b.putU64(AT['mars_log_cursor.device_size'], cursor.deviceSize);
  return b.bytes;
}

export function decodeCursor(bytes: Uint8Array): LogCursor {
  const b = new Bytes(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  return {
    offset: b.u64(0),
    sequence: b.u64(AT['mars_log_cursor.sequence']),
    lamport: b.u64(AT['mars_log_cursor.lamport']),
    salt: b.hex(AT['mars_log_cursor.salt'], 16),
    digest: b.u8(AT['mars_log_cursor.digest_known'])
      ? b.hex(AT['mars_log_cursor.digest'], DIGEST)
      : undefined,
    deviceSize: b.u64(AT['mars_log_cursor.device_size']),
  };
}
