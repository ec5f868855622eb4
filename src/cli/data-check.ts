import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { InputError, printable } from "../core/errors.ts";
import { CAPTION_FORMATS } from "../data/caption-formats.ts";
import type { Split } from "../data/captions.ts";
import type { CaptionDataset } from "../data/dataset.ts";
import { openDataset } from "../data/files.ts";
import { type Finding, Findings, someOf } from "../data/findings.ts";
import { decodeImage } from "../data/image.ts";
import { describeImage, type ImageDescription } from "../data/image-description.ts";
import { wordsOf } from "../data/vocabulary.ts";
import { counted, duration, table, thousands } from "../core/format.ts";
import { Progress } from "./progress.ts";
import { print } from "./terminal.ts";

export interface DataCheckOptions {
  readonly json?: boolean;
  /** Decode every picture, instead of reading its headers alone. */
  readonly pictures?: boolean;
  /** Which caption file, where a folder holds several. */
  readonly captions?: string;
}

/** Least, middle and greatest of some numbers. */
interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

interface DuplicateGroup {
  readonly count: number;
  /** The first of the pictures. */
  readonly images: readonly string[];
}

/** Groups of equal pictures, and pictures of a group, that are named. */
const DUPLICATES_NAMED = 20;

/** What the pictures with captions are like. */
interface PictureSummary {
  /** Those whose headers, or pixels where they were decoded, can be read. */
  readonly sound: number;
  readonly decoded: boolean;
  readonly formats: Readonly<Record<string, number>>;
  readonly width: Spread | null;
  readonly height: Spread | null;
  readonly grey: number;
  readonly cmyk: number;
  /** Stored lying or mirrored, turned as their EXIF notes say. */
  readonly turned: number;
  /** Groups of pictures whose files have the same bytes. */
  readonly duplicates: {
    readonly groups: number;
    /** Of these, the ones that lie in several splits: what is tested was trained on. */
    readonly acrossSplits: number;
    /** The first of them. */
    readonly examples: readonly DuplicateGroup[];
  };
  readonly findings: readonly Finding[];
}

/** What the captions are like. */
interface CaptionSummary {
  readonly count: number;
  readonly perImage: Spread;
  /** Words a caption, by the rules of our vocabularies. */
  readonly words: Spread;
  readonly distinctWords: number;
  /** Different captions that several images share. */
  readonly shared: number;
}

/** `sightline data check`: 0 where there is something to use, else 1. */
export async function checkData(folder: string, { json = false, pictures = false, captions }: DataCheckOptions): Promise<number> {
  const dataset = await openDataset(folder, captions === undefined ? {} : { captions });
  const progress = new Progress(process.stderr);
  const begun = performance.now();
  const seen = await summarisePictures(dataset, pictures, progress).finally(() => progress.stop());
  const said = summariseCaptions(dataset);
  const choice = choiceOf(dataset, captions);
  const findings = [...dataset.findings, ...seen.findings];
  const of = (kind: Finding["kind"]): readonly Finding[] => findings.filter((finding) => finding.kind === kind);
  if (json) {
    const { used, unused, splits, splitSource = null, examples } = dataset;
    print(JSON.stringify({ folder, used, because: choice, unused, images: examples.length, captions: said, splits: { kind: splits, source: splitSource, ...splitSizes(dataset) }, pictures: { ...seen, findings: undefined }, repaired: of("repaired"), dropped: of("dropped") }));
  } else {
    show(folder, dataset, choice, said, seen);
    showFindings("repaired", of("repaired"));
    showFindings("dropped", of("dropped"));
    if (pictures) print(`\nevery picture was decoded, in ${duration((performance.now() - begun) / 1000)}`);
  }
  if (seen.sound > 0) return 0;
  throw new InputError(`${folder} must hold at least one picture that can be read; got ${counted(dataset.examples.length, "captioned picture")}, none of them sound`, "copy or download them again");
}

/** Reads every captioned picture once, one at a time. */
async function summarisePictures(dataset: CaptionDataset, decode: boolean, progress: Progress): Promise<PictureSummary> {
  const troubles = new Findings(dataset.source);
  const descriptions: ImageDescription[] = [];
  const alike = new Map<string, { count: number; readonly images: string[]; readonly splits: Set<Split> }>();
  for (const [i, example] of dataset.examples.entries()) {
    progress.update(decode ? "decoding pictures" : "reading pictures", i, dataset.examples.length, `${i} of ${dataset.examples.length}`);
    const path = dataset.path(example);
    try {
      const bytes = await readFile(path).catch((cause: unknown) => {
        throw new InputError(`${path} must be a readable file; got ${String(cause)}`, "check the permissions", { cause });
      });
      const description = describeImage(bytes, path);
      if (decode) decodeImage(bytes, path);
      descriptions.push(description);
      const digest = createHash("sha256").update(bytes).digest("hex");
      let group = alike.get(digest);
      if (group === undefined) alike.set(digest, (group = { count: 0, images: [], splits: new Set() }));
      group.count++;
      group.splits.add(example.split);
      if (group.images.length < DUPLICATES_NAMED) group.images.push(example.image);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      troubles.dropped("picture", `that cannot be ${decode ? "decoded" : "read"}`, `${example.image}: ${reasonIn(error, path)}`);
    }
  }
  const count = (is: (description: ImageDescription) => boolean): number => descriptions.filter(is).length;
  const duplicates = [...alike.values()].filter((group) => group.count > 1);
  return {
    sound: descriptions.length,
    decoded: decode,
    formats: Object.fromEntries((["JPEG", "PNG"] as const).map((name) => [name, count(({ format }) => format === name)])),
    width: descriptions.length === 0 ? null : spreadOf(descriptions.map(({ width }) => width)),
    height: descriptions.length === 0 ? null : spreadOf(descriptions.map(({ height }) => height)),
    grey: count(({ colours }) => colours === "grey"),
    cmyk: count(({ colours }) => colours === "CMYK"),
    turned: count(({ orientation }) => orientation !== 1),
    duplicates: {
      groups: duplicates.length,
      acrossSplits: duplicates.filter(({ splits }) => splits.size > 1).length,
      examples: duplicates.slice(0, DUPLICATES_NAMED).map(({ count, images }) => ({ count, images })),
    },
    findings: troubles.list(),
  };
}

