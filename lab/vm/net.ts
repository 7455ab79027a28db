// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The network between guests: one switch (labswitch.c), whose links can be cut, slowed and made
 * lossy in each direction. Nothing of it exists outside of sockets in the scratch folder.
 */
import type { Socket } from 'node:net';
import path from 'node:path';
import { VM_DIR } from './files.js';
import { Program } from './process.js';

/** A rule is for the link from one guest to another; `*` is any. */
export class VmNet {
  readonly #program: Program;
  readonly #control: Socket;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(program: Program, control: Socket) {
    this.#program = program;
    this.#control = control;
  }

  static async start(dir: string): Promise<VmNet> {
    const control = path.join(dir, 'switch.ctl');
    const args = [path.join(dir, 'switch'), control];
    const program = new Program(
      'labswitch',
      path.join(VM_DIR, 'bin', 'labswitch'),
      args,
      path.join(dir, 'switch.log'),
    );
    return new VmNet(program, await program.connect(control));
  }

  #command(line: string, end: RegExp): Promise<string> {
    const answer = this.#queue.then(
      () =>
        new Promise<string>((resolve, reject) => {
          let text = '';
          const take = (data: Buffer): void => {
            text += data.toString();
            if (!end.test(text)) return;
            this.#control.off('data', take);
            if (text.startsWith('err')) reject(new Error(`labswitch refuses: ${line}`));
            else resolve(text);
          };
          this.#control.on('data', take);
          this.#control.write(`${line}\n`);
        }),
    );
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  async #rule(line: string): Promise<void> {
    await this.#command(line, /^(ok|err)\n/);
  }

  /** Nothing passes from `a` to `b`, silently, as when a far link fails. */
  async cutOneWay(a: string, b: string): Promise<void> {
    await this.#rule(`link ${a} ${b} down`);
  }

  /** Cut both directions. */
  async cut(a: string, b = '*'): Promise<void> {
    await this.#rule(`link ${a} ${b} down`);
    await this.#rule(`link ${b} ${a} down`);
  }

  /** Mend both directions. */
  async mend(a: string, b = '*'): Promise<void> {
    await this.#rule(`link ${a} ${b} up`);
    await this.#rule(`link ${b} ${a} up`);
  }

  /** Delay in microseconds from `a` to `b`, and up to `jitter` more. */
  async delay(a: string, b: string, us: number, jitter = 0): Promise<void> {
    await this.#rule(`delay ${a} ${b} ${us} ${jitter}`);
  }

  /** Lose that share (0 to 1) of the frames. */
  async loss(a: string, b: string, share: number): Promise<void> {
    await this.#rule(`loss ${a} ${b} ${Math.round(share * 1e6)}`);
  }

  /** Limit to bytes per second; 0: no limit. */
  async rate(a: string, b: string, bytes: number): Promise<void> {
    await this.#rule(`rate ${a} ${b} ${bytes}`);
  }

  /** Bytes that passed from `a` to `b` so far. */
  async bytes(a: string, b: string): Promise<number> {
    const lines = (await this.#command('stat', /(^|\n)\.\n$/)).split('\n').map((line) => line.split(' '));
    return Number(lines.find((words) => words[0] === a && words[1] === b)?.[3] ?? 0);
  }

  async stop(): Promise<void> {
    this.#control.destroy();
    await this.#program.kill();
  }
}
