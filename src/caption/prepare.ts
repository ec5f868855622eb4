import type { CheckpointReader } from "../checkpoint/reader.ts";
import { InputError } from "../core/errors.ts";
import type { PictureSource } from "../data/pictures.ts";
import type { TextCodec } from "../data/text-codec.ts";
import { Vocabulary } from "../data/vocabulary.ts";
import type { Device } from "../device/device.ts";
import type { GPT2Config, GPT2LMHeadModel } from "../models/gpt2.ts";
import { Captioner } from "./captioner.ts";
import type { Recipe } from "./recipe.ts";
import { gpt2Of, type ModelConfig } from "./systems.ts";

/** Captions from which the longest text and the vocabulary are found: of more, the first so many. */
const MOST_CAPTIONS = 1_000_000;

/** Files to begin with. */
export interface InitialWeights {
  readonly encoder?: CheckpointReader;
  readonly decoder?: CheckpointReader;
}

/**
 * A new captioner for a data set: vocabulary and longest text come from the training captions, weights from the seed and from the
 * files to begin with.
 * @param recipe As {@link adaptRecipe} gives it for the same files.
 * @throws CheckpointError if tensors don't fit. @throws InputError if the decoder has no room for the vocabulary or the texts.
 */
export async function prepareCaptioner(device: Device, source: PictureSource, recipe: Recipe, { encoder, decoder }: InitialWeights = {}): Promise<Captioner> {
  const { vocabulary } = recipe.text;
  if (decoder !== undefined && vocabulary !== "gpt2") throw new InputError(`text.vocabulary must be "gpt2" with a GPT-2 from --decoder, which knows these tokens alone; got "${vocabulary}"`, "leave --vocabulary out, or --decoder");
  const captions = captionsToLearn(source);
  const codec = await codecFor(captions, recipe.text);
  let longest = 1;
  for (const caption of captions) longest = Math.max(longest, codec.encode(caption).length);
  const maxLength = Math.min(longest, recipe.text.maxLength) + 1;
  const captioner = Captioner.make(device, { model: sized(recipe.model, codec, maxLength), maxLength }, codec, recipe.picture, recipe.seed);
  if (encoder === undefined && decoder === undefined) return captioner;
  try {
    const { findDecoder, findEncoder, loadDecoder, loadEncoder } = await import("./initial-weights.ts"); // with the tables of published layouts
    if (encoder !== undefined) await loadEncoder(captioner.model.vision!, encoder, findEncoder(encoder));
    if (decoder !== undefined) await loadDecoder(gpt2Of(captioner.model) as GPT2LMHeadModel, decoder, findDecoder(decoder), recipe.recipe);
    return captioner;
  } catch (error) {
    captioner.dispose();
    throw error;
  }
}

function captionsToLearn({ train }: PictureSource): string[] {
  const captions: string[] = [];
  for (let i = 0; i < train.length && captions.length < MOST_CAPTIONS; i++) captions.push(...train.captions(i));
  return captions;
}

/** What byte pairs need is loaded where they are asked for. */
async function codecFor(captions: readonly string[], { vocabulary, size, minFrequency, punctuation }: Recipe["text"]): Promise<TextCodec> {
  if (vocabulary === "words") return Vocabulary.build(captions, minFrequency, { punctuation });
  if (vocabulary === "byte-pairs") return (await import("../data/bpe.ts")).bytePairCodecOf(captions, { vocabulary: size });
  const [{ BytePairCodec }, { gpt2Tokenizer }] = await Promise.all([import("../data/bpe-codec.ts"), import("../data/tokenizer-load.ts")]);
  return new BytePairCodec(await gpt2Tokenizer());
}

/** The configuration with room for the words and the longest text. @throws InputError if a published table of words or of places has too few rows. */
function sized(config: ModelConfig, codec: TextCodec, maxLength: number): ModelConfig {
  const grown = (gpt2: GPT2Config, before: number): GPT2Config => {
    if (gpt2.vocabulary > 1 && gpt2.vocabulary < codec.size) throw new InputError(`the decoder's table of words must have ${codec.size} rows for this vocabulary; got ${gpt2.vocabulary}`, "choose the vocabulary that belongs to the decoder");
    if (gpt2.positions > 1 && gpt2.positions < before + maxLength) throw new InputError(`text.maxLength must be at most ${gpt2.positions - before - 1} with this decoder, which has ${gpt2.positions} places for a text; got texts of up to ${maxLength - 1} tokens`, "longer texts are cut there");
    return { ...gpt2, vocabulary: Math.max(gpt2.vocabulary, codec.size), positions: Math.max(gpt2.positions, before + maxLength) };
  };
  if (config.system === "story") return { ...config, gpt2: grown(config.gpt2, 1) };
  if (config.system === "prefix") return { ...config, gpt2: grown(config.gpt2, config.tokens) };
  if (config.system === "cross") return { ...config, decoder: grown(config.decoder, 1) };
  return { ...config, decoder: { ...config.decoder, vocabulary: codec.size } } as ModelConfig;
}
