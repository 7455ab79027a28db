// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Who a host is: an ECDSA P-256 key and a self-signed certificate for it.
 *
 * The exact bytes of the certificate are pinned in the member list (`ips/cert-H`),
 * so nothing in it needs to be believed: no authority, no name check, no expiry
 * (notAfter is a hundred years away). Both live in local/key.pem, mode 0600, written
 * once and never replaced: a host keeps its key even if it leaves and joins again.
 *
 * The certificate is put together here byte by byte (DER, RFC 5280): version 3, no
 * extensions, issuer = subject = CN=HOST, ecdsa-with-SHA256.
 */
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MarsError } from '../errors.js';
import { errnoOf } from '../tree/disk.js';
import { replaceFile } from '../tree/durable.js';

/** Private key and certificate of this host. */
export interface Identity {
  /** PEM */
  readonly key: string;
  /** PEM */
  readonly certPem: string;
  /** DER: what is pinned */
  readonly cert: Buffer;
}

const FILE = 'local/key.pem';
const YEARS = 100;

/** SHA-256 of a certificate, 64 hex digits. */
export function fingerprint(cert: Uint8Array): string {
  return createHash('sha256').update(cert).digest('hex');
}

/** Read the identity. Throws MarsError `no-cluster` if there is none, `tree-damaged` if it cannot be used. */
export function loadIdentity(dir: string): Identity {
  let text: string;
  try {
    text = readFileSync(join(dir, FILE), 'latin1');
  } catch (error) {
    const code = errnoOf(error) === 'ENOENT' ? 'no-cluster' : 'tree-damaged';
    throw new MarsError(code, { found: `${FILE}: ${String(error)}`, cause: error });
  }
  try {
    const certPem = text.slice(text.indexOf('-----BEGIN CERTIFICATE-----'));
    const key = text.slice(0, text.length - certPem.length);
    const cert = new X509Certificate(certPem);
    if (!cert.checkPrivateKey(createPrivateKey(key))) throw new Error('key and certificate do not fit');
    return { key, certPem, cert: cert.raw };
  } catch (error) {
    throw new MarsError('tree-damaged', { found: `${FILE}: ${String(error)}`, cause: error });
  }
}

/** Read the identity, or make one. */
export function ensureIdentity(dir: string, host: string, now: Date): Identity {
  try {
    return loadIdentity(dir);
  } catch (error) {
    if (!(error instanceof MarsError) || error.code !== 'no-cluster') throw error;
  }
  const identity = makeIdentity(host, now);
  try {
    mkdirSync(join(dir, 'local'), { recursive: true, mode: 0o700 });
    replaceFile(join(dir, FILE), identity.key + identity.certPem);
  } catch (error) {
    throw new MarsError('tree-not-writable', { found: String(error), cause: error });
  }
  return identity;
}

/** A new key with a new certificate. */
export function makeIdentity(host: string, now: Date): Identity {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(oid([1, 2, 840, 10045, 4, 3, 2]));
  const name = sequence(der(0x31, sequence(oid([2, 5, 4, 3]), der(0x0c, Buffer.from(host)))));
  const begin = new Date(Math.min(now.getTime(), Date.UTC(2020, 0, 1)));
  const end = new Date(Date.UTC(now.getUTCFullYear() + YEARS, 0, 1));
  const serial = Buffer.concat([Buffer.from([0x40]), randomBytes(15)]);
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name,
    sequence(time(begin), time(end)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = sign('sha256', body, privateKey);
  const cert = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const certPem = new X509Certificate(cert).toString();
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), certPem, cert };
}

// ---- DER ----

function der(tag: number, content: Buffer): Buffer {
  const n = content.length;
  const length = n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function oid(parts: readonly number[]): Buffer {
  const [a = 0, b = 0, ...rest] = parts;
  const bytes = [a * 40 + b];
  for (const part of rest) {
    const digits = [part & 0x7f];
    for (let n = part >> 7; n > 0; n >>= 7) digits.unshift((n & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return der(0x06, Buffer.from(bytes));
}

/** UTCTime up to 2049, GeneralizedTime after that. */
function time(date: Date): Buffer {
  const text = date.toISOString().replace(/[-:T]/g, '').slice(0, 14);
  const general = date.getUTCFullYear() >= 2050;
  return der(general ? 0x18 : 0x17, Buffer.from(`${general ? text : text.slice(2)}Z`, 'latin1'));
}
