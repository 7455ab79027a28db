// SPDX-License-Identifier: GPL-2.0-or-later
/** version, help, explain. They need no state directory. */
import { isReasonCode, MarsError, REASONS } from '../../errors.js';
import { PRIMITIVES } from '../../view/primitives.js';
import { engineOf } from '../../view/facts.js';
import { softwareVersion, type Context } from '../context.js';
import { commandHelp, overview } from '../help.js';
import { success, type Json } from '../output.js';
import { CONDITION_WORDS } from '../plan/conditions.js';
import type { Command } from './spec.js';

export const VERSION = softwareVersion(new URL(import.meta.url));

/** Made from the table it is part of. */
export function otherCommands(table: () => readonly Command[]): readonly Command[] {
  return [
    {
      name: 'help',
      args: '[command]',
      group: 'other',
      summary: 'explain all commands, or one',
      run: (_ctx, input) => {
        const [name] = input.args;
        const found = table().find((c) => c.name === name);
        if (name !== undefined && !found) throw new MarsError('unknown-command', name);
        return success('help', helpData(table()), found ? commandHelp(found) : overview(table()));
      },
    },
    {
      name: 'explain',
      args: '[reason]',
      group: 'other',
      summary: 'explain a reason code, or list all',
      run: (_ctx, input) => {
        const [code] = input.args;
        if (code === undefined) {
          const lines = Object.entries(REASONS).map(
            ([name, r]) => `${name.padEnd(22)} ${String(r.exit).padStart(2)}  ${r.text}`,
          );
          return success('reasons', { ...REASONS } as unknown as Json, lines.join('\n'));
        }
        if (!isReasonCode(code)) throw new MarsError('unknown-reason', code);
        const reason = REASONS[code];
        const hint = reason.hint === undefined ? '' : `\nNext: ${reason.hint}`;
        return success(
          reason.text,
          { code, ...reason },
          `${code} (exit code ${reason.exit}): ${reason.text}${hint}`,
        );
      },
    },
    {
      name: 'version',
      args: '',
      group: 'other',
      summary: 'print the version, and which engine the daemon of this host drives',
      run: (ctx) => {
        const engine = engineHere(ctx);
        const text = `marsadm ${VERSION}${engine === null ? '' : ` (engine: ${engine})`}`;
        return success(text, { version: VERSION, engine });
      },
    },
  ];
}

/** `kernel` or `embedded`; null before a daemon has run, and where there is no cluster. */
function engineHere(ctx: Context): string | null {
  try {
    return engineOf(ctx.tree().snapshot(), ctx.host) ?? null;
  } catch {
    return null;
  }
}

function helpData(table: readonly Command[]): Json {
  return {
    commands: table.map((c) => ({
      name: c.name,
      args: c.args,
      group: c.group,
      summary: c.summary,
      options: (c.options ?? []).map((o) => o.flags),
      hidden: c.hidden ?? false,
    })),
    primitives: Object.keys(PRIMITIVES),
    conditions: CONDITION_WORDS,
    reasons: Object.keys(REASONS),
  };
}
