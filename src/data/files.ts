import { readFile, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { InputError } from "../core/errors.ts";
import { parseCaptionsCsv, parseJson, parseKarpathy, parseStories, someOf } from "./captions.ts";
import type { CaptionExample, ParsedCaptions } from "./captions.ts";
import { ImageIndex, splitAsPublished, splitByImage } from "./dataset.ts";
import type { CaptionDataset } from "./dataset.ts";
import { decodeImage } from "./image.ts";
import type { DecodeOptions, Image } from "./image.ts";
import { tokenizerFromJson, tokenizerFromVocabAndMerges } from "./tokenizer-load.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface DatasetOptions extends DecodeOptions {
  /** Which caption file to read, by name. Default: a Karpathy JSON, else `captions.txt`, else `stories.txt`. */
  readonly captions?: string;
  /** Of the split that is drawn where no Karpathy JSON gives one. Default 0. */
  readonly seed?: number;
  /** Draw a split even where a Karpathy JSON gives one. Default false. */
  readonly redrawSplit?: boolean;
  /** Share of the pictures that a drawn split gives to val, and as much to test. Default 0.1. */
  readonly holdOut?: number;
  /** Refuse, instead of warning, what cannot be used: pictures without file, undecodable pictures. Default false. */
  readonly strict?: boolean;
  /** Decode every picture on opening, so that undecodable ones are left out before the split is drawn. Default false. */
  readonly verify?: boolean;
}

const PICTURE = /\.(jpe?g|png)$/i;
const KARPATHY = /^dataset.*\.json$/i;
const CAPTION_FILES = "dataset*.json, captions.txt or stories.txt";

/**
 * Reads and decodes a picture.
 * @throws InputError if it is missing, a folder, unreadable, or not a sound JPEG or PNG.
 */
export async function readImage(path: string, options?: DecodeOptions): Promise<Image> {
  return decodeImage(await readBytes(path, "readImage"), path, options);
}

/**
 * Reads a tokeniser from a `tokenizer.json`, or from a folder with one or with `vocab.json` and `merges.txt`.
 * @param endOfText Name of the token that ends a text. Default `<|endoftext|>`.
 * @throws InputError if there are no such files, or if they are not a byte-level BPE as GPT-2's.
 */
export async function readTokenizer(path: string, { endOfText }: { readonly endOfText?: string } = {}): Promise<Tokenizer> {
  const readText = async (file: string): Promise<string> => new TextDecoder().decode(await readBytes(file, "readTokenizer"));
  const fromJson = async (name: string): Promise<Tokenizer> => tokenizerFromJson(parseJson(await readText(name), name), { name, endOfText });
  const folder = await readdir(path).catch(() => undefined);
  if (folder === undefined) return fromJson(path);
  if (folder.includes("tokenizer.json")) return fromJson(join(path, "tokenizer.json"));
  if (!folder.includes("vocab.json") || !folder.includes("merges.txt")) {
    throw new InputError(`readTokenizer: ${path} must hold tokenizer.json, or vocab.json and merges.txt; got ${someOf(folder) || "an empty folder"}`, "check the path");
  }
  const name = join(path, "vocab.json");
  return tokenizerFromVocabAndMerges(parseJson(await readText(name), name), await readText(join(path, "merges.txt")), { name, endOfText });
}

/**
 * Opens a folder of pictures with captions.
 *
 * Pictures are looked for under `images/` and its subfolders, and beside the caption file. Captions come from the first
 * of: the file named in `options.captions`; a Karpathy JSON `dataset*.json`; `captions.txt` (CSV); `stories.txt`
 * (tab-separated). Splits come from the Karpathy JSON whenever there is one, whichever file the captions come from, so
 * that all systems are tested on the same pictures; otherwise they are drawn by image, see {@link splitByImage}.
 * @throws InputError if the folder, its caption file or every picture with a caption is missing; with `strict`, also
 *   if a captioned picture is missing or, when `verify` is set, undecodable.
 */
export async function openDataset(folder: string, options: DatasetOptions = {}): Promise<CaptionDataset> {
  const { strict = false, verify = false, seed = 0, redrawSplit = false, holdOut = 0.1 } = options;
  const files = await listFolder(folder);
  const index = new ImageIndex(await listPictures(folder, files));
  const source = chooseCaptions(folder, files, options.captions);
  const parsed = await readCaptions(folder, source);
  const warnings = [...parsed.warnings];
  let found = pair(parsed.examples, index, { folder, source, strict }, warnings);

  async function* decode<E extends CaptionExample>(wanted: readonly E[]): AsyncGenerator<{ example: E; image: Image }> {
    for (const example of wanted) {
      try {
        yield { example, image: await load(example) };
      } catch (error) {
        if (strict || !(error instanceof InputError)) throw error;
        const warning = `${error.message}: left out`;
        if (!warnings.includes(warning)) warnings.push(warning);
      }
    }
  }
  async function load({ image }: CaptionExample): Promise<Image> {
    const path = index.find(image);
    if (path === undefined) throw new InputError(`load: ${image} must be a picture of ${folder}; got an unknown name`);
    return readImage(join(folder, path), options);
  }

  if (verify) {
    const sound: CaptionExample[] = [];
    for await (const { example } of decode(found)) sound.push(example);
    if (sound.length === 0) throw nothingUsable(folder, `${found.length}, of which none decodes: ${warnings.at(-1)}`);
    found = sound;
  }
  const { examples, splits } = await divide(found, { folder, files, source }, { seed, redrawSplit, holdOut }, warnings);
  return {
    source: join(folder, source),
    examples,
    splits,
    warnings,
    split: (split) => examples.filter((example) => example.split === split),
    load,
    decoded: (some = examples) => decode(some),
  };
}

