/** What the training worker does for the page. The page calls it through `web/remote.ts`; data are copied, callbacks stay where they are. */

import type { StepLine, ValidationLine } from "../../caption/run-log.ts";
import type { Size } from "../../caption/recipe.ts";
import type { SystemName } from "../../caption/systems.ts";
import type { SampleCaption, StepProgress } from "../../caption/training.ts";
import type { ListedFile } from "../../data/file-list.ts";
import type { Image } from "../../data/image.ts";
import type { Language, SceneText } from "../../data/scene-grammar.ts";

/** Scenes that the library draws, with captions that it writes. */
export interface ScenesRequest {
  readonly kind: "scenes";
  /** How many to train on. */
  readonly train: number;
  readonly languages: readonly Language[];
  readonly text: SceneText;
}

/** Somebody's own pictures, with a file of captions in any format that is read. */
export interface PicturesRequest {
  readonly kind: "pictures";
  /** What people call them: the folder's name. */
  readonly name: string;
  readonly files: readonly ListedFile[];
}

/** What can be set of a run beside its data; a recipe has values for all of it. */
export interface RunSettings {
  readonly epochs: number;
  /** Pictures a step. */
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
}

export interface RunRequest {
  readonly data: ScenesRequest | PicturesRequest;
  readonly system: SystemName;
  /** Only those that learn from nothing. */
  readonly size: Exclude<Size, "full">;
  readonly settings?: Partial<RunSettings>;
}

/** A picture that the model is asked about at each validation. */
export interface SamplePicture {
  readonly name: string;
  readonly picture: Image;
  readonly reference: string;
}

/** What happens in a run. Steps come several at a time, so that the page is not called more often than it can draw. */
export type RunEvent =
  /** A part of the preparation that takes its time; `total` is 0 where nobody knows. */
  | { readonly kind: "preparing"; readonly what: "reading pictures" | "making the model" | "looking at pictures" | "compiling"; readonly done: number; readonly total: number }
  /** Before the first step, with what an earlier part of the run has told. */
  | {
      readonly kind: "begun";
      readonly run: RunSummary;
      /** Of the model: weights, and words or tokens that it knows. */
      readonly parameters: number;
      readonly vocabulary: number;
      /** A line about the data, and what was left out or is to be known. */
      readonly data: string;
      readonly notes: readonly string[];
      readonly steps: readonly StepLine[];
      readonly validations: readonly ValidationLine[];
      readonly samples: readonly SamplePicture[];
    }
  | { readonly kind: "stepped"; readonly steps: readonly StepLine[]; readonly now: StepProgress }
  | { readonly kind: "validated"; readonly validation: ValidationLine; readonly samples: readonly SampleCaption[] }
  /** The run can go on from here, whatever happens. */
  | { readonly kind: "saved"; readonly step: number };

/** How a run came to rest. */
export interface RunEnd {
  /** `early`: it ended before its last step, since nothing got better any more. */
  readonly state: "paused" | "complete" | "early";
  readonly step: number;
  readonly steps: number;
}

/** A run that is kept on this device. */
export interface RunSummary {
  /** Its name, which is also its folder's. */
  readonly name: string;
  readonly system: SystemName;
  readonly size: Size;
  /** What it learns from, in a few words. */
  readonly about: string;
  /** When it was begun, in milliseconds since 1970. */
  readonly created: number;
  /** Steps that are saved, of all; 0 of 0 before the first. */
  readonly step: number;
  readonly steps: number;
  /** Of the best checkpoint, on validation pictures; null before there is one. */
  readonly bestLoss: number | null;
  readonly complete: boolean;
  /** Whether it is being trained, in this tab or in another one. */
  readonly atWork: boolean;
  /** Checkpoints that it has, the better one for captioning first. */
  readonly checkpoints: readonly CheckpointKind[];
  /** All its files, in bytes. */
  readonly bytes: number;
}

/** A run from elsewhere: its name here, or whose pictures must be given with it. */
export type Adopted = { readonly kind: "taken"; readonly name: string } | { readonly kind: "needs pictures"; readonly folder: string };

/** `best` is for captioning, `last` for going on. */
export type CheckpointKind = "best" | "last";

/** What is known of somebody's own pictures before they are decoded. */
export interface PicturesReport {
  readonly pictures: number;
  readonly captions: number;
  /** The file that the captions come from. */
  readonly source: string;
  /** What was mended and what is left out, a line each. */
  readonly findings: readonly string[];
}

export interface TrainingService {
  /** The values that a run of this kind has where nothing else is set. @param pictures How many there are; null for scenes. */
  defaults(system: SystemName, size: RunRequest["size"], data: ScenesRequest | number): Promise<RunSettings>;
  /** Reads the captions of pictures, and pairs them. @throws InputError if nothing can be learned from them. */
  check(name: string, files: readonly ListedFile[]): Promise<PicturesReport>;
  /**
   * Begins a run and trains until it is complete. One run at a time.
   * @param signal Pauses: the step under way is finished, and all is saved.
   */
  start(request: RunRequest, onEvent: (event: RunEvent) => void, signal: AbortSignal): Promise<RunEnd>;
  /** Goes on with a run from its last checkpoint; from the beginning, where it has none. @throws InputError if another tab trains it. */
  resume(name: string, onEvent: (event: RunEvent) => void, signal: AbortSignal): Promise<RunEnd>;
  /**
   * Takes in `last.safetensors` of a run from elsewhere, so that it can be resumed here.
   * @param pictures Those that it learned from; needless for scenes.
   * @throws InputError if the pictures are not the ones that it learned from. @throws CheckpointError if the file is no such checkpoint.
   */
  adopt(checkpoint: File, pictures?: readonly ListedFile[]): Promise<Adopted>;
  /** The newest first. */
  runs(): Promise<readonly RunSummary[]>;
  remove(name: string): Promise<void>;
  /** A checkpoint as a file, as the command line writes it. */
  checkpoint(name: string, kind: CheckpointKind): Promise<File>;
  /** All of a run in one zip file, own pictures included: unpacked, the command line goes on with it. */
  archive(name: string): Promise<File>;
}
