import { readFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { Captioner } from "../caption/captioner.ts";
import { captionerIn, publishedCaptioner, saysWords } from "../caption/published-captioner.ts";
import { attempt, loadSafetensors, openCheckpoint } from "../checkpoint/files.ts";
import { resolveModel } from "../checkpoint/hub/files.ts";
import type { CheckpointReader } from "../checkpoint/reader.ts";
import { isOwnCheckpoint } from "../checkpoint/training-state.ts";
import { readPickle } from "../checkpoint/torch/pickle.ts";
import type { TorchReader } from "../checkpoint/torch/file.ts";
import { InputError } from "../core/errors.ts";
import { parseJson } from "../data/captions.ts";
import { readTokenizer } from "../data/files.ts";
import type { Preprocessing } from "../data/preprocess.ts";
import { publishedPreprocessing } from "../data/published-preprocessing.ts";
import { tokenizerFromJson } from "../data/tokenizer-load.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { Vocabulary, vocabularyFromRecord } from "../data/vocabulary.ts";
import type { Device } from "../device/device.ts";
import { parseChoice } from "./data-choice.ts";
import { findModel } from "./run-folder.ts";

/** What a published captioner may need beside its own file. */
export interface CaptionerFiles {
  /** Words: a pickled vocabulary, its JSON, or a tokeniser. Default: what lies beside the weights. */
  readonly vocab?: string;
  /** File or name of the ResNet whose features a storyteller works on. Default: the pulled `resnet50`. */
  readonly encoder?: string;
}

export interface OpenedCaptioner {
  readonly captioner: Captioner;
  /** The file with its weights. */
  readonly file: string;
  /** Metadata of the file; of a published one nothing but what its writer put there. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether this library trained it. */
  readonly own: boolean;
  /** Whether it learned stories in several sentences. */
  readonly tellsStories: boolean;
}

/** Where words stand that belong to weights. */
const WORD_FILES = ["vocab.pkl", "vocabulary.pkl", "vocab.json", "vocabulary.json"];

/** Under which names a PyTorch checkpoint keeps words beside its tensors. */
const WORD_VALUES = ["vocab", "vocabulary"];

/** From so many words on, a text of somebody's own pictures is a story. */
const STORY_WORDS = 60;

/**
 * Any captioner: one that this library trained, or a published one, whose system is recognised from the file's keys and whose words,
 * tokeniser and preprocessing lie beside it.
 * @param asked As {@link findModel} takes it.
 * @throws InputError if something is missing. @throws CheckpointError if the file is no captioner, or damaged.
 */
export async function openCaptioner(device: Device, asked: string | undefined, files: CaptionerFiles = {}): Promise<OpenedCaptioner> {
  const file = await findModel(asked);
  const reader = await openCheckpoint(file);
  try {
    if (!isOwnCheckpoint(reader.metadata)) {
      const captioner = await openPublished(device, reader, files);
      return { captioner, file, metadata: reader.metadata, own: false, tellsStories: captioner.system === "story" };
    }
    const needless = files.vocab === undefined ? files.encoder === undefined ? null : "--encoder" : "--vocab";
    if (needless !== null) throw new InputError(`${needless} is for published captioners; got ${file}, a checkpoint with all that it needs`, "leave it out");
  } finally {
    await reader.close();
  }
  const { tensors, metadata } = await loadSafetensors(file);
  const captioner = await Captioner.fromCheckpoint(device, { tensors, metadata }, file);
  return { captioner, file, metadata, own: true, tellsStories: learnedStories(captioner, metadata.data, file) };
}

function learnedStories({ config }: Captioner, data: string | undefined, file: string): boolean {
  const choice = parseChoice(data, file);
  return choice?.kind === "scenes" ? choice.text === "story" : config.maxLength > STORY_WORDS;
}

async function openPublished(device: Device, reader: CheckpointReader | TorchReader, { vocab, encoder }: CaptionerFiles): Promise<Captioner> {
  const { system } = captionerIn(reader);
  if (encoder !== undefined && system !== "storyteller") throw new InputError(`--encoder is for a storyteller, which works on features; got ${reader.file}, which has its own vision network`, "leave it out");
  const folder = dirname(reader.file);
  const vocabulary = vocab === undefined ? await vocabularyBeside(reader, folder, saysWords(system)) : await readVocabulary(vocab);
  const [config, generation, picture] = await Promise.all(["config.json", "generation_config.json", "preprocessor_config.json"].map((name) => jsonBeside(join(folder, name))));
  const preprocessing: Preprocessing | undefined = picture === undefined ? undefined : publishedPreprocessing(picture, join(folder, "preprocessor_config.json"));
  const vision = system === "storyteller" ? await openEncoder(encoder ?? "resnet50", reader.file) : undefined;
  try {
    return await publishedCaptioner(device, reader, { vocabulary, preprocessing, encoder: vision, config, generation });
  } finally {
    await vision?.close();
  }
}

async function openEncoder(name: string, file: string): Promise<CheckpointReader> {
  const path = await resolveModel(name).catch((cause: unknown) => {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(`${file} works on features of a picture: --encoder must name the ResNet-50 that they come from; got ${name}, which is neither a file nor pulled`, "get it with: sightline pull resnet50", { cause });
  });
  return openCheckpoint(path);
}

async function vocabularyBeside(reader: CheckpointReader | TorchReader, folder: string, words: boolean): Promise<Vocabulary | Tokenizer | undefined> {
  const beside = (name: string): boolean => existsSync(join(folder, name));
  if (!words) return beside("tokenizer.json") || (beside("vocab.json") && beside("merges.txt")) ? readTokenizer(folder) : undefined;
  const held = "values" in reader ? WORD_VALUES.map((name) => reader.values.get(name)).find((value) => value !== undefined) : undefined;
  if (held !== undefined) return vocabularyFromRecord(held, reader.file);
  const name = WORD_FILES.find(beside);
  if (name !== undefined) return readVocabulary(join(folder, name));
  throw new InputError(`${reader.file} must have its words beside it, in ${WORD_FILES[0]} or ${WORD_FILES[2]}; got neither`, "name the file with --vocab");
}

/** A vocabulary of words, pickled or as JSON, or a tokeniser, whatever the file's name. Nothing in a pickle is executed. */
async function readVocabulary(path: string): Promise<Vocabulary | Tokenizer> {
  const bytes = await attempt("read", path, readFile(path));
  const start = bytes.subarray(0, 64).toString("latin1").trimStart();
  if (!start.startsWith("{")) return vocabularyFromRecord(readPickle(bytes, path), path);
  const json = parseJson(bytes.toString("utf8"), path) as Readonly<Record<string, unknown>>;
  if ("words" in json) return Vocabulary.fromJson(json, path);
  return "model" in json ? tokenizerFromJson(json, { name: path }) : vocabularyFromRecord(json, path);
}

/** What a JSON file says; undefined where there is none. */
async function jsonBeside(path: string): Promise<unknown> {
  return existsSync(path) ? parseJson((await attempt("read", path, readFile(path))).toString("utf8"), path) : undefined;
}
