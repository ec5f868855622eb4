import { CsvError, parse } from "csv-parse/browser/esm/sync";
import { InputError } from "../core/errors.ts";

export type Split = "train" | "val" | "test";

/** A picture with its reference captions. */
export interface CaptionExample {
  /** As the caption file names it, with forward slashes: a file name or a relative path. */
  readonly image: string;
  readonly captions: readonly string[];
  readonly split?: Split;
}

/** What a caption file holds, and what about it deserves the user's attention. */
export interface ParsedCaptions {
  readonly examples: readonly CaptionExample[];
  readonly warnings: readonly string[];
}

const NAMES_SHOWN = 3;

/** "photo1.jpg, photo2.jpg, photo3.jpg and 4 more". */
export function someOf(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN;
  return names.slice(0, NAMES_SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Collects captions by image, in the order of first appearance. */
class CaptionCollector {
  private readonly captionsOf = new Map<string, Set<string>>();
  private readonly problems = new Map<string, string[]>();

  add(image: string, caption: string, where: string): void {
    const name = image.trim().replaceAll("\\", "/").replace(/^(\.\/)+/, "");
    const text = caption.replace(/\s+/gu, " ").trim();
    if (name === "") return this.report("without the name of an image, left out", where);
    if (text === "") return this.report("without a caption, left out", where);
    const captions = this.captionsOf.get(name) ?? new Set();
    if (captions.has(text)) return this.report("repeating an image's caption, left out", where);
    this.captionsOf.set(name, captions.add(text));
  }

  /** Counts a line with a problem: "2 lines <problem> (line 3, line 9)". */
  report(problem: string, where: string): void {
    this.problems.set(problem, [...(this.problems.get(problem) ?? []), where]);
  }

  finish(source: string): ParsedCaptions {
    return {
      examples: Array.from(this.captionsOf, ([image, captions]) => ({ image, captions: [...captions] })),
      warnings: Array.from(this.problems, ([problem, lines]) => {
        return `${source}: ${lines.length} ${lines.length === 1 ? "line" : "lines"} ${problem} (${someOf(lines)})`;
      }),
    };
  }
}

/**
 * Reads `captions.txt`: CSV with the columns `image` and `caption`, a row a caption.
 *
 * A file without a header is read as image, caption. Commas in an unquoted caption are taken as part of it, with a
 * warning. Byte-order mark, CRLF, blank lines and quoted line breaks are fine.
 * @param source The file's name, for messages.
 * @throws InputError if a quotation mark is never closed or the header has no `image` and `caption`.
 */
export function parseCaptionsCsv(text: string, source: string): ParsedCaptions {
  const rows = csvRows(text, source);
  const header = rows.at(0)?.record.map((name) => name.trim().toLowerCase()) ?? [];
  const named = { image: header.indexOf("image"), caption: header.indexOf("caption") };
  const hasHeader = named.image >= 0 && named.caption >= 0;
  if (!hasHeader && header.length > 0 && !/\.(jpe?g|png)$/.test(header[0])) {
    throw new InputError(
      `${source}: the first line must be the header "image,caption"; got "${header.join(",").slice(0, 80)}"`,
      "name the two columns image and caption",
    );
  }
  const columns = hasHeader ? named : { image: 0, caption: 1 };
  const captionIsLast = columns.caption === (hasHeader ? header.length : 2) - 1;
  const collector = new CaptionCollector();
  for (const { record, line } of hasHeader ? rows.slice(1) : rows) {
    const where = `line ${line}`;
    let caption = record[columns.caption] ?? "";
    if (captionIsLast && record.length > columns.caption + 1) {
      caption = record.slice(columns.caption).join(",");
      collector.report("with a comma in a caption that is not in quotes, taken as part of the caption", where);
    }
    collector.add(record[columns.image] ?? "", caption, where);
  }
  return collector.finish(source);
}

function csvRows(text: string, source: string): { record: string[]; line: number }[] {
  try {
    const rows = parse(text, {
      bom: true,
      info: true,
      record_delimiter: ["\r\n", "\n", "\r"],
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
    }) as unknown as { record: string[]; info: { lines: number } }[];
    return rows.map(({ record, info }) => ({ record, line: info.lines }));
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const hint = "close the quotation mark, or double the ones inside a caption";
    throw new InputError(`${source}: must be CSV; got ${error.message}`, hint, { cause: error });
  }
}

/**
 * Reads `stories.txt`: a line an image, `image<TAB>story`.
 *
 * Further tabs are joined into the story by spaces; two or more spaces in place of the tab are accepted with a
 * warning; byte-order mark, CRLF and blank lines are fine. Several stories for one image are several captions.
 * @param source The file's name, for messages.
 */
export function parseStories(text: string, source: string): ParsedCaptions {
  const collector = new CaptionCollector();
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const where = `line ${i + 1}`;
    const tab = line.indexOf("\t");
    if (tab >= 0) {
      collector.add(line.slice(0, tab), line.slice(tab + 1), where);
      continue;
    }
    const [image, ...rest] = line.trim().split(/ {2,}/);
    if (rest.length === 0) {
      collector.report("without a tab between image and story, left out", where);
      continue;
    }
    collector.report("with spaces in place of the tab after the image's name", where);
    collector.add(image, rest.join(" "), where);
  }
  return collector.finish(source);
}

interface KarpathyImage {
  readonly filename: string;
  readonly filepath?: string;
  readonly split?: string;
  readonly sentences: readonly { readonly raw?: string; readonly tokens?: readonly string[] }[];
}

const KARPATHY_SPLITS: Readonly<Record<string, Split>> = { train: "train", restval: "train", val: "val", test: "test" };

/**
 * Reads a Karpathy JSON, `{images: [{filename, filepath?, split, sentences: [{raw, tokens}]}]}`, as Flickr8k,
 * Flickr30k and COCO are published in; `restval` counts as train.
 * @param source The file's name, for messages.
 * @throws InputError if it is not JSON or not of that form.
 */
export function parseKarpathy(text: string, source: string): ParsedCaptions {
  const images = karpathyImages(text, source);
  const warnings: string[] = [];
  const examples: CaptionExample[] = [];
  const empty: string[] = [];
  const unknownSplits: string[] = [];
  for (const { filename, filepath, split, sentences } of images) {
    const image = filepath ? `${filepath}/${filename}` : filename;
    const texts = sentences.map(({ raw, tokens }) => (raw ?? tokens?.join(" ") ?? "").replace(/\s+/gu, " ").trim());
    const captions = [...new Set(texts.filter((caption) => caption !== ""))];
    if (split !== undefined && !(split in KARPATHY_SPLITS)) unknownSplits.push(`${image}: ${split}`);
    else if (captions.length === 0) empty.push(image);
    else examples.push({ image, captions, ...(split === undefined ? {} : { split: KARPATHY_SPLITS[split] }) });
  }
  const report = (images: readonly string[], problem: string): void => {
    const count = `${images.length} ${images.length === 1 ? "image" : "images"}`;
    if (images.length > 0) warnings.push(`${source}: ${count} ${problem}, left out (${someOf(images)})`);
  };
  report(empty, "without a sentence");
  report(unknownSplits, "of a split other than train, restval, val and test");
  return { examples, warnings };
}

/** @throws InputError unless the text of a file is JSON. */
export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`${source}: must be JSON; ${reason}`, "is the download complete?", { cause: error });
  }
}

