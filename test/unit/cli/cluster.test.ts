// SPDX-License-Identifier: GPL-2.0-or-later
/** create-cluster, tokens, joining a member that really listens, leaving. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { run } from '../../../src/cli/program.js';
import { freePort } from '../../../lab/port.js';
import { openCluster } from '../../../src/cluster/cluster.js';
import { keys } from '../../../src/tree/catalogue.js';
import { openLocalTree } from '../../../src/tree/tree.js';
import { Bench, CERT, type JsonOutcome } from './support.js';

/** A state directory that does not exist yet, and the program on it. */
function node(
  t: ExecutionContext,
  host: string,
): { dir: string; mars: (...argv: string[]) => Promise<JsonOutcome> } {
  const base = mkdtempSync(join(tmpdir(), 'mars-cli-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  const dir = join(base, 'mars');
  const mars = async (...argv: string[]): Promise<JsonOutcome> => {
    let out = '';
    const code = await run({
      argv: [...argv, '--json'],
      env: { MARS_DIR: dir, MARS_HOST: host },
      streams: { out: (text) => (out += text), err: () => undefined },
      signal: new AbortController().signal,
      terminal: false,
    });
    const json = JSON.parse(out) as JsonOutcome;
    t.is(json.code, code);
    return json;
  };
  return { dir, mars };
}

test('create-cluster makes a private directory and a member; the second time it is refused', async (t) => {
  const a = node(t, 'hosta');
  const made = await a.mars('create-cluster', '--address', '127.0.0.1:7801');
  t.true(made.ok, JSON.stringify(made));
  t.regex((made.data as { uuid: string }).uuid, /^[0-9a-f]{32}$/);
  t.is(statSync(a.dir).mode & 0o777, 0o700);
  t.is(statSync(join(a.dir, 'local/key.pem')).mode & 0o777, 0o600);
  t.deepEqual((await a.mars('view-cluster-members')).data, ['hosta']);
  const again = await a.mars('create-cluster', '--address', '127.0.0.1:7801');
  t.is(again.reason, 'cluster-exists');
  t.is(again.code, 3);
});

test('bad addresses, names, and tokens are usage errors', async (t) => {
  const a = node(t, 'hosta');
  t.is((await a.mars('create-cluster', '--address', 'nowhere')).reason, 'bad-address');
  t.is((await a.mars('create-cluster', '--address', '127.0.0.1:0')).reason, 'bad-address');
  t.is((await a.mars('create-cluster', '--address', '127.0.0.1:7801', '--host', 'a.b')).reason, 'bad-name');
  t.is((await a.mars('join-cluster', 'rubbish', '--address', '127.0.0.1:7801')).reason, 'token-malformed');
  t.is((await a.mars('create-cluster', '--address', '127.0.0.1:7801')).code, 0);
  t.is((await a.mars('join-token', '--valid', 'long')).reason, 'usage');
});

test('a token brings in one host, once; dry runs use up nothing', async (t) => {
  const a = node(t, 'hosta');
  const b = node(t, 'hostb');
  const c = node(t, 'hostc');
  await a.mars('create-cluster', '--address', `127.0.0.1:${await freePort()}`);
  const { token } = (await a.mars('join-token')).data as { token: string };
  t.regex(token, /^mars1\./);
  t.is(
    (await b.mars('join-cluster', token, '--address', '127.0.0.1:7802', '--timeout', '5')).ok,
    false,
    'nobody answers',
  );

  const tree = openLocalTree({ dir: a.dir, host: 'hosta', guard: true });
  const cluster = openCluster({ tree });
  t.teardown(async () => {
    await cluster.close();
    tree.close();
  });
  await cluster.start();
  t.is((await b.mars('join-cluster', token, '--address', '127.0.0.1:7802', '--dry-run')).code, 0);
  const joined = await b.mars('join-cluster', token, '--address', '127.0.0.1:7802');
  t.true(joined.ok, JSON.stringify(joined));
  t.deepEqual((await b.mars('view-cluster-members')).data, ['hosta', 'hostb']);
  t.is(tree.snapshot().value(keys.ip('hostb')), '127.0.0.1:7802');
  const reused = await c.mars('join-cluster', token, '--address', '127.0.0.1:7803');
  t.is(reused.reason, 'token-used', JSON.stringify(reused));
  t.is(reused.code, 3);
});

test('leave-cluster: refused with replicas, then done, then refused as a stranger', async (t) => {
  const b = new Bench(t, 'hostb');
  b.resource();
  const refused = await b.run('leave-cluster', '--json');
  t.is(refused.json.reason, 'in-use-by-resources');
  t.is(refused.json.found, 'r1');
  t.is((await b.run('leave-resource', 'r1')).code, 0);
  const left = await b.run('leave-cluster', '--json');
  t.is(left.code, 0, left.out);
  t.regex(left.json.warnings?.join() ?? '', /on another member as well/);
  t.is(b.value(keys.ip('hostb')), undefined);
  t.is(b.value(keys.cert('hostb')), undefined);
  t.is((await b.run('leave-cluster', '--json')).json.reason, 'not-a-member');
});

test('leave-cluster --force gives up the replicas, of another host too', async (t) => {
  const a = new Bench(t);
  a.resource();
  a.daemonOn();
  a.write({ [keys.peer('hostb')]: 'unreachable:peer-unreachable' });
  t.is((await a.run('leave-cluster', '--host', 'hostb', '--json')).json.reason, 'in-use-by-resources');
  const ran = await a.run('leave-cluster', '--host', 'hostb', '--force', '--json');
  t.is(ran.code, 0, ran.out);
  t.is(a.value(keys.ip('hostb')), undefined);
  t.is((await a.run('view-resource-members', 'r1')).out, 'hosta\n');
});

test('leave-cluster waits until the reachable members have heard it', async (t) => {
  const b = new Bench(t, 'hostb');
  b.daemonOn();
  b.write({ [keys.ip('hostc')]: '127.0.0.1:7803', [keys.cert('hostc')]: CERT });
  b.write({ [keys.peer('hosta')]: 'connected', [keys.peer('hostc')]: 'unreachable:peer-unreachable' });
  const running = b.start('leave-cluster');
  await running.shows('waiting: hosta: has not yet heard that hostb has left');
  b.write({ [keys.peer('hosta')]: 'unreachable:stream-broken' });
  await running.shows('last known: hosta is not reachable, stream-broken');
  b.write({ [keys.peer('hosta')]: 'unreachable:not-a-member' });
  const ran = await running.done;
  t.is(ran.code, 0, ran.err);
  t.is(ran.out, 'hostb left the cluster; hosta heard it\n');
  t.regex(ran.err, /warning: hostc cannot be reached/);
});

test('leave-cluster --host takes out another host, and there is nobody to wait for', async (t) => {
  const a = new Bench(t);
  a.daemonOn();
  a.write({ [keys.peer('hostb')]: 'unreachable:peer-unreachable' });
  const ran = await a.run('leave-cluster', '--host', 'hostb', '--json');
  t.is(ran.code, 0, ran.out);
  t.regex(ran.json.warnings?.join() ?? '', /not that of hostb/);
  t.is(a.value(keys.ip('hostb')), undefined);
});
