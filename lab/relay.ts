// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A TCP relay on loopback: the network between two hosts, which a test can cut.
 *
 * `up`: connections are passed on. `cut()`: open connections are reset and new ones
 * refused (the port is closed). `freeze()`: connections stay open and new ones are
 * accepted, but no byte passes, as when packets are lost. `restore()` undoes both.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class Relay {
  readonly port: number;
  readonly #target: () => number;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  #frozen = false;

  private constructor(server: Server, target: () => number) {
    this.#target = target;
    this.port = (server.address() as AddressInfo).port;
    this.#adopt(server);
  }

  /** A relay to a port of loopback; `target` is asked at each connection. */
  static async to(target: number | (() => number)): Promise<Relay> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Relay(server, typeof target === 'number' ? () => target : target);
  }

  /** `127.0.0.1:PORT` */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Number of open connections through the relay. */
  get connections(): number {
    return this.#sockets.size / 2;
  }

  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#sockets.clear();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  async restore(): Promise<void> {
    this.#frozen = false;
    for (const socket of this.#sockets) socket.resume();
    if (this.#server !== undefined) return;
    const server = createServer();
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.#adopt(server);
  }

  #adopt(server: Server): void {
    this.#server = server;
    server.on('connection', (near) => {
      this.#join(near);
    });
  }

  #join(near: Socket): void {
    const far = connect(this.#target(), '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (chunk: Buffer) => {
        if (!to.write(chunk)) from.pause();
      });
      from.on('drain', () => {
        if (!this.#frozen) to.resume();
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (this.#frozen) from.pause();
    }
  }
}
