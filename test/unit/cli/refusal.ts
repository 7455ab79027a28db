// SPDX-License-Identifier: GPL-2.0-or-later
/** A refusal as a table row, and the test every row gets. */
import test from 'ava';
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
      if (c.next) t.regex(ran.json.next ?? '', c.next);
      b.facts.refresh();
      t.deepEqual(b.facts.snapshot().list(''), before, 'a refusal writes nothing');
    });
  }
}
