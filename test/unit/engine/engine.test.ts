// SPDX-License-Identifier: GPL-2.0-or-later
/** The control verbs and events against the real embedded engine. */
import test from 'ava';
import { engineBinding } from '../../../src/engine/bindings.js';
import { EmbeddedEngine, KernelEngine } from '../../../src/engine/engine.js';
import { EngineError } from '../../../src/engine/errors.js';
import { REASON_WORDS, VERBS } from '../../../src/engine/keys.js';
import { AT, encodeVersion } from '../../../src/engine/structs.js';
import type { BrickEvent } from '../../../src/engine/types.js';
import { power, remove, until } from './support.js';

const engine = new EmbeddedEngine({ threads: 2 });
test.after.always(() => engine.shutdown());

let count = 0;
/** A RAM disk, switched on. */
async function mem(): Promise<string> {
  const name = `mem/${count++}`;
  engine.create('mem', name);
  engine.set(name, 'mem.size', { value: 1n << 20n });
  await power(engine, name, true);
  return name;
}

function refused(
  t: { throws: (fn: () => void, e: object) => unknown },
  reason: string,
  fn: () => void,
): void {
  t.throws(fn, { instanceOf: EngineError, message: new RegExp(`\\(${reason}, E[A-Z]+\\)$`) });
}

test('version tells what it is', (t) => {
  t.is(engine.kind, 'embedded');
  t.is(engine.logFormat, 1);
  t.like(engine.version, { abi: 1, embedded: true });
  t.not(engine.version.build, '');
});

test('a brick lives from create to destroy', async (t) => {
  engine.create('mem', 'life');
  t.like(engine.status('life'), {
    name: 'life',
    type: 'mem',
    button: false,
    ledOn: false,
    ledOff: true,
    state: 'ok',
  });
  engine.set('life', 'mem.size', { value: 65536n });
  engine.switch('life', true);
  const on = await until(engine, 'life', (s) => s.ledOn);
  t.like(on, { button: true, ledOn: true, ledOff: false });
  await power(engine, 'life', false);
  engine.destroy('life');
  refused(t, 'no-brick', () => engine.status('life'));
});

test('list names every brick once, in order', (t) => {
  for (const name of ['list/b', 'list/c', 'list/a']) engine.create('mem', name);
  const names = engine.list().map((status) => status.name);
  t.deepEqual([...new Set(names)], names);
  t.deepEqual([...names].sort(), names);
  t.deepEqual(
    names.filter((name) => name.startsWith('list/')),
    ['list/a', 'list/b', 'list/c'],
  );
  for (const name of ['list/b', 'list/c', 'list/a']) engine.destroy(name);
});

test('wires are made, moved and taken away', async (t) => {
  const [a, b] = [await mem(), await mem()];
  engine.create('check', 'wire/check');
  engine.connect('wire/check', 0, a);
  await power(engine, 'wire/check', true);
  engine.connect('wire/check', 0, b);
  await remove(engine, a);
  await power(engine, 'wire/check', false);
  engine.disconnect('wire/check', 0);
  await remove(engine, 'wire/check');
  await remove(engine, b);
  t.pass();
});

test('every refusal has its own reason, and nothing has changed', async (t) => {
  const a = await mem();
  engine.create('check', 'no/1');
  engine.create('check', 'no/2');
  const before = engine.list().length;
  refused(t, 'no-type', () => engine.create('nonsense' as 'mem', 'x'));
  refused(t, 'exists', () => engine.create('mem', a));
  refused(t, 'bad-name', () => engine.create('mem', ''));
  refused(t, 'bad-name', () => engine.create('mem', '../etc/passwd'));
  refused(t, 'bad-name', () => engine.create('mem', 'a b'));
  refused(t, 'no-brick', () => engine.destroy('absent'));
  refused(t, 'no-brick', () => engine.switch('absent', true));
  refused(t, 'no-brick', () => engine.connect('absent', 0, a));
  refused(t, 'no-brick', () => engine.connect('no/1', 0, 'absent'));
  refused(t, 'no-input', () => engine.connect('no/1', 1, a));
  refused(t, 'no-input', () => engine.connect(a, 0, 'no/1'));
  refused(t, 'not-connected', () => engine.disconnect('no/1', 0));
  engine.connect('no/1', 0, 'no/2');
  refused(t, 'loop', () => engine.connect('no/2', 0, 'no/1'));
  refused(t, 'below-off', () => engine.switch('no/1', true));
  refused(t, 'busy-on', () => engine.destroy(a));
  refused(t, 'busy-users', () => engine.destroy('no/2'));
  refused(t, 'no-key', () => engine.set(a, 'file.path', { text: 'x' }));
  refused(t, 'no-key', () => engine.set(a, 'no.such.key', { value: 1n }));
  refused(t, 'future', () => engine.lamport(1n << 62n));
  t.is(engine.list().length, before);
  engine.disconnect('no/1', 0);
  await remove(engine, 'no/1');
  await remove(engine, 'no/2');
});

test('an error carries code, errno, reason and verb', (t) => {
  const error = t.throws(() => engine.destroy('absent'), { instanceOf: EngineError });
  t.like(error, { code: 'ENOENT', errno: 2, reason: 'no-brick', syscall: 'destroy' });
  t.regex(error.message, /^destroy absent: no brick of that name/);
});

