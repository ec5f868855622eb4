import { mean } from "./mean.ts";
import { checkReferences } from "./ngrams.ts";
import type { Tokens } from "./ngrams.ts";
import { porterStem } from "./porter.ts";
import type { Synonyms } from "./synonyms.ts";

export interface Meteor {
  /** Mean over images, 0 to 1. */
  readonly score: number;
  readonly byImage: readonly number[];
}

/** A token that has no counterpart yet, and its place. */
type Unmatched = readonly [place: number, token: string];

/** The places of two tokens that count as the same. */
type Match = readonly [hypothesis: number, reference: number];

const ALPHA = 0.9; // how much recall outweighs precision
const BETA = 3;
const GAMMA = 0.5; // most that disorder costs

/**
 * METEOR as nltk computes it: tokens of the caption are matched with those of a reference, first equal ones, then those with
 * equal Porter stems, then synonyms; F = PR / (αP + (1 − α)R), times 1 − γ(chunks / matches)^β, where a chunk is a run of
 * matches that stand side by side in both. The best reference counts.
 *
 * It is not the METEOR of coco-caption, a Java program with other weights and paraphrases, whose scores are lower.
 *
 * hypotheses [images, tokens], references [images, references, tokens].
 * @throws InputError unless every hypothesis has a reference.
 * Source: Lavie and Agarwal 2007; nltk.translate.meteor_score.
 */
export function meteor(hypotheses: readonly Tokens[], references: readonly (readonly Tokens[])[], synonyms: Synonyms): Meteor {
  checkReferences("meteor", hypotheses, references);
  const stems = new Map<string, string>();
  const stemOf = (token: string): string => {
    let stem = stems.get(token);
    if (stem === undefined) stems.set(token, (stem = porterStem(token)));
    return stem;
  };
  const score = (hypothesis: Tokens, reference: Tokens): number => scorePair(hypothesis.length, reference.length, align(hypothesis, reference, stemOf, synonyms));
  const byImage = hypotheses.map((hypothesis, i) => references[i].reduce((best, reference) => Math.max(best, score(hypothesis, reference)), 0));
  return { score: mean(byImage), byImage };
}

/** The matches in the order of the hypothesis. */
function align(hypothesis: Tokens, reference: Tokens, stemOf: (token: string) => string, synonyms: Synonyms): Match[] {
  const left: readonly [Unmatched[], Unmatched[]] = [number(hypothesis), number(reference)];
  const equal = (a: string, b: string): boolean => a === b;
  const matches = take(left, equal);
  for (const list of left) for (const [i, [place, token]] of list.entries()) list[i] = [place, stemOf(token)];
  matches.push(...take(left, equal), ...take(left, (a, b) => synonyms.get(a)?.some((meaning) => meaning.has(b)) ?? false));
  return matches.sort(([a], [b]) => a - b);
}

function number(tokens: Tokens): Unmatched[] {
  return tokens.map((token, place) => [place, token.toLowerCase()]);
}

/** Takes matches out of both lists, the last ones first. */
function take([hypothesis, reference]: readonly [Unmatched[], Unmatched[]], same: (a: string, b: string) => boolean): Match[] {
  const matches: Match[] = [];
  for (let i = hypothesis.length - 1; i >= 0; i--) {
    const j = reference.findLastIndex(([, token]) => same(hypothesis[i][1], token));
    if (j < 0) continue;
    matches.push([hypothesis[i][0], reference[j][0]]);
    hypothesis.splice(i, 1);
    reference.splice(j, 1);
  }
  return matches;
}

function scorePair(hypothesisLength: number, referenceLength: number, matches: readonly Match[]): number {
  if (matches.length === 0) return 0;
  const precision = matches.length / hypothesisLength;
  const recall = matches.length / referenceLength;
  const chunks = matches.filter(([h, r], i) => i === 0 || matches[i - 1][0] !== h - 1 || matches[i - 1][1] !== r - 1).length;
  const penalty = GAMMA * (chunks / matches.length) ** BETA;
  return ((1 - penalty) * (precision * recall)) / (ALPHA * precision + (1 - ALPHA) * recall);
}
