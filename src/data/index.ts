/** Pictures and words: decoding, resizing, preprocessing, tokenisers and vocabularies. Works in Node and in browsers. */
export { augment } from "./augment.ts";
export { NO_AUGMENTATION, parseAugmentation, type Augmentation } from "./augmentation.ts";
export { trainBytePairs, type BytePairTraining, type TrainedBytePairs } from "./bpe.ts";
export { overlayAttention, type AttentionMap } from "./attention-overlay.ts";
export { decodeImage, type DecodeOptions, type Image } from "./image.ts";
export { describeImage, type ImageDescription } from "./image-description.ts";
export { folderSource, sceneSource, type PictureSet, type PictureSource, type SceneCounts, type SceneOptions, type SceneSet, type SceneSource } from "./pictures.ts";
export { preprocess, PREPROCESSING, squash, type Preprocessing } from "./preprocess.ts";
export { publishedPreprocessing } from "./published-preprocessing.ts";
export { resize, type Filter } from "./resize.ts";
export type { Language, SceneText } from "./scene-grammar.ts";
export { codecFromJson, type TextCodec } from "./text-codec.ts";
export { gpt2Tokenizer, tokenizerFromDescription, tokenizerFromJson, tokenizerFromVocabAndMerges } from "./tokenizer-load.ts";
export type { Tokenizer } from "./tokenizer.ts";
export { Vocabulary, vocabularyFromRecord } from "./vocabulary.ts";
