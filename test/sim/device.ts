// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The device of a simulated primary: a log whose tail is not durable yet, and a
 * data disk that follows the durable part. The rules are the logger's: nothing is
 * written back before it is durable, a checkpoint flushes the disk first.
 */
import { logName, type LogRef } from '../../src/strategy/history.js';
import type { OpenGoal } from '../../src/strategy/resource.js';
import type { SimNode } from './node.js';
import { endOf, PAGE, stateAt, type LogFile, type State, type Truth, type Write } from './truth.js';

const ZEROS = '0'.repeat(32);

interface Place {
  readonly number: bigint;
  readonly pos: bigint;
}

export class Device {
  readonly #node: SimNode;
  readonly #truth: Truth;
  readonly #timeline: number;
  #current: LogFile;
  /** written, not durable */
  #tail: State[] = [];
  #written: Place;
  #checkpoint: Place;
  /** clients that have it open */
  open = false;

  constructor(node: SimNode, truth: Truth, cluster: string, resource: string, goal: OpenGoal) {
    this.#node = node;
    this.#truth = truth;
    this.#timeline = goal.timeline;
    const { prev } = goal;
    const before = prev && truth.state(prev.digest);
    this.#current = {
      ident: {
        cluster,
        resource,
        salt: truth.unique(),
        number: goal.number,
        timeline: goal.timeline,
        origin: node.host,
        prevNumber: prev?.number ?? 0n,
        prevOrigin: prev?.origin ?? '',
        prevLength: prev?.pos ?? 0n,
        prevDigest: prev?.digest || ZEROS,
      },
      chain: [truth.next(before, undefined, node.disk.blocks())],
    };
    this.#written = this.#checkpoint = { number: goal.number, pos: PAGE };
    node.files.set(logName(this.log), this.#current);
  }

  get log(): LogRef {
    return { number: this.#current.ident.number, origin: this.#node.host };
  }

  /** What the application sees. */
  get state(): State {
    const last = this.#tail.at(-1) ?? this.#current.chain.at(-1);
    if (!last) throw new Error('a log without a header');
    return last;
  }

  /** End of what is durable. */
  get durable(): bigint {
    return endOf(this.#current);
  }

  get durableDigest(): string {
    return this.#current.chain.at(-1)?.digest ?? '';
  }

  get checkpoint(): Place {
    return this.#checkpoint;
  }

  write(write: Write): void {
    this.#tail.push(this.#truth.next(this.state, write));
  }

  /** The first `count` records of the tail become durable. */
  commit(count: number): void {
    const durable = this.#tail.splice(0, count);
    if (durable.length === 0) return;
    this.#current = { ...this.#current, chain: [...this.#current.chain, ...durable] };
    this.#node.files.set(logName(this.log), this.#current);
  }

  /** A flush of the application. */
  flush(): void {
    this.commit(this.#tail.length);
  }

  #file(number: bigint): LogFile | undefined {
    return this.#node.files.get(logName({ number, origin: this.#node.host }));
  }

  /** Write the next durable record to the data disk; false when there is none. */
  writeBack(): boolean {
    const { number, pos } = this.#written;
    const file = this.#file(number);
    const record = stateAt(file, pos + PAGE)?.record;
    if (record) {
      this.#node.write(record, { number, origin: this.#node.host, pos: pos + PAGE });
      this.#written = { number, pos: pos + PAGE };
      return true;
    }
    if (number === this.log.number) return false;
    this.#written = { number: number + 1n, pos: PAGE };
    return true;
  }

  flushDisk(): void {
    this.#node.disk.flush();
    this.#checkpoint = this.#written;
  }

  canRotate(): boolean {
    return this.#checkpoint.number === this.log.number;
  }

  rotate(): void {
    this.commit(this.#tail.length);
    const old = this.#current;
    const end = this.state;
    this.#current = {
      ident: {
        ...old.ident,
        salt: this.#truth.unique(),
        number: old.ident.number + 1n,
        timeline: this.#timeline,
        prevNumber: old.ident.number,
        prevOrigin: old.ident.origin,
        prevLength: endOf(old),
        prevDigest: end.digest,
      },
      chain: [this.#truth.next(end, undefined)],
    };
    this.#node.files.set(logName(this.log), this.#current);
  }

  /** Drain everything; the caller has made sure that nobody has it open. */
  close(): Place & { readonly digest: string } {
    this.commit(this.#tail.length);
    while (this.writeBack());
    this.flushDisk();
    return { ...this.#checkpoint, digest: this.state.digest };
  }
}
