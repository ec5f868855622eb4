/** What a data set's folder holds (Node only): its pictures, its caption files, and which of them to read. */

import { open, readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../core/errors.ts";
import { CAPTION_FORMATS, captionFormatOf, TEXT_NAME } from "./caption-formats.ts";
import { type CaptionExample, type CaptionFormat, type ParsedCaptions, PICTURE_NAME } from "./captions.ts";
import { cocoPart } from "./captions-coco.ts";
import { baseName } from "./dataset.ts";
import { type Finding, someOf } from "./findings.ts";

/** Paths relative to the folder, with forward slashes, sorted; what is upper comes first. */
export interface FolderListing {
  readonly pictures: readonly string[];
  /** Pictures in formats that aren't read. */
  readonly foreign: readonly string[];
  /** Files that may hold captions or splits. */
  readonly texts: readonly string[];
  /** How many files and folders there are, whatever they hold. */
  readonly entries: number;
}

/** A file of captions, recognised. */
export interface FoundCaptions {
  readonly file: string;
  readonly format: CaptionFormat;
}

const FOREIGN_PICTURE = /\.(?:webp|gif|bmp|tiff?|avif|hei[cf])$/i;
const HIDDEN = /^(?:\.|node_modules$)/; // the file system's and tools' own; macOS keeps a "._dog.jpg" beside dog.jpg
const MOST_FILES = 1_000_000; // four times what COCO unpacks to: beyond is a whole disk by mistake
const SAMPLE_BYTES = 1 << 16; // from each end of a file, to tell its format
const MOST_TEXT_BYTES = 500_000_000; // COCO's Karpathy JSON takes 144 MB; a string of JavaScript ends a little above
const EXPECTED = "dataset*.json, captions.txt or stories.txt";

/** Why a file or folder cannot be read, in words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "nothing of that name";
  if (code === "EISDIR") return "a folder";
  if (code === "ENOTDIR") return "a file, not a folder";
  if (code === "EACCES" || code === "EPERM") return "no permission to read it";
  return String(error);
}

/**
 * Looks through a folder and all below it; links are followed, each folder is visited once.
 * @throws InputError if it cannot be read, or holds more than a million files.
 */
export async function listFolder(folder: string): Promise<FolderListing> {
  const [pictures, foreign, texts]: [string[], string[], string[]] = [[], [], []];
  const visited = new Set<string>();
  let entries = 0;

  async function visit(below: string): Promise<void> {
    const path = join(folder, below);
    const real = await realpath(path).catch(unreadable(path));
    if (visited.has(real)) return;
    visited.add(real);
    const folders: string[] = [];
    const inside = await readdir(real, { withFileTypes: true }).catch(unreadable(path));
    for (const entry of inside.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (HIDDEN.test(entry.name)) continue;
      if (++entries > MOST_FILES) throw new InputError(`openDataset: ${folder} must hold at most ${MOST_FILES} files; got more`, "name the data set's own folder");
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      const target = entry.isSymbolicLink() ? await stat(join(folder, path)).catch(() => undefined) : entry;
      if (target?.isDirectory()) folders.push(path);
      else if (!target?.isFile()) continue; // a link to nothing, or a pipe, which would keep a reader waiting
      else if (PICTURE_NAME.test(path)) pictures.push(path);
      else if (FOREIGN_PICTURE.test(path)) foreign.push(path);
      else if (TEXT_NAME.test(path)) texts.push(path);
    }
    for (const path of folders) await visit(path);
  }

  await visit("");
  return { pictures, foreign, texts: texts.sort((a, b) => depthOf(a) - depthOf(b)), entries };
}

/** Refuses a folder that cannot be read. */
function unreadable(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new InputError(`openDataset: ${path} must be a folder with images/ and ${EXPECTED}; got ${reasonOf(cause)}`, "check the path", { cause });
  };
}

/**
 * The caption files of a folder, the ones to be read first. Files of well-known names count; where there is none, any text
 * file in the folder itself that looks like captions does.
 */
export async function findCaptions(folder: string, { texts }: FolderListing): Promise<readonly FoundCaptions[]> {
  const rankOf = (file: string): number => CAPTION_FORMATS.findIndex(({ fileName }) => fileName.test(baseName(file)));
  const known = texts.filter((file) => rankOf(file) >= 0).sort((a, b) => depthOf(a) - depthOf(b) || rankOf(a) - rankOf(b));
  const found: FoundCaptions[] = [];
  for (const file of known.length > 0 ? known : texts.filter((file) => depthOf(file) === 1)) {
    const format = captionFormatOf(baseName(file), await sampleOf(join(folder, file)));
    if (format !== undefined) found.push({ file, format });
  }
  return found;
}

