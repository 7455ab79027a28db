// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A TCP relay on loopback: the network between two hosts, which a test can cut.
 *
 * `up`: connections are passed on. `cut()`: open connections are reset and new ones
 * refused (the port is closed). `freeze()`: connections stay open and new ones are
 * accepted, but no byte passes, as when packets are lost. `restore()` undoes both.
 * `allow(bytes)`: each connection stalls once so many have passed.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class Relay {
  readonly port: number;
  readonly #target: () => number;
  #server: Server | undefined;
  /** and how many bytes have come from each */
  readonly #sockets = new Map<Socket, number>();
  #frozen = false;
  #allowed = Infinity;

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
    for (const socket of this.#sockets.keys()) socket.resetAndDestroy();
    this.#sockets.clear();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets.keys()) socket.pause();
  }

  async restore(): Promise<void> {
    this.#frozen = false;
    this.#resumeAll();
    if (this.#server !== undefined) return;
    const server = createServer();
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.#adopt(server);
  }

  /**
   * Let every connection pass about so many bytes each way, counted from its beginning; then it
   * stalls until more is allowed. Without a number, as many as there are.
   */
  allow(bytes = Infinity): void {
    this.#allowed = bytes;
    this.#resumeAll();
  }

  #resumeAll(): void {
    for (const socket of this.#sockets.keys()) if (this.#mayPass(socket)) socket.resume();
  }

  #mayPass(socket: Socket): boolean {
    return !this.#frozen && (this.#sockets.get(socket) ?? 0) < this.#allowed;
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
      this.#sockets.set(from, 0);
      from.setNoDelay(true);
      from.on('data', (chunk: Buffer) => {
        this.#sockets.set(from, (this.#sockets.get(from) ?? 0) + chunk.length);
        if (!to.write(chunk) || !this.#mayPass(from)) from.pause();
      });
      from.on('drain', () => {
        if (this.#mayPass(to)) to.resume();
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (!this.#mayPass(from)) from.pause();
    }
  }
}
