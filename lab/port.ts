// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Ports for daemons that are started, killed and started again.
 *
 * Taken from below the range in which the kernel chooses ports of outgoing
 * connections (Linux: 32768 and up): a port from there could be gone by the
 * time its daemon starts. Test files run side by side, each in a process of its own: a UDP
 * socket of the same number, kept until this process ends, tells the others that a port is taken
 * even while no daemon listens there.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const FIRST = 20000;
const END = 32768;

/** Keep the number; false when some process has it. */
function claim(port: number): Promise<boolean> {
  const socket = createSocket('udp4').unref();
  return new Promise((resolve) => {
    socket.once('error', () => {
      socket.close();
      resolve(false);
    });
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(true));
  });
}

/** Is nobody listening there? */
function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** A loopback port on which nobody listens; never the same twice while the process lives. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, END);
    if ((await claim(port)) && (await isFree(port))) return port;
  }
}
