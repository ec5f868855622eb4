import { mean } from "./mean.ts";
import { checkReferences } from "./ngrams.ts";
import type { Tokens } from "./ngrams.ts";
import { porterStem } from "./porter.ts";
import { commonSubsequence } from "./rouge.ts";
import { f1Of, overlap } from "./token-overlap.ts";

const KINDS = ["rouge1", "rouge2", "rougeL"] as const;

/** F1 of words, of runs of two words, and of the longest common subsequence; 0 to 1. */
export type RougeScores = Readonly<Record<(typeof KINDS)[number], number>>;

export interface Rouge {
  /** Means over images. */
  readonly scores: RougeScores;
  readonly byImage: readonly RougeScores[];
}

export interface RougeOptions {
  /** Compare Porter stems, of words longer than 3 letters. Default false, as there. */
  readonly stem?: boolean;
}

/**
 * ROUGE-1, ROUGE-2 and ROUGE-L as the package rouge-score computes them: the F1 against the best reference, chosen for each
 * of the three. It makes its own tokens: runs of the letters a to z and of digits, in lower case.
 *
 * captions [images] and references [images, references], as texts.
 * @throws InputError unless every caption has a reference.
 * Source: Lin 2004; google-research/rouge.
 */
export function rougeScore(captions: readonly string[], references: readonly (readonly string[])[], { stem = false }: RougeOptions = {}): Rouge {
  const hypotheses = captions.map((caption) => tokensOf(caption, stem));
  const lists = references.map((list) => list.map((reference) => tokensOf(reference, stem)));
  checkReferences("rougeScore", hypotheses, lists);
  const byImage = hypotheses.map((hypothesis, i) => {
    const scores = lists[i].map((reference) => scorePair(hypothesis, reference));
    return combine((kind) => scores.reduce((best, score) => Math.max(best, score[kind]), 0));
  });
  return { scores: combine((kind) => mean(byImage.map((scores) => scores[kind]))), byImage };
}

function tokensOf(text: string, stem: boolean): Tokens {
  const tokens = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return stem ? tokens.map((token) => (token.length > 3 ? porterStem(token) : token)) : tokens;
}

function scorePair(hypothesis: Tokens, reference: Tokens): RougeScores {
  const common = commonSubsequence(hypothesis, reference);
  return {
    rouge1: overlap(hypothesis, reference, 1).f1,
    rouge2: overlap(hypothesis, reference, 2).f1,
    rougeL: f1Of(common, hypothesis.length, reference.length).f1,
  };
}

function combine(scoreOf: (kind: keyof RougeScores) => number): RougeScores {
  const [rouge1, rouge2, rougeL] = KINDS.map(scoreOf);
  return { rouge1, rouge2, rougeL };
}
