// SPDX-License-Identifier: GPL-2.0-or-later
/** What the engine's tests share: waiting for bricks, other threads, other processes. */
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../../src/engine/errors.js';
import type { BrickStatus, Engine } from '../../../src/engine/types.js';

/** A fresh directory on a real file system: the usual temporary one may lack direct IO. */
export function diskDir(name: string): string {
  return mkdtempSync(join(process.cwd(), 'build', `${name}-`));
}

/** Wait until a brick satisfies `done`; wakes on its events. */
export async function until(
  engine: Engine,
  name: string,
  done: (status: BrickStatus) => boolean,
): Promise<BrickStatus> {
  const abort = new AbortController();
  // The engine does not keep the process alive; the wait must.
  const alive = setInterval(() => undefined, 60_000);
  try {
    const events = engine.events(abort.signal);
    let status = engine.status(name);
    if (done(status)) return status;
    for await (const event of events) {
      if (event.status.name !== name) continue;
      status = engine.status(name);
      if (done(status)) return status;
    }
    throw new Error(`events ended while waiting for ${name}`);
  } finally {
    clearInterval(alive);
    abort.abort();
  }
}

/** Press the button and wait for the lamp. */
export async function power(engine: Engine, name: string, on: boolean): Promise<BrickStatus> {
  engine.switch(name, on);
  return until(engine, name, (status) => (on ? status.ledOn : status.ledOff));
}

/** Do something that is refused as long as requests on an old route may still use a brick. */
export async function whenUnused(engine: Engine, attempt: () => void): Promise<void> {
  const abort = new AbortController();
  const alive = setInterval(() => undefined, 60_000);
  try {
    const events = engine.events(abort.signal)[Symbol.asyncIterator]();
    for (;;) {
      try {
        attempt();
        return;
      } catch (error) {
        if (!(error instanceof EngineError) || error.reason !== 'busy-users') throw error;
      }
      await events.next();
    }
  } finally {
    clearInterval(alive);
    abort.abort();
  }
}

/** Switch a brick off and destroy it, as soon as its last route is released. */
export async function remove(engine: Engine, name: string): Promise<void> {
  await whenUnused(engine, () => engine.switch(name, false));
  await until(engine, name, (status) => status.ledOff);
  await whenUnused(engine, () => engine.destroy(name));
}

/** What a child process did. */
export interface ChildResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** Run an ES module text in a process of its own, at the project's root. */
export function runModule(text: string): Promise<ChildResult> {
  return run(process.execPath, ['--input-type=module', '--eval', text]);
}

export function run(command: string, args: readonly string[]): Promise<ChildResult> {
  return new Promise((resolve, reject) => {
    // The sanitisers' library is for Node with our addon, not for other programs.
    const { LD_PRELOAD: preload, ...env } = process.env;
    const own = command === process.execPath && preload !== undefined;
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: own ? { ...env, LD_PRELOAD: preload } : env,
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}
