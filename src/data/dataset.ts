import { Generator } from "../core/rng.ts";
import { someOf } from "./captions.ts";
import type { CaptionExample, Split } from "./captions.ts";
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

/** Pictures with captions. Pictures are decoded when asked for, never kept. */
export interface CaptionDataset {
  /** The caption file that was read. */
  readonly source: string;
  /** In the order of the caption file. */
  readonly examples: readonly DatasetExample[];
  /** Whether a Karpathy JSON gave the splits, or they were drawn here. */
  readonly splits: "published" | "drawn";
  /** One line each; reading pictures may add to them. */
  readonly warnings: readonly string[];
  /** The examples of one split. */
  split(split: Split): readonly DatasetExample[];
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
 * Gives each example the split that `published` has for its image. Images that it doesn't name become train, with a
 * warning.
 */
export function splitAsPublished(
  examples: readonly CaptionExample[],
  published: readonly CaptionExample[],
  source: string,
): { examples: DatasetExample[]; warnings: string[] } {
  const byPath = new Map(published.map(({ image, split }) => [image, split]));
  const byName = new Map(published.map(({ image, split }) => [baseName(image), split]));
  const unnamed: string[] = [];
  const divided = examples.map((example) => {
    const split = byPath.get(example.image) ?? byName.get(baseName(example.image));
    if (split === undefined) unnamed.push(example.image);
    return { ...example, split: split ?? "train" } satisfies DatasetExample;
  });
  const count = `${unnamed.length} of ${examples.length} images`;
  const warning = `${source}: no split for ${count}, taken as train (${someOf(unnamed)})`;
  return { examples: divided, warnings: unnamed.length > 0 ? [warning] : [] };
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

  /** The path of a picture: as named, else under `images/`, else by its file name if only one picture has it. */
  find(image: string): string | undefined {
    const inFolder = `images/${image}`;
    const exact = [image, inFolder].find((path) => this.paths.has(path));
    return exact ?? this.byName.get(inFolder.toLowerCase()) ?? this.byName.get(baseName(image).toLowerCase());
  }
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
