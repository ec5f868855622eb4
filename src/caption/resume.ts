import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import { decodeMetadata, type TrainerState } from "../checkpoint/training-state.ts";
import { CheckpointError, InputError } from "../core/errors.ts";
import { parseChoice, type DataChoice } from "./data-choice.ts";
import { readRecipe, type Recipe } from "./recipe.ts";
import type { RunState } from "./training.ts";

/** All that a checkpoint says of a run that can go on. */
export interface ResumableRun {
  /** The file, for messages. */
  readonly name: string;
  readonly file: SafetensorsFile;
  readonly recipe: Recipe;
  readonly state: RunState;
  readonly choice: DataChoice;
}

/**
 * What `last.safetensors` of a run says.
 * @throws CheckpointError if it is another file, holds weights alone, or is damaged.
 */
export function resumableRun(file: SafetensorsFile, name: string): ResumableRun {
  const metadata = decodeMetadata(file.metadata, name);
  const state = parseState(metadata.trainer, name);
  const choice = parseChoice(file.metadata.data, name);
  if (choice === null) throw new CheckpointError(`${name}: must name its data set to be continued; got none`, "it was not written by train; start a new run");
  return { name, file, recipe: parseRecipe(metadata.recipe, name), state, choice };
}

function parseState(trainer: TrainerState | undefined, name: string): RunState {
  if (trainer === undefined) throw new CheckpointError(`${name}: must hold the state of its training to be continued; got weights alone`, "resume from last.safetensors");
  const { bestLoss, bestReward = null, schedule } = trainer;
  const isScore = (value: unknown): boolean => value === null || typeof value === "number";
  if (!isScore(bestLoss) || !isScore(bestReward) || typeof schedule !== "object" || schedule === null) {
    throw new CheckpointError(`${name}: the training state must hold a best loss and a schedule; got ${Object.keys(trainer).join(", ")}`, "the checkpoint is damaged; use an earlier one");
  }
  return { ...trainer, bestReward } as RunState;
}

function parseRecipe(value: unknown, name: string): Recipe {
  try {
    return readRecipe(value, "");
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new CheckpointError(`${name}: in the recipe ${error.message}`, "the checkpoint is damaged, or of another version; start a new run", { cause: error });
  }
}
