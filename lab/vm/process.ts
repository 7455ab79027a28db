// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Programs a machine consists of (emulator, disk servers, switch). Each dies with this process,
 * whatever ends it; none is ever looked up by name.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A running program; `exited` tells how it ended. */
export class Program {
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly exited: Promise<string>;
  #running = true;

  /** @param log - file for what it says */
  constructor(
    readonly name: string,
    command: string,
    args: readonly string[],
    log: string,
    env: NodeJS.ProcessEnv = {},
  ) {
    this.#log = log;
    const out = openSync(log, 'a');
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      stdio: ['ignore', out, out],
      env: { ...process.env, ...env },
    });
    closeSync(out);
    this.exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        this.#running = false;
        resolve(how);
      };
      this.#child.on('error', (error) => ended(error.message));
      this.#child.on('exit', (code, signal) => ended(signal ?? `exit ${code}`));
    });
  }

  get running(): boolean {
    return this.#running;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** What it said so far. */
  output(): string {
    return readFileSync(this.#log, 'utf8');
  }

  /** kill -9, without waiting: for several that must end at once. */
  shoot(): void {
    if (this.#running) this.#child.kill('SIGKILL');
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    this.shoot();
    await this.exited;
  }

  /** Connect to a socket it will listen on. */
  async connect(path: string): Promise<Socket> {
    for (;;) {
      const socket = await attempt(path);
      if (socket) return socket;
      if (!this.#running) throw new Error(`${this.name}: ${await this.exited}\n${this.output()}`);
      await delay(4);
    }
  }
}

function attempt(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      resolve(socket);
    });
    // stays: who dies at the other end is known by its exit
    socket.on('error', () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}
