// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which engine this daemon drives: mars.ko where it is loaded, else its own.
 *
 * A module that is there but does not fit, or that another daemon drives, is an
 * error and no reason to fall back: two engines would fight for the same disks.
 */
import { CONTROL_DEVICE, EmbeddedEngine, KernelEngine } from '../engine/engine.js';
import { EngineError } from '../engine/errors.js';
import type { Engine } from '../engine/types.js';
import { MarsError, noEngineReason } from '../errors.js';

export const ENGINE_CHOICES = ['auto', 'kernel', 'embedded'] as const;
export type EngineChoice = (typeof ENGINE_CHOICES)[number];

/** An engine in the hands of this daemon. */
export interface Driven {
  readonly engine: Engine;
  /** Let go of it. Without `idle` an embedded one is cut off with the process. */
  readonly end: (idle: boolean) => void;
}

/** Throws MarsError `no-engine`, `engine-busy`, `engine-too-old` or `engine-too-new`. */
export function openEngine(choice: EngineChoice, control: string = CONTROL_DEVICE): Driven {
  if (choice === 'embedded') return openEmbedded();
  try {
    return openKernel(control);
  } catch (error) {
    if (error instanceof MarsError) throw error;
    if (choice === 'auto') return openEmbedded();
    const found = error instanceof Error ? error.message : String(error);
    throw new MarsError('no-engine', { found, next: 'modprobe mars', cause: error });
  }
}

function openEmbedded(): Driven {
  try {
    const engine = new EmbeddedEngine();
    return {
      engine,
      end: (idle) => {
        if (idle) engine.shutdown();
      },
    };
  } catch (error) {
    throw explained(error);
  }
}

/** Throws the error of open(2) where there is no module. */
function openKernel(control: string): Driven {
  let engine;
  try {
    engine = new KernelEngine(control);
  } catch (error) {
    throw explained(error);
  }
  if (engine.claim()) return { engine, end: () => engine.close() };
  engine.close();
  throw new MarsError('engine-busy', { found: control });
}

/** What the engine threw at its start, with a code of the catalogue; other errors stay. */
export function explained(error: unknown): unknown {
  if (!(error instanceof EngineError)) return error;
  return new MarsError(noEngineReason(error.code) ?? 'no-engine', { found: error.message, cause: error });
}
