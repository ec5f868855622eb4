/**
 * Captioners: the five systems, published weights by what they hold, texts word by word or by beam search, and the training and scoring of
 * captioners. Works in Node and in browsers.
 */
export { advanceBeams, reorderRows, takeWords, type Beams } from "../autograd/ops/beam.ts";
export { appendWords, filterLogits, sample, sampleFrom, samplingValues, type BanSettings, type SamplingInputs, type SamplingSettings } from "../autograd/ops/sampling.ts";
export { adaptRecipe } from "./adapt-recipe.ts";
export { attentionMaps, classTokenMaps, type AttentionMapOptions } from "./attention-maps.ts";
export { Captioner, type CaptionerConfig, type TrainingMetadata } from "./captioner.ts";
export type { CaptionModel } from "./caption-model.ts";
export { findPictures, openPictures, openScenes, scenesChoice, type DataChoice, type FolderChoice, type FolderData, type HoldOut, type OpenedData, type ScenesChoice } from "./data-choice.ts";
export { beamDecoder, wordByWordDecoder, type BeamOptions, type Hypothesis, type SequenceDecoder, type WordByWordOptions } from "./decode.ts";
export { EncDec, type EncDecConfig } from "./encdec.ts";
export { evaluate, type EvaluatedPicture, type Evaluation } from "./evaluate.ts";
export { MemoryFeatures, type FeatureStore } from "./features.ts";
export { gpt2Text, type GPT2Prompt } from "./gpt2-text.ts";
export { Prefix, type PrefixConfig } from "./prefix.ts";
export { prepareCaptioner, type InitialWeights } from "./prepare.ts";
export { hintsOf, loadPublished, type Published, type PublishedHints } from "./published.ts";
export { publishedCaptioner, type PublishedParts } from "./published-captioner.ts";
export { readRecipe, type Flavour, type Recipe, type RewardRecipe, type ScheduleRecipe, type Size, type Stage, type TextRecipe, type TrainingRecipe } from "./recipe.ts";
export { recipeFor, SCENE_COUNTS, type RecipeChoice } from "./recipes.ts";
export { resumableRun, type ResumableRun } from "./resume.ts";
export { scoreCaptions, type CaptionScores, type CaptionToScore, type Scored, type Scores, type ScoringOptions } from "./scoring.ts";
export { Story, type StoryConfig } from "./story.ts";
export { Storyteller, type StorytellerConfig } from "./storyteller.ts";
export type { TextModel, TextStart, TextState } from "./text-model.ts";
export { SYSTEM, SYSTEMS, type ModelConfig, type SystemName } from "./systems.ts";
export type { Caption, DecodingDefaults, DescribeOptions, SamplingOptions } from "./teller.ts";
export { trainCaptioner, type CheckpointContents, type ResumePoint, type RunState, type SampleCaption, type StepProgress, type TrainingHooks, type TrainingResult, type ValidationReport } from "./training.ts";
export { VisionGPT2, type VisionGPT2Config } from "./vision-gpt2.ts";
export { wordMaps, type WordMap } from "./word-maps.ts";
