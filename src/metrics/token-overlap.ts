import { checkReferences, countNgrams } from "./ngrams.ts";
import type { Tokens } from "./ngrams.ts";

/** Means over images, 0 to 1 each. */
export interface TokenOverlap {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/**
 * Precision, recall and F1 of each caption's tokens, as a multiset, against the reference with the best F1; means over
 * images. Blind to word order: say so where it is printed.
 *
 * hypotheses [images, tokens], references [images, references, tokens].
 * @throws InputError unless every hypothesis has a reference.
 */
export function tokenOverlap(hypotheses: readonly Tokens[], references: readonly (readonly Tokens[])[]): TokenOverlap {
  checkReferences("tokenOverlap", hypotheses, references);
  const best = hypotheses.map((hypothesis, i) =>
    references[i].map((reference) => overlap(hypothesis, reference)).reduce((a, b) => (b.f1 > a.f1 ? b : a)),
  );
  const mean = (key: keyof TokenOverlap): number => best.reduce((sum, scores) => sum + scores[key], 0) / best.length;
  return { precision: mean("precision"), recall: mean("recall"), f1: mean("f1") };
}

function overlap(hypothesis: Tokens, reference: Tokens): TokenOverlap {
  const inReference = countNgrams(reference, 1);
  let common = 0;
  for (const [token, count] of countNgrams(hypothesis, 1)) common += Math.min(count, inReference.get(token) ?? 0);
  if (common === 0) return { precision: 0, recall: 0, f1: 0 };
  const precision = common / hypothesis.length;
  const recall = common / reference.length;
  return { precision, recall, f1: (2 * precision * recall) / (precision + recall) };
}