test('the Lamport clock is unique, grows, and can be advanced', (t) => {
  let last = engine.lamport().lamport;
  for (let i = 0; i < 1000; i++) {
    const { lamport } = engine.lamport();
    t.true(lamport > last);
    last = lamport;
  }
  const ahead = last + 5_000_000_000n;
  const reading = engine.lamport(ahead);
  t.true(reading.lamport > ahead);
  t.true(reading.real < reading.lamport);
});

test('structures of the wrong size, version or verb do not get through', (t) => {
  const raw = engineBinding();
  const call = (change: (b: Buffer) => Buffer): [number, string | undefined] => {
    const bytes = change(encodeVersion());
    const rc = raw.control(bytes);
    return [rc, bytes.length >= 16 ? REASON_WORDS[bytes.readUInt32LE(AT['mars_ctl_hdr.reason'])] : undefined];
  };
  t.deepEqual(
    call((b) => b),
    [0, 'none'],
  );
  t.deepEqual(
    call((b) => b.subarray(0, 8)),
    [-22, undefined],
  );
  t.deepEqual(
    call((b) => b.subarray(0, 0)),
    [-22, undefined],
  );
  t.is(call((b) => b.subarray(0, 24))[1], 'bad-size');
  t.is(call((b) => Buffer.concat([b, Buffer.alloc(100_000)]))[1], 'bad-size');
  t.is(call((b) => (b.writeUInt16LE(99, AT['mars_ctl_hdr.version']), b))[1], 'bad-version');
  t.is(call((b) => (b.writeUInt16LE(0, AT['mars_ctl_hdr.verb']), b))[1], 'bad-verb');
  t.is(
    call((b) => (b.writeUInt16LE(Object.keys(VERBS).length + 1, AT['mars_ctl_hdr.verb']), b))[1],
    'bad-verb',
  );
  t.is(call((b) => (b.writeUInt32LE(1, AT['mars_ctl_hdr.flags']), b))[1], 'bad-flags');
  // A buffer that starts at an odd address is as good as any.
  const odd = Buffer.alloc(AT.mars_ctl_version + 1).subarray(1);
  encodeVersion().copy(odd);
  t.is(raw.control(odd), 0);
  t.throws(() => raw.control('x' as unknown as Uint8Array), { instanceOf: TypeError });
});

test('the addon has the layout we think it has', (t) => {
  t.deepEqual({ ...engineBinding().layout }, { ...AT });
});

test('every consumer sees every event', async (t) => {
  const abort = new AbortController();
  const names = ['ev/0', 'ev/1', 'ev/2'];
  const consume = async (): Promise<string[]> => {
    const seen = new Set<string>();
    for await (const event of engine.events(abort.signal)) {
      if (names.includes(event.status.name) && event.status.ledOn) seen.add(event.status.name);
      if (seen.size === names.length) break;
    }
    return [...seen].sort();
  };
  const consumers = [consume(), consume(), consume()];
  for (const name of names) {
    engine.create('mem', name);
    engine.set(name, 'mem.size', { value: 4096n });
    engine.switch(name, true);
  }
  const alive = setInterval(() => undefined, 60_000);
  for (const consumer of consumers) t.deepEqual(await consumer, names);
  clearInterval(alive);
});

test('a consumer that lags gets the newest state of each brick once', async (t) => {
  const abort = new AbortController();
  const events = engine.events(abort.signal)[Symbol.asyncIterator]();
  engine.create('mem', 'lag');
  engine.set('lag', 'mem.size', { value: 4096n });
  for (let i = 0; i < 10; i++) {
    await power(engine, 'lag', true);
    await power(engine, 'lag', false);
  }
  const mine: BrickEvent[] = [];
  while (mine.length === 0) {
    const next = await events.next();
    if (!next.done && next.value.status.name === 'lag') mine.push(next.value);
  }
  t.deepEqual([...(mine[0]?.kinds ?? [])], ['led']);
  t.true(mine[0]?.status.ledOff);
  abort.abort();
  t.true((await events.next()).done);
});

test('an aborted consumer ends, before and after it began', async (t) => {
  const abort = new AbortController();
  const events = engine.events(abort.signal)[Symbol.asyncIterator]();
  const pending = (async () => {
    for (;;) if ((await events.next()).done) return true;
  })();
  abort.abort();
  t.true(await pending);
  for await (const event of engine.events(abort.signal)) t.fail(`event after the end: ${event.status.name}`);
});

test('without mars.ko there is no kernel engine, and the error says so', (t) => {
  t.throws(() => new KernelEngine('/dev/mars-control-absent'), { code: 'ENOENT' });
});

test('a device that is not ours is refused when its version is asked for', (t) => {
  t.throws(() => new KernelEngine('/dev/null'), { instanceOf: EngineError, code: 'ENOTTY' });
});

test('bricks are listed by the beginning of their names', (t) => {
  for (const name of ['list-a/1', 'list-b/1', 'list-b/2', 'list-b', 'list-c/1']) engine.create('mem', name);
  t.deepEqual(
    engine.list('list-b/').map((s) => s.name),
    ['list-b/1', 'list-b/2'],
  );
  t.deepEqual(engine.list('list-d'), []);
  for (const { name } of engine.list('list-')) engine.destroy(name);
  t.deepEqual(engine.list('list-'), []);
});
