import type { CheckpointReader } from "../checkpoint/reader.ts";
import { InputError } from "../core/errors.ts";
import { BytePairCodec } from "../data/bpe-codec.ts";
import { bytePairCodecOf } from "../data/bpe.ts";
import type { PictureSource } from "../data/pictures.ts";
import type { TextCodec } from "../data/text-codec.ts";
import { gpt2Tokenizer } from "../data/tokenizer-load.ts";
import { Vocabulary } from "../data/vocabulary.ts";
import type { Device } from "../device/device.ts";
import type { GPT2Config, GPT2LMHeadModel } from "../models/gpt2.ts";
import { Captioner } from "./captioner.ts";
import { findDecoder, findEncoder, loadDecoder, loadEncoder, withDecoder, withEncoder } from "./initial-weights.ts";
import type { Recipe } from "./recipe.ts";
import { gpt2Of, type ModelConfig } from "./systems.ts";

/** Captions from which the longest text and the vocabulary are found: of more, an even sample would not change either much. */
const MOST_CAPTIONS = 1_000_000;

/** Files to begin with. */
export interface InitialWeights {
  readonly encoder?: CheckpointReader;
  readonly decoder?: CheckpointReader;
}

/**
 * The recipe with what the files to begin with ask for: sizes of the networks, the way pictures are read (at size `full` the recipe's
 * own), the vocabulary of a GPT-2. A network from a file is left as it is unless `trainEncoder` says otherwise.
 * @throws CheckpointError if a file doesn't fit the system.
 */
export function adaptRecipe(recipe: Recipe, { encoder, decoder }: InitialWeights, trainEncoder: "none" | "top" | "all" = "none"): Recipe {
  let adapted = recipe;
  if (encoder !== undefined) {
    const found = findEncoder(encoder);
    const kept = trainEncoder === "all" ? {} : trainEncoder === "top" ? { encoder: 0 } : { encoder: 0, "encoder-top": 0 };
    adapted = {
      ...adapted,
      model: withEncoder(adapted.model, found, encoder.file),
      picture: recipe.size === "full" && found.picture.size === recipe.picture.size ? recipe.picture : found.picture,
      training: { ...adapted.training, rates: { ...adapted.training.rates, ...(trainEncoder === "all" ? { encoder: 1, "encoder-top": 1 } : {}), ...kept }, batchNorm: "frozen" },
    };
    if (recipe.recipe === "compat") adapted = { ...adapted, training: { ...adapted.training, batchNorm: recipe.training.batchNorm } };
  }
  if (decoder === undefined) return adapted;
  return { ...adapted, model: withDecoder(adapted.model, findDecoder(decoder).config, decoder.file), text: { ...adapted.text, vocabulary: "gpt2" } };
}

/**
 * A new captioner for a data set: vocabulary and longest text come from the training captions, weights from the seed and from the
 * files to begin with.
 * @param recipe As {@link adaptRecipe} gives it for the same files.
 * @throws CheckpointError if tensors don't fit.
 */
export async function prepareCaptioner(device: Device, source: PictureSource, recipe: Recipe, { encoder, decoder }: InitialWeights = {}): Promise<Captioner> {
  const captions = captionsToLearn(source);
  const codec = await codecFor(captions, recipe.text);
  let longest = 1;
  for (const caption of captions) longest = Math.max(longest, codec.encode(caption).length);
  const maxLength = Math.min(longest, recipe.text.maxLength) + 1;
  const captioner = Captioner.make(device, { model: sized(recipe.model, codec, maxLength), maxLength }, codec, recipe.picture, recipe.seed);
  if (encoder !== undefined) await loadEncoder(captioner.model.vision!, encoder, findEncoder(encoder));
  if (decoder !== undefined) await loadDecoder(gpt2Of(captioner.model) as GPT2LMHeadModel, decoder, findDecoder(decoder), recipe.recipe);
  return captioner;
}

function captionsToLearn({ train }: PictureSource): string[] {
  const captions: string[] = [];
  for (let i = 0; i < train.length && captions.length < MOST_CAPTIONS; i++) captions.push(...train.captions(i));
  return captions;
}

async function codecFor(captions: readonly string[], { vocabulary, size, minFrequency, punctuation }: Recipe["text"]): Promise<TextCodec> {
  if (vocabulary === "gpt2") return new BytePairCodec(await gpt2Tokenizer());
  if (vocabulary === "byte-pairs") return bytePairCodecOf(captions, { vocabulary: size });
  return Vocabulary.build(captions, minFrequency, { punctuation });
}

/** The configuration with room for the words and the longest text. @throws InputError if a published table of words has another size. */
function sized(config: ModelConfig, codec: TextCodec, maxLength: number): ModelConfig {
  const grown = (gpt2: GPT2Config, before: number): GPT2Config => {
    if (gpt2.vocabulary > 1 && gpt2.vocabulary < codec.size) throw new InputError(`the decoder's table of words must have ${codec.size} rows for this vocabulary; got ${gpt2.vocabulary}`, "choose the vocabulary that belongs to the decoder");
    return { ...gpt2, vocabulary: Math.max(gpt2.vocabulary, codec.size), positions: Math.max(gpt2.positions, before + maxLength) };
  };
  if (config.system === "story") return { ...config, gpt2: grown(config.gpt2, 1) };
  if (config.system === "prefix") return { ...config, gpt2: grown(config.gpt2, config.tokens) };
  if (config.system === "cross") return { ...config, decoder: grown(config.decoder, 1) };
  return { ...config, decoder: { ...config.decoder, vocabulary: codec.size } } as ModelConfig;
}
