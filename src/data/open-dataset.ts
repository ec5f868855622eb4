import { InputError } from "../core/errors.ts";
import { chooseCaptions, findCaptions, type FoundCaptions, readCaptions, readText } from "./caption-choice.ts";
import type { CaptionExample } from "./captions.ts";
import { ImageIndex, splitAsPublished, splitByImage } from "./dataset.ts";
import type { CaptionDataset, DatasetExample } from "./dataset.ts";
import type { DatasetFolder, FolderListing } from "./dataset-folder.ts";
import { type Finding, findingLine, Findings, someOf } from "./findings.ts";
import { decodeImage } from "./image.ts";
import type { DecodeOptions, Image } from "./image.ts";
import { parseSplitLists, splitOfList, stricter } from "./split-lists.ts";

export interface DatasetOptions extends DecodeOptions {
  /** Which caption file to read, by name. Default: the best of those that {@link findCaptions} finds. */
  readonly captions?: string;
  /** Of the split that is drawn where none is published. Default 0. */
  readonly seed?: number;
  /** Draw a split even where one is published. Default false. */
  readonly redrawSplit?: boolean;
  /** Share of the pictures that a drawn split gives to val, and as much to test. Default 0.1. */
  readonly holdOut?: number;
  /** Refuse, instead of warning, what cannot be used: pictures without file, undecodable pictures. Default false. */
  readonly strict?: boolean;
  /** Decode every picture on opening, so that undecodable ones are left out before the split is drawn. Default false. */
  readonly verify?: boolean;
}

/** Undecodable pictures whose trouble is told one by one; of more there is only the number. */
const TROUBLES_TOLD = 10;

/**
 * Opens a folder of pictures with captions, wherever it is.
 *
 * Pictures are looked for in the folder and everything below it. Captions come from the file named in `options.captions`,
 * else from the first of the uppermost folder: a Karpathy JSON `dataset*.json`, `captions.txt` (CSV), `stories.txt`
 * (tab-separated), COCO's `captions_*.json` (train and val together), Flickr's `*.token.txt` and `results.csv`; else from a
 * text file of any name that looks like one of these.
 *
 * Splits come with the captions, from a Karpathy JSON that lies beside, whichever file the captions come from, so that all
 * systems are tested on the same pictures, or from Flickr8k's lists of images; otherwise they are drawn by image, see
 * {@link splitByImage}.
 * @throws InputError if the folder, its caption file or every picture with a caption is missing; with `strict`, also
 *   if a captioned picture is missing or, when `verify` is set, undecodable.
 */
export async function openDatasetIn(folder: DatasetFolder, options: DatasetOptions = {}): Promise<CaptionDataset> {
  const { strict = false, verify = false } = options;
  const listing = await folder.list();
  const index = new ImageIndex(listing.pictures);
  const available = await findCaptions(folder, listing);
  const chosen = await chooseCaptions(folder, listing, available, options.captions);
  const source = chosen.map(({ file }) => file).join(" + ");
  const parsed = await readCaptions(folder, chosen);
  const paired = pair(parsed.examples, index, listing, { folder, source, strict });
  const findings: Finding[] = [...parsed.findings, ...paired.findings];
  const troubles = new Map<string, string>(); // what is wrong with each picture that doesn't decode
  const notes: string[] = [];
  let found = paired.examples;

  async function* decode<E extends CaptionExample>(wanted: readonly E[]): AsyncGenerator<{ example: E; image: Image }> {
    for (const example of wanted) {
      try {
        yield { example, image: await load(example) };
      } catch (error) {
        if (strict || !(error instanceof InputError)) throw error;
        troubles.set(example.image, error.message);
      }
    }
  }
  function fileOf({ image }: CaptionExample): string {
    const file = index.find(image);
    if (file === undefined) throw new InputError(`load: ${image} must be a picture of ${folder.name}; got an unknown name`, "take the name of an example");
    return file;
  }
  const path = (example: CaptionExample): string => folder.pathOf(fileOf(example));
  const load = async (example: CaptionExample): Promise<Image> => decodeImage(await folder.read(fileOf(example)), path(example), options);
  const undecodable = (): readonly Finding[] => {
    const list = new Findings(source);
    for (const image of troubles.keys()) list.dropped("picture", "that cannot be decoded", image);
    return list.list();
  };

  if (verify) {
    const sound: CaptionExample[] = [];
    for await (const { example } of decode(found)) sound.push(example);
    if (sound.length === 0) throw nothingUsable(folder.name, `${found.length}, of which none decodes: ${[...troubles.values()].at(-1)}`);
    found = sound;
  }
  const { examples, splitSource, findings: divisions } = await divide(found, { folder, listing, chosen, available }, options);
  findings.push(...divisions);
  if (examples.every(({ split }) => split === "train")) notes.push(`${source}: with ${examples.length} images none is held back: val and test are empty`);
  return {
    source: folder.pathOf(source),
    used: chosen.map(nameOf),
    unused: available.filter(({ file }) => chosen.every((other) => other.file !== file)).map(nameOf),
    examples,
    splits: splitSource === undefined ? "drawn" : "published",
    splitSource,
    get findings() {
      return [...findings, ...undecodable()];
    },
    get warnings() {
      const told = [...troubles.values()].slice(0, TROUBLES_TOLD).map((trouble) => `${trouble}: left out`);
      return [...findings, ...(troubles.size > TROUBLES_TOLD ? undecodable() : [])].map(findingLine).concat(told, notes);
    },
    split: (split) => examples.filter((example) => example.split === split),
    path,
    digest: (example) => folder.digest(fileOf(example)),
    load,
    decoded: (some = examples) => decode(some),
  };
}

