/** Opening the captioner of a checkpoint file, wherever the file is: on a disk, on a server, or given to a page. */

import { InputError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { isOwnCheckpoint } from "../checkpoint/training-state.ts";
import type { CheckpointReader } from "../checkpoint/reader.ts";
import type { TorchReader } from "../checkpoint/torch/file.ts";
import { readPickle } from "../checkpoint/torch/pickle.ts";
import { parseJson } from "../data/captions.ts";
import { publishedPreprocessing } from "../data/published-preprocessing.ts";
import { tokenizerFromJson, tokenizerFromVocabAndMerges } from "../data/tokenizer-load.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { Vocabulary, vocabularyFromRecord } from "../data/vocabulary.ts";
import type { Device } from "../device/device.ts";
import { Captioner, OPTIMIZER_PREFIX } from "./captioner.ts";
import { parseChoice } from "./data-choice.ts";
import { captionerIn, publishedCaptioner, saysWords } from "./published-captioner.ts";
import type { DescribeOptions } from "./teller.ts";

/** A captioner, and what is known of where it comes from. */
export interface OpenedCaptioner {
  readonly captioner: Captioner;
  /** Whether this library trained it. */
  readonly own: boolean;
  /** Whether it learned stories in several sentences. */
  readonly tellsStories: boolean;
}

/** What stands around a checkpoint that others published, which is its weights alone. */
export interface Surroundings {
  /** A file beside the weights as people know it, for messages. */
  nameOf(file: string): string;
  /** The bytes of a file beside the weights; null where there is none of that name. */
  read(file: string): Promise<Uint8Array | null>;
  /** Words of another place than beside the weights: a pickled vocabulary, its JSON, or a tokeniser. */
  readonly words?: { readonly bytes: Uint8Array; readonly name: string };
  /** What to do where the words are missing. */
  readonly wordsHint: string;
  /** Opens the ResNet whose features a `storyteller` works on. */
  openEncoder(): Promise<CheckpointReader>;
}

/** Where words stand that belong to weights. */
const WORD_FILES = ["vocab.pkl", "vocabulary.pkl", "vocab.json", "vocabulary.json"];

/** Under which names a PyTorch checkpoint keeps words beside its tensors. */
const WORD_VALUES = ["vocab", "vocabulary"];

/** From so many words on, a text of somebody's own pictures is a story. */
const STORY_WORDS = 60;

/** Most words of a story by a captioner that learned captions alone. */
const LONGEST_STORY = 100;

/** No three words twice: without such a rule, what was not trained to end goes in circles. */
const STORY_NGRAM = 3;

/**
 * The captioner in a checkpoint: one that this library trained, or a published one, whose system is recognised from the file's keys.
 * @throws InputError if something is missing beside a published one.
 * @throws CheckpointError if the file is no captioner, or damaged, or what stands beside it belongs to another one.
 */
export async function captionerOf(device: Device, reader: CheckpointReader | TorchReader, surroundings: Surroundings): Promise<OpenedCaptioner> {
  const { file, metadata } = reader;
  if (!isOwnCheckpoint(metadata)) {
    const captioner = await openPublished(device, reader, surroundings);
    return { captioner, own: false, tellsStories: captioner.system === "story" };
  }
  const choice = parseChoice(metadata.data, file);
  const tensors = new Map<string, HostTensor>();
  for (const name of reader.tensors.keys()) if (!name.startsWith(OPTIMIZER_PREFIX)) tensors.set(name, await reader.read(name));
  const captioner = await Captioner.fromCheckpoint(device, { tensors, metadata: { ...metadata } }, file);
  return { captioner, own: true, tellsStories: choice?.kind === "scenes" ? choice.text === "story" : captioner.config.maxLength > STORY_WORDS };
}

/** The request with what stories need where nothing was asked for. Those that were learned end by themselves, and repeat words rightly. */
export function asStory(asked: DescribeOptions, { captioner, own, tellsStories }: OpenedCaptioner): DescribeOptions {
  const { maxLength = tellsStories ? undefined : Math.max(LONGEST_STORY, captioner.config.maxLength), noRepeatNgram = own && tellsStories ? undefined : STORY_NGRAM } = asked;
  return { ...asked, maxLength, noRepeatNgram };
}

async function openPublished(device: Device, reader: CheckpointReader | TorchReader, surroundings: Surroundings): Promise<Captioner> {
  const { system } = captionerIn(reader);
  const { words } = surroundings;
  const vocabulary = words === undefined ? await vocabularyBeside(reader, surroundings, saysWords(system)) : wordsOf(words.bytes, words.name);
  const [config, generation, picture] = await Promise.all(["config.json", "generation_config.json", "preprocessor_config.json"].map((name) => jsonBeside(surroundings, name)));
  const preprocessing = picture === undefined ? undefined : publishedPreprocessing(picture, surroundings.nameOf("preprocessor_config.json"));
  const encoder = system === "storyteller" ? await surroundings.openEncoder() : undefined;
  try {
    return await publishedCaptioner(device, reader, { vocabulary, preprocessing, encoder, config, generation });
  } finally {
    await encoder?.close();
  }
}

async function vocabularyBeside(reader: CheckpointReader | TorchReader, surroundings: Surroundings, words: boolean): Promise<Vocabulary | Tokenizer | undefined> {
  if (!words) return tokenizerBeside(surroundings);
  const held = "values" in reader ? WORD_VALUES.map((name) => reader.values.get(name)).find((value) => value !== undefined) : undefined;
  if (held !== undefined) return vocabularyFromRecord(held, reader.file);
  for (const file of WORD_FILES) {
    const bytes = await surroundings.read(file);
    if (bytes !== null) return wordsOf(bytes, surroundings.nameOf(file));
  }
  throw new InputError(`${reader.file} must have its words beside it, in ${WORD_FILES[0]} or ${WORD_FILES[2]}; got neither`, surroundings.wordsHint);
}

async function tokenizerBeside(surroundings: Surroundings): Promise<Tokenizer | undefined> {
  const whole = await jsonBeside(surroundings, "tokenizer.json");
  if (whole !== undefined) return tokenizerFromJson(whole, { name: surroundings.nameOf("tokenizer.json") });
  const merges = await surroundings.read("merges.txt");
  const vocab = merges === null ? undefined : await jsonBeside(surroundings, "vocab.json");
  return merges === null || vocab === undefined ? undefined : tokenizerFromVocabAndMerges(vocab, textOf(merges), { name: surroundings.nameOf("vocab.json") });
}

/** A vocabulary of words, pickled or as JSON, or a tokeniser, whatever the file's name. Nothing in a pickle is executed. */
function wordsOf(bytes: Uint8Array, name: string): Vocabulary | Tokenizer {
  if (!/^\s*\{/.test(String.fromCharCode(...bytes.subarray(0, 64)))) return vocabularyFromRecord(readPickle(bytes, name), name);
  const json = parseJson(textOf(bytes), name) as Readonly<Record<string, unknown>>;
  if ("words" in json) return Vocabulary.fromJson(json, name);
  return "model" in json ? tokenizerFromJson(json, { name }) : vocabularyFromRecord(json, name);
}

/** What a JSON file says; undefined where there is none. */
async function jsonBeside(surroundings: Surroundings, file: string): Promise<unknown> {
  const bytes = await surroundings.read(file);
  return bytes === null ? undefined : parseJson(textOf(bytes), surroundings.nameOf(file));
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
