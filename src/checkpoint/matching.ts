/** Comparison of a checkpoint's keys with a model's, before anything is loaded. */

import { CheckpointError } from "../core/errors.ts";

const SHOWN = 5; // keys of each kind that a message names; a wrong file differs in hundreds
const WRAPPER_PREFIX = "module."; // PyTorch's data-parallel wrappers put it before every key

/** BatchNorm's step counters, which older torchvision checkpoints lack and inference never reads. */
export const BATCH_COUNTERS = /(^|\.)num_batches_tracked$/;

/** Shapes by key. */
export type KeyShapes = ReadonlyMap<string, readonly number[]>;

/** What {@link matchKeys} may overlook, and what it calls the file. */
export interface MatchOptions {
  /** Keys that may be absent from either side; a wrong shape is still an error. */
  readonly ignore?: readonly RegExp[];
  /** File name for the error message. */
  readonly file?: string;
}

function list(kind: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const more = items.length > SHOWN ? ` and ${items.length - SHOWN} more` : "";
  return [`${items.length} ${kind}: ${items.slice(0, SHOWN).join(", ")}${more}`];
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/**
 * Pairs the keys that a model expects with those that a checkpoint holds, and refuses any difference.
 *
 * A `module.` before every key of the checkpoint is taken off first.
 * @returns The checkpoint's key for every expected key that it holds, in the model's order.
 * @throws CheckpointError that counts and names missing, unexpected and misshapen keys.
 */
export function matchKeys(expected: KeyShapes, found: KeyShapes, options: MatchOptions = {}): Map<string, string> {
  const { ignore = [], file = "checkpoint" } = options;
  const ignored = (key: string): boolean => ignore.some((pattern) => key.search(pattern) >= 0);
  const wrapped = [...found.keys()].every((key) => key.startsWith(WRAPPER_PREFIX));
  const prefix = wrapped && ![...expected.keys()].every((key) => key.startsWith(WRAPPER_PREFIX)) ? WRAPPER_PREFIX : "";

  const matched = new Map<string, string>();
  const missing: string[] = [];
  const misshapen: string[] = [];
  for (const [key, shape] of expected) {
    const got = found.get(prefix + key);
    if (got === undefined) {
      if (!ignored(key)) missing.push(key);
    } else if (sameShape(shape, got)) {
      matched.set(key, prefix + key);
    } else {
      misshapen.push(`${key} (expected [${shape.join(", ")}], got [${got.join(", ")}])`);
    }
  }
  const unexpected = [...found.keys()].map((key) => key.slice(prefix.length)).filter((key) => !expected.has(key) && !ignored(key));

  const differences = [...list("missing", missing), ...list("unexpected", unexpected), ...list("misshapen", misshapen)];
  if (differences.length > 0) {
    const sizes = `the model's ${expected.size} keys and their shapes; got ${found.size} keys`;
    const hint = "nothing was loaded; check that the file belongs to this model and this configuration";
    throw new CheckpointError(`${file}: must hold ${sizes}, ${differences.join("; ")}`, hint);
  }
  return matched;
}
