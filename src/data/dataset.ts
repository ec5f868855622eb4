import { Generator } from "../core/rng.ts";
import type { CaptionExample, Split } from "./captions.ts";
import { type Finding, Findings } from "./findings.ts";
import type { Image } from "./image.ts";

/** An example of an opened dataset: its picture was found, and it belongs to a split. */
export interface DatasetExample extends CaptionExample {
  readonly split: Split;
}

/** A decoded picture with its captions. */
export interface DecodedExample {
  readonly example: DatasetExample;
  readonly image: Image;
}

/** A file of captions, and the name of its format. */
export interface CaptionFile {
  /** Relative to the data set's folder. */
  readonly file: string;
  readonly format: string;
}

/** Pictures with captions. Pictures are decoded when asked for, never kept. */
export interface CaptionDataset {
  /** The caption file that was read; several are joined by " + ". */
  readonly source: string;
  /** The caption files that were read: one, or the parts of COCO. */
  readonly used: readonly CaptionFile[];
  /** Other caption files of the folder, which were not. */
  readonly unused: readonly CaptionFile[];
  /** In the order of the caption file. */
  readonly examples: readonly DatasetExample[];
  /** Whether the splits came with the data set, or were drawn here. */
  readonly splits: "published" | "drawn";
  /** The file, relative to the folder, that gave the published splits; several are joined by " + ". */
  readonly splitSource: string | undefined;
  /** What was mended and what was left out; reading pictures may add to them. */
  readonly findings: readonly Finding[];
  /** The same as lines, with what else there is to know. */
  readonly warnings: readonly string[];
  /** The examples of one split. */
  split(split: Split): readonly DatasetExample[];
  /** The path of an example's picture. */
  path(example: CaptionExample): string;
  /** The SHA-256 of the bytes of an example's picture, in hexadecimal. @throws InputError if it cannot be read. */
  digest(example: CaptionExample): Promise<string>;
  /** @throws InputError if the picture cannot be decoded. */
  load(example: CaptionExample): Promise<Image>;
  /**
   * Decodes pictures one after another. One that cannot be decoded is left out with a warning, or thrown as an
   * InputError if the dataset was opened strictly.
   */
  decoded(examples?: readonly DatasetExample[]): AsyncIterable<DecodedExample>;
}

/** Separates the draw of the splits from every other use of the same seed. */
const SPLIT_STREAM = 0x5311;
const FEWEST_TO_SPLIT = 5;

/**
 * Divides examples by image: a share (10 %) is val and as much is test, rounded, at least one image each; the rest is
 * train. With fewer than 5 images everything is train.
 *
 * Depends on the seed, the share and the set of names alone, not on their order.
 */
export function splitByImage(examples: readonly CaptionExample[], seed: number, share = 0.1): DatasetExample[] {
  const names = new Generator(seed, SPLIT_STREAM).shuffle(examples.map(({ image }) => image).sort());
  const held = names.length < FEWEST_TO_SPLIT ? 0 : Math.max(1, Math.round(names.length * share));
  const val = new Set(names.slice(0, held));
  const test = new Set(names.slice(held, 2 * held));
  return examples.map((example) => ({
    ...example,
    split: val.has(example.image) ? "val" : test.has(example.image) ? "test" : "train",
  }));
}

/**
 * Gives each example the split that `published` has for its image. Images that it doesn't name become train, and are
 * reported.
 */
export function splitAsPublished(
  examples: readonly CaptionExample[],
  published: readonly CaptionExample[],
  source: string,
): { examples: DatasetExample[]; findings: readonly Finding[] } {
  const byPath = new Map(published.map(({ image, split }) => [image, split]));
  const byName = new Map(published.map(({ image, split }) => [baseName(image), split]));
  const findings = new Findings(source);
  const divided = examples.map((example) => {
    const split = byPath.get(example.image) ?? byName.get(baseName(example.image));
    if (split === undefined) findings.repaired("image", "without a published split, taken as train", example.image);
    return { ...example, split: split ?? "train" } satisfies DatasetExample;
  });
  return { examples: divided, findings: findings.list() };
}

/** The pictures of a folder, found by the names that caption files use. */
export class ImageIndex {
  readonly paths: ReadonlySet<string>;
  /** By lower-case path and by lower-case file name; undefined where several pictures share a name. */
  private readonly byName = new Map<string, string | undefined>();

  /** @param paths Relative to the dataset's folder, with forward slashes. */
  constructor(paths: readonly string[]) {
    this.paths = new Set(paths);
    for (const path of paths) {
      for (const name of new Set([path.toLowerCase(), baseName(path).toLowerCase()])) {
        this.byName.set(name, this.byName.has(name) ? undefined : path);
      }
    }
  }

  /** Whether several pictures have a name, in different folders, so that none of them is found by it. */
  isAmbiguous(image: string): boolean {
    return this.find(image) === undefined && this.byName.has(baseName(image).toLowerCase());
  }

  /** The path of a picture: as named, else under `images/`, else by its file name if only one picture has it. */
  find(image: string): string | undefined {
    const inFolder = `images/${image}`;
    const exact = [image, inFolder].find((path) => this.paths.has(path));
    return exact ?? this.byName.get(inFolder.toLowerCase()) ?? this.byName.get(baseName(image).toLowerCase());
  }
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
