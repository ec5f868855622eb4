import { checkReferences, countNgrams } from "./ngrams.ts";
import type { Tokens } from "./ngrams.ts";

/** BLEU-1 to BLEU-4, each 0 to 1. */
export type BleuScores = readonly [bleu1: number, bleu2: number, bleu3: number, bleu4: number];

export interface Bleu {
  /** Of the whole corpus, from sums over images. */
  readonly scores: BleuScores;
  /** Of each image by itself. */
  readonly byImage: readonly BleuScores[];
  /** Tokens in the hypotheses, and in the references nearest to them in length. */
  readonly testLength: number;
  readonly referenceLength: number;
  /** n-grams in the hypotheses, and those of them found in a reference, for n = 1 to 4. */
  readonly guesses: readonly number[];
  readonly correct: readonly number[];
}

type Counts = Omit<Bleu, "scores" | "byImage">;

const ORDERS = [1, 2, 3, 4] as const;
const TINY = 1e-15;
const SMALL = 1e-9;

/**
 * BLEU as coco-caption computes it: pₙ = (Σ correct + 1e-15) / (Σ guesses + 1e-9), BLEUₙ = (p₁ … pₙ)^(1/n), times
 * e^(1 − 1/ratio) where the hypotheses are shorter than the references. The reference length of an image is the one
 * closest to the hypothesis, the shorter at a tie.
 *
 * hypotheses [images, tokens], references [images, references, tokens].
 * @throws InputError unless every hypothesis has a reference.
 * Source: Papineni et al. 2002; coco-caption, pycocoevalcap/bleu.
 */
export function bleu(hypotheses: readonly Tokens[], references: readonly (readonly Tokens[])[]): Bleu {
  checkReferences("bleu", hypotheses, references);
  const images = hypotheses.map((hypothesis, i) => countImage(hypothesis, references[i]));
  const total = images.reduce(add);
  return { ...total, scores: score(total), byImage: images.map(score) };
}

function countImage(hypothesis: Tokens, references: readonly Tokens[]): Counts {
  const distance = (length: number): number => Math.abs(length - hypothesis.length);
  const lengths = references.map((reference) => reference.length);
  const referenceLength = lengths.reduce((best, length) => {
    const closer = distance(length) - distance(best);
    return closer < 0 || (closer === 0 && length < best) ? length : best;
  });
  const correct = ORDERS.map((n) => {
    const most = new Map<string, number>();
    for (const reference of references) {
      for (const [ngram, count] of countNgrams(reference, n)) most.set(ngram, Math.max(count, most.get(ngram) ?? 0));
    }
    let matches = 0;
    for (const [ngram, count] of countNgrams(hypothesis, n)) matches += Math.min(count, most.get(ngram) ?? 0);
    return matches;
  });
  const guesses = ORDERS.map((n) => Math.max(0, hypothesis.length - n + 1));
  return { testLength: hypothesis.length, referenceLength, guesses, correct };
}

function add(a: Counts, b: Counts): Counts {
  return {
    testLength: a.testLength + b.testLength,
    referenceLength: a.referenceLength + b.referenceLength,
    guesses: a.guesses.map((count, i) => count + b.guesses[i]),
    correct: a.correct.map((count, i) => count + b.correct[i]),
  };
}

function score({ testLength, referenceLength, guesses, correct }: Counts): BleuScores {
  const ratio = (testLength + TINY) / (referenceLength + SMALL);
  const brevity = ratio < 1 ? Math.exp(1 - 1 / ratio) : 1;
  let product = 1;
  const [bleu1, bleu2, bleu3, bleu4] = ORDERS.map((n, i) => {
    product *= (correct[i] + TINY) / (guesses[i] + SMALL);
    return product ** (1 / n) * brevity;
  });
  return [bleu1, bleu2, bleu3, bleu4];
}
