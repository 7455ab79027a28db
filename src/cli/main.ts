// SPDX-License-Identifier: GPL-2.0-or-later
/** Entry point of marsadm: connects one run of the program to the process. */
import process from 'node:process';
import { run } from './program.js';

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort());
// A reader that went away (`marsadm view | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await run({
  argv: process.argv.slice(2),
  env: process.env,
  streams: { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) },
  signal: interrupted.signal,
  terminal: process.stdout.isTTY,
});
