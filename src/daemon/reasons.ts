// SPDX-License-Identifier: GPL-2.0-or-later
/** Why a step failed, as a word of the catalogue. */
import { EngineError } from '../engine/errors.js';
import { asMarsError, type ReasonCode } from '../errors.js';

/** Words of the engine that have a better known word in the catalogue. */
const ENGINE_REASONS: Readonly<Record<string, ReasonCode>> = {
  'in-use': 'device-busy',
  'too-small': 'device-too-small',
  'no-path': 'device-missing',
  denied: 'device-unusable',
  open: 'device-open',
  'bad-log': 'bad-log',
  'no-space': 'log-space-full',
  'log-space-full': 'log-space-full',
  'io-error': 'io-error',
  'log-write-error': 'log-write-error',
  'too-long': 'device-name-too-long',
};

/** Anything thrown, as one word. */
export function reasonOf(error: unknown): ReasonCode {
  if (error instanceof EngineError) return ENGINE_REASONS[error.reason] ?? 'engine';
  return asMarsError(error).code;
}
