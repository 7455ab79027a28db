// SPDX-License-Identifier: GPL-2.0-or-later
/** A refusal as a table row, and the test every row gets. */
import test, { type ExecutionContext } from 'ava';
import { parse } from '../../../src/cli/program.js';
import { Bench } from './support.js';

export interface Case {
  readonly name: string;
  /** host that acts; default hosta */
  readonly host?: string;
  readonly daemon?: boolean;
  readonly setup: (b: Bench) => void;
  readonly argv: (b: Bench) => string[];
  readonly reason: string;
  readonly code: number;
  readonly found?: RegExp;
  readonly next?: RegExp;
}

/**
 * The commands a text tells to give: all of it is a command, or several, or the
 * commands stand in backquotes.
 */
function commandsIn(text: string): string[] {
  const quoted = [...text.matchAll(/`([^`]*)`/g)].flatMap((m) => m[1] ?? []);
  return [text.replace(/`[^`]*`/g, ''), ...quoted]
    .flatMap((part) => part.split(/ && |; /))
    .filter((part) => part.includes('marsadm '));
}

/** There is a next step, nothing is left to be filled in that is known, and its commands are understood. */
export function checkNext(t: ExecutionContext, next: string | undefined): void {
  t.truthy(next);
  if (next === undefined || next.startsWith('usage: ')) return;
  t.notRegex(next, /RESOURCE/);
  for (const command of commandsIn(next)) {
    const [program, ...words] = command.split(' ');
    t.is(program, 'marsadm', `${command}: a command stands alone, or in backquotes`);
    t.notThrows(() => parse(words), command);
  }
}

/** Nothing is written; reason, exit code, finding and next step are as they must be. */
export function testRefusals(cases: readonly Case[]): void {
  for (const c of cases) {
    test(`refused: ${c.name}`, async (t) => {
      const b = new Bench(t, c.host);
      c.setup(b);
      if (c.daemon) b.daemonOn();
      const argv = c.argv(b);
      const before = b.facts.snapshot().list('');
      const ran = await b.run(...argv, '--json');
      t.is(ran.json.reason, c.reason, ran.out);
      t.is(ran.json.code, c.code);
      t.is(ran.code, c.code);
      t.false(ran.json.ok);
      t.truthy(ran.json.message);
      if (c.found) t.regex(ran.json.found ?? '', c.found);
      checkNext(t, ran.json.next);
      if (c.next) t.regex(ran.json.next ?? '', c.next);
      b.facts.refresh();
      t.deepEqual(b.facts.snapshot().list(''), before, 'a refusal writes nothing');
    });
  }
}
