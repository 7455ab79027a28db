// SPDX-License-Identifier: GPL-2.0-or-later
/** The command line itself: usage errors, help, options, the real process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { COMMANDS } from '../../../src/cli/commands/index.js';
import { keys } from '../../../src/tree/catalogue.js';
import { needing, root } from '../../cluster/support.js';
import { Bench, type JsonOutcome } from './support.js';

const MAIN = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));

test('usage errors: exit 2, the usage of that command or a suggestion', async (t) => {
  const b = new Bench(t);
  const cases: readonly (readonly [string[], string, RegExp, RegExp])[] = [
    [['primary'], 'usage', /missing required argument 'resource'/, /marsadm primary <resource>/],
    [['wait-resource', 'r1'], 'usage', /'condition'/, /marsadm wait-resource <resource> <condition>/],
    [['attach', 'r1', 'extra'], 'usage', /too many arguments/, /marsadm attach <resource>/],
    [['attach', 'r1', '--frce'], 'usage', /unknown option '--frce'.*--force/, /marsadm attach/],
    [['primry', 'r1'], 'unknown-command', /primry.*primary/, /marsadm help/],
    [['force-primry', 'r1'], 'unknown-command', /force-primry/, /marsadm help/],
    [['view', 'r1', '--timeout', 'soon'], 'usage', /--timeout soon/, /seconds/],
    [[], 'usage', /^$/, /marsadm help/],
    [['help', 'nothing'], 'unknown-command', /nothing/, /marsadm help/],
  ];
  for (const [argv, reason, found, next] of cases) {
    const ran = await b.run(...argv, '--json');
    t.is(ran.code, 2, argv.join(' '));
    t.is(ran.json.reason, reason, ran.out);
    t.regex(ran.json.found ?? '', found);
    t.regex(ran.json.next ?? '', next);
    const text = await b.run(...argv);
    t.is(text.out, '');
    t.regex(text.err, /^marsadm: .*\[[a-z-]+\]\n {2}next: /);
  }
});

test('options may stand anywhere, and a command may be called force-COMMAND', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  for (const argv of [
    ['--json', '--timeout', '0', 'wait-resource', 'r1', 'primary'],
    ['wait-resource', '--timeout=0', 'r1', '--json', 'primary'],
    ['wait-resource', 'r1', 'primary', '--timeout', '0', '--json'],
  ])
    t.is((await b.run(...argv)).json.reason, 'timeout');
  t.is((await b.run('force-primary', 'r1', '--json')).json.reason, 'no-daemon');
});

test('help: overview, each command, --help, --version, as text and JSON', async (t) => {
  const b = new Bench(t);
  const overview = await b.run('help');
  for (const c of COMMANDS) if (!c.hidden) t.true(overview.out.includes(`  ${c.name} `), c.name);
  t.is((await b.run('--help')).out, overview.out);
  for (const c of COMMANDS) {
    const help = await b.run('help', c.name);
    t.is(help.code, 0);
    t.true(help.out.startsWith(`usage: marsadm ${c.name}`));
    t.is((await b.run(c.name, '--help')).out.trimEnd(), help.out.trimEnd());
  }
  const data = (await b.run('help', '--json')).json.data as {
    commands: { name: string }[];
    primitives: string[];
  };
  t.is(data.commands.length, COMMANDS.length);
  t.true(data.primitives.includes('diskstate'));
  t.regex((await b.run('version')).out, /^marsadm \d+\.\d+\.\d+\n$/);
  b.write({ [keys.nodeActual('hosta', 'engine')]: 'kernel' });
  t.regex((await b.run('version')).out, /^marsadm \d+\.\d+\.\d+ \(engine: kernel\)\n$/);
  t.regex((await b.run('--version')).out, /^\d+\.\d+\.\d+\n$/);
  t.regex((await b.run('explain', 'device-open')).out, /^device-open \(exit code 3\): /);
  t.regex((await b.run('explain')).out, /^split-brain +10 /m);
});

test('the process: exit code, streams, no colour in a pipe, a reader that goes away', async (t) => {
  const b = new Bench(t);
  b.resource();
  const start = (...argv: string[]) =>
    spawn(process.execPath, [MAIN, ...argv], {
      env: { ...process.env, MARS_DIR: b.dir, MARS_HOST: 'hosta' },
    });
  const child = start('view');
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  t.deepEqual(await once(child, 'close'), [0, null]);
  t.regex(out, /resource r1/);
  t.false(out.includes('\x1b'));

  const refused = start('leave-resource', 'r1');
  t.deepEqual(await once(refused, 'close'), [3, null]);

  const gone = start('help');
  gone.stdout.destroy();
  const [code] = (await once(gone, 'close')) as [number | null];
  t.is(code, 0);
});

test('the process: SIGINT while waiting ends it with a reason', async (t) => {
  const b = new Bench(t);
  b.resource();
  const child = spawn(process.execPath, [MAIN, 'wait-resource', 'r1', 'is-secondary'], {
    env: { ...process.env, MARS_DIR: b.dir, MARS_HOST: 'hosta' },
  });
  let err = '';
  child.stderr.setEncoding('utf8');
  for await (const text of child.stderr as AsyncIterable<string>) {
    err += text;
    if (!child.killed && err.includes('waiting: hosta')) child.kill('SIGINT');
  }
  t.regex(err, /\[interrupted\]/);
  if (child.exitCode === null) await once(child, 'close');
  t.is(child.exitCode, 1);
});

test('acting for another host writes its keys', async (t) => {
  const b = new Bench(t);
  b.resource();
  t.is((await b.run('pause-sync', 'r1', '--host', 'hostb')).code, 0);
  t.is(b.value(keys.todo('r1', 'hostb', 'sync')), '0');
  t.is(b.value(keys.todo('r1', 'hosta', 'sync')), '1');
});

// It takes root to become somebody else.
needing(root)('somebody who may not read the state directory is told so', async (t) => {
  const b = new Bench(t);
  chmodSync(b.dir, 0o700);
  for (const argv of [['view'], ['set-link', 'x', 'userspace/k']]) {
    const child = spawn(process.execPath, [MAIN, ...argv, '--json'], {
      env: { ...process.env, MARS_DIR: b.dir, MARS_HOST: 'hosta' },
      uid: 65534,
      gid: 65534,
    });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    t.deepEqual(await once(child, 'close'), [1, null]);
    t.is((JSON.parse(out) as JsonOutcome).reason, 'not-permitted');
  }
});
