import { TOKENIZERS, type Scores } from "../caption/scoring.ts";
import { counted, percent, shareOf, table, thousands } from "../core/format.ts";

/** A score as it is shown: in the terminal, and with its definition in the report. */
export interface ScoreRow {
  readonly name: string;
  readonly value: string;
  readonly definition: string;
}

/** From this share of the pictures on, that they have the same caption is said in a line of its own. */
const OFTEN_SAID = 0.25;

/** Below this number of pictures, two of them with the same caption are already a quarter: there it must be said of all. */
const FEW_PICTURES = 8;

/** Columns of the length histogram's bars. */
const BAR = 40;

/** The scores in the order of what they tell about. */
export function scoreRows(scores: Scores): ScoreRow[] {
  const { factsRight, factsRightHeldOut, meteor, rouge, lengths } = scores;
  const rows: (ScoreRow | null)[] = [
    factsRight === undefined
      ? null
      : { name: "every fact right", value: shareOf(factsRight), definition: "The caption is read back with the grammar that wrote the references; sizes, colours, shapes and positions must all be right." },
    factsRightHeldOut === undefined || factsRightHeldOut.of === 0
      ? null
      : { name: "… with an unseen pair", value: shareOf(factsRightHeldOut), definition: "The same for scenes with a colour on a shape that training never showed together, such as a red cross." },
    { name: "word for word", value: shareOf(scores.exact), definition: "The caption is one of the references, capitals and punctuation aside." },
    { name: "CIDEr-D", value: scores.cider.toFixed(3), definition: "Agreement in phrases, rare ones counting more; 0 to 10. Word statistics come from these references, so numbers compare within one data set only." },
    ...scores.bleu.map((value, i) => ({ name: `BLEU-${i + 1}`, value: percent(value), definition: i === 0 ? "Share of the captions' words that occur in a reference, with a penalty for short captions." : `The same for phrases of up to ${i + 1} words.` })),
    meteor === undefined ? null : { name: "meteor (nltk)", value: percent(meteor), definition: "Words that are equal, have the same stem or are synonyms, less for those in another order; the Java program of coco-caption gives other numbers." },
    { name: "ROUGE-L (coco)", value: percent(scores.rougeL), definition: "The longest sequence of words that caption and reference share, in order; recall counts more, and each may come from another reference." },
    { name: "ROUGE-1", value: percent(rouge.rouge1), definition: "F1 of the words in common with the best reference, as the package rouge-score counts them, without stemming." },
    { name: "ROUGE-2", value: percent(rouge.rouge2), definition: "The same for pairs of words that follow each other." },
    { name: "ROUGE-L", value: percent(rouge.rougeL), definition: "The same for the longest sequence of words in common." },
    { name: "token precision", value: percent(scores.tokenPrecision), definition: "Share of the caption's words that the best reference has, whatever their order." },
    { name: "token recall", value: percent(scores.tokenRecall), definition: "Share of that reference's words that the caption has." },
    { name: "token F1", value: percent(scores.tokenF1), definition: "Both in one number; the best reference is the one with the highest." },
    { name: "distinct captions", value: shareOf({ count: scores.distinct, of: scores.images }), definition: "Different captions; few of them mean that the model repeats itself." },
    { name: "caption length", value: `${lengths.mean.toFixed(1)} (${lengths.min} to ${lengths.max})`, definition: "Words a caption: the mean, the least and the most." },
  ];
  return rows.filter((row) => row !== null);
}

/**
 * How captions were made and counted: it stands beside every table of scores.
 * @param decoding The number of beams, or in words what is known of captions that others made.
 */
export function scoringTerms(scores: Scores, split: string, decoding: number | string): string {
  const references = scores.referencesPerImage;
  const average = Number.isInteger(references) ? counted(references, "reference") : `${references.toFixed(1)} references`;
  const made = typeof decoding === "string" ? decoding : decoding === 1 ? "greedy decoding" : `beam of ${decoding}`;
  return `${counted(scores.images, "picture")} (${split}), ${average} each; ${made}; ${TOKENIZERS[scores.tokenizer].about}`;
}

/** A small table for the terminal. */
export function showScores(scores: Scores): string[] {
  return table(scoreRows(scores).map(({ name, value }) => [`  ${name}`, value]));
}

/** What to beware of: a model that says the same of every picture, or of many. */
export function scoreWarnings({ commonest, images }: Scores): string[] {
  const isOften = images < FEW_PICTURES ? commonest.count === images : commonest.count > images * OFTEN_SAID;
  if (images === 1 || !isOften) return [];
  return [`the same caption is said of ${shareOf({ count: commonest.count, of: images })} pictures: "${commonest.caption}"`];
}

/** How many captions have which length, a line for each length that occurs. */
export function showLengths({ lengths }: Scores): string[] {
  const most = lengths.histogram.reduce((greatest, { count }) => Math.max(greatest, count), 1);
  const rows = lengths.histogram.map(({ length, count }) => [`  ${length}`, thousands(count), "█".repeat(Math.max(1, Math.round((BAR * count) / most)))]);
  return rows.length === 0 ? [] : table([["  words", "captions", ""], ...rows], [0, 1]);
}
