/** Which pictures a run uses, and how they are opened: the same in Node and in pages, so that a run may go on in either. */

import { CheckpointError, InputError } from "../core/errors.ts";
import { counted, thousands } from "../core/format.ts";
import { Sha256 } from "../core/sha256.ts";
import type { CaptionDataset } from "../data/dataset.ts";
import type { DatasetFolder } from "../data/dataset-folder.ts";
import { folderSource, sceneSource, type PictureSource, type SceneCounts, type SceneSource } from "../data/pictures.ts";
import type { Preprocessing } from "../data/preprocess.ts";
import type { Language, SceneText } from "../data/scene-grammar.ts";
import { SCENE_COUNTS } from "./recipes.ts";

/** What is held back of a folder's pictures: a share for validation and as much for the test, 0 for none, or what was published with them. */
export type HoldOut = number | "published";

/** Which pictures a run uses: kept in the checkpoint, so that it is resumed and scored with the same ones. */
export type DataChoice = ScenesChoice | FolderChoice;

export interface ScenesChoice {
  readonly kind: "scenes";
  readonly seed: number;
  readonly counts: SceneCounts;
  readonly languages: readonly Language[];
  readonly text: SceneText;
}

export interface FolderChoice {
  readonly kind: "folder";
  /** Where it was, in words of the machine that the run was begun on. */
  readonly folder: string;
  readonly holdOut: HoldOut;
  readonly seed: number;
  /** Changes with every name, caption, split and byte of a picture; the same on every machine. */
  readonly fingerprint: string;
}

/** A data set that is ready to be used. */
export interface OpenedData {
  readonly choice: DataChoice;
  readonly source: PictureSource | SceneSource;
  /** A few words that say what it is. */
  readonly title: string;
  /** One line with its numbers. */
  readonly summary: string;
  /** What was left out and what to know, a line each. */
  readonly warnings: readonly string[];
  /** What to keep in mind of scores of a model that was trained with it, or null. */
  readonly remark: string | null;
  /** Whether the pictures that are trained on are also the ones that are scored. */
  readonly scoredOnTraining: boolean;
}

/** Below this number, every picture is needed for training. */
const FEW_PICTURES = 50;

/** Share that goes to validation, and again to test, where nothing else was asked for. */
const DEFAULT_HOLD_OUT = 0.1;

const LEARNED = "the pictures that are trained on are also the ones that are scored: the scores tell how well they were learned, not how well new pictures are captioned";
const NO_VALIDATION = "validation and test pictures are the same ones: the best checkpoint is chosen by what is scored, which flatters the scores a little";

/** Which of a folder's pictures are held back where nothing was asked for: none of few; else as published, or a tenth. */
function usualHoldOut(dataset: CaptionDataset): HoldOut {
  if (dataset.examples.length < FEW_PICTURES) return 0;
  return dataset.splits === "published" ? "published" : DEFAULT_HOLD_OUT;
}

/** A folder of captioned pictures, its captions read and its pictures not yet. */
export interface FolderData {
  readonly dataset: CaptionDataset;
  readonly choice: FolderChoice;
}

/**
 * @param place Where the folder is, as the checkpoint keeps it.
 * @throws InputError if the folder cannot be used, or has no published split that was asked for.
 */
export async function findPictures(folder: DatasetFolder, place: string, asked: HoldOut | undefined, seed: number): Promise<FolderData> {
  const { openDatasetIn } = await import("../data/open-dataset.ts"); // with the readers of all formats of captions
  const dataset = await openDatasetIn(folder, { seed, ...(typeof asked === "number" && asked > 0 ? { redrawSplit: true, holdOut: asked } : {}) });
  const holdOut = asked ?? usualHoldOut(dataset);
  if (holdOut === "published" && dataset.splits !== "published") {
    throw new InputError(`${folder.name} must hold a dataset*.json, or lists such as Flickr_8k.testImages.txt, that say which pictures are for training and which for testing; got ${dataset.source} alone`, "train with --hold-out 0.1 to draw a split, or score with --split all");
  }
  return { dataset, choice: { kind: "folder", folder: place, holdOut, seed, fingerprint: await fingerprintOf(dataset, holdOut) } };
}

async function fingerprintOf(dataset: CaptionDataset, holdOut: HoldOut): Promise<string> {
  const hash = new Sha256();
  for (const example of dataset.examples) {
    const { image, captions, split } = example;
    const picture = await dataset.digest(example).catch(() => null); // what cannot be read is left out, and said so, once pictures are decoded
    hash.update(new TextEncoder().encode(`${JSON.stringify([image, captions, holdOut === 0 ? "train" : split, picture])}\n`));
  }
  return hash.digest().slice(0, 16);
}

/** Reads a folder's pictures. */
export async function openPictures({ dataset, choice }: FolderData, preprocessing: Preprocessing, onProgress?: (done: number, total: number) => void): Promise<OpenedData> {
  const everything = choice.holdOut === 0;
  const source = await folderSource(dataset, preprocessing, everything, onProgress);
  const scoredOnTraining = source.test === source.train;
  const parts = scoredOnTraining ? "all of them to train on" : `${thousands(source.train.length)} to train on, ${thousands(source.validation.length)} to validate, ${thousands(source.test.length)} to test`;
  const captions = dataset.examples.reduce((sum, example) => sum + example.captions.length, 0);
  const remark = scoredOnTraining ? LEARNED : source.validation === source.test ? NO_VALIDATION : null;
  const summary = `${dataset.source}: ${counted(dataset.examples.length, "picture")} with ${counted(captions, "caption")}; ${parts}`;
  return { choice, source, title: choice.folder.split(/[\\/]/).at(-1)!, summary, warnings: dataset.warnings, remark, scoredOnTraining };
}

/** The scenes that a run on so many of them uses; few are also enough to validate and to test with. */
export function scenesChoice(seed: number, train: number, languages: readonly Language[], text: SceneText): ScenesChoice {
  const counts = { train, validation: Math.min(SCENE_COUNTS.validation, train), test: Math.min(SCENE_COUNTS.test, train) };
  return { kind: "scenes", seed, counts, languages, text };
}

export function openScenes(choice: ScenesChoice, preprocessing: Preprocessing): OpenedData {
  const { seed, counts, languages, text } = choice;
  const source = sceneSource(seed, counts, preprocessing, { languages, text });
  const { train, validation, test } = counts;
  const what = text === "story" ? " with stories" : "";
  const tongues = languages.length === 1 && languages[0] === "en" ? "" : ` in ${languages.join(", ")}`;
  const summary = `embedded scenes${what}${tongues}, drawn from seed ${seed}: ${thousands(train)} to train on, ${thousands(validation)} to validate, ${thousands(test)} to test`;
  return { choice, source, title: "scenes drawn by code", summary, warnings: [], remark: null, scoredOnTraining: false };
}

/** The data set that a checkpoint names, or null where it names none. @throws CheckpointError if it is damaged. */
export function parseChoice(text: string | undefined, file: string): DataChoice | null {
  if (text === undefined) return null;
  try {
    const choice = JSON.parse(text) as DataChoice;
    if (choice.kind === "scenes" && Number.isInteger(choice.seed) && Object.values(choice.counts).every(Number.isInteger) && Array.isArray(choice.languages)) return choice;
    if (choice.kind === "folder" && typeof choice.folder === "string") return choice;
  } catch {
    // said below
  }
  throw new CheckpointError(`${file}: the checkpoint's data must name a data set; got ${text.slice(0, 100)}`, "the checkpoint is damaged; use an earlier one");
}
