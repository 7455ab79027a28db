// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What the two beds of the kernel benchmark have in common: two machines with a network between
 * them, each of which runs scripts and tells how much CPU time of the host it has used.
 */

/** Programs of this folder that a bed compiles and puts into /bench of its machines. */
export const TOOLS = ['links', 'lag'] as const;

export interface Machine {
  readonly name: string;
  /** address of this machine in the network of the two */
  readonly address: string;
  /** Run a bash script; returns what it printed. @throws ScriptError when it doesn't end with 0. */
  run(script: string): Promise<string>;
  /** CPU time of the host used so far, microseconds. */
  cpu(): number;
}

/** Block devices of a machine, one for each purpose, all alike. */
export interface Disks {
  /** shown and loaded as it is: what the others are compared with */
  readonly raw: string;
  readonly drbd: string;
  readonly drbdMeta: string;
  readonly mars: string;
  /** holds the file system with the logs of mars */
  readonly marsLog: string;
}

export interface Bed {
  readonly name: string;
  readonly kernel: string;
  readonly primary: Machine;
  readonly secondary: Machine;
  readonly disks: Disks;
  /** folder with lib/modules for modprobe -d, or undefined: the machine's own */
  readonly modules: string | undefined;
  /** mars.ko as the machines see it */
  readonly marsModule: string;
  /** the tree of the project with dist/ and the addon as the machines see it */
  readonly project: string;
  close(): Promise<void>;
}

/** A script in a machine ended with another code than 0. */
export class ScriptError extends Error {
  constructor(
    readonly machine: string,
    readonly script: string,
    readonly exit: number,
    readonly output: string,
  ) {
    super(`${machine}: exit ${exit}\n${script}\n--- ${output}`);
  }
}
