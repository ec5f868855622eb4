import { mean } from "./mean.ts";
import { checkReferences, countNgrams } from "./ngrams.ts";
import type { Tokens } from "./ngrams.ts";

export interface Cider {
  /** Mean over images, 0 to 10. */
  readonly score: number;
  readonly byImage: readonly number[];
}

/** A caption's n-grams weighed by how rare they are. */
interface WeighedCaption {
  /** For n = 1 to 4. */
  readonly orders: readonly { readonly weights: ReadonlyMap<string, number>; readonly norm: number }[];
  readonly bigrams: number;
}

const ORDERS = [1, 2, 3, 4] as const;
const SIGMA = 6;

/**
 * CIDEr-D: the similarity of tf·idf vectors of n-grams, n = 1 to 4, clipped to the reference's weights and damped by
 * e^(−Δ²/2σ²), Δ the difference in bigrams, σ = 6; mean over n and references, times 10.
 *
 * The document frequencies come from these references, so a score depends on the set it is taken over, and with one
 * image it is 0.
 *
 * hypotheses [images, tokens], references [images, references, tokens].
 * @throws InputError unless every hypothesis has a reference.
 * Source: Vedantam et al. 2015, arXiv:1411.5726; coco-caption, pycocoevalcap/cider.
 */
export function cider(hypotheses: readonly Tokens[], references: readonly (readonly Tokens[])[]): Cider {
  checkReferences("cider", hypotheses, references);
  const scoresOf = ciderScorer(references);
  const byImage = hypotheses.map((tokens, i) => scoresOf([tokens], references[i])[0]);
  return { score: mean(byImage), byImage };
}

/**
 * CIDEr-D with the document frequencies of a fixed set of images, which are counted once: for captions that come a few at a time.
 *
 * corpus [images, references, tokens] → a function of the captions [N, tokens] of one image and of its references → their scores [N].
 */
export function ciderScorer(corpus: readonly (readonly Tokens[])[]): (captions: readonly Tokens[], references: readonly Tokens[]) => number[] {
  const imagesWith = documentFrequencies(corpus);
  const rarity = (ngram: string): number => Math.log(corpus.length / Math.max(1, imagesWith.get(ngram) ?? 0));
  return (captions, references) => {
    const weighed = references.map((reference) => weigh(reference, rarity));
    return captions.map((tokens) => {
      const caption = weigh(tokens, rarity);
      return 10 * mean(weighed.map((reference) => similarity(caption, reference)));
    });
  };
}

/** In how many images' references each n-gram occurs. */
function documentFrequencies(references: readonly (readonly Tokens[])[]): Map<string, number> {
  const imagesWith = new Map<string, number>();
  for (const list of references) {
    const ngrams = new Set(list.flatMap((reference) => ORDERS.flatMap((n) => [...countNgrams(reference, n).keys()])));
    for (const ngram of ngrams) imagesWith.set(ngram, (imagesWith.get(ngram) ?? 0) + 1);
  }
  return imagesWith;
}

function weigh(tokens: Tokens, rarity: (ngram: string) => number): WeighedCaption {
  const orders = ORDERS.map((n) => {
    const weights = new Map(Array.from(countNgrams(tokens, n), ([ngram, count]) => [ngram, count * rarity(ngram)]));
    const squares = [...weights.values()].reduce((sum, weight) => sum + weight ** 2, 0);
    return { weights, norm: Math.sqrt(squares) };
  });
  return { orders, bigrams: Math.max(0, tokens.length - 1) };
}

function similarity(hypothesis: WeighedCaption, reference: WeighedCaption): number {
  const difference = hypothesis.bigrams - reference.bigrams;
  const damping = Math.exp(-(difference ** 2) / (2 * SIGMA ** 2));
  let sum = 0;
  for (const [i, { weights, norm }] of hypothesis.orders.entries()) {
    const other = reference.orders[i];
    if (norm === 0 || other.norm === 0) continue;
    let product = 0;
    for (const [ngram, weight] of weights) {
      const inReference = other.weights.get(ngram) ?? 0;
      product += Math.min(weight, inReference) * inReference;
    }
    sum += (product / (norm * other.norm)) * damping;
  }
  return sum / ORDERS.length;
}
