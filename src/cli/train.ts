import { Captioner, OPTIMIZER_PREFIX } from "../caption/captioner.ts";
import type { Recipe } from "../caption/recipe.ts";
import { folderRecipe, SCENE_COUNTS, SCENES } from "../caption/recipes.ts";
import { trainCaptioner, type CheckpointContents, type StepProgress, type TrainingHooks, type TrainingResult, type ValidationReport } from "../caption/training.ts";
import { loadSafetensors, saveSafetensors } from "../checkpoint/files.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import { decodeMetadata, type TrainerState } from "../checkpoint/training-state.ts";
import { CheckpointError, InputError } from "../core/errors.ts";
import { squash } from "../data/preprocess.ts";
import type { AdapterPreference } from "../device/adapter.ts";
import type { Device } from "../device/device.ts";
import { findFolder, openFolder, openScenes, parseChoice, reopen, type OpenedData } from "./data-choice.ts";
import { finishRun } from "./finish.ts";
import { counted, dateStamp, duration, significant, thousands } from "./format.ts";
import { Interruption } from "./interruption.ts";
import { MetricsLog, readMetrics } from "./metrics-log.ts";
import type { HoldOut } from "./options.ts";
import { Progress } from "./progress.ts";
import { createRunFolder, findRun, newRunName, type RunFolder } from "./run-folder.ts";
import { withDevice } from "./session.ts";
import { print } from "./terminal.ts";

/** Flags that decide what is trained: a resumed run keeps those of its checkpoint. */
export const RECIPE_FLAGS = ["epochs", "batch", "lr", "seed", "size", "scenes", "holdOut"] as const;

export interface TrainOptions {
  readonly data?: string;
  readonly out?: string;
  readonly epochs?: number;
  readonly batch?: number;
  readonly lr?: number;
  readonly seed?: number;
  readonly size?: number;
  readonly scenes?: number;
  readonly holdOut?: HoldOut;
  readonly resume?: string;
  readonly adapter: AdapterPreference;
}

/** All that is known before the device is opened. */
export interface TrainingPlan {
  readonly run: RunFolder;
  readonly recipe: Recipe;
  readonly data: OpenedData;
  readonly resumed?: ResumedCheckpoint;
  /** What was typed, for the report. */
  readonly command: string;
}

interface ResumedCheckpoint {
  readonly name: string;
  readonly file: SafetensorsFile;
  readonly trainer: TrainerState & { readonly recipe: Recipe; readonly bestLoss: number | null };
}

/** `sightline train`: 0 when the run is complete, 130 when it was stopped. */
export async function train(options: TrainOptions, command: string): Promise<number> {
  const progress = new Progress(process.stdout);
  const interruption = new Interruption((line) => progress.print(line));
  try {
    const plan = options.resume === undefined ? await planRun(options, command, progress) : await planResumed(options.resume, options, command, progress);
    return await withDevice(options.adapter, (device) => runPlan(device, plan, progress, interruption));
  } finally {
    progress.stop();
    interruption.stop();
  }
}

async function planRun(options: TrainOptions, command: string, progress: Progress): Promise<TrainingPlan> {
  const seed = options.seed ?? SCENES.seed;
  const folder = options.data === undefined ? null : await findFolder(options.data, options.holdOut, seed);
  if (folder === null && options.holdOut !== undefined) throw new InputError("--hold-out needs a folder of pictures; got the embedded scenes, whose splits are fixed", "leave it out, or give --data");
  if (folder !== null && options.scenes !== undefined) throw new InputError("--scenes counts embedded scenes; got --data, a folder of pictures", "leave one of them out");
  const base = folder === null ? SCENES : folderRecipe(folder.dataset.examples.length);
  const recipe: Recipe = {
    ...base,
    seed,
    size: options.size ?? base.size,
    batchSize: options.batch ?? base.batchSize,
    epochs: options.epochs ?? base.epochs,
    learningRate: options.lr ?? base.learningRate,
    muonRate: base.muonRate * ((options.lr ?? base.learningRate) / base.learningRate),
  };
  const preprocessing = squash(recipe.size);
  const train = options.scenes ?? SCENE_COUNTS.train;
  const counts = { train, validation: Math.min(SCENE_COUNTS.validation, train), test: Math.min(SCENE_COUNTS.test, train) };
  const data = folder === null ? openScenes({ kind: "scenes", seed, counts }, preprocessing) : await openFolder(folder, preprocessing, reading(progress));
  const run = await createRunFolder(options.out ?? newRunName("storyteller", dateStamp(new Date())));
  return { run, recipe, data, command };
}

async function planResumed(path: string, options: TrainOptions, command: string, progress: Progress): Promise<TrainingPlan> {
  const flag = [...RECIPE_FLAGS, "out" as const].find((name) => options[name] !== undefined);
  if (flag !== undefined) {
    const typed = `--${flag === "holdOut" ? "hold-out" : flag}`;
    throw new InputError(`${typed} cannot be combined with --resume: a run is continued as it was begun`, `leave ${typed} out, or start a new run`);
  }
  const run = findRun(path);
  const file = await loadSafetensors(run.checkpoint);
  const trainer = parseTrainer(decodeMetadata(file.metadata, run.checkpoint).trainer, run.checkpoint);
  const choice = parseChoice(file.metadata.data, run.checkpoint);
  if (choice === null) throw new CheckpointError(`${run.checkpoint}: must name its data set to be continued; got none`, "it was not written by train; start a new run");
  const data = await reopen(choice, options.data, squash(trainer.recipe.size), path, reading(progress));
  return { run, recipe: trainer.recipe, data, command, resumed: { name: run.checkpoint, file, trainer } };
}

