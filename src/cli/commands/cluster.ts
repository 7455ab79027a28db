// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * create-cluster, join-token, join-cluster, leave-cluster.
 *
 * TLS and the message schemas cost more time to load than any other command takes,
 * so the cluster code is loaded by those who need it.
 */
import { networkInterfaces } from 'node:os';
import type * as ClusterCode from '../../cluster/join.js';
import { MarsError } from '../../errors.js';
import { formatAddress, parseAddress } from '../../tree/catalogue.js';
import { clusterMembers, reach } from '../../view/facts.js';
import type { Context } from '../context.js';
import { execute, waitFor } from '../execute.js';
import { success, type Report } from '../output.js';
import { farewell } from '../plan/conditions.js';
import { checkLeaveCluster } from '../plan/maintenance.js';
import { planLeave } from '../plan/membership.js';
import { daemonRuns, logFiles } from '../probe.js';
import { arg, text, type Command, type Input } from './spec.js';

const clusterCode = (): Promise<typeof ClusterCode> => import('../../cluster/join.js');

/** Where members listen unless they say otherwise. */
const PORT = 7777;

const addressOption = {
  flags: '--address <host:port>',
  summary: `where other members reach this host (default: the first address of this machine, port ${String(PORT)})`,
};

function address(input: Input): string {
  const given = text(input, 'address');
  if (given !== undefined) {
    if (!parseAddress(given))
      throw new MarsError('bad-address', { found: given, next: '--address HOST:PORT' });
    return given;
  }
  const own = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find((a) => !a.internal && a.family === 'IPv4');
  if (!own)
    throw new MarsError('bad-address', { found: 'this machine has no address', next: '--address HOST:PORT' });
  return formatAddress({ host: own.address, port: PORT });
}

const startNote = (ctx: Context): void => {
  if (!daemonRuns(ctx.dir)) ctx.warn('No daemon runs here: start marsd.');
};

/** The world is not to be changed by a dry run. */
const dry = (ctx: Context, what: string): Report | undefined =>
  ctx.options.dryRun ? success(`dry run: ${what}`) : undefined;

function seconds(word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  const value = Number(word);
  if (!/^\d{1,8}$/.test(word) || value < 1)
    throw new MarsError('usage', { found: `--valid ${word}`, next: 'a number of seconds' });
  return value;
}

async function join(ctx: Context, input: Input): Promise<Report> {
  const where = address(input);
  const preview = dry(ctx, `${ctx.host} would join as ${where}`);
  if (preview) return preview;
  const { timeout } = ctx.options;
  const late = timeout === undefined ? undefined : AbortSignal.timeout(timeout);
  const signal = late ? AbortSignal.any([ctx.signal, late]) : ctx.signal;
  const { joinCluster } = await clusterCode();
  try {
    const { uuid, via } = await joinCluster({
      dir: ctx.dir,
      host: ctx.host,
      address: where,
      token: arg(input, 0),
      signal,
    });
    startNote(ctx);
    return success(`${ctx.host} joined the cluster of ${via}`, { uuid, via, address: where });
  } catch (error) {
    if (ctx.signal.aborted) throw new MarsError('interrupted', { cause: error });
    if (late?.aborted)
      throw new MarsError('timeout', {
        found: 'the member that made the token did not answer',
        cause: error,
      });
    throw error;
  }
}

async function leave(ctx: Context): Promise<Report> {
  const tree = ctx.memberTree();
  const snap = tree.snapshot();
  const situation = ctx.situation(snap);
  const held = checkLeaveCluster(situation);
  const preview = dry(ctx, `${ctx.host} would leave the cluster`);
  if (preview) return preview;
  // With another host taken out, this one stays.
  const own = ctx.isOwnHost;
  const others = clusterMembers(snap).filter((h) => h !== ctx.host);
  const reachable = others.filter((h) => situation.daemon && reach(snap, ctx.host, h).connected);
  const executor = ctx.executor();
  for (const resource of held)
    await execute(executor, (now) =>
      planLeave(ctx.situation(now), resource, own ? logFiles(ctx.dir, resource) : []),
    );
  const { leaveCluster } = await clusterCode();
  ctx.alone(() => leaveCluster({ dir: ctx.dir, host: ctx.host }));
  const away = others.filter((h) => !reachable.includes(h));
  if (own && others.length > 0 && reachable.length === 0)
    ctx.warn(
      `Nobody can be told: run \`marsadm leave-cluster --host ${ctx.host}\` on another member as well.`,
    );
  else if (own && away.length > 0)
    ctx.warn(`${away.join(', ')} cannot be reached and will hear it from the others.`);
  const conditions = own ? reachable.map((h) => farewell(h, ctx.host)) : [];
  if (ctx.options.wait) await waitFor(executor, conditions);
  const heard = conditions.length > 0 && ctx.options.wait ? `; ${reachable.join(', ')} heard it` : '';
  return success(`${ctx.host} left the cluster${heard}`, {
    told: conditions.length > 0 ? reachable : [],
    away,
  });
}

export const clusterCommands: readonly Command[] = [
  {
    name: 'create-cluster',
    args: '',
    group: 'cluster',
    summary: 'make a new cluster with this host as its only member',
    options: [addressOption],
    run: async (ctx, input) => {
      const where = address(input);
      const preview = dry(ctx, `${ctx.host} would make a cluster as ${where}`);
      if (preview) return preview;
      const { createCluster } = await clusterCode();
      const { uuid } = createCluster({ dir: ctx.dir, host: ctx.host, address: where });
      startNote(ctx);
      return success(`cluster ${uuid} created, ${ctx.host} is its only member`, { uuid, address: where });
    },
  },
  {
    name: 'join-token',
    args: '',
    group: 'cluster',
    summary: 'make a token with which one new host may join the cluster',
    details:
      'The token is secret and good for one join. It contains the address of this host and the fingerprint of its certificate; a daemon must run here when it is used.',
    options: [
      { flags: '--valid <seconds>', summary: 'how long it may be used (default 3600)' },
      {
        flags: '--address <host:port>',
        summary: 'where the new host shall call, if not at the address of this host',
      },
    ],
    run: async (ctx, input) => {
      ctx.memberTree();
      const valid = seconds(text(input, 'valid'));
      const given = text(input, 'address') === undefined ? undefined : address(input);
      const preview = dry(ctx, 'a token would be made');
      if (preview) return preview;
      const { createToken } = await clusterCode();
      const { token, expires } = createToken({
        dir: ctx.dir,
        host: ctx.host,
        ...(valid !== undefined && { validSeconds: valid }),
        ...(given !== undefined && { address: given }),
      });
      if (!daemonRuns(ctx.dir)) ctx.warn('No daemon runs here to answer the new host: start marsd.');
      return success('token made', { token, expires }, token);
    },
  },
  {
    name: 'join-cluster',
    args: '<token>',
    group: 'cluster',
    summary: 'join the cluster whose member made the token',
    options: [addressOption],
    run: join,
  },
  {
    name: 'leave-cluster',
    args: '',
    group: 'cluster',
    summary: 'take this host out of the cluster',
    details:
      'Refused while the host has replicas; with --force they are given up as `leave-resource --force` does it. Waits until the members that can be reached have heard it; the daemon may be stopped then. With --host HOST a member takes out a host that is gone for good; its certificate is refused from then on.',
    run: leave,
  },
];
