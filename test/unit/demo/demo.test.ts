// SPDX-License-Identifier: GPL-2.0-or-later
/** The parts of the demo that tell whether it has succeeded. */
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Stage } from '../../../demo/stage.js';
import { Writer } from '../../../demo/writer.js';
import { Lab } from '../../../lab/lab.js';
import { makeDisk } from '../../cluster/support.js';
import { temporaryDir } from '../tree/support.js';

const REPLY = Buffer.from('67446698', 'hex');
const HEADER = 28;
const WRITE = 1;

/** An NBD server that takes everything, until `end` is called. */
async function device(t: ExecutionContext): Promise<{ socket: string; end: () => void }> {
  const socket = path.join(temporaryDir(t), 'device.sock');
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    clients.add(client);
    let greeted = false;
    let bytes = Buffer.alloc(0);
    client.write(Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), Buffer.alloc(2)]));
    client.on('error', () => undefined);
    client.on('data', (data: Buffer) => {
      bytes = Buffer.concat([bytes, data]);
      if (!greeted) {
        if (bytes.length < 20) return;
        greeted = true;
        bytes = bytes.subarray(20);
        const size = Buffer.alloc(10);
        size.writeBigUInt64BE(1n << 20n);
        client.write(size);
      }
      while (bytes.length >= HEADER) {
        const length = bytes.readUInt16BE(6) === WRITE ? HEADER + bytes.readUInt32BE(24) : HEADER;
        if (bytes.length < length) return;
        client.write(Buffer.concat([REPLY, Buffer.alloc(4), bytes.subarray(8, 16)]));
        bytes = bytes.subarray(length);
      }
    });
  });
  const end = (): void => clients.forEach((client) => client.destroy());
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.teardown(() => {
    end();
    server.close();
  });
  return { socket, end };
}

test('a writer writes on, and tells how far it is', async (t) => {
  const { socket } = await device(t);
  const writer = new Writer([{ at: 0, length: 1 << 20 }]);
  await writer.start(socket);
  await writer.more(40);
  t.true(writer.writes >= 40 && writer.flushes >= 1);
  await writer.stop();
});

test('a writer whose device goes away says so to whoever waits for it, now or later', async (t) => {
  const { socket, end } = await device(t);
  const writer = new Writer([{ at: 0, length: 1 << 20 }]);
  await writer.start(socket);
  await writer.more(1);
  const waiting = writer.more(1_000_000_000);
  end();
  await t.throwsAsync(waiting, { message: 'NBD connection closed' });
  await t.throwsAsync(writer.more(1), { message: 'NBD connection closed' });
  await t.throwsAsync(writer.stop(), { message: 'NBD connection closed' });
  await t.notThrowsAsync(writer.broken());
});

test('nobody waits for a writer that was told to stop', async (t) => {
  const { socket } = await device(t);
  const writer = new Writer([{ at: 0, length: 1 << 20 }]);
  await writer.start(socket);
  await writer.stop();
  await t.throwsAsync(writer.more(1_000_000_000), { message: 'the writer has ended: it was told to' });
});

test('a demo that takes too long says which act does not end', async (t) => {
  const shown: string[] = [];
  const stage = new Stage({ isTTY: false, write: (text) => shown.push(text) });
  let ring = (): void => undefined;
  const late = stage.overrun(600_000, (_ms, run) => (ring = run));
  await stage.act('the first', () => Promise.resolve());
  let finish = (): void => undefined;
  const second = stage.act('the second', () => new Promise<void>((resolve) => (finish = resolve)));
  ring();
  await t.throwsAsync(late, { message: 'after 600.0 s act 2 has not ended: the second' });
  finish();
  await second;
  stage.done('the end');
  t.regex(shown.at(-1) ?? '', /the end \(\d+\.\d s\)/);
});

test('a lab that is disposed of leaves neither folder nor processes, not even commands that wait', async (t) => {
  const lab = await Lab.create(['a', 'b']);
  const a = lab.node('a');
  t.teardown(() => lab.dispose());
  await lab.form();
  const processes = lab.nodes.map((n) => `process ${n.pid}`);
  t.deepEqual(lab.leftovers().sort(), [lab.dir, ...processes.sort()]);
  await makeDisk(path.join(lab.dir, 'image'), 1 << 20);
  await a.marsadm(['create-resource', 'r1', path.join(lab.dir, 'image')]);
  const waits = t.throwsAsync(a.marsadm(['wait-resource', 'r1', 'is-secondary']));
  await lab.dispose();
  await waits;
  t.deepEqual(lab.leftovers(), []);
});
