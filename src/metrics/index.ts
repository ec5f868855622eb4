/** Scores of captions: BLEU, METEOR, ROUGE, CIDEr-D and what tells a model that repeats itself. Works in Node and in browsers. */
export { bleu, type Bleu, type BleuScores } from "./bleu.ts";
export { cider, type Cider } from "./cider.ts";
export { cocoTokens } from "./coco-tokens.ts";
export { distinctCaptions, type DistinctCaptions } from "./distinct-captions.ts";
export { captionLengths, type Lengths } from "./lengths.ts";
export { meteor, type Meteor } from "./meteor.ts";
export type { Tokens } from "./ngrams.ts";
export { porterStem } from "./porter.ts";
export { rougeL, type RougeL } from "./rouge.ts";
export { rougeScore, type Rouge, type RougeOptions, type RougeScores } from "./rouge-score.ts";
export { loadSynonyms, type Synonyms } from "./synonyms.ts";
export { tokenOverlap, type Overlap, type TokenOverlap } from "./token-overlap.ts";
