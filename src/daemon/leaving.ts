// SPDX-License-Identifier: GPL-2.0-or-later
/** What a daemon still has of a replica that was given up. */
import { replicaFacts } from '../strategy/replica.js';
import { keys } from '../tree/catalogue.js';
import type { Context } from './context.js';
import type { LogStore } from './logstore.js';

/** Remove the logs, and facts that were told just before the end was known here. */
export async function forgetReplica(ctx: Context, resource: string, store: LogStore): Promise<void> {
  const { publisher, tree, host } = ctx;
  publisher.drop(keys.resource(resource));
  const facts = replicaFacts(tree.snapshot(), resource, host);
  if (facts.length > 0) tree.write(Object.fromEntries(facts.map((key) => [key, null])));
  for (const log of store.list()) await store.remove(log);
}
