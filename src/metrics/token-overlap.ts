import { mean } from "./mean.ts";
import { checkReferences, countNgrams } from "./ngrams.ts";
import type { Tokens } from "./ngrams.ts";

/** 0 to 1 each. */
export interface Overlap {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** Means over images, and the values of each. */
export interface TokenOverlap extends Overlap {
  readonly byImage: readonly Overlap[];
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
  const byImage = hypotheses.map((hypothesis, i) =>
    references[i].map((reference) => overlap(hypothesis, reference, 1)).reduce((a, b) => (b.f1 > a.f1 ? b : a)),
  );
  const of = (key: keyof Overlap): number => mean(byImage.map((scores) => scores[key]));
  return { precision: of("precision"), recall: of("recall"), f1: of("f1"), byImage };
}

/** How far the n-grams of two captions agree, as multisets. */
export function overlap(hypothesis: Tokens, reference: Tokens, n: number): Overlap {
  const inReference = countNgrams(reference, n);
  let common = 0;
  for (const [ngram, count] of countNgrams(hypothesis, n)) common += Math.min(count, inReference.get(ngram) ?? 0);
  return f1Of(common, hypothesis.length - n + 1, reference.length - n + 1);
}

/** Precision, recall and F1 where `common` things of a caption's and a reference's number are the same. */
export function f1Of(common: number, inHypothesis: number, inReference: number): Overlap {
  if (common === 0) return { precision: 0, recall: 0, f1: 0 };
  const [precision, recall] = [common / inHypothesis, common / inReference];
  return { precision, recall, f1: (2 * precision * recall) / (precision + recall) };
}
