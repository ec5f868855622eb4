/** In which layout a checkpoint holds a model, before anything is loaded. */

import { CheckpointError, shown } from "../core/errors.ts";
import { assemblyOf, OWN_NAMES, type FoundLayout } from "./layout.ts";
import { LAYOUTS, recogniseLayouts } from "./layouts.ts";
import { assembledShape, pairKeys, type KeyMatch, type KeyShapes, type PairOptions } from "./pairing.ts";

const WRAPPER_PREFIX = "module."; // PyTorch's data-parallel wrappers put it before every key

/** What a data-parallel wrapper has put before every key; nothing where there was none. */
export function wrapperOf(keys: readonly string[]): string {
  return keys.length > 0 && keys.every((key) => key.startsWith(WRAPPER_PREFIX)) ? WRAPPER_PREFIX : "";
}

/** What {@link matchKeys} may overlook, how it shall read the keys, and what it calls the file. */
export interface MatchOptions extends PairOptions {
  /** Name of the layout; default: the one that serves the model best. */
  readonly layout?: string;
  /** What stands before every key of the model in the file; other keys are left alone. Default: found from the keys. */
  readonly prefix?: string;
}

/** The shape that the model's tensor `key` has in a file; undefined where the file does not hold it whole. */
export function storedShape(key: string, found: FoundLayout, tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>): readonly number[] | undefined {
  const assembly = assemblyOf(key, found);
  const shapes = assembly?.pieces.map((piece) => tensors.get(piece)?.shape);
  return shapes === undefined || !shapes.every((shape) => shape !== undefined) ? undefined : (assembledShape(shapes, assembly!.transposed) ?? undefined);
}

/** The layouts in which the file may be read, those that are recognised first. */
function candidates(found: KeyShapes, { layout, prefix, file = "checkpoint" }: MatchOptions, recognised: readonly FoundLayout[]): FoundLayout[] {
  const own = (prefix === undefined ? [...new Set(["", wrapperOf([...found.keys()])])] : [prefix]).map((start) => ({ layout: OWN_NAMES, prefix: start }));
  const fitting = [...recognised, ...own].filter((each) => (layout === undefined || each.layout.name === layout) && (prefix === undefined || each.prefix === prefix));
  if (fitting.length > 0) return fitting;
  const names = [...new Set([...LAYOUTS.map(({ name }) => name), OWN_NAMES.name])];
  if (!names.includes(layout!)) throw new CheckpointError(`${file}: layout must be one of ${names.join(", ")}; got ${shown(layout)}`);
  const got = recognised.map((each) => `${each.layout.name}${each.prefix === "" ? "" : ` under ${shown(each.prefix)}`}`).join(", ");
  const where = prefix === undefined ? "" : ` under ${shown(prefix)}`;
  throw new CheckpointError(`${file}: must hold the layout ${shown(layout)}${where}; got ${got === "" ? "none that is known" : got}`, "leave the layout out to have it found, or choose another file");
}

/** The layout in which most of the model's tensors are there. @throws CheckpointError if the file holds the model twice. */
function mostComplete(expected: KeyShapes, found: KeyShapes, choices: readonly FoundLayout[], file: string): FoundLayout {
  const present = (choice: FoundLayout): number => [...expected.keys()].filter((key) => assemblyOf(key, choice)?.pieces.every((piece) => found.has(piece))).length;
  const counts = choices.map(present);
  const most = Math.max(...counts);
  const best = choices[counts.indexOf(most)];
  const twins = choices.filter(({ layout, prefix }, i) => counts[i] === most && layout.name === best.layout.name && prefix !== best.prefix);
  if (most === 0 || twins.length === 0) return best;
  const prefixes = [best, ...twins].map(({ prefix }) => shown(prefix)).join(", ");
  throw new CheckpointError(`${file}: must hold the model once; got it under ${prefixes}`, "nothing was loaded; choose one of them with the option prefix");
}

/**
 * Finds the layout of a checkpoint, pairs the keys that a model expects with those that it holds, and refuses any difference.
 *
 * Keys of other models in the same file, a head that the model does not have, and mask buffers are no difference.
 * @throws CheckpointError that counts and names missing, unexpected and misshapen keys.
 */
export function matchKeys(expected: KeyShapes, found: KeyShapes, options: MatchOptions = {}): KeyMatch {
  const recognised = recogniseLayouts(found.keys());
  const file = options.file ?? "checkpoint";
  const chosen = mostComplete(expected, found, candidates(found, options, recognised), file);
  return pairKeys(expected, found, chosen, options, recognised);
}
