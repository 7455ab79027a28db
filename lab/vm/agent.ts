// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The harness's end of the agent in a guest (labd.c describes the frames): commands, many at a
 * time, and the guest's kernel log as it grows.
 */
import type { Socket } from 'node:net';
import { patience } from './files.js';

const HEADER = 9;
const CHUNK = 65536;

/** What a command gave back. */
export interface Outcome {
  /** 128 + signal when it was killed, 127 when it does not exist */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a command. */
export interface ExecOptions {
  /** bytes for its standard input */
  readonly stdin?: string | Buffer;
  /** milliseconds until it is killed and the call rejects; default 180000 */
  readonly timeout?: number;
  /** told of every piece of standard output as it comes */
  readonly onOutput?: (text: string) => void;
}

interface Pending {
  readonly out: Buffer[];
  readonly err: Buffer[];
  readonly onOutput: ((text: string) => void) | undefined;
  done: (code: number) => void;
  fail: (error: Error) => void;
}

export class Agent {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #helloWaiters: (() => void)[] = [];
  #input: Buffer = Buffer.alloc(0);
  #nextId = 1;
  #dead: Error | undefined;
  #hellos = 0;
  /** records of /dev/kmsg, raw */
  kmsg = '';

  constructor(
    readonly name: string,
    socket: Socket,
  ) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => this.#receive(data));
    socket.on('error', () => undefined);
  }

  /** How often an agent has started there: once a boot. */
  get hellos(): number {
    return this.#hellos;
  }

  /** Resolves when the agent has started `n` times. */
  async hello(n: number): Promise<void> {
    while (this.#hellos < n) {
      if (this.#dead) throw this.#dead;
      await new Promise<void>((resolve) => this.#helloWaiters.push(resolve));
    }
  }

  /** The guest is gone: whatever still waits fails with that reason. */
  close(reason: Error): void {
    if (this.#dead) return;
    this.#dead = reason;
    this.#socket.destroy();
    for (const waiter of this.#helloWaiters.splice(0)) waiter();
    for (const pending of [...this.#pending.values()]) pending.fail(reason);
  }

  /** Run a program to its end. */
  exec(argv: readonly string[], options: ExecOptions = {}): Promise<Outcome> {
    const id = this.#nextId++;
    const ms = (options.timeout ?? 180000) * patience();
    const words = argv.join(' ');
    return new Promise((resolve, reject) => {
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      const text = (parts: Buffer[]): string => Buffer.concat(parts).toString();
      const end = (): void => {
        clearTimeout(timer);
        this.#pending.delete(id);
      };
      const timer = setTimeout(() => {
        end();
        this.#send(id, 'K', Buffer.from([9]));
        reject(new Error(`${this.name}: not done after ${ms} ms: ${words}\n${text(out)}${text(err)}`));
      }, ms);
      const done = (code: number): void => {
        end();
        resolve({ code, stdout: text(out), stderr: text(err) });
      };
      const fail = (error: Error): void => {
        end();
        reject(error);
      };
      if (this.#dead) {
        fail(this.#dead);
        return;
      }
      this.#pending.set(id, { out, err, done, fail, onOutput: options.onOutput });
      this.#send(id, 'X', Buffer.from(argv.join('\0')));
      const stdin = Buffer.from(options.stdin ?? '');
      for (let at = 0; at < stdin.length; at += CHUNK) this.#send(id, 'I', stdin.subarray(at, at + CHUNK));
      this.#send(id, 'C', Buffer.alloc(0));
    });
  }

  /** Resolves when the agent answers; `kmsg` then holds all that was logged before. */
  ping(): Promise<void> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.#dead) {
        reject(this.#dead);
        return;
      }
      this.#pending.set(id, { out: [], err: [], onOutput: undefined, done: () => resolve(), fail: reject });
      this.#send(id, 'P', Buffer.alloc(0));
    });
  }

  #send(id: number, type: string, payload: Buffer): void {
    const header = Buffer.alloc(HEADER);
    header.writeUInt32LE(payload.length, 0);
    header.writeUInt32LE(id, 4);
    header[8] = type.charCodeAt(0);
    this.#socket.write(Buffer.concat([header, payload]));
  }

  #receive(data: Buffer): void {
    this.#input = this.#input.length > 0 ? Buffer.concat([this.#input, data]) : data;
    while (this.#input.length >= HEADER) {
      const end = HEADER + this.#input.readUInt32LE(0);
      if (this.#input.length < end) return;
      const body = this.#input.subarray(HEADER, end);
      this.#handle(this.#input.readUInt32LE(4), String.fromCharCode(this.#input[8] ?? 0), body);
      this.#input = this.#input.subarray(end);
    }
  }

  #handle(id: number, type: string, body: Buffer): void {
    const pending = this.#pending.get(id);
    switch (type) {
      case 'H':
        this.#hellos++;
        for (const waiter of this.#helloWaiters.splice(0)) waiter();
        break;
      case 'L':
        this.kmsg += body.toString();
        break;
      case 'O':
        pending?.out.push(Buffer.from(body));
        pending?.onOutput?.(body.toString());
        break;
      case 'E':
        pending?.err.push(Buffer.from(body));
        break;
      case 'Z':
        pending?.done(body.readInt32LE(0));
        break;
      case 'P':
        this.#pending.delete(id);
        pending?.done(0);
        break;
    }
  }
}
