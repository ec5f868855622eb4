import { scoreCaptions, type CaptionToScore, type Scored } from "../../src/caption/scoring.ts";
import { loadSynonyms } from "../../src/metrics/synonyms.ts";

/** Scores captions with the table of synonyms that a server has. */
export async function fetchedScores(pictures: readonly CaptionToScore[]): Promise<Scored> {
  const synonyms = await loadSynonyms(new Uint8Array(await (await fetch("/wordnet-synonyms.gz")).arrayBuffer()));
  return scoreCaptions(pictures, { tokenizer: "coco", synonyms });
}
