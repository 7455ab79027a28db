// SPDX-License-Identifier: GPL-2.0-or-later
/** create-cluster, join-token, join-cluster, leave-cluster. */
import type { Command } from './spec.js';

export const clusterCommands: readonly Command[] = [];
