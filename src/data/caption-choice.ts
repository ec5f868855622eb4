/** Which of a data set's files hold its captions, and what they say. */

import { InputError } from "../core/errors.ts";
import { CAPTION_FORMATS, captionFormatOf } from "./caption-formats.ts";
import type { CaptionExample, CaptionFormat, ParsedCaptions } from "./captions.ts";
import { cocoPart } from "./captions-coco.ts";
import { baseName } from "./dataset.ts";
import { depthOf, type DatasetFolder, type FolderListing } from "./dataset-folder.ts";
import { type Finding, someOf } from "./findings.ts";

/** A file of captions, recognised. */
export interface FoundCaptions {
  readonly file: string;
  readonly format: CaptionFormat;
}

/** What a data set has beside its pictures. */
export const EXPECTED = "dataset*.json, captions.txt or stories.txt";

const SAMPLE_BYTES = 1 << 16; // from each end of a file, to tell its format
const MOST_TEXT_BYTES = 500_000_000; // COCO's Karpathy JSON takes 144 MB; a string of JavaScript ends a little above

/**
 * The caption files of a folder, the ones to be read first. Files of well-known names count; where there is none, any text
 * file in the folder itself that looks like captions does.
 */
export async function findCaptions(folder: DatasetFolder, { texts }: FolderListing): Promise<readonly FoundCaptions[]> {
  const rankOf = (file: string): number => CAPTION_FORMATS.findIndex(({ fileName }) => fileName.test(baseName(file)));
  const known = texts.filter((file) => rankOf(file) >= 0).sort((a, b) => depthOf(a) - depthOf(b) || rankOf(a) - rankOf(b));
  const found: FoundCaptions[] = [];
  for (const file of known.length > 0 ? known : texts.filter((file) => depthOf(file) === 1)) {
    const format = captionFormatOf(baseName(file), await sampleOf(folder, file));
    if (format !== undefined) found.push({ file, format });
  }
  return found;
}

/**
 * Which caption files to read: the first one found, and with `captions_train….json` its fellows for val and test.
 * @param asked The name of the file that is to be read, if any.
 * @throws InputError if there is none, or if several are equally good.
 */
export async function chooseCaptions(folder: DatasetFolder, listing: FolderListing, found: readonly FoundCaptions[], asked: string | undefined): Promise<readonly FoundCaptions[]> {
  if (asked !== undefined) {
    const file = listing.texts.find((path) => path === asked) ?? listing.texts.find((path) => baseName(path) === asked);
    if (file === undefined) throw new InputError(`openDataset: ${folder.name} must hold ${asked}; got ${held(listing)}`, "check the option captions");
    const format = captionFormatOf(baseName(file), await sampleOf(folder, file));
    if (format !== undefined) return [{ file, format }];
    throw new InputError(`openDataset: ${asked} must hold captions; got a file that looks like none of: ${CAPTION_FORMATS.map(({ name }) => name).join(", ")}`, "check the option captions");
  }
  const first = found.at(0);
  if (first === undefined) {
    throw new InputError(
      `openDataset: ${folder.name} must hold ${EXPECTED}; got ${held(listing)}`,
      'write captions.txt: a line "image,caption", then a line for each caption, such as "dog.jpg,A dog runs"',
    );
  }
  const equal = found.filter(({ file, format }) => format === first.format && depthOf(file) === depthOf(first.file));
  if (equal.length === 1 || isOneSet(equal)) return equal;
  const usual = first.format.name === "Karpathy JSON" ? "dataset*.json" : first.format.name;
  throw new InputError(`openDataset: ${folder.name} must hold one ${usual}; got ${someOf(equal.map(({ file }) => file))}`, "keep one of them in the folder, or name it with the option captions");
}

/** Whether files are the parts of one data set of COCO's: of the same year, each another split. */
function isOneSet(found: readonly FoundCaptions[]): boolean {
  const parts = found.map(({ file }) => cocoPart(file));
  return new Set(parts.map((part) => part?.rest)).size === 1 && new Set(parts.map((part) => part?.split)).size === parts.length;
}

/** Reads caption files; the parts of COCO give each its split. @throws InputError if one cannot be read, or not as what it is. */
export async function readCaptions(folder: DatasetFolder, chosen: readonly FoundCaptions[]): Promise<ParsedCaptions> {
  const examples: CaptionExample[] = [];
  const findings: Finding[] = [];
  for (const { file, format } of chosen) {
    const parsed = format.parse(await readText(folder, file), file);
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
export async function readText(folder: DatasetFolder, file: string): Promise<string> {
  const size = await folder.sizeOf(file);
  if (size > MOST_TEXT_BYTES) throw new InputError(`${folder.pathOf(file)} must take at most ${MOST_TEXT_BYTES / 1e6} MB; got ${Math.ceil(size / 1e6)} MB`, "split it into several data sets");
  return decodeText(await folder.read(file));
}

/** Text of a file: UTF-8, or UTF-16 where its byte-order mark says so, as spreadsheets write it. */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  const encoding = first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding).decode(bytes);
}

/** The first and the last characters of a file. */
async function sampleOf(folder: DatasetFolder, file: string): Promise<string> {
  try {
    const size = await folder.sizeOf(file);
    const head = await folder.read(file, 0, Math.min(size, SAMPLE_BYTES));
    const tail = await folder.read(file, Math.max(head.length, size - SAMPLE_BYTES), size);
    const sample = new Uint8Array(head.length + tail.length);
    sample.set(head);
    sample.set(tail, head.length);
    return decodeText(sample);
  } catch {
    return ""; // what cannot be read says so once it is
  }
}

function held({ pictures, texts, entries }: FolderListing): string {
  return someOf([...texts, ...pictures]) || (entries === 0 ? "an empty folder" : "no text and no picture in it");
}