function karpathyImages(text: string, source: string): readonly KarpathyImage[] {
  const json = parseJson(text, source);
  const images = typeof json === "object" && json !== null && "images" in json ? json.images : undefined;
  if (!Array.isArray(images)) {
    throw new InputError(`${source}: must be {"images": [...]}, the Karpathy layout; got no such list`);
  }
  const misfit = images.findIndex((image) => !isKarpathyImage(image));
  if (misfit >= 0) {
    const got = JSON.stringify(images[misfit]).slice(0, 80);
    throw new InputError(
      `${source}: images[${misfit}] must be {"filename", "split", "sentences": [{"raw"}]}; got ${got}`,
      "COCO's own annotation files have another layout: use the Karpathy one",
    );
  }
  return images as KarpathyImage[];
}

function isKarpathyImage(value: unknown): value is KarpathyImage {
  if (typeof value !== "object" || value === null) return false;
  const { filename, filepath, split, sentences } = value as Partial<Record<keyof KarpathyImage, unknown>>;
  const isOptionalText = (text: unknown): boolean => text === undefined || typeof text === "string";
  return (
    typeof filename === "string" &&
    isOptionalText(filepath) &&
    isOptionalText(split) &&
    Array.isArray(sentences) &&
    sentences.every((sentence) => typeof sentence === "object" && sentence !== null)
  );
}
