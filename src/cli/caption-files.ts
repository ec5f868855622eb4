/** Files of references and of captions that any program wrote, for scoring. */

import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { attempt } from "../checkpoint/files.ts";
import { InputError, shown } from "../core/errors.ts";
import { captionFormatOf } from "../data/caption-formats.ts";
import { linesOf, parseJson, type ParsedCaptions } from "../data/captions.ts";
import { stories } from "../data/captions-stories.ts";
import { findingLine } from "../data/findings.ts";
import { decodeText } from "../data/caption-choice.ts";

/** What one image is called and what is said of it. */
export interface CaptionedImage {
  readonly image: string;
  /** Another name of it: its number in the data set. */
  readonly id?: string;
  readonly captions: readonly string[];
}

/** What a file of captions holds: captions of images that are named, or one image a line without names. */
export interface CaptionFile {
  readonly kind: "named" | "lines";
  readonly images: readonly CaptionedImage[];
  /** What was mended or left out, a line each. */
  readonly notes: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

const MAX_BYTES = 2 ** 29 - 25; // a longer text is more than JavaScript's strings hold
const SAMPLE = 1 << 16; // characters from each end, to tell the format

/** What programs call the image and the caption in a record. */
const IMAGE_FIELDS = ["image_id", "image", "file", "file_name", "filename", "name", "id"];
const CAPTION_FIELDS = ["caption", "captions", "references", "sentences", "text"];

/**
 * Reads captions, whatever format they are in: captions.txt and other CSV, Flickr's *.token and results.csv, tab-separated
 * lines, COCO's annotations and results, a Karpathy JSON, `{image: caption}` or `{image: [captions]}`, JSON lines, or plain
 * lines, an image a line with tabs between its captions.
 * @throws InputError if the file cannot be read, or is of no such format.
 */
export async function readCaptionFile(path: string): Promise<CaptionFile> {
  const { size } = await attempt("read", path, stat(path));
  if (size > MAX_BYTES) throw new InputError(`${path}: a file of captions must have at most ${MAX_BYTES} bytes; got ${size}`, "score a part of it");
  return parseCaptionFile(decodeText(await attempt("read", path, readFile(path))), path);
}

/** @param source The file's name, for messages. */
export function parseCaptionFile(text: string, source: string): CaptionFile {
  const bare = text.replace(/^\uFEFF/, "");
  if (bare.trim() === "") throw new InputError(`${source}: must hold captions; got an empty file`, "is it the right file, and complete?");
  if (bare.includes("\0")) throw new InputError(`${source}: must be text; got other data`, "unpack it first, if it is an archive");
  const start = bare.trimStart()[0];
  if (start === "[") return fromRecords(listOf(parseJson(bare, source), source), source);
  if (start === "{" && isJsonLines(bare)) return fromRecords(Array.from(linesOf(bare), ([line, where]) => [parseJson(line, `${source}, ${where}`), where]), source);
  const format = captionFormatOf("", bare.slice(0, SAMPLE) + bare.slice(-SAMPLE)); // by the contents alone: any name will do
  if (start === "{") return format === undefined ? fromObject(parseJson(bare, source), source) : withIds(fromParsed(format.parse(bare, source)), parseJson(bare, source));
  return format === undefined ? fromLines(bare, source) : fromParsed(format.parse(bare, source));
}

/** Whether each line is an object: then the first one is, and it names an image or others follow. */
function isJsonLines(text: string): boolean {
  const [first, second] = linesOf(text);
  if (second === undefined && first[0].length > SAMPLE) return false; // one object of a whole data set
  try {
    const value: unknown = JSON.parse(first[0]);
    return second !== undefined || fieldOf(value, CAPTION_FIELDS) !== undefined;
  } catch {
    return false; // an object over several lines
  }
}

function listOf(value: unknown, source: string): (readonly [record: unknown, where: string])[] {
  if (!Array.isArray(value) || value.length === 0) throw new InputError(`${source}: must be a list of {"image_id", "caption"}; got ${shown(value)}`, "is it a file of captions?");
  return value.map((record, i) => [record, `[${i}]`]);
}

function fromRecords(records: readonly (readonly [record: unknown, where: string])[], source: string): CaptionFile {
  const captionsOf = new Map<string, string[]>();
  for (const [record, where] of records) {
    const image = fieldOf(record, IMAGE_FIELDS);
    const captions = textsOf(fieldOf(record, CAPTION_FIELDS));
    if ((typeof image !== "string" && typeof image !== "number") || captions === undefined) {
      throw new InputError(`${source}: ${where} must be {"image_id", "caption"} or {"file", "caption"}; got ${shown(record)}`, "mend it, or take it out");
    }
    captionsOf.set(String(image), [...(captionsOf.get(String(image)) ?? []), ...captions]);
  }
  return { kind: "named", images: Array.from(captionsOf, ([image, captions]) => ({ image, captions })), notes: [] };
}

function fromObject(value: unknown, source: string): CaptionFile {
  const images = Object.entries(value as Json).map(([image, said]) => {
    const captions = textsOf(said);
    if (captions === undefined) throw new InputError(`${source}: "${image}" must have a caption or a list of captions; got ${shown(said)}`, 'expected is {"dog.jpg": "a dog runs"} or {"dog.jpg": ["a dog runs", "a brown dog"]}');
    return { image, captions };
  });
  if (images.length === 0) throw new InputError(`${source}: must hold captions; got {}`, "is it the right file?");
  return { kind: "named", images, notes: [] };
}

function fromParsed({ examples, findings }: ParsedCaptions): CaptionFile {
  return { kind: "named", images: examples, notes: findings.map(findingLine) };
}

/** Adds the numbers that a JSON of COCO's or Karpathy's gives to its images. */
function withIds(file: CaptionFile, json: unknown): CaptionFile {
  const list = fieldOf(json, ["images"]);
  const ids = new Map<string, string>();
  for (const image of Array.isArray(list) ? (list as unknown[]) : []) {
    const id = fieldOf(image, ["cocoid", "id"]);
    const name = fieldOf(image, ["file_name", "filename"]);
    if (typeof name === "string" && (typeof id === "number" || typeof id === "string")) ids.set(basename(name), String(id));
  }
  return { ...file, images: file.images.map((image) => ({ ...image, id: ids.get(basename(image.image)) })) };
}

/** Lines without a known header or names of pictures: number, tab, caption; or captions alone. */
function fromLines(text: string, source: string): CaptionFile {
  const [header, ...cells] = [...linesOf(text)][0][0].toLowerCase().split("\t");
  const isTable = cells.length === 1 && IMAGE_FIELDS.includes(header.trim()) && CAPTION_FIELDS.includes(cells[0].trim());
  if (isTable) return fromParsed(stories.parse(text.replace(/^.*/, ""), source));
  const lines = text.replace(/(?:\r\n|\n|\r)$/, "").split(/\r\n|\n|\r/);
  if (lines.every((line) => line.trim() === "" || /^\d+\t/.test(line))) return fromParsed(stories.parse(text, source));
  return { kind: "lines", images: lines.map((line, i) => ({ image: `line ${i + 1}`, captions: sayings(line) })), notes: [] };
}

/** The captions of a plain line; an empty one says nothing, and still counts as a line. */
function sayings(line: string): readonly string[] {
  const captions = line.split("\t").filter((caption) => caption.trim() !== "");
  return captions.length === 0 ? [""] : captions;
}

function fieldOf(value: unknown, names: readonly string[]): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  const name = names.find((field) => Object.hasOwn(value, field));
  return name === undefined ? undefined : (value as Json)[name];
}

function textsOf(value: unknown): readonly string[] | undefined {
  if (typeof value === "string") return [value];
  return Array.isArray(value) && value.length > 0 && value.every((text) => typeof text === "string") ? value : undefined;
}
