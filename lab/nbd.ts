// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A small NBD client over a unix socket, for the demo, tests and benchmarks.
 *
 * Fixed newstyle handshake with NBD_OPT_EXPORT_NAME, simple replies, any number
 * of requests in flight. Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 */
import { connect, type Socket } from 'node:net';

const OPTION_MAGIC = Buffer.from('IHAVEOPT');
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const FLAG_FUA = 1;

const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, zeroes: 6 } as const;

/** The server answered a request with an error. */
export class NbdError extends Error {
  constructor(
    readonly command: string,
    readonly errno: number,
  ) {
    super(`NBD ${command} failed with errno ${errno}`);
  }
}

interface Pending {
  readonly command: keyof typeof COMMAND;
  readonly length: number;
  readonly resolve: (data: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class NbdClient {
  /** bytes of the export */
  readonly size: number;
  readonly #socket: Socket;
  readonly #pending = new Map<bigint, Pending>();
  #cookie = 0n;
  #received: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket, size: number, rest: Buffer) {
    this.#socket = socket;
    this.size = size;
    socket.on('data', (data) => this.#onData(data));
    socket.on('close', () => this.#fail(new Error('NBD connection closed')));
    socket.on('error', (error) => this.#fail(error));
    if (rest.length > 0) this.#onData(rest);
  }

  /** Connect and negotiate. */
  static async open(path: string, name = ''): Promise<NbdClient> {
    const socket = connect(path);
    const reader = new Reader(socket);
    await reader.need(18);
    const greeting = reader.take(18);
    if (greeting.toString('latin1', 0, 16) !== 'NBDMAGICIHAVEOPT') throw new Error('not an NBD server');
    const option = Buffer.alloc(4 + 16 + name.length);
    option.writeUInt32BE(3, 0); // fixed newstyle, no zeroes
    OPTION_MAGIC.copy(option, 4);
    option.writeUInt32BE(1, 12); // NBD_OPT_EXPORT_NAME
    option.writeUInt32BE(name.length, 16);
    option.write(name, 20, 'latin1');
    socket.write(option);
    await reader.need(10);
    const size = Number(reader.take(10).readBigUInt64BE(0));
    return new NbdClient(socket, size, reader.stop());
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.#request('read', offset, length);
  }

  async write(offset: number, data: Buffer, fua = false): Promise<void> {
    await this.#request('write', offset, data.length, fua ? FLAG_FUA : 0, data);
  }

  async flush(): Promise<void> {
    await this.#request('flush', 0, 0);
  }

  async trim(offset: number, length: number): Promise<void> {
    await this.#request('trim', offset, length);
  }

  async zero(offset: number, length: number): Promise<void> {
    await this.#request('zeroes', offset, length);
  }

  /** Disconnect in an orderly way and wait until the server has closed. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    if (this.#socket.destroyed) return;
    this.#send('disconnect', 0, 0, 0, 0n);
    this.#socket.end();
    this.#socket.resume();
    await closed;
  }

  /** Drop the connection without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  #request(
    command: keyof typeof COMMAND,
    offset: number,
    length: number,
    flags = 0,
    data?: Buffer,
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new Error('NBD connection closed'));
        return;
      }
      const cookie = ++this.#cookie;
      this.#pending.set(cookie, { command, length: command === 'read' ? length : 0, resolve, reject });
      this.#send(command, offset, length, flags, cookie, data);
    });
  }

  #send(
    command: keyof typeof COMMAND,
    offset: number,
    length: number,
    flags: number,
    cookie: bigint,
    data?: Buffer,
  ): void {
    const head = Buffer.alloc(28);
    head.writeUInt32BE(REQUEST_MAGIC, 0);
    head.writeUInt16BE(flags, 4);
    head.writeUInt16BE(COMMAND[command], 6);
    head.writeBigUInt64BE(cookie, 8);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(length, 24);
    this.#socket.cork();
    this.#socket.write(head);
    if (data) this.#socket.write(data);
    this.#socket.uncork();
  }

  #onData(data: Buffer): void {
    this.#received = this.#received.length > 0 ? Buffer.concat([this.#received, data]) : data;
    while (this.#received.length >= 16) {
      if (this.#received.readUInt32BE(0) !== REPLY_MAGIC) {
        this.#socket.destroy(new Error('bad NBD reply'));
        return;
      }
      const errno = this.#received.readUInt32BE(4);
      const pending = this.#pending.get(this.#received.readBigUInt64BE(8));
      const length = errno === 0 ? (pending?.length ?? 0) : 0;
      if (this.#received.length < 16 + length) return;
      this.#pending.delete(this.#received.readBigUInt64BE(8));
      const body = this.#received.subarray(16, 16 + length);
      this.#received = this.#received.subarray(16 + length);
      if (errno !== 0) pending?.reject(new NbdError(pending.command, errno));
      else pending?.resolve(Buffer.from(body));
    }
  }

  #fail(error: Error): void {
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }
}

/** Collects bytes of a socket until the handshake is over. */
class Reader {
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #error: Error | undefined;
  readonly #onData = (data: Buffer): void => {
    this.#bytes = Buffer.concat([this.#bytes, data]);
    this.#wake?.();
  };
  readonly #onEnd = (error?: Error | boolean): void => {
    this.#error = error instanceof Error ? error : new Error('NBD connection closed');
    this.#wake?.();
  };

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', this.#onData).on('error', this.#onEnd).on('close', this.#onEnd);
  }

  async need(count: number): Promise<void> {
    while (this.#bytes.length < count) {
      if (this.#error) throw this.#error;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  take(count: number): Buffer {
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** Stop collecting; returns what is left. */
  stop(): Buffer {
    this.#socket.off('data', this.#onData).off('error', this.#onEnd).off('close', this.#onEnd);
    return this.#bytes;
  }
}
