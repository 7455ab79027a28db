// SPDX-License-Identifier: GPL-2.0-or-later
/** The command line of marsd. */
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { asMarsError, MarsError } from '../errors.js';
import { validHost } from '../tree/catalogue.js';
import { defaultTuning, type Tuning } from './context.js';
import { ENGINE_CHOICES, type EngineChoice } from './engine.js';

export interface DaemonOptions {
  readonly dir: string;
  readonly host: string;
  readonly engine: EngineChoice;
  readonly tuning: Tuning;
  /** go on although this host once wrote with a clock far ahead of the present one */
  readonly acceptClock: boolean;
  readonly help: boolean;
}

export const USAGE = `marsd: the daemon of one node
usage: marsd [options]
  --dir DIR         state directory (MARS_DIR, /mars)
  --host NAME       own host name (MARS_HOST, the name of the machine)
  --engine KIND     kernel (mars.ko), embedded (in this process), auto: kernel if it is loaded (MARS_ENGINE, auto)
  --credits BYTES   shadow memory of one primary resource (64M)
  --rotate-at BYTES a log that has grown beyond this is continued in a new one (1G)
  --segment BYTES   how far a log file is allocated ahead (64M)
  --accept-clock    the clock is right now, and what this host wrote with a wrong one gets new stamps
BYTES may end in K, M or G (powers of 1024).
`;

const UNITS: Readonly<Record<string, bigint>> = { '': 1n, K: 1n << 10n, M: 1n << 20n, G: 1n << 30n };

function bytes(text: string | undefined, otherwise: bigint, least: bigint): bigint {
  if (text === undefined) return otherwise;
  const match = /^(\d{1,15})([KMG]?)$/.exec(text);
  const value = BigInt(match?.[1] ?? 0) * (UNITS[match?.[2] ?? ''] ?? 1n);
  if (!match || value < least || value % 4096n !== 0n)
    throw new MarsError('bad-size', { found: text, next: 'marsd --help' });
  return value;
}

function engineChoice(word: string | undefined): EngineChoice {
  const choice = ENGINE_CHOICES.find((c) => c === (word ?? 'auto'));
  if (!choice) throw new MarsError('usage', { found: `--engine=${word}`, next: 'marsd --help' });
  return choice;
}

/** Parse the command line. Throws MarsError `usage`, `bad-size`, `bad-name`. */
export function parseOptions(argv: readonly string[], env: NodeJS.ProcessEnv): DaemonOptions {
  const { values } = parse(argv);
  const machine = os.hostname().split('.')[0] ?? '';
  return {
    dir: path.resolve(values.dir ?? env['MARS_DIR'] ?? '/mars'),
    host: validHost(values.host ?? env['MARS_HOST'] ?? machine),
    engine: engineChoice(values.engine ?? env['MARS_ENGINE']),
    tuning: {
      credits: bytes(values.credits, defaultTuning.credits, 8n << 20n),
      rotateAt: bytes(values['rotate-at'], defaultTuning.rotateAt, 1n << 20n),
      segment: bytes(values.segment, defaultTuning.segment, 4n << 20n),
    },
    acceptClock: values['accept-clock'] ?? false,
    help: values.help ?? false,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        dir: { type: 'string' },
        host: { type: 'string' },
        engine: { type: 'string' },
        credits: { type: 'string' },
        'rotate-at': { type: 'string' },
        segment: { type: 'string' },
        'accept-clock': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new MarsError('usage', {
      found: asMarsError(error).found ?? '',
      next: 'marsd --help',
      cause: error,
    });
  }
}
