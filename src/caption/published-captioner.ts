/** Captioners of published checkpoints, with what their files don't hold: words, the way to read pictures, how texts are made. */

import { DeviceGenerator } from "../autograd/random.ts";
import type { CheckpointReader } from "../checkpoint/reader.ts";
import { CheckpointError, InputError } from "../core/errors.ts";
import { Generator } from "../core/rng.ts";
import { BytePairCodec, type FrameIds } from "../data/bpe-codec.ts";
import type { Preprocessing } from "../data/preprocess.ts";
import type { TextCodec } from "../data/text-codec.ts";
import { gpt2Tokenizer } from "../data/tokenizer-load.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { Vocabulary } from "../data/vocabulary.ts";
import type { Device } from "../device/device.ts";
import { Captioner } from "./captioner.ts";
import { findEncoder, loadEncoder, type EncoderFound } from "./initial-weights.ts";
import { hintsOf, loadPublished, publishedSystem } from "./published.ts";
import { recipeFor } from "./recipes.ts";
import type { ModelConfig, SystemName } from "./systems.ts";
import type { DecodingDefaults } from "./teller.ts";

/** What stands beside a published checkpoint. Nothing of it need be given, but for the words of a recurrent decoder. */
export interface PublishedParts {
  /** The words of `storyteller` and `encdec`; the tokeniser of the others. Default of these: GPT-2's own. */
  readonly vocabulary?: Vocabulary | Tokenizer;
  /** Default: as the published project reads pictures. */
  readonly preprocessing?: Preprocessing;
  /** The ResNet whose features a `storyteller` works on. Without it, the captioner takes features [B, F] in place of pictures. */
  readonly encoder?: CheckpointReader;
  /** Hugging Face's `config.json`, parsed. */
  readonly config?: unknown;
  /** Hugging Face's `generation_config.json`, parsed. */
  readonly generation?: unknown;
}

/** How a published project makes texts: most words, the end word included, and the rest. */
interface Telling {
  readonly maxLength: number;
  readonly decoding: DecodingDefaults;
}

/** What Hugging Face's captioner is told by those who published it: `max_length` 16, which counts the start token, and 4 beams. */
const HUGGING_FACE: Telling = { maxLength: 15, decoding: { beam: 4, lengthPenalty: 1 } };

const PROJECTS: Readonly<Record<SystemName, Telling>> = {
  story: { maxLength: 100, decoding: {} },
  storyteller: { maxLength: 50, decoding: { lengthPenalty: 0, beamRule: "narrow" } },
  prefix: { maxLength: 15, decoding: { sampling: { temperature: 0.8, topK: 50, topP: 0.95 } } },
  cross: { maxLength: 50, decoding: {} },
  encdec: { maxLength: 20, decoding: {} },
};

type Fields = Readonly<Record<string, unknown>>;

/**
 * The captioner of a published checkpoint, the system recognised from the file's keys.
 *
 * @example
 * const captioner = await publishedCaptioner(device, await openCheckpoint("vlm_model.pt"));
 * @throws CheckpointError if the file holds no captioner, or what stands beside it belongs to another one.
 */
