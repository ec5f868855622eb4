import { createHash } from "node:crypto";
import { basename, resolve } from "node:path";
import { CheckpointError, InputError } from "../core/errors.ts";
import type { CaptionDataset } from "../data/dataset.ts";
import { openDataset } from "../data/files.ts";
import { folderSource, sceneSource, type PictureSource, type SceneCounts, type SceneSource } from "../data/pictures.ts";
import type { Preprocessing } from "../data/preprocess.ts";
import { counted, thousands } from "../core/format.ts";
import type { Language, SceneText } from "../data/scene-grammar.ts";
import type { HoldOut } from "./options.ts";

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

/** @throws InputError if the folder cannot be used, or has no published split that was asked for. */
export async function findFolder(folder: string, asked: HoldOut | undefined, seed: number): Promise<FolderData> {
  const open = (holdOut: HoldOut | undefined): Promise<CaptionDataset> =>
    openDataset(folder, { seed, ...(typeof holdOut === "number" && holdOut > 0 ? { redrawSplit: true, holdOut } : {}) });
  const dataset = await open(asked);
  const holdOut = asked ?? usualHoldOut(dataset);
  if (holdOut === "published" && dataset.splits !== "published") {
    throw new InputError(`${folder} must hold a dataset*.json, or lists such as Flickr_8k.testImages.txt, that say which pictures are for training and which for testing; got ${dataset.source} alone`, "train with --hold-out 0.1 to draw a split, or score with --split all");
  }
  return { dataset, choice: { kind: "folder", folder: resolve(folder), holdOut, seed, fingerprint: await fingerprintOf(dataset, holdOut) } };
}

async function fingerprintOf(dataset: CaptionDataset, holdOut: HoldOut): Promise<string> {
  const hash = createHash("sha256");
  for (const example of dataset.examples) {
    const { image, captions, split } = example;
    const picture = await dataset.digest(example).catch(() => null); // what cannot be read is left out, and said so, once pictures are decoded
    hash.update(`${JSON.stringify([image, captions, holdOut === 0 ? "train" : split, picture])}\n`);
  }
  return hash.digest("hex").slice(0, 16);
}

/** Reads a folder's pictures. */
export async function openFolder({ dataset, choice }: FolderData, preprocessing: Preprocessing, onProgress?: (done: number, total: number) => void): Promise<OpenedData> {
  const everything = choice.holdOut === 0;
  const source = await folderSource(dataset, preprocessing, everything, onProgress);
  const scoredOnTraining = source.test === source.train;
  const parts = scoredOnTraining ? "all of them to train on" : `${thousands(source.train.length)} to train on, ${thousands(source.validation.length)} to validate, ${thousands(source.test.length)} to test`;
  const captions = dataset.examples.reduce((sum, example) => sum + example.captions.length, 0);
  const remark = scoredOnTraining ? LEARNED : source.validation === source.test ? NO_VALIDATION : null;
  const summary = `${dataset.source}: ${counted(dataset.examples.length, "picture")} with ${counted(captions, "caption")}; ${parts}`;
  return { choice, source, title: basename(choice.folder), summary, warnings: dataset.warnings, remark, scoredOnTraining };
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

/**
 * Opens the data set that a checkpoint was trained with.
 * @param folder Where the pictures are now, if they have moved.
 * @throws InputError if it is another data set, or has changed.
 */
export async function reopen(choice: DataChoice, folder: string | undefined, preprocessing: Preprocessing, run: string, onProgress?: (done: number, total: number) => void): Promise<OpenedData> {
  if (choice.kind === "scenes") {
    if (folder === undefined) return openScenes(choice, preprocessing);
    throw new InputError(`${run}: must be continued with its own data set, the embedded scenes; got --data ${folder}`, "leave --data out, or start a new run without --resume");
  }
  const found = await findFolder(folder ?? choice.folder, choice.holdOut, choice.seed);
  if (found.choice.fingerprint === choice.fingerprint) return openFolder(found, preprocessing, onProgress);
  const got = folder === undefined || resolve(folder) === choice.folder ? `${choice.folder}, which has changed since` : `--data ${folder}, whose pictures or captions differ`;
  throw new InputError(`${run}: must be continued with its own data set, ${choice.folder}; got ${got}`, "restore the pictures and captions, or start a new run without --resume");
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