function nameOf({ file, format }: FoundCaptions): { file: string; format: string } {
  return { file, format: format.name };
}

/** The examples whose picture is there, one a picture, and what is missing on either side. */
function pair(
  examples: readonly CaptionExample[],
  index: ImageIndex,
  { foreign }: FolderListing,
  { folder, source, strict }: { folder: DatasetFolder; source: string; strict: boolean },
): { examples: readonly CaptionExample[]; findings: readonly Finding[] } {
  const found = new Map<string, CaptionExample>();
  const findings = new Findings(source);
  const missing: string[] = [];
  for (const example of examples) {
    const path = index.find(example.image);
    const same = path === undefined ? undefined : found.get(path);
    if (path === undefined) {
      missing.push(example.image);
      findings.dropped("captioned image", index.isAmbiguous(example.image) ? "whose name pictures in several folders have" : "without a file", example.image);
    } else if (same === undefined) found.set(path, example);
    else {
      findings.repaired("image", "named in two ways, whose captions are joined", example.image);
      const split = stricter(same.split, example.split);
      found.set(path, { ...same, captions: [...new Set([...same.captions, ...example.captions])], ...(split === undefined ? {} : { split }) });
    }
  }
  if (found.size === 0) {
    const got = `${index.paths.size} pictures, ${examples.length} captioned names in ${source}, no match between them`;
    throw nothingUsable(folder.name, got);
  }
  if (missing.length > 0 && strict) {
    throw new InputError(`${source}: ${missing.length} of ${examples.length} captioned images have no file (${someOf(missing)})`, `put them under ${folder.pathOf("images")}`);
  }
  for (const path of index.paths) if (!found.has(path)) findings.dropped("picture", "without a caption", path);
  for (const path of foreign) findings.dropped("picture", "that is no JPEG or PNG", path);
  return { examples: [...found.values()], findings: findings.list() };
}

function nothingUsable(folder: string, got: string): InputError {
  return new InputError(
    `openDataset: ${folder} must hold at least one JPEG or PNG picture with a caption; got ${got}`,
    "the names in the caption file must be those of the files under images/",
  );
}

/** Gives every example its split, see {@link openDatasetIn}. */
async function divide(
  found: readonly CaptionExample[],
  { folder, listing, chosen, available }: { folder: DatasetFolder; listing: FolderListing; chosen: readonly FoundCaptions[]; available: readonly FoundCaptions[] },
  { seed = 0, redrawSplit = false, holdOut = 0.1 }: DatasetOptions,
): Promise<{ examples: readonly DatasetExample[]; splitSource: string | undefined; findings: readonly Finding[] }> {
  for await (const { examples: published, source, findings } of redrawSplit ? [] : publishedSplits(found, folder, listing, chosen, available)) {
    if (published.every(({ split }) => split === undefined)) continue;
    const divided = splitAsPublished(found, published, source);
    return { examples: divided.examples, splitSource: source, findings: [...findings, ...divided.findings] };
  }
  return { examples: splitByImage(found, seed, holdOut), splitSource: undefined, findings: [] };
}

/** What may say the splits, the best first. */
async function* publishedSplits(
  found: readonly CaptionExample[],
  folder: DatasetFolder,
  { texts }: FolderListing,
  chosen: readonly FoundCaptions[],
  available: readonly FoundCaptions[],
): AsyncGenerator<{ examples: readonly CaptionExample[]; source: string; findings: readonly Finding[] }> {
  yield { examples: found, source: chosen.map(({ file }) => file).join(" + "), findings: [] };
  const beside = available.find(({ file, format }) => format.name === "Karpathy JSON" && chosen.every((other) => other.file !== file));
  if (beside !== undefined) yield { examples: (await readCaptions(folder, [beside])).examples, source: beside.file, findings: [] };
  const lists = new Map<string, string>();
  for (const file of texts) if (splitOfList(file) !== undefined) lists.set(file, await readText(folder, file));
  yield { ...parseSplitLists(lists), source: [...lists.keys()].join(" + ") };
}