/** What an error says beside the picture's name, which stands before it anyway. */
function reasonIn(error: InputError, path: string): string {
  const at = error.message.indexOf(`${path} must `);
  return at < 0 ? error.message : error.message.slice(at + path.length + 1);
}

function summariseCaptions({ examples }: CaptionDataset): CaptionSummary {
  const lengths: number[] = [];
  const words = new Set<string>();
  const imagesOf = new Map<string, number>();
  for (const { captions } of examples) {
    for (const caption of captions) {
      const own = wordsOf(caption);
      lengths.push(own.length);
      for (const word of own) words.add(word);
      imagesOf.set(caption, (imagesOf.get(caption) ?? 0) + 1);
    }
  }
  const shared = [...imagesOf.values()].filter((images) => images > 1).length;
  return { count: lengths.length, perImage: spreadOf(examples.map(({ captions }) => captions.length)), words: spreadOf(lengths), distinctWords: words.size, shared };
}

function spreadOf(numbers: readonly number[]): Spread {
  const sorted = Float64Array.from(numbers).sort();
  const middle = (sorted.length - 1) / 2;
  return { min: sorted[0], median: (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2, max: sorted[sorted.length - 1] };
}

function splitSizes(dataset: CaptionDataset): Record<"train" | "val" | "test", number> {
  return { train: dataset.split("train").length, val: dataset.split("val").length, test: dataset.split("test").length };
}

function spreadText(spread: Spread | null): string {
  if (spread === null) return "-";
  const { min, median, max } = spread;
  return min === max ? thousands(min) : `${thousands(min)} to ${thousands(max)}, median ${thousands(median)}`;
}

function duplicatesText({ groups, acrossSplits, examples }: PictureSummary["duplicates"]): string {
  if (groups === 0) return "none";
  const named = someOf(examples.map(({ count, images }) => `${images[0]} = ${someOf(images.slice(1), count - 1)}`), groups);
  const leak = acrossSplits === 0 ? "" : `; ${thousands(acrossSplits)} of them in several splits, so that a picture that is tested is also trained on`;
  return `${counted(groups, "group")} of pictures with the same bytes: ${named}${leak}`;
}

/** Why the captions come from this file and no other. */
function choiceOf({ used, unused }: CaptionDataset, asked: string | undefined): string {
  if (asked !== undefined) return "asked for with --captions";
  if (unused.length === 0) return used.length === 1 ? "the only caption file" : "the parts of one data set, and the only caption files";
  return `the first of ${used.length + unused.length}: what lies further up counts, and there ${CAPTION_FORMATS.map(({ name }) => name).join(", ")} in this order`;
}

function show(folder: string, dataset: CaptionDataset, choice: string, captions: CaptionSummary, pictures: PictureSummary): void {
  const { train, val, test } = splitSizes(dataset);
  const { used, unused, splitSource } = dataset;
  const formats = Object.entries(pictures.formats).filter(([, count]) => count > 0).map(([name, count]) => `${thousands(count)} ${name}`);
  print(folder);
  const rows: [string, string][] = [
    ["captions from", used.map(({ file, format }) => `${file}: ${format}`).join("; ")],
    ["because it is", choice],
    ...(unused.length === 0 ? [] : [["not used", unused.map(({ file, format }) => `${file}: ${format}`).join("; ")] as [string, string]]),
    ["images", thousands(dataset.examples.length)],
    ["captions", `${thousands(captions.count)}; ${spreadText(captions.perImage)} an image`],
    ["words", `${spreadText(captions.words)} a caption; ${thousands(captions.distinctWords)} different ones`],
    ["shared captions", captions.shared === 0 ? "none" : `${counted(captions.shared, "caption")} of several images`],
    ["splits", `${thousands(train)} train, ${thousands(val)} val, ${thousands(test)} test, ${splitSource === undefined ? "drawn by image: none are published here" : `from ${splitSource}`}`],
    ["pictures", `${formats.join(", ") || "none that can be read"}; ${pictures.grey} grey, ${pictures.cmyk} CMYK, ${pictures.turned} turned by EXIF`],
    ["width", spreadText(pictures.width)],
    ["height", spreadText(pictures.height)],
    ["duplicates", duplicatesText(pictures.duplicates)],
  ];
  for (const line of table(rows.map(([name, value]) => [name, printable(value)]))) print(`  ${line}`);
}

function showFindings(title: string, findings: readonly Finding[]): void {
  print();
  if (findings.length === 0) return print(`${title}: nothing`);
  print(title);
  const rows = findings.map(({ count, noun, what, places }) => [thousands(count), `${count === 1 ? noun : `${noun}s`} ${what}: ${printable(someOf(places, count))}`]);
  for (const line of table(rows, [0])) print(`  ${line}`);
}