/**
 * Which caption files to read: the first one found, and with `captions_train….json` its fellows for val and test.
 * @param asked The name of the file that is to be read, if any.
 * @throws InputError if there is none, or if several are equally good.
 */
export async function chooseCaptions(folder: string, listing: FolderListing, found: readonly FoundCaptions[], asked: string | undefined): Promise<readonly FoundCaptions[]> {
  if (asked !== undefined) {
    const file = listing.texts.find((path) => path === asked) ?? listing.texts.find((path) => baseName(path) === asked);
    if (file === undefined) throw new InputError(`openDataset: ${folder} must hold ${asked}; got ${held(listing)}`, "check the option captions");
    const format = captionFormatOf(baseName(file), await sampleOf(join(folder, file)));
    if (format !== undefined) return [{ file, format }];
    throw new InputError(`openDataset: ${asked} must hold captions; got a file that looks like none of: ${CAPTION_FORMATS.map(({ name }) => name).join(", ")}`, "check the option captions");
  }
  const first = found.at(0);
  if (first === undefined) {
    throw new InputError(
      `openDataset: ${folder} must hold ${EXPECTED}; got ${held(listing)}`,
      'write captions.txt: a line "image,caption", then a line for each caption, such as "dog.jpg,A dog runs"',
    );
  }
  const equal = found.filter(({ file, format }) => format === first.format && depthOf(file) === depthOf(first.file));
  if (equal.length === 1 || isOneSet(equal)) return equal;
  const usual = first.format.name === "Karpathy JSON" ? "dataset*.json" : first.format.name;
  throw new InputError(`openDataset: ${folder} must hold one ${usual}; got ${someOf(equal.map(({ file }) => file))}`, "keep one of them in the folder, or name it with the option captions");
}

/** Whether files are the parts of one data set of COCO's: of the same year, each another split. */
function isOneSet(found: readonly FoundCaptions[]): boolean {
  const parts = found.map(({ file }) => cocoPart(file));
  return new Set(parts.map((part) => part?.rest)).size === 1 && new Set(parts.map((part) => part?.split)).size === parts.length;
}

/** Reads caption files; the parts of COCO give each its split. @throws InputError if one cannot be read, or not as what it is. */
export async function readCaptions(folder: string, chosen: readonly FoundCaptions[]): Promise<ParsedCaptions> {
  const examples: CaptionExample[] = [];
  const findings: Finding[] = [];
  for (const { file, format } of chosen) {
    const parsed = format.parse(await readText(join(folder, file)), file);
    const split = chosen.length > 1 ? cocoPart(file)?.split : undefined;
    for (const example of parsed.examples) examples.push(split === undefined ? example : { ...example, split });
    findings.push(...parsed.findings);
  }
  return { examples, findings };
}

/**
 * A file's text, see {@link decodeText}.
 * @throws InputError if it cannot be read, or takes more than 500 MB.
 */
export async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MOST_TEXT_BYTES) throw new InputError(`${path} must take at most ${MOST_TEXT_BYTES / 1e6} MB; got ${Math.ceil(size / 1e6)} MB`, "split it into several data sets");
    return decodeText(await readFile(path));
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`openDataset: ${path} must be a readable file; got ${reasonOf(error)}`, "check the path and the permissions", { cause: error });
  }
}

/** Text of a file: UTF-8, or UTF-16 where its byte-order mark says so, as spreadsheets write it. */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  const encoding = first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding).decode(bytes);
}

/** The first and the last characters of a file. */
async function sampleOf(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return ""; // what cannot be read says so once it is
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, 2 * SAMPLE_BYTES));
    const head = Math.min(size, SAMPLE_BYTES);
    await file.read(buffer, 0, head, 0);
    await file.read(buffer, head, buffer.length - head, size - (buffer.length - head));
    return decodeText(buffer);
  } finally {
    await file.close();
  }
}

function held({ pictures, texts, entries }: FolderListing): string {
  return someOf([...texts, ...pictures]) || (entries === 0 ? "an empty folder" : "no text and no picture in it");
}

function depthOf(path: string): number {
  return path.split("/").length;
}
