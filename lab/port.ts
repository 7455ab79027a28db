// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Ports for daemons that are started, killed and started again.
 *
 * Taken from below the range in which the kernel chooses ports of outgoing
 * connections (Linux: 32768 and up): a port from there could be gone by the
 * time its daemon starts.
 */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

const FIRST = 20000;
const END = 32768;
const given = new Set<number>();

/** Is nobody listening there? */
function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** A loopback port on which nobody listens; never the same twice in one process. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, END);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}
