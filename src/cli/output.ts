// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What a command has to say, for people and for programs.
 *
 * With --json exactly one object goes to standard output: `ok`, `code` (the exit
 * code), `message`, and where they apply `reason`, `found`, `next`, `data`,
 * `results` (one per resource, the same fields and `resource`) and `warnings`.
 * Without it results go to standard output, everything about errors, warnings
 * and waiting to standard error.
 */
import { aboutResource, EXIT, type ExitCode, type MarsError, type ReasonCode } from '../errors.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The result of one command, or of one resource of it. */
export interface Outcome {
  readonly resource?: string;
  readonly ok: boolean;
  readonly code: ExitCode;
  readonly reason?: ReasonCode;
  readonly message: string;
  readonly found?: string;
  readonly next?: string;
  readonly data?: Json;
  /** further lines for people; not part of the JSON output */
  readonly remarks?: readonly string[];
  readonly results?: readonly Outcome[];
}

/** Where output goes. */
export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** A result, with the text that is printed for people (the message if none is given). */
export interface Report {
  readonly outcome: Outcome;
  readonly text?: string;
}

export const success = (message: string, data?: Json, text?: string): Report => ({
  outcome: { ok: true, code: EXIT.ok, message, ...(data !== undefined && { data }) },
  ...(text !== undefined && { text }),
});

export function failure(error: MarsError, resource?: string): Outcome {
  const { next } = error;
  return {
    ...(resource !== undefined && { resource }),
    ok: error.exit === EXIT.ok,
    code: error.exit,
    reason: error.code,
    message: error.message,
    ...(error.found !== undefined && { found: error.found }),
    ...(next !== undefined && { next: resource === undefined ? next : aboutResource(next, resource) }),
  };
}

/** One outcome for many: 0 if all are well, the common code if all fail alike, else 8. */
export function combine(results: readonly Outcome[]): Outcome {
  const [first] = results;
  if (!first) return { ok: true, code: EXIT.ok, message: 'no resources', results };
  if (results.length === 1) {
    const { resource: _, ...rest } = first;
    return { ...rest, results };
  }
  const bad = results.filter((r) => !r.ok);
  const [worst] = bad;
  if (!worst) return { ok: true, code: EXIT.ok, message: `${results.length} resources`, results };
  const message = `${bad.length} of ${results.length} resources failed: ${bad.map((r) => r.resource ?? '').join(', ')}`;
  if (bad.length === results.length && bad.every((r) => r.code === worst.code))
    return { ok: false, code: worst.code, ...(worst.reason && { reason: worst.reason }), message, results };
  return { ok: false, code: EXIT.partial, reason: 'partial', message, results };
}

/** Print a report. */
export function print(report: Report, streams: Streams, json: boolean, warnings: readonly string[]): void {
  const { outcome } = report;
  if (json) {
    const whole = { ...outcome, ...(warnings.length > 0 && { warnings }) };
    streams.out(
      `${JSON.stringify(whole, (key, value: unknown) => (key === 'remarks' ? undefined : value))}\n`,
    );
    return;
  }
  if (report.text !== undefined && report.text !== '') streams.out(`${report.text}\n`);
  const parts = outcome.results ?? [outcome];
  for (const part of parts) {
    if (!part.ok) printFailure(part, streams, parts.length > 1);
    else if (report.text === undefined)
      streams.out(`${[part.message, ...(part.remarks ?? [])].join('\n')}\n`);
  }
}

function printFailure(o: Outcome, streams: Streams, name: boolean): void {
  const who = name && o.resource !== undefined ? `${o.resource}: ` : '';
  streams.err(`marsadm: ${who}${o.message}${o.reason ? ` [${o.reason}]` : ''}\n`);
  if (o.next !== undefined) streams.err(`  next: ${o.next}\n`);
}