function parseTrainer(trainer: TrainerState | undefined, name: string): ResumedCheckpoint["trainer"] {
  if (trainer === undefined) throw new CheckpointError(`${name}: must hold the state of its training to be continued; got weights alone`, "resume from last.safetensors");
  const { recipe, bestLoss } = trainer;
  if (typeof recipe !== "object" || recipe === null || !(bestLoss === null || typeof bestLoss === "number")) {
    throw new CheckpointError(`${name}: the training state must hold a recipe and a best loss; got ${Object.keys(trainer).join(", ")}`, "the checkpoint is damaged; use an earlier one");
  }
  return { ...trainer, recipe: recipe as Recipe, bestLoss };
}

function reading(progress: Progress): (done: number, total: number) => void {
  return (done, total) => {
    progress.update("reading pictures", done, total);
    if (done === total) progress.stop();
  };
}

async function runPlan(device: Device, plan: TrainingPlan, progress: Progress, interruption: Interruption): Promise<number> {
  const { run, recipe, data, resumed } = plan;
  print(device.summary);
  print(data.summary);
  for (const line of [...data.warnings, ...(data.remark === null ? [] : [data.remark])]) print(`note: ${line}`);

  if (resumed !== undefined && resumed.trainer.epoch >= recipe.epochs) {
    print(`${run.folder} is complete: all ${counted(recipe.epochs, "epoch")}, ${counted(resumed.trainer.step, "step")}`);
    const captioner = Captioner.fromCheckpoint(device, resumed.file, resumed.name);
    return finishRun(device, plan, captioner, progress);
  }
  const result = await runTraining(device, plan, progress, interruption);
  if (result.stopped) {
    print(`stopped after step ${thousands(result.step)} of ${thousands(result.steps)}; everything is saved. To continue:`);
    print(`  npm run train -- --resume ${run.folder}`);
    return 130;
  }
  print(`trained ${counted(result.steps, "step")} in ${duration(result.seconds)}`);
  return finishRun(device, plan, result.captioner, progress, result.dispatches);
}

async function runTraining(device: Device, { run, recipe, data, resumed }: TrainingPlan, progress: Progress, interruption: Interruption): Promise<TrainingResult> {
  const before = resumed?.trainer.step ?? 0;
  const metrics = await MetricsLog.open(run.metrics, before);
  const secondsBefore = readMetrics(run.metrics).steps.at(-1)?.seconds ?? 0;
  const begun = performance.now();
  const hooks: TrainingHooks = {
    signal: interruption.begin(),
    onStart(captioner, steps) {
      print(`model: ${thousands(captioner.model.parameterCount())} weights, ${thousands(captioner.vocabulary.size)} words, pictures of ${recipe.size} × ${recipe.size}`);
      const from = resumed === undefined ? "" : `, continued from step ${thousands(before)}`;
      print(`training: ${counted(recipe.epochs, "epoch")}, ${counted(steps, "step")} of ${counted(Math.min(recipe.batchSize, data.source.train.length), "picture")}${from}; run folder ${run.folder}`);
    },
    onCompile: (done, total) => progress.update("compiling", done, total, `${done} of ${total} pipelines`),
    onStep(now) {
      metrics.write({ ...metricsOf(now), seconds: secondsBefore + (performance.now() - begun) / 1000 });
      progress.update("training", now.step, now.steps, showStep(now));
    },
    onValidation(report) {
      metrics.write({ step: report.step, epoch: report.epoch, validationLoss: report.loss, best: report.best });
      for (const line of showValidation(report, recipe.epochs)) progress.print(line);
    },
    save(contents, kind) {
      const { tensors, metadata } = kind === "best" ? weightsAlone(contents) : contents;
      return saveSafetensors(run[kind], tensors, { ...metadata, data: JSON.stringify(data.choice) });
    },
  };
  const start = resumed && { captioner: Captioner.fromCheckpoint(device, resumed.file, resumed.name), tensors: resumed.file.tensors, step: before, bestLoss: resumed.trainer.bestLoss };
  try {
    return await trainCaptioner(device, data.source, recipe, hooks, start);
  } finally {
    progress.stop();
    metrics.close();
    interruption.end();
  }
}

/** What captioning needs, without the state of the training: a third of the size. */
function weightsAlone({ tensors, metadata }: CheckpointContents): CheckpointContents {
  return {
    tensors: new Map([...tensors].filter(([name]) => !name.startsWith(OPTIMIZER_PREFIX))),
    metadata: Object.fromEntries(Object.entries(metadata).filter(([name]) => name !== "trainer" && name !== "random")),
  };
}

function metricsOf({ step, epoch, loss, learningRate, gradientNorm, picturesPerSecond }: StepProgress): { step: number; epoch: number; loss: number; lr: number; gradientNorm: number; picturesPerSecond: number } {
  return { step, epoch, loss, lr: learningRate, gradientNorm, picturesPerSecond };
}

function showStep({ epoch, epochs, step, steps, loss, picturesPerSecond, secondsLeft }: StepProgress): string {
  return `epoch ${epoch}/${epochs}  step ${step}/${steps}  loss ${loss.toFixed(3)}  ${significant(picturesPerSecond)} pictures/s  ${duration(secondsLeft)} left`;
}

function showValidation({ epoch, step, loss, best, samples }: ValidationReport, epochs: number): string[] {
  const verdict = best ? "the best so far, saved" : "not the best";
  return [
    `epoch ${epoch} of ${epochs}, step ${thousands(step)}: validation loss ${loss.toFixed(4)}, ${verdict}`,
    ...samples.slice(0, 2).map(({ name, caption, reference }) => `  ${name}: ${caption === "" ? "(nothing)" : caption}\n    should be: ${reference}`),
  ];
}
