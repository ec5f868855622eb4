import { mean } from "./mean.ts";
import { checkReferences } from "./ngrams.ts";
import type { Tokens } from "./ngrams.ts";

export interface RougeL {
  /** Mean over images, 0 to 1. */
  readonly score: number;
  readonly byImage: readonly number[];
}

const BETA = 1.2;

/**
 * ROUGE-L as coco-caption computes it: F = (1 + β²)PR / (R + β²P), β = 1.2, with P the greatest LCS/|hypothesis| and R
 * the greatest LCS/|reference| over the references, each taken separately. LCS: longest common subsequence.
 *
 * hypotheses [images, tokens], references [images, references, tokens].
 * @throws InputError unless every hypothesis has a reference.
 * Source: Lin 2004; coco-caption, pycocoevalcap/rouge.
 */
export function rougeL(hypotheses: readonly Tokens[], references: readonly (readonly Tokens[])[]): RougeL {
  checkReferences("rougeL", hypotheses, references);
  const byImage = hypotheses.map((hypothesis, i) => scoreImage(hypothesis, references[i]));
  return { score: mean(byImage), byImage };
}

function scoreImage(hypothesis: Tokens, references: readonly Tokens[]): number {
  let [precision, recall] = [0, 0];
  for (const reference of references) {
    const common = commonSubsequence(hypothesis, reference);
    if (common === 0) continue;
    precision = Math.max(precision, common / hypothesis.length);
    recall = Math.max(recall, common / reference.length);
  }
  return precision === 0 ? 0 : ((1 + BETA ** 2) * precision * recall) / (recall + BETA ** 2 * precision);
}

/** Length of the longest common subsequence. */
export function commonSubsequence(a: Tokens, b: Tokens): number {
  let previous = Array.from({ length: b.length + 1 }, () => 0);
  for (const token of a) {
    const row = [0];
    for (const [j, other] of b.entries()) row.push(token === other ? previous[j] + 1 : Math.max(previous[j + 1], row[j]));
    previous = row;
  }
  return previous[b.length];
}
