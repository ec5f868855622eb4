import type { Scores } from "../caption/evaluate.ts";
import { percent, shareOf, table, thousands } from "./format.ts";

/** A score as it is shown: in the terminal, and with its definition in the report. */
export interface ScoreRow {
  readonly name: string;
  readonly value: string;
  readonly definition: string;
}

/** The scores in the order of what they tell about. */
export function scoreRows(scores: Scores): ScoreRow[] {
  const { factsRight, factsRightHeldOut } = scores;
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
    { name: "ROUGE-L", value: percent(scores.rougeL), definition: "The longest sequence of words that caption and reference share, in order." },
    { name: "token F1", value: percent(scores.tokenF1), definition: "Words in common, whatever their order." },
    { name: "distinct captions", value: `${scores.distinct} of ${scores.images}`, definition: "Different captions; few of them mean that the model repeats itself." },
  ];
  return rows.filter((row) => row !== null);
}

/** How captions were made and counted: it stands beside every table of scores. */
export function scoringTerms(scores: Scores, split: string, beam: number): string {
  const references = scores.referencesPerImage;
  const average = Number.isInteger(references) ? references.toString() : references.toFixed(1);
  return `${thousands(scores.images)} pictures (${split}), ${average} references each; ${beam === 1 ? "greedy decoding" : `beam of ${beam}`}; words in lower case, without punctuation`;
}

/** A small table for the terminal. */
export function showScores(scores: Scores): string[] {
  return table(scoreRows(scores).map(({ name, value }) => [`  ${name}`, value]));
}
