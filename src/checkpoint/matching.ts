/** Comparison of a checkpoint's keys with a model's, before anything is loaded. */

import { CheckpointError, printable, shown } from "../core/errors.ts";
import { sameShape, showShape } from "../core/shape.ts";
import { assemblyOf, LAYOUTS, matchPattern, OWN_NAMES, recogniseLayouts, roleOf, type Assembly, type FoundLayout } from "./layouts.ts";

const SHOWN = 5; // keys of each kind that a message names; a wrong file differs in hundreds
const MAX_NAME = 300; // characters of a key with its shapes; longer ones are no honest names
const WRAPPER_PREFIX = "module."; // PyTorch's data-parallel wrappers put it before every key

/** What a data-parallel wrapper has put before every key; nothing where there was none. */
export function wrapperOf(keys: readonly string[]): string {
  return keys.length > 0 && keys.every((key) => key.startsWith(WRAPPER_PREFIX)) ? WRAPPER_PREFIX : "";
}

/** Shapes by key. */
export type KeyShapes = ReadonlyMap<string, readonly number[]>;

/** The shapes of a model's or a file's tensors. */
export function shapesOf(tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>): KeyShapes {
  return new Map([...tensors].map(([key, { shape }]) => [key, shape]));
}

/** What {@link matchKeys} may overlook, how it shall read the keys, and what it calls the file. */
export interface MatchOptions {
  /** Keys that may be absent from either side; a wrong shape is still an error. */
  readonly ignore?: readonly RegExp[];
  /** File name for the error message. */
  readonly file?: string;
  /** Name of the layout; default: the one that serves the model best. */
  readonly layout?: string;
  /** What stands before every key of the model in the file; other keys are left alone. Default: found from the keys. */
  readonly prefix?: string;
}

/** Where a model's tensors lie in a file. */
export interface KeyMatch extends FoundLayout {
  /** What each of the model's tensors is made of, in the model's order. */
  readonly assemblies: ReadonlyMap<string, Assembly>;
  /** Stored keys that the model does not need: other models in the file, heads that it has not, masks. */
  readonly ignored: readonly string[];
  /** Stored copies with the keys of what they must equal, because the model holds one tensor for both. */
  readonly tied: readonly (readonly [copy: string, original: string])[];
}

function list(kind: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const more = items.length > SHOWN ? ` and ${items.length - SHOWN} more` : "";
  const named = items.slice(0, SHOWN).map((item) => printable(item.length > MAX_NAME ? `${item.slice(0, MAX_NAME)}…` : item));
  return [`${items.length} ${kind}: ${named.join(", ")}${more}`];
}

/** The shape of pieces that are joined along their first axis, and transposed; null where they don't fit together. */
export function assembledShape(shapes: readonly (readonly number[])[], transposed: boolean): readonly number[] | null {
  const [first] = shapes;
  if (shapes.some((shape) => shape.length !== first.length || !sameShape(shape.slice(1), first.slice(1)))) return null;
  if (shapes.length > 1 && first.length === 0) return null;
  const joined = shapes.length === 1 ? first : [shapes.reduce((sum, [rows]) => sum + rows, 0), ...first.slice(1)];
  if (!transposed || joined.length < 2) return joined;
  return joined.length === 2 ? [joined[1], joined[0]] : null;
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

/** Whether the model has no use for a stored key that nothing of it is made of, and that is as it should be. */
function isForeign(key: string, chosen: FoundLayout, recognised: readonly FoundLayout[], expected: KeyShapes): boolean {
  if (!key.startsWith(chosen.prefix)) return true;
  const role = roleOf(key, chosen);
  if (role === "unused" || role === "tied") return true;
  if (role === "part") return false;
  if (role === "unknown") return recognised.some((other) => roleOf(key, other) !== "unknown");
  return "optional" in role && ![...expected.keys()].some((name) => matchPattern(role.optional, name) !== null);
}

/**
 * Finds the layout of a checkpoint, pairs the keys that a model expects with those that it holds, and refuses any difference.
 *
 * Keys of other models in the same file, a head that the model does not have, and mask buffers are no difference.
 * @throws CheckpointError that counts and names missing, unexpected and misshapen keys.
 */
export function matchKeys(expected: KeyShapes, found: KeyShapes, options: MatchOptions = {}): KeyMatch {
  const { ignore = [], file = "checkpoint" } = options;
  const isIgnored = (key: string): boolean => ignore.some((pattern) => key.search(pattern) >= 0);
  const recognised = recogniseLayouts(found.keys());
  const chosen = mostComplete(expected, found, candidates(found, options, recognised), file);
  const { layout, prefix } = chosen;

  const assemblies = new Map<string, Assembly>();
  const missing: string[] = [];
  const misshapen: string[] = [];
  const used = new Set<string>();
  for (const [key, shape] of expected) {
    const assembly = assemblyOf(key, chosen);
    for (const piece of assembly?.pieces ?? []) used.add(piece);
    const absent = assembly?.pieces.find((piece) => !found.has(piece));
    if (assembly === undefined || absent !== undefined) {
      if (!isIgnored(key)) missing.push(absent === undefined || absent === prefix + key ? key : `${key} (stored as ${absent})`);
      continue;
    }
    const shapes = assembly.pieces.map((piece) => found.get(piece)!);
    const got = assembledShape(shapes, assembly.transposed);
    if (got !== null && sameShape(shape, got)) assemblies.set(key, assembly);
    else misshapen.push(`${key} (expected ${showShape(shape)}, got ${got === null ? shapes.map(showShape).join(" and ") : showShape(got)})`);
  }

  const rest = [...found.keys()].filter((key) => !used.has(key));
  const refused = rest.map((key) => roleOf(key, chosen)).find((role): role is { readonly refused: string } => typeof role === "object" && "refused" in role);
  const unexpected = rest.filter((key) => !isIgnored(key) && !isForeign(key, chosen, recognised, expected));

  const differences = [...list("missing", missing), ...list("unexpected", unexpected), ...list("misshapen", misshapen)];
  if (differences.length > 0) {
    const sizes = `the model's ${expected.size} keys and their shapes; got ${found.size} keys`;
    const read = layout === OWN_NAMES ? "" : ` read as ${layout.name}${prefix === "" ? "" : ` under ${shown(prefix)}`}`;
    const hint = refused === undefined ? "nothing was loaded; check that the file belongs to this model and this configuration" : `nothing was loaded; ${refused.refused}`;
    throw new CheckpointError(`${file}: must hold ${sizes}${read}, ${differences.join("; ")}`, hint);
  }
  const tied = Object.entries(layout.tied ?? {}).map(([copy, original]) => [prefix + copy, prefix + original] as const).filter(([copy]) => found.has(copy) && !used.has(copy));
  return { layout, prefix, assemblies, ignored: rest, tied };
}
