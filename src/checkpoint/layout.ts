/**
 * Where a checkpoint keeps the tensors of a model, as a table of rules; those of published checkpoints are in `layouts.ts`.
 *
 * A rule says for a key of the model which stored tensors it is made of. In a pattern `N` stands for the number of a block
 * and `*` for the rest of a key, the same on both sides. Tensors that are made of several are joined along their first axis,
 * as they are stored, and then transposed where a rule says so.
 */

/** One line of a table. */
export interface Rule {
  /** Pattern of the model's key. */
  readonly model: string;
  /** Patterns of the stored keys, in the order in which they are joined. */
  readonly stored: readonly string[];
  /** Whether a matrix is stored [out, in] where the model has [in, out]; a vector stays as it is. */
  readonly transposed?: boolean;
  /** Whether a model may leave this part out: a network without its head. */
  readonly optional?: boolean;
}

/** The names of one kind of checkpoint. */
export interface Layout {
  readonly name: string;
  /** Stored keys by which it is recognised; they may have a prefix in common. */
  readonly signature: readonly string[];
  /** Stored keys that another layout has beside the same signature. */
  readonly without?: readonly string[];
  readonly rules: readonly Rule[];
  /** Patterns of stored tensors that no model here reads, such as masks that are computed. */
  readonly unused?: readonly string[];
  /** Stored keys of copies → the keys of what they must equal. */
  readonly tied?: Readonly<Record<string, string>>;
  /** Patterns of stored tensors that change what the model computes in a way that is not supported, and why. */
  readonly refused?: Readonly<Record<string, string>>;
}

/** A layout in a file: its stored keys begin with the prefix. */
export interface FoundLayout {
  readonly layout: Layout;
  readonly prefix: string;
}

/** What a model's tensor is made of: stored tensors, joined along their first axis and then, maybe, transposed. */
export interface Assembly {
  readonly pieces: readonly string[];
  readonly transposed: boolean;
}

/** The model's own names, for files that were written from such a model. */
export const OWN_NAMES: Layout = { name: "the model's own names", signature: [], rules: [{ model: "*", stored: ["*"] }] };

const compiled = new Map<string, RegExp>();

/** What `N` and `*` stand for in a key, or null where the pattern doesn't fit. */
export function matchPattern(pattern: string, key: string): readonly string[] | null {
  let expression = compiled.get(pattern);
  if (expression === undefined) {
    expression = new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("N", "(\\d+)").replaceAll("*", "(.+)")}$`);
    compiled.set(pattern, expression);
  }
  return expression.exec(key)?.slice(1) ?? null;
}

function fill(pattern: string, captured: readonly string[]): string {
  let next = 0;
  return pattern.replace(/[N*]/g, () => captured[next++]);
}

/** What the model's tensor `key` is made of in this layout; undefined where the layout has no such tensor. */
export function assemblyOf(key: string, { layout, prefix }: FoundLayout): Assembly | undefined {
  for (const { model, stored, transposed = false } of layout.rules) {
    const captured = matchPattern(model, key);
    if (captured !== null) return { pieces: stored.map((pattern) => prefix + fill(pattern, captured)), transposed };
  }
  return undefined;
}

/** What a layout makes of a stored key; `optional` names the model's pattern of a part that a model may leave out. */
export type StoredRole = "part" | "unused" | "tied" | "unknown" | { readonly optional: string } | { readonly refused: string };

/** The role of a stored key in a layout. */
export function roleOf(key: string, { layout, prefix }: FoundLayout): StoredRole {
  if (!key.startsWith(prefix)) return "unknown";
  const name = key.slice(prefix.length);
  const fits = (pattern: string): boolean => matchPattern(pattern, name) !== null;
  const { tied = {}, unused = [], refused = {} } = layout;
  if (Object.hasOwn(tied, name)) return "tied";
  if (unused.some(fits)) return "unused";
  for (const [pattern, reason] of Object.entries(refused)) if (fits(pattern)) return { refused: reason };
  const rule = layout.rules.find(({ stored }) => stored.some(fits));
  if (rule === undefined) return "unknown";
  return rule.optional === true ? { optional: rule.model } : "part";
}
