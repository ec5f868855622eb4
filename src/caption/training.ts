import { recorded, type RecordedStep } from "../autograd/recorded.ts";
import { noGrad } from "../autograd/tape.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { InputError, SightlineError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import type { PictureSet, PictureSource } from "../data/pictures.ts";
import { squash } from "../data/preprocess.ts";
import { Vocabulary, wordsOf } from "../data/vocabulary.ts";
import type { Device } from "../device/device.ts";
import type { CompileProgress } from "../device/pipelines.ts";
import { Batches } from "../train/batches.ts";
import { warmupCosine } from "../train/schedule.ts";
import { Captioner, OPTIMIZER_PREFIX } from "./captioner.ts";
import { RunOptimizers } from "./optimizers.ts";
import type { Recipe } from "./recipe.ts";
import type { Storyteller, StorytellerConfig } from "./storyteller.ts";

/** Pictures of the validation set that are used at each validation. */
const VALIDATION_PICTURES = 64;

/** Captions that are shown at each validation. */
const SAMPLES = 4;

/** Time constant of the average that rates and the time left are computed from, in steps. */
const RATE_STEPS = 20;

export interface StepProgress {
  /** Counted from 1. */
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly picturesPerSecond: number;
  readonly secondsLeft: number;
}

/** A validation picture, and what the model says of it so far. */
export interface SampleCaption {
  readonly name: string;
  readonly caption: string;
  readonly reference: string;
}

export interface ValidationReport {
  readonly epoch: number;
  readonly step: number;
  readonly loss: number;
  readonly best: boolean;
  readonly samples: readonly SampleCaption[];
}

/** A checkpoint that is ready to be written. */
export interface CheckpointContents {
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly metadata: Record<string, string>;
}

export interface TrainingHooks {
  /** Called before the first step, with the model and the steps of the whole run. */
  readonly onStart?: (captioner: Captioner, steps: number) => void;
  readonly onCompile?: CompileProgress;
  readonly onStep?: (progress: StepProgress) => void;
  readonly onValidation?: (report: ValidationReport) => void;
  /** Called at each validation, and once more where the run is stopped. */
  readonly save?: (contents: CheckpointContents, kind: "last" | "best") => Promise<void>;
  /** Stops the run after the step under way; the last checkpoint is saved. */
  readonly signal?: AbortSignal;
}

/** Where an interrupted run stood. */
export interface ResumePoint {
  readonly captioner: Captioner;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly step: number;
  readonly bestLoss: number | null;
}

export interface TrainingResult {
  readonly captioner: Captioner;
  readonly step: number;
  readonly steps: number;
  readonly stopped: boolean;
  readonly seconds: number;
  /** Commands that one training step submits. */
  readonly dispatches: number;
}

/** A new captioner for a data set: its vocabulary and greatest length come from the training captions. */
export function makeCaptioner(device: Device, source: PictureSource, recipe: Recipe): Captioner {
  const captions = Array.from({ length: source.train.length }, (_, i) => source.train.captions(i)).flat();
  const vocabulary = Vocabulary.build(captions, recipe.minFrequency);
  const longest = captions.reduce((most, caption) => Math.max(most, wordsOf(caption).length), 0);
  const model: StorytellerConfig = {
    backbone: recipe.backbone,
    grid: recipe.grid,
    features: 0,
    attention: recipe.attention,
    decoder: { cell: "lstm", vocabulary: vocabulary.size, embedding: recipe.embedding, hidden: recipe.hidden },
  };
  return new Captioner(device, { model, maxLength: Math.min(longest, recipe.maxWords) + 1 }, vocabulary, squash(recipe.size), recipe.seed);
}

