// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Disks that remember: one NBD server for several disks, which keeps every write and every flush
 * of all of them in one order, as a pair of write logs could not. From that any moment can be
 * shown again: what each disk must hold if the power had failed there, and what it may hold.
 *
 * A disk must hold what was written before its last completed flush, and what was forced through
 * (FUA). Of what came later it may hold any part, block by block. Discards change nothing, which
 * a disk is free to do.
 */
import { createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';

const BLOCK = 4096;
const REQUEST = 28;
/** commands and options of the protocol, as far as the emulator uses them */
const CMD = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, zeroes: 6 } as const;
const OPT = { abort: 2, info: 6, go: 7 } as const;
/** has flags, flush, FUA, trim, write zeroes */
const EXPORT_FLAGS = 1 | 4 | 8 | 32 | 64;

/** Something that happened, in order. */
export type Moment =
  | {
      readonly kind: 'write';
      readonly disk: string;
      readonly at: number;
      readonly data: Buffer;
      readonly fua: boolean;
    }
  | { readonly kind: 'flush'; readonly disk: string }
  /** a mark of the test itself, such as an acknowledgement that came out of the machine */
  | { readonly kind: 'mark'; readonly text: string };

/** What a disk keeps, at a power cut, of a block that was not flushed. */
export type Survival = 'none' | 'all' | 'random';

export class Recorder {
  readonly moments: Moment[] = [];
  #recording = false;
  readonly #images = new Map<string, Buffer>();
  readonly #base = new Map<string, Buffer>();
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(readonly dir: string) {}

  /** Add a disk of zeros; path of the socket that serves it. */
  async disk(name: string, size: number): Promise<string> {
    const socket = path.join(this.dir, `${name}.rec`);
    this.#images.set(name, Buffer.alloc(size));
    const server = createServer((client) => {
      this.#sockets.add(client);
      new Session(this, name, client, size);
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    return socket;
  }

  /** From now on everything is kept; what the disks hold now is taken for flushed. */
  record(): void {
    for (const [name, image] of this.#images) this.#base.set(name, Buffer.from(image));
    this.moments.length = 0;
    this.#recording = true;
  }

  /** Nothing more is kept. */
  stop(): void {
    this.#recording = false;
  }

  mark(text: string): void {
    if (this.#recording) this.moments.push({ kind: 'mark', text });
  }

  /**
   * Let all disks hold what they would after a power cut behind the first `count` moments.
   *
   * @param survival - of what was not flushed, for each disk
   * @param random - choices, below a number
   */
  cut(count: number, survival: Readonly<Record<string, Survival>>, random: (below: number) => number): void {
    for (const [name, image] of this.#images) {
      const mine = this.moments.slice(0, count).filter((m) => m.kind !== 'mark' && m.disk === name);
      const flushed = mine.map((m) => m.kind).lastIndexOf('flush');
      (this.#base.get(name) ?? image).copy(image);
      mine.forEach((m, index) => {
        if (m.kind !== 'write') return;
        const kept = index < flushed || m.fua ? 'all' : (survival[name] ?? 'none');
        for (let at = 0; at < m.data.length; at += BLOCK)
          if (kept === 'all' || (kept === 'random' && random(2) === 0))
            m.data.copy(image, m.at + at, at, Math.min(at + BLOCK, m.data.length));
      });
    }
  }

  /** What was marked before the moment of that number. */
  marked(count: number): string {
    return this.moments
      .slice(0, count)
      .map((m) => (m.kind === 'mark' ? m.text : ''))
      .join('');
  }

  read(disk: string, at: number, length: number): Buffer {
    return this.#image(disk).subarray(at, at + length);
  }

  write(disk: string, at: number, data: Buffer, fua: boolean): void {
    data.copy(this.#image(disk), at);
    if (this.#recording) this.moments.push({ kind: 'write', disk, at, data: Buffer.from(data), fua });
  }

  flush(disk: string): void {
    if (this.#recording) this.moments.push({ kind: 'flush', disk });
  }

  #image(disk: string): Buffer {
    const image = this.#images.get(disk);
    if (!image) throw new Error(`no disk ${disk}`);
    return image;
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** One connection: fixed newstyle negotiation, then simple replies. */
class Session {
  #input: Buffer = Buffer.alloc(0);
  #step: () => boolean;

  constructor(
    readonly recorder: Recorder,
    readonly disk: string,
    readonly socket: Socket,
    readonly size: number,
  ) {
    this.#step = () => this.#clientFlags();
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      this.#input = this.#input.length > 0 ? Buffer.concat([this.#input, data]) : data;
      while (this.#step());
    });
    socket.write(Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), Buffer.from([0, 3])]));
  }

  /** The next bytes, or nothing when they have not come yet. */
  #take(length: number): Buffer | undefined {
    if (this.#input.length < length) return undefined;
    const bytes = this.#input.subarray(0, length);
    this.#input = this.#input.subarray(length);
    return bytes;
  }

  #clientFlags(): boolean {
    if (!this.#take(4)) return false;
    this.#step = () => this.#option();
    return true;
  }

  #answer(option: number, type: number, payload = Buffer.alloc(0)): void {
    const head = Buffer.alloc(20);
    head.writeBigUInt64BE(0x3e889045565a9n, 0);
    head.writeUInt32BE(option, 8);
    head.writeUInt32BE(type, 12);
    head.writeUInt32BE(payload.length, 16);
    this.socket.write(Buffer.concat([head, payload]));
  }

  #option(): boolean {
    if (this.#input.length < 16) return false;
    const option = this.#input.readUInt32BE(8);
    if (!this.#take(16 + this.#input.readUInt32BE(12))) return false;
    if (option === OPT.go || option === OPT.info) {
      const info = Buffer.alloc(12);
      info.writeBigUInt64BE(BigInt(this.size), 2);
      info.writeUInt16BE(EXPORT_FLAGS, 10);
      this.#answer(option, 3, info);
    }
    const known = option === OPT.go || option === OPT.info || option === OPT.abort;
    this.#answer(option, known ? 1 : 2 ** 31 + 1);
    if (option === OPT.go) this.#step = () => this.#request();
    return true;
  }

  #request(): boolean {
    if (this.#input.length < REQUEST) return false;
    const type = this.#input.readUInt16BE(6);
    const length = this.#input.readUInt32BE(24);
    const message = this.#take(REQUEST + (type === CMD.write ? length : 0));
    if (!message) return false;
    const fua = (message.readUInt16BE(4) & 1) !== 0;
    const at = Number(message.readBigUInt64BE(16));
    const reply = Buffer.alloc(16);
    reply.writeUInt32BE(0x67446698, 0);
    message.copy(reply, 8, 8, 16);
    switch (type) {
      case CMD.read:
        this.socket.write(Buffer.concat([reply, this.recorder.read(this.disk, at, length)]));
        return true;
      case CMD.write:
        this.recorder.write(this.disk, at, message.subarray(REQUEST), fua);
        break;
      case CMD.zeroes:
        this.recorder.write(this.disk, at, Buffer.alloc(length), fua);
        break;
      case CMD.flush:
        this.recorder.flush(this.disk);
        break;
      case CMD.disconnect:
        this.socket.end();
        return false;
      case CMD.trim:
        break;
      default:
        reply.writeUInt32BE(22, 4);
    }
    this.socket.write(reply);
    return true;
  }
}
