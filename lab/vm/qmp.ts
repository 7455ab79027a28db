// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * QEMU's control protocol: JSON lines; answers come in the order of the commands.
 */
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

type Waiter = { resolve: (value: unknown) => void; reject: (error: Error) => void };

/** QEMU refused a command. */
export class QmpError extends Error {}

export class Qmp {
  readonly #socket: Socket;
  readonly #waiting: Waiter[] = [];
  /** names of the events so far, as `RESET`, `SHUTDOWN` */
  readonly events: string[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    createInterface(socket)
      .on('line', (line) => this.#take(JSON.parse(line) as Record<string, unknown>))
      .on('error', () => undefined); // the socket's, told again
    const ended = (): void => {
      for (const waiter of this.#waiting.splice(0)) waiter.reject(new QmpError('QEMU is gone'));
    };
    socket.on('error', ended);
    socket.on('close', ended);
  }

  #take(message: Record<string, unknown>): void {
    if ('return' in message) this.#waiting.shift()?.resolve(message['return']);
    else if ('error' in message)
      this.#waiting.shift()?.reject(new QmpError((message['error'] as { desc: string }).desc));
    else if (typeof message['event'] === 'string') this.events.push(message['event']);
  }

  /** Run a command; its return value. */
  command(execute: string, args: object = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new QmpError(`${execute}: QEMU is gone`));
        return;
      }
      this.#waiting.push({
        resolve,
        reject: (error) => reject(new QmpError(`${execute}: ${error.message}`)),
      });
      this.#socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
  }

  /** Repeat a query until its `status` is one of those; throws at `failed`. */
  async until(query: string, statuses: readonly string[]): Promise<void> {
    for (;;) {
      const { status } = (await this.command(query)) as { status: string };
      if (statuses.includes(status)) return;
      if (status === 'failed') throw new QmpError(`${query}: failed`);
      await delay(3);
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
