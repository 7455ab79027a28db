// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What the engine throws.
 *
 * Failed system calls outside the control verbs (link times, locks, files)
 * throw plain Errors in the manner of node:fs instead.
 */

/** What is known of a failure of the engine. */
export interface EngineErrorDetail {
  readonly message: string;
  /** errno name such as `EBUSY`, or `ENGINE_...` when no verb was reached */
  readonly code: string;
  /** errno, positive; 0 = none */
  readonly errno?: number;
  /** word of enum mars_reason such as `busy-users`; `none` when the verb gave none */
  readonly reason?: string;
  /** the verb or system call that failed */
  readonly syscall?: string;
  readonly cause?: unknown;
}

/** A control verb was refused (then nothing has changed), or the engine is not there. */
export class EngineError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly reason: string;
  readonly syscall: string;

  constructor(detail: EngineErrorDetail) {
    super(detail.message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'EngineError';
    this.code = detail.code;
    this.errno = detail.errno ?? 0;
    this.reason = detail.reason ?? 'none';
    this.syscall = detail.syscall ?? '';
  }
}
