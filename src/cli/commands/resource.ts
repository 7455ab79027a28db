// SPDX-License-Identifier: GPL-2.0-or-later
/** create-, join-, leave-, delete-resource and resize. */
import { resolve } from 'node:path';
import { MarsError } from '../../errors.js';
import { validResource } from '../../tree/catalogue.js';
import { parseSize } from '../../view/format.js';
import { createdSize, planCreate, planDelete, planJoin, planLeave, planResize } from '../plan/membership.js';
import { logFiles, measureDevice, probeDevice } from '../probe.js';
import { arg, text, type Command, type Input } from './spec.js';

/** A size, or a device whose size is meant; that one may be in use, by this very resource as well. */
function sizeArgument(word: string | undefined): bigint | undefined {
  if (word === undefined) return undefined;
  const bytes = word.startsWith('/') ? measureDevice(word) : parseSize(word);
  if (bytes === undefined || bytes <= 0n || bytes % 4096n !== 0n)
    throw new MarsError('bad-size', {
      found: word,
      next: 'a number with an optional suffix: k m g t p (1000) or K M G T P (1024)',
    });
  return bytes;
}

/**
 * `[NAME] [SIZE]` behind the device. A single word that begins like a size or like
 * the path of a device is SIZE, so a mistyped size never becomes a name.
 */
function nameAndSize(input: Input, from: number): { name: string; size: string | undefined } {
  const [first, second] = input.args.slice(from);
  const isSize = first !== undefined && /^[\d/]/.test(first);
  const [name, size] = second === undefined && isSize ? [undefined, first] : [first, second];
  const option = text(input, 'name');
  if (name !== undefined && option !== undefined && name !== option)
    throw new MarsError('usage', { found: `NAME is ${name}, --name is ${option}`, next: 'give one of them' });
  return { name: validResource(option ?? name ?? arg(input, 0)), size };
}

const nameOption = {
  flags: '--name <name>',
  summary: 'name of the exported device (default: that of the resource)',
};

export const resourceCommands: readonly Command[] = [
  {
    name: 'create-resource',
    args: '<resource> <device> [name] [size]',
    group: 'resource',
    summary: 'make a resource from a local block device or file; this host becomes primary',
    details:
      'The data on DEVICE is kept. NAME is that of the exported device, by default that of the resource. Without SIZE all of the device is used. SIZE is a number with an optional suffix (k m g t p: powers of 1000, K M G T P: of 1024), or a device whose size is meant; a single word behind DEVICE that begins with a digit or `/` is SIZE. Waits until the exported device is there, if a daemon runs.',
    options: [nameOption],
    run: (ctx, input) => {
      const { name, size: word } = nameAndSize(input, 2);
      const size = sizeArgument(word);
      const uuid = ctx.freshUuid();
      return ctx.perResource(
        arg(input, 0),
        (sit, resource) => {
          const device = probeDevice(resolve(arg(input, 1)));
          return planCreate(sit, { resource, device, size: createdSize(device, size), name, uuid });
        },
        'never',
      );
    },
  },
  {
    name: 'join-resource',
    args: '<resource> <device> [name]',
    group: 'resource',
    summary: 'make a replica of a resource on a local block device or file, whose content is overwritten',
    details:
      'Waits until the full sync has started, not until it is done: use `wait-resource R is-consistent` for that.',
    options: [nameOption],
    run: (ctx, input) => {
      const { name, size } = nameAndSize(input, 2);
      if (size !== undefined)
        throw new MarsError('usage', {
          found: `SIZE ${size}: the resource has its size already`,
          next: 'marsadm help join-resource',
        });
      return ctx.perResource(
        arg(input, 0),
        (sit, resource) => planJoin(sit, { resource, device: probeDevice(resolve(arg(input, 1))), name }),
        'never',
      );
    },
  },
  {
    name: 'leave-resource',
    args: '<resource>',
    group: 'resource',
    summary: 'give up the replica of this host; the data on its device stays as it is',
    details: 'With --host HOST --force a member removes the replica of a host that is gone for good.',
    run: (ctx, input) =>
      ctx.perResource(arg(input, 0), (sit, resource) =>
        // The logs here are those of another replica if we act for another host.
        planLeave(sit, resource, ctx.isOwnHost ? logFiles(ctx.dir, resource) : []),
      ),
  },
  {
    name: 'delete-resource',
    args: '<resource>',
    group: 'resource',
    summary: 'forget a resource that has no members any more',
    run: (ctx, input) =>
      ctx.perResource(
        arg(input, 0),
        (sit, resource) => planDelete(sit, resource, logFiles(ctx.dir, resource)),
        'never',
      ),
  },
  {
    name: 'resize',
    args: '<resource> [size]',
    group: 'resource',
    summary: 'let a resource grow, after all data devices have grown; only on the primary',
    details:
      'Without SIZE it grows as far as the smallest data device allows, as each daemon has measured its own: every two seconds. Waits until the exported device has the new size; an NBD client sees that when it connects again.',
    run: (ctx, input) => {
      const size = sizeArgument(input.args[1]);
      return ctx.perResource(arg(input, 0), (sit, resource) => planResize(sit, resource, size));
    },
  },
];
