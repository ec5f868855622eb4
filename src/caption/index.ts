/** Captioners: the five systems, published weights by what they hold, and the making of texts word by word or by beam search. */
export { attentionMaps, classTokenMaps, type AttentionMapOptions } from "./attention-maps.ts";
export { Captioner, type CaptionerConfig } from "./captioner.ts";
export type { CaptionModel } from "./caption-model.ts";
export { beamDecoder, wordByWordDecoder, type BeamOptions, type Hypothesis, type SequenceDecoder, type WordByWordOptions } from "./decode.ts";
export { EncDec, type EncDecConfig } from "./encdec.ts";
export { gpt2Text, type GPT2Prompt } from "./gpt2-text.ts";
export { Prefix, type PrefixConfig } from "./prefix.ts";
export { hintsOf, loadPublished, type Published, type PublishedHints } from "./published.ts";
export { publishedCaptioner, type PublishedParts } from "./published-captioner.ts";
export { Story, type StoryConfig } from "./story.ts";
export { Storyteller, type StorytellerConfig } from "./storyteller.ts";
export type { TextModel, TextStart, TextState } from "./text-model.ts";
export { SYSTEM, SYSTEMS, type ModelConfig, type SystemName } from "./systems.ts";
export type { Caption, DecodingDefaults, DescribeOptions, SamplingOptions } from "./teller.ts";
export { VisionGPT2, type VisionGPT2Config } from "./vision-gpt2.ts";
