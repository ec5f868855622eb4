import type { CaptionScores } from "../caption/scoring.ts";
import { csvRow } from "../core/format.ts";

/** A caption with its scores. */
export interface ScoredImage {
  readonly name: string;
  readonly caption: string;
  readonly references: readonly string[];
  readonly scores: CaptionScores;
  /** The tag of the caption's language, where there are some. */
  readonly language?: string | null;
  /** For scenes: whether every fact is right, and whether they show a pair that training left out. */
  readonly right?: boolean;
  readonly heldOut?: boolean;
}

/** Scores by the names that they have in files, in the order of their columns. */
export function scoresByName({ exact, bleu, meteor, rougeL, rouge, cider, tokenPrecision, tokenRecall, tokenF1 }: CaptionScores): Readonly<Record<string, number>> {
  return {
    exact: Number(exact),
    ...Object.fromEntries(bleu.map((value, i) => [`bleu${i + 1}`, value])),
    meteor_nltk: meteor ?? NaN,
    rougeL_coco: rougeL,
    rouge1: rouge.rouge1,
    rouge2: rouge.rouge2,
    rougeL: rouge.rougeL,
    ciderD: cider,
    token_precision: tokenPrecision,
    token_recall: tokenRecall,
    token_f1: tokenF1,
  };
}

/** A table of captions and their scores; languages and facts have columns where any image has them. */
export function perImageCsv(images: readonly ScoredImage[]): string {
  const spoken = images.some(({ language }) => language != null);
  const factual = images.some(({ right }) => right !== undefined);
  const rows = images.map(({ name, language, caption, references, right, heldOut, scores }): Record<string, string | number> => ({
    image: name,
    ...(spoken && { language: language ?? "" }),
    caption,
    references: references.length,
    ...(factual && { facts_right: Number(right), unseen_pair: Number(heldOut) }),
    ...Object.fromEntries(Object.entries(scoresByName(scores)).map(([score, value]) => [score, Number(value.toFixed(6))])),
  }));
  return [Object.keys(rows[0]), ...rows.map((row) => Object.values(row))].map((row) => `${csvRow(row)}\n`).join("");
}
