// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The yardstick for shipping and syncing: a plain copy of a file over TLS.
 *
 * Two processes of this program: one reads the file and writes it to a TLS 1.3
 * socket with the cipher the daemons use, the other writes what arrives to a
 * file and flushes it at the end (or only counts it). Time runs from the
 * connection until the sender has heard that everything arrived.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { promises as fs } from 'node:fs';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { makeIdentity } from '../src/cluster/identity.js';

const CHUNK = 1 << 20;
const TLS = { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' } as const;

/** What one process tells the other through their parent. */
type Message = { readonly port: number } | { readonly seconds: number };

/** Copy the first `length` bytes of `from` over TLS to `to` (undefined = nowhere); returns MiB/s. */
export async function plainCopy(from: string, length: number, to: string | undefined): Promise<number> {
  const program = fileURLToPath(import.meta.url);
  const receiver = fork(program, ['receive', to ?? '']);
  const [opened] = (await once(receiver, 'message')) as [Message];
  if (!('port' in opened)) throw new Error('the receiver does not listen');
  const sender = fork(program, ['send', from, length.toString(), opened.port.toString()]);
  const [sent] = (await once(sender, 'message')) as [Message];
  if (!('seconds' in sent)) throw new Error('the sender has failed');
  for (const child of [sender, receiver]) if (child.exitCode === null) await once(child, 'exit');
  return length / (1 << 20) / sent.seconds;
}

/** Take one connection, store it, answer with one byte once it is durable. */
async function receive(to: string): Promise<void> {
  const identity = makeIdentity('receiver', new Date());
  const file = to === '' ? undefined : await fs.open(to, 'w');
  const server = tls.createServer({ ...TLS, key: identity.key, cert: identity.certPem, allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.send?.({ port: (server.address() as AddressInfo).port } satisfies Message);
  const [socket] = (await once(server, 'secureConnection')) as [tls.TLSSocket];
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) await file?.write(chunk as Buffer);
  await file?.datasync();
  await file?.close();
  socket.end('x');
  server.close();
}

async function send(from: string, length: number, port: number): Promise<void> {
  const file = await fs.open(from, 'r');
  const socket = tls.connect({ ...TLS, port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const begin = process.hrtime.bigint();
  for (let at = 0; at < length; ) {
    const { bytesRead, buffer } = await file.read(
      Buffer.allocUnsafe(CHUNK),
      0,
      Math.min(CHUNK, length - at),
      at,
    );
    if (bytesRead === 0) throw new Error(`${from} is shorter than ${length} bytes`);
    at += bytesRead;
    if (!socket.write(buffer.subarray(0, bytesRead))) await once(socket, 'drain');
  }
  socket.end();
  await once(socket, 'data');
  process.send?.({ seconds: Number(process.hrtime.bigint() - begin) / 1e9 } satisfies Message);
  await file.close();
}

const [, program, role, ...rest] = process.argv;
if (program === fileURLToPath(import.meta.url)) {
  if (role === 'receive') await receive(rest[0] ?? '');
  else if (role === 'send') await send(rest[0] ?? '', Number(rest[1]), Number(rest[2]));
  process.disconnect();
}