export async function publishedCaptioner(device: Device, reader: CheckpointReader, parts: PublishedParts = {}): Promise<Captioner> {
  const { file } = reader;
  const { system, huggingFace } = captionerIn(reader);
  const encoder = parts.encoder && findBackbone(parts.encoder, system, file);
  const settings = { ...fieldsOf(parts.config), ...fieldsOf(parts.generation) };
  const codec = await codecFor(system, parts.vocabulary, settings, file);
  const random = new DeviceGenerator(device, 0);
  const published = await loadPublished({ device, generator: new Generator(0), random }, reader, { ...hintsOf(parts.config), backbone: encoder?.config });
  if (!("config" in published)) throw notCaptioner(file); // its keys said otherwise
  const { model, config } = published;
  try {
    checkVocabulary(config, codec, file);
    if (encoder !== undefined) await loadEncoder(model.vision!, parts.encoder!, encoder);
    const preprocessing = readerOf(config, parts.preprocessing, file);
    const { maxLength, decoding } = tellingOf(huggingFace ? HUGGING_FACE : PROJECTS[system], settings, file);
    return new Captioner(model, { model: config, maxLength, decoding }, codec, preprocessing, random);
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** Which captioner a file holds. @throws CheckpointError if it is none by itself. */
export function captionerIn(reader: CheckpointReader): { readonly system: SystemName; readonly huggingFace: boolean } {
  const found = publishedSystem(reader);
  if (found === null) throw notCaptioner(reader.file);
  return found;
}

/** Whether a system's texts are words of a vocabulary that was made for it; otherwise they are GPT-2's tokens. */
export function saysWords(system: SystemName): boolean {
  return system === "storyteller" || system === "encdec";
}

function notCaptioner(file: string): CheckpointError {
  return new CheckpointError(`${file}: must hold a captioner; got a vision network or a language model alone`, "name the captioner's file; this one is a part to train one with: --encoder or --decoder of `sightline train`");
}

function findBackbone(reader: CheckpointReader, system: SystemName, file: string): Extract<EncoderFound, { kind: "resnet" }> {
  if (system !== "storyteller") throw new CheckpointError(`${file}: only a storyteller, which works on features, takes another file's vision network; got a captioner of the system "${system}"`, "leave the encoder out");
  const found = findEncoder(reader);
  if (found.kind === "resnet") return found;
  throw new CheckpointError(`${reader.file}: a storyteller works on features of a ResNet; got a ViT`, "name the file of a ResNet-50");
}

async function codecFor(system: SystemName, given: PublishedParts["vocabulary"], settings: Fields, file: string): Promise<TextCodec> {
  if (saysWords(system)) {
    if (given instanceof Vocabulary) return given;
    throw new CheckpointError(`${file}: the words of this ${system} must be known, which stand in a file of their own; got ${given === undefined ? "none" : "a tokeniser"}`, "give its vocab.pkl");
  }
  if (given instanceof Vocabulary) throw new CheckpointError(`${file}: this captioner says tokens of a GPT-2; got a vocabulary of words`, "give its tokenizer.json, or leave it out for GPT-2's own tokens");
  const tokenizer = given ?? (await gpt2Tokenizer());
  return new BytePairCodec(tokenizer, frameOf(settings));
}

/** Ids around texts, where a configuration names them; of several that end a text the first is taken. */
function frameOf(settings: Fields): FrameIds {
  const id = (...names: readonly string[]): number | undefined => {
    const value = names.map((name) => settings[name]).find((each) => each !== undefined && each !== null);
    const one: unknown = Array.isArray(value) ? value[0] : value;
    return typeof one === "number" ? one : undefined;
  };
  const [start, end, pad] = [id("decoder_start_token_id", "bos_token_id"), id("eos_token_id"), id("pad_token_id")];
  return { ...(start !== undefined && { start }), ...(end !== undefined && { end }), ...(pad !== undefined && { pad }) };
}

/** Holds the words against the model's own table. A tokeniser may have tokens added that the model has no row for. */
function checkVocabulary(config: ModelConfig, codec: TextCodec, file: string): void {
  const decoder = "gpt2" in config ? config.gpt2 : config.decoder;
  const fits = codec instanceof Vocabulary ? codec.size === decoder.vocabulary : codec.start < decoder.vocabulary && codec.end < decoder.vocabulary;
  if (fits) return;
  const got = codec instanceof Vocabulary ? `a vocabulary of ${codec.size}` : `a tokeniser whose texts begin with ${codec.start} and end with ${codec.end}`;
  throw new CheckpointError(`${file}: the vocabulary must be the one of these weights, which know ${decoder.vocabulary} words; got ${got}`, "give the vocabulary that was made with these weights");
}

/** The way to read pictures, at the size that a ViT has places for. */
function readerOf(config: ModelConfig, given: Preprocessing | undefined, file: string): Preprocessing {
  const usual = recipeFor({ system: config.system, recipe: "compat", size: "full", pictures: null }).picture;
  if (config.system !== "prefix" && config.system !== "cross") return given ?? usual;
  const { image } = config.encoder;
  if (given === undefined) return { ...usual, size: image };
  if (given.size === image) return given;
  throw new CheckpointError(`${file}: its ViT sees pictures of ${image} × ${image} pixels; got a preprocessing to ${given.size} × ${given.size}`, "preprocessor_config.json belongs to another model");
}

/** The project's way to make texts, and over it what a configuration says. */
function tellingOf(project: Telling, settings: Fields, file: string): Telling {
  const read = <T>(name: string, least: number, most: number, make: (value: number) => T): T | undefined => {
    const value = settings[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === "number" && value >= least && value <= most) return make(value);
    throw new InputError(`${file}: ${name} of its configuration must be a number from ${least} to ${most}; got ${JSON.stringify(value)}`, "correct the configuration, or take it away");
  };
  const MOST = 65_535;
  const fixed = {
    ...read("length_penalty", -1000, 1000, (lengthPenalty) => ({ lengthPenalty })),
    ...read("no_repeat_ngram_size", 0, MOST, (noRepeatNgram) => ({ noRepeatNgram })),
    ...read("repetition_penalty", 1e-3, 1000, (repetitionPenalty) => ({ repetitionPenalty })),
  };
  const drawn = {
    ...read("temperature", 1e-3, 1000, (temperature) => ({ temperature })),
    ...read("top_k", 0, MOST, (topK) => ({ topK })),
    ...read("top_p", 1e-6, 1, (topP) => ({ topP })),
  };
  const { beam: _, ...others } = project.decoding;
  const way = settings.do_sample === true ? { ...others, sampling: drawn } : { ...project.decoding, ...read("num_beams", 1, 128, (beam) => ({ beam })) };
  const longest = read("max_new_tokens", 1, MOST, (most) => most) ?? read("max_length", 2, MOST, (most) => most - 1); // the start token counts there
  return { maxLength: longest ?? project.maxLength, decoding: { ...way, ...fixed } };
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}
