import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { findPictures, openPictures, openScenes, type DataChoice, type FolderChoice, type FolderData, type HoldOut, type OpenedData } from "../caption/data-choice.ts";
import { InputError } from "../core/errors.ts";
import { DiskFolder } from "../data/folder.ts";
import type { Preprocessing } from "../data/preprocess.ts";

/** The folder of the pictures in a run that came as one file from a page. */
const PICTURES = "pictures";

/** {@link findPictures} in a folder on the disk, by its path. */
export async function findFolder(folder: string, asked: HoldOut | undefined, seed: number): Promise<FolderData> {
  return findPictures(new DiskFolder(folder), resolve(folder), asked, seed);
}

/**
 * Opens the data set that a checkpoint was trained with.
 * @param folder Where the pictures are now, if they have moved.
 * @param run Its folder, or a checkpoint in it.
 * @throws InputError if it is another data set, or has changed.
 */
export async function reopen(choice: DataChoice, folder: string | undefined, preprocessing: Preprocessing, run: string, onProgress?: (done: number, total: number) => void): Promise<OpenedData> {
  if (choice.kind === "scenes") {
    if (folder === undefined) return openScenes(choice, preprocessing);
    throw new InputError(`${run}: must be continued with its own data set, the embedded scenes; got --data ${folder}`, "leave --data out, or start a new run without --resume");
  }
  const found = await findFolder(folder ?? placeOf(choice, run), choice.holdOut, choice.seed);
  if (found.choice.fingerprint === choice.fingerprint) return openPictures(found, preprocessing, onProgress);
  const got = folder === undefined || resolve(folder) === choice.folder ? `${choice.folder}, which has changed since` : `--data ${folder}, whose pictures or captions differ`;
  throw new InputError(`${run}: must be continued with its own data set, ${choice.folder}; got ${got}`, "restore the pictures and captions, or start a new run without --resume");
}

/** Where a run's pictures are: where they were, or beside the checkpoint, as the demo page packs them. */
function placeOf({ folder }: FolderChoice, run: string): string {
  const beside = join(run.endsWith(".safetensors") ? dirname(run) : run, PICTURES);
  const place = [folder, beside].find(existsSync);
  if (place !== undefined) return place;
  throw new InputError(`${run}: its pictures must lie in ${folder}, or in ${beside}; got neither`, "say where they are with --data");
}
