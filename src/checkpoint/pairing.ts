/** Comparison of a checkpoint's keys with a model's in a layout that is known, before anything is loaded. */

import { CheckpointError, printable, shown } from "../core/errors.ts";
import { sameShape, showShape } from "../core/shape.ts";
import { assemblyOf, matchPattern, OWN_NAMES, roleOf, type Assembly, type FoundLayout } from "./layout.ts";

const SHOWN = 5; // keys of each kind that a message names; a wrong file differs in hundreds
const MAX_NAME = 300; // characters of a key with its shapes; longer ones are no honest names

/** Shapes by key. */
export type KeyShapes = ReadonlyMap<string, readonly number[]>;

/** The shapes of a model's or a file's tensors. */
export function shapesOf(tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>): KeyShapes {
  return new Map([...tensors].map(([key, { shape }]) => [key, shape]));
}

/** What {@link pairKeys} may overlook, and what it calls the file. */
export interface PairOptions {
  /** Keys that may be absent from either side; a wrong shape is still an error. */
  readonly ignore?: readonly RegExp[];
  /** File name for the error message. */
  readonly file?: string;
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
 * Pairs the keys that a model expects with those that a checkpoint holds in the chosen layout, and refuses any difference.
 *
 * Keys of other models in the same file, a head that the model does not have, and mask buffers are no difference.
 * @param recognised All layouts that were found in the file.
 * @throws CheckpointError that counts and names missing, unexpected and misshapen keys.
 */
export function pairKeys(expected: KeyShapes, found: KeyShapes, chosen: FoundLayout, { ignore = [], file = "checkpoint" }: PairOptions = {}, recognised: readonly FoundLayout[] = []): KeyMatch {
  const { layout, prefix } = chosen;
  const isIgnored = (key: string): boolean => ignore.some((pattern) => key.search(pattern) >= 0);

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
