// SPDX-License-Identifier: GPL-2.0-or-later
/** The table of all commands: parser, help, completion and reference are made from it. */
import { clusterCommands } from './cluster.js';
import { otherCommands } from './other.js';
import { resourceCommands } from './resource.js';
import type { Command } from './spec.js';
import { stateCommands } from './state.js';
import { treeCommands } from './tree.js';
import { viewCommands } from './view.js';
import { waitCommands } from './wait.js';

export const COMMANDS: readonly Command[] = [
  ...clusterCommands,
  ...resourceCommands,
  ...stateCommands,
  ...viewCommands,
  ...waitCommands,
  ...treeCommands,
  ...otherCommands(() => COMMANDS),
];
