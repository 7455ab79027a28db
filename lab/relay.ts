// SPDX-License-Identifier: GPL-2.0-or-later
/** A TCP relay on loopback that can be cut and mended, like a cable. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export class Relay {
  readonly port: number;
  readonly #server: Server;
  readonly #to: Endpoint;
  readonly #sockets = new Set<Socket>();
  #whole = true;

  private constructor(server: Server, port: number, to: Endpoint) {
    this.#server = server;
    this.port = port;
    this.#to = to;
    server.on('connection', (socket) => this.#join(socket));
  }

  /** Listen on a free port and pass everything on to `to`. */
  static async open(to: Endpoint): Promise<Relay> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return new Relay(server, address.port, to);
  }

  /** Break all connections and refuse new ones. */
  cut(): void {
    this.#whole = false;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#whole = true;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(here: Socket): void {
    if (!this.#whole) {
      here.resetAndDestroy();
      return;
    }
    const there = connect(this.#to);
    here.setNoDelay(true);
    there.setNoDelay(true);
    for (const [socket, other] of [
      [here, there],
      [there, here],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}
