/** Pictures and words: decoding, resizing, preprocessing, tokenisers and vocabularies. Works in Node and in browsers. */
export { decodeImage, type DecodeOptions, type Image } from "./image.ts";
export { preprocess, PREPROCESSING, squash, type Preprocessing } from "./preprocess.ts";
export { publishedPreprocessing } from "./published-preprocessing.ts";
export { resize, type Filter } from "./resize.ts";
export { gpt2Tokenizer, tokenizerFromDescription, tokenizerFromJson, tokenizerFromVocabAndMerges } from "./tokenizer-load.ts";
export type { Tokenizer } from "./tokenizer.ts";
export { Vocabulary, vocabularyFromRecord } from "./vocabulary.ts";