/** A step of training, recorded: pictures, words and next words of a batch → loss and norm of the gradient. */
export function trainingStep(device: Device, model: Storyteller, optimizer: RunOptimizers, { clipNorm }: Pick<Recipe, "clipNorm">, onCompile?: CompileProgress): RecordedStep<{ loss: Tensor; gradientNorm: Tensor }> {
  const trace = (pictures: Tensor, words: Tensor, next: Tensor): { loss: Tensor; gradientNorm: Tensor } => {
    model.train();
    const loss = model.loss(pictures, words, next);
    loss.backward();
    optimizer.step({ clipNorm });
    return { loss, gradientNorm: optimizer.gradientNorm };
  };
  return recorded(device, "training step", trace, { onCompile });
}

/**
 * Trains a captioner, from the start or from where another run stopped.
 *
 * Each step is recorded once and replayed; at most two are under way. A resumed run continues with the same batches,
 * learning rates and optimiser state, so that on one adapter it ends with the same bits as one that never stopped.
 * @throws SightlineError if the loss stops being a number.
 */
export async function trainCaptioner(device: Device, source: PictureSource, recipe: Recipe, hooks: TrainingHooks = {}, resume?: ResumePoint): Promise<TrainingResult> {
  const captioner = resume?.captioner ?? makeCaptioner(device, source, recipe);
  const { model, vocabulary, preprocessing, config } = captioner;
  const firstCaptionEpochs = recipe.firstCaption * recipe.epochs;
  const batchOptions = { preprocessing, vocabulary, batchSize: recipe.batchSize, length: config.maxLength, firstCaptionEpochs, seed: recipe.seed };
  const batches = new Batches(source.train, batchOptions);
  const steps = recipe.epochs * batches.perEpoch;
  if (steps === 0) throw new InputError(`trainCaptioner: ${source.name} and ${recipe.epochs} epochs give no training step`);
  hooks.onStart?.(captioner, steps);

  const optimizer = new RunOptimizers(model, recipe);
  if (resume !== undefined) optimizer.loadStateDict(withoutPrefix(resume.tensors));
  const rate = warmupCosine({ warmup: Math.max(1, Math.round(recipe.warmup * steps)), total: steps });

  const trainStep = trainingStep(device, model, optimizer, recipe, hooks.onCompile);
  const validation = makeValidation(device, captioner, new Batches(source.validation, { ...batchOptions, batchSize: Math.min(recipe.batchSize, VALIDATION_PICTURES) }), source.validation, recipe.firstCaption === 1 ? "first" : "all");
  const validateEvery = Math.max(1, Math.round(steps / recipe.validations));

  let bestLoss = resume?.bestLoss ?? null;
  const save = async (step: number, kind: "last" | "best"): Promise<void> => {
    if (hooks.save === undefined) return;
    const trainer = { epoch: Math.floor(step / batches.perEpoch), step, bestLoss, recipe, source: source.name };
    const tensors = new Map([...(await model.stateDict()), ...withPrefix(await optimizer.stateDict())]);
    await hooks.save({ tensors, metadata: captioner.metadata(trainer, []) }, kind);
  };

  const checkLoss = (what: string, loss: number, at: number): void => {
    if (Number.isFinite(loss)) return;
    throw new SightlineError(`trainCaptioner: the ${what} became ${loss} at step ${at} of ${steps}`, "lower the learning rate with --lr; the last checkpoint is intact");
  };

  const begun = performance.now();
  const first = resume?.step ?? 0;
  let step = first;
  let secondsPerStep = 0;
  let lastTime = begun;
  /** Waits for a step's numbers and passes them on; called one step late, so that the device never waits for the host. */
  const report = async (done: number, previous: Promise<void>, loss: Promise<number>, gradientNorm: Promise<number>): Promise<void> => {
    const [, lossValue, normValue] = await Promise.all([previous, loss, gradientNorm]);
    checkLoss("loss", lossValue, done);
    const now = performance.now();
    const seconds = (now - lastTime) / 1000;
    lastTime = now;
    const counted = done - first; // the first step also compiles: it tells nothing of the next ones
    secondsPerStep = counted <= 2 ? seconds : secondsPerStep + (seconds - secondsPerStep) / Math.min(RATE_STEPS, counted - 1);
    hooks.onStep?.({
      epoch: Math.ceil(done / batches.perEpoch),
      epochs: recipe.epochs,
      step: done,
      steps,
      loss: lossValue,
      learningRate: recipe.learningRate * rate(done - 1),
      gradientNorm: normValue,
      picturesPerSecond: batches.batchSize / secondsPerStep,
      secondsLeft: secondsPerStep * (steps - done),
    });
  };

  let pending = Promise.resolve();
  while (step < steps && !(hooks.signal?.aborted ?? false)) {
    optimizer.setRate(rate(step));
    const batch = await batches.at(step);
    const { loss, gradientNorm } = await trainStep.run(batch.pictures, batch.words, batch.next);
    step++;
    const previous = pending;
    pending = report(step, previous, loss.item(), gradientNorm.item());
    pending.catch(() => undefined); // what it throws is thrown by the next await of it
    await previous;
    if (step % validateEvery === 0 || step === steps) {
      await pending;
      pending = Promise.resolve();
      const validationLoss = await validation.loss();
      checkLoss("validation loss", validationLoss, step); // a model that is beyond it has no word to say
      const samples = await validation.samples();
      const best = bestLoss === null || validationLoss < bestLoss;
      if (best) bestLoss = validationLoss;
      if (best) await save(step, "best"); // before "last", which says what the best loss is
      await save(step, "last");
      hooks.onValidation?.({ epoch: Math.ceil(step / batches.perEpoch), step, loss: validationLoss, best, samples });
      lastTime = performance.now();
    }
  }
  await pending;
  const stopped = step < steps;
  if (stopped) await save(step, "last");
  const dispatches = trainStep.recording?.dispatches ?? 0;
  trainStep.dispose();
  validation.dispose();
  optimizer.dispose();
  return { captioner, step, steps, stopped, seconds: (performance.now() - begun) / 1000, dispatches };
}