async function readBytes(path: string, caller: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const got = reasonOf(error);
    throw new InputError(`${caller}: ${path} must be a readable file; got ${got}`, "check the path", { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "nothing of that name";
  if (code === "EISDIR") return "a folder";
  if (code === "ENOTDIR") return "a file, not a folder";
  if (code === "EACCES" || code === "EPERM") return "no permission to read it";
  return String(error);
}

async function listFolder(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    throw new InputError(
      `openDataset: ${folder} must be a folder with images/ and ${CAPTION_FILES}; got ${reasonOf(error)}`,
      "check the path",
      { cause: error },
    );
  }
}

async function listPictures(folder: string, files: readonly string[]): Promise<string[]> {
  const paths: string[] = files.filter((name) => PICTURE.test(name));
  for (const name of files) {
    if (name.toLowerCase() !== "images" || !(await stat(join(folder, name))).isDirectory()) continue;
    const inside = await readdir(join(folder, name), { recursive: true });
    const pictures = inside.filter((path) => PICTURE.test(path)).map((path) => `${name}/${path.replaceAll("\\", "/")}`);
    paths.push(...pictures.sort());
  }
  return paths;
}

function chooseCaptions(folder: string, files: readonly string[], asked: string | undefined): string {
  const held = someOf(files) || "an empty folder";
  if (asked !== undefined) {
    if (files.includes(asked)) return asked;
    throw new InputError(`openDataset: ${folder} must hold ${asked}; got ${held}`, "check the option captions");
  }
  const karpathy = files.filter((name) => KARPATHY.test(name));
  if (karpathy.length > 1) {
    const got = someOf(karpathy);
    throw new InputError(`openDataset: ${folder} must hold one dataset*.json; got ${got}`, "name one with the option captions");
  }
  const chosen = karpathy.at(0) ?? ["captions.txt", "stories.txt"].find((name) => files.includes(name));
  if (chosen !== undefined) return chosen;
  throw new InputError(
    `openDataset: ${folder} must hold ${CAPTION_FILES}; got ${held}`,
    'write captions.txt: a line "image,caption", then a line for each caption, such as "dog.jpg,A dog runs"',
  );
}

/** Told by name: .json is a Karpathy JSON, .csv and captions* are CSV, anything else is tab-separated stories. */
async function readCaptions(folder: string, name: string): Promise<ParsedCaptions> {
  const text = await readFile(join(folder, name), "utf8");
  if (/\.json$/i.test(name)) return parseKarpathy(text, name);
  return /\.csv$|^captions/i.test(name) ? parseCaptionsCsv(text, name) : parseStories(text, name);
}

/** The examples whose picture is there, one a picture; what is missing on either side goes into the warnings. */
function pair(
  examples: readonly CaptionExample[],
  index: ImageIndex,
  { folder, source, strict }: { folder: string; source: string; strict: boolean },
  warnings: string[],
): readonly CaptionExample[] {
  const found = new Map<string, CaptionExample>();
  const missing: string[] = [];
  for (const example of examples) {
    const path = index.find(example.image);
    const same = path === undefined ? undefined : found.get(path);
    if (path === undefined) missing.push(example.image);
    else if (same === undefined) found.set(path, example);
    else found.set(path, { ...same, captions: [...new Set([...same.captions, ...example.captions])] });
  }
  if (found.size === 0) {
    const got = `${index.paths.size} pictures, ${examples.length} captioned names in ${source}, no match between them`;
    throw nothingUsable(folder, got);
  }
  if (missing.length > 0) {
    const message = `${source}: ${missing.length} of ${examples.length} captioned images have no file (${someOf(missing)})`;
    if (strict) throw new InputError(message, `put them under ${join(folder, "images")}`);
    warnings.push(`${message}: left out`);
  }
  const bare = [...index.paths].filter((path) => !found.has(path)).map((path) => basename(path));
  if (bare.length > 0) {
    warnings.push(`${source}: ${bare.length} of ${index.paths.size} pictures have no caption (${someOf(bare)}): left out`);
  }
  return [...found.values()];
}

function nothingUsable(folder: string, got: string): InputError {
  return new InputError(
    `openDataset: ${folder} must hold at least one JPEG or PNG picture with a caption; got ${got}`,
    "the names in the caption file must be those of the files under images/",
  );
}

/** Gives every example its split, see {@link openDataset}. */
async function divide(
  found: readonly CaptionExample[],
  { folder, files, source }: { folder: string; files: readonly string[]; source: string },
  { seed, redrawSplit, holdOut }: { seed: number; redrawSplit: boolean; holdOut: number },
  warnings: string[],
): Promise<Pick<CaptionDataset, "examples" | "splits">> {
  const karpathy = /\.json$/i.test(source) ? source : files.filter((name) => KARPATHY.test(name)).at(0);
  if (karpathy !== undefined && !redrawSplit) {
    const published = karpathy === source ? found : (await readCaptions(folder, karpathy)).examples;
    if (published.some(({ split }) => split !== undefined)) {
      const divided = splitAsPublished(found, published, karpathy);
      warnings.push(...divided.warnings);
      return { examples: divided.examples, splits: "published" };
    }
  }
  const examples = splitByImage(found, seed, holdOut);
  if (examples.every(({ split }) => split === "train")) {
    warnings.push(`${source}: with ${examples.length} images none is held back: val and test are empty`);
  }
  return { examples, splits: "drawn" };
}
