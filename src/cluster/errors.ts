// SPDX-License-Identifier: GPL-2.0-or-later
/** What goes wrong between hosts. */
import { MarsError, type ErrorDetails, type ReasonCode } from '../errors.js';

/** A failure of a connection, with a code of the catalogue. */
export class ClusterError extends MarsError {
  constructor(code: ReasonCode, details: ErrorDetails | string = {}) {
    super(code, details);
    this.name = 'ClusterError';
  }
}

/** Anything thrown by a connection: errors with a code stay, system errors mean `otherwise`. */
export function asClusterError(thrown: unknown, otherwise: ReasonCode): MarsError {
  if (thrown instanceof MarsError) return thrown;
  return new ClusterError(otherwise, {
    found: thrown instanceof Error ? thrown.message : String(thrown),
    cause: thrown,
  });
}