interface Validation {
  /** Mean over some pictures. */
  loss(): Promise<number>;
  /** Captions of a few. */
  samples(): Promise<SampleCaption[]>;
  dispose(): void;
}

function makeValidation(device: Device, captioner: Captioner, batches: Batches, set: PictureSet, wordings: "first" | "all"): Validation {
  const { model } = captioner;
  const lossStep = recorded(device, "validation loss", (pictures, words, next) => {
    model.eval();
    return { loss: noGrad(() => model.loss(pictures, words, next)) };
  });
  const count = Math.min(set.length, VALIDATION_PICTURES) - (Math.min(set.length, VALIDATION_PICTURES) % batches.batchSize);
  const shown = Array.from({ length: Math.min(SAMPLES, set.length) }, (_, i) => i);
  const loss = async (): Promise<number> => {
    const losses: number[] = [];
    for (let first = 0; first < count; first += batches.batchSize) {
      const batch = await batches.of(Array.from({ length: batches.batchSize }, (_, i) => first + i), wordings);
      losses.push(await (await lossStep.run(batch.pictures, batch.words, batch.next)).loss.item());
    }
    return losses.reduce((sum, each) => sum + each, 0) / losses.length;
  };
  const samples = async (): Promise<SampleCaption[]> => {
    const captions = await captioner.describeBatch((await batches.of(shown, wordings)).pictures);
    return captions.map(({ text }, i) => ({ name: set.name(i), caption: text, reference: set.captions(i)[0] }));
  };
  return { loss, samples, dispose: () => lossStep.dispose() };
}

function withPrefix(tensors: ReadonlyMap<string, HostTensor>): [string, HostTensor][] {
  return [...tensors].map(([name, tensor]) => [OPTIMIZER_PREFIX + name, tensor]);
}

function withoutPrefix(tensors: ReadonlyMap<string, HostTensor>): Map<string, HostTensor> {
  const own = [...tensors].filter(([name]) => name.startsWith(OPTIMIZER_PREFIX));
  return new Map(own.map(([name, tensor]) => [name.slice(OPTIMIZER_PREFIX.length), tensor]));
}
