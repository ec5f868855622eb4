import { InputError } from "../core/errors.ts";

/** The tokens of one caption. */
export type Tokens = readonly string[];

/** How often each run of `n` tokens occurs; a run is keyed by its tokens with spaces between. */
export function countNgrams(tokens: Tokens, n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= tokens.length; i++) {
    const ngram = tokens.slice(i, i + n).join(" ");
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

/** @throws InputError unless every hypothesis has its list of at least one reference. */
export function checkReferences(
  metric: string,
  hypotheses: readonly Tokens[],
  references: readonly (readonly Tokens[])[],
): void {
  if (hypotheses.length === 0 || hypotheses.length !== references.length) {
    const got = `${hypotheses.length} hypotheses and ${references.length} lists of references`;
    throw new InputError(`${metric}: each of at least 1 hypothesis must have its references; got ${got}`);
  }
  const bare = references.findIndex((list) => list.length === 0);
  if (bare >= 0) throw new InputError(`${metric}: a hypothesis must have at least 1 reference; got none for number ${bare}`);
}
