import { recorded } from "../autograd/recorded.ts";
import { noGrad } from "../autograd/tape.ts";
import { InputError, SightlineError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import type { TrainerState } from "../checkpoint/training-state.ts";
import type { PictureSet, PictureSource } from "../data/pictures.ts";
import type { CompileProgress } from "../device/pipelines.ts";
import { Batches, lookAtPictures, pictureBatch, type Look } from "../train/batches.ts";
import { LossScaler } from "../train/loss-scaler.ts";
import { OPTIMIZER_PREFIX, type Captioner } from "./captioner.ts";
import { lookOnce, type FeatureStore } from "./features.ts";
import { RunOptimizers } from "./optimizers.ts";
import type { Recipe, RewardRecipe } from "./recipe.ts";
import { RunSchedule, type ScheduleState } from "./run-schedule.ts";
import type { RewardedDraws } from "./reward.ts";
import { neverTrainsVision, TrainingStep, type Objective, type StepInputs } from "./training-step.ts";

/** Pictures of the validation set that are used at each validation. */
const VALIDATION_PICTURES = 64;

/** Captions that are shown at each validation: of the first validation pictures. */
export const SAMPLES = 4;

/** Time constant of the average that rates and the time left are computed from, in steps. */
const RATE_STEPS = 20;

/** Tensors of a checkpoint that belong to the loss scaler. */
const SCALER_PREFIX = `${OPTIMIZER_PREFIX}scaler.`;

export interface StepProgress {
  /** Counted from 1. */
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  /** Mean CIDEr-D of the texts that were drawn; null where captions themselves are learned. */
  readonly reward: number | null;
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
  /** CIDEr-D of the likeliest texts, which then decides what is best; null where captions themselves are learned. */
  readonly reward: number | null;
  readonly best: boolean;
  readonly samples: readonly SampleCaption[];
}

/** A checkpoint that is ready to be written. */
export interface CheckpointContents {
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly metadata: Record<string, string>;
}

export interface TrainingHooks {
  /** Called while a frozen vision network looks at the pictures, before the first step. */
  readonly onLook?: (done: number, total: number) => void;
  /** Called before the first step, with the steps of the whole run. */
  readonly onStart?: (steps: number) => void;
  readonly onCompile?: CompileProgress;
  readonly onStep?: (progress: StepProgress) => void;
  readonly onValidation?: (report: ValidationReport) => void;
  /** Called at each validation, where {@link saveDue} says so, and once more where the run is stopped. */
  readonly save?: (contents: CheckpointContents, kind: "last" | "best") => Promise<void>;
  /** Asked after each step: whether the last checkpoint is saved between validations too, where a run may be lost at any time. */
  readonly saveDue?: () => boolean;
  /** Stops the run after the step under way; the last checkpoint is saved. */
  readonly signal?: AbortSignal;
}

/** What a checkpoint keeps of a run's course. */
export interface RunState extends TrainerState {
  readonly bestLoss: number | null;
  /** CIDEr-D of the best checkpoint, where the recipe has rewards. */
  readonly bestReward: number | null;
  readonly schedule: ScheduleState;
}

/** Where an interrupted run stood. */
export interface ResumePoint {
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly state: RunState;
}

export interface TrainingResult {
  readonly step: number;
  readonly steps: number;
  /** Whether it was stopped from outside, and can be continued. */
  readonly stopped: boolean;
  /** Whether it ended before its last step because nothing got better any more. */
  readonly early: boolean;
  readonly seconds: number;
  /** Commands that one training step submits. */
  readonly dispatches: number;
}

/**
 * Trains a captioner, from the start or from where another run stopped.
 *
 * Each step is recorded once and replayed; at most two are under way. A resumed run continues with the same batches,
 * learning rates and optimiser state, so that on one adapter it ends with the same bits as one that never stopped. Where
 * the vision network is never trained and pictures are not changed at random, each is looked at once. Where the recipe has rewards,
 * they are learned from after the captions; captions that stop getting better make place for them at once.
 * @param openFeatures Where what a frozen vision network sees is kept; called where there is one.
 * @throws InputError if the recipe cannot be followed. @throws SightlineError if the loss stops being a number.
 */
export async function trainCaptioner(captioner: Captioner, source: PictureSource, recipe: Recipe, openFeatures: () => Promise<FeatureStore>, hooks: TrainingHooks = {}, resume?: ResumePoint): Promise<TrainingResult> {
  const { device, model, codec, preprocessing, config } = captioner;
  const { epochs, batchSize, accumulate, precision, muonRate, learningRate, reward } = recipe.training;
  if (precision === "f16" && muonRate > 0) throw new InputError("training.precision f16 needs training.muonRate 0: Muon does not skip steps that overflow", "set one of them");

  if (reward !== null && learningRate === 0) throw new InputError("training.reward needs training.learningRate above 0, against which its own is measured; got 0");
  for (const part of ["train", "validation"] as const) {
    if (source[part].length === 0) throw new InputError(`trainCaptioner: source.${part} must hold a picture; got none`, "one set may serve for both");
  }
  model.checkpointBlocks(recipe.training.checkpointing);

  const lookedOnce = neverTrainsVision(recipe) && recipe.augment === null && model.vision !== null;
  const lookOf = async (set: PictureSet): Promise<Look> => (lookedOnce ? lookOnce(captioner, set, await openFeatures(), hooks) : lookAtPictures(set, preprocessing));
  const { trainsEnd, trainsPads, trainsFirst, firstCaption } = recipe.text;
  const options = { text: { codec, length: config.maxLength, trainsEnd, trainsPads, trainsFirst }, batchSize, firstCaptionEpochs: firstCaption * epochs, seed: recipe.seed };
  const trainLook = recipe.augment === null ? await lookOf(source.train) : lookAtPictures(source.train, preprocessing, recipe.augment, recipe.seed);
  const batches = new Batches(source.train, { ...options, look: trainLook });
  if (batches.batchSize % accumulate !== 0) throw new InputError(`training.accumulate must divide the pictures of a step, ${batches.batchSize}; got ${accumulate}`, "change it or training.batchSize");
  const captionSteps = epochs * batches.perEpoch;
  const steps = captionSteps + (reward?.epochs ?? 0) * batches.perEpoch;
  if (steps === 0) throw new InputError(`trainCaptioner: ${source.name} and ${epochs} epochs give no training step`);
  hooks.onStart?.(steps);

  const optimizer = new RunOptimizers(model, recipe);
  const scaler = precision === "f16" ? new LossScaler(device) : null;
  if (resume !== undefined) {
    optimizer.loadStateDict(withoutPrefix(resume.tensors, OPTIMIZER_PREFIX));
    scaler?.loadStateDict(withoutPrefix(resume.tensors, SCALER_PREFIX));
  }
  const schedule = new RunSchedule(recipe.training, captionSteps, batches.perEpoch, resume?.state.schedule);
  const stepOptions = { looked: lookedOnce, scaler, onCompile: hooks.onCompile };
  const captionStep = new TrainingStep(device, model, optimizer, recipe, stepOptions);
  const rewarded = reward && await makeRewarded(captioner, source, reward, recipe.seed, lookedOnce);
  const rewardStep = rewarded && new TrainingStep(device, model, optimizer, recipe, { ...stepOptions, objective: rewarded.objective });
  const held = new Batches(source.validation, { ...options, batchSize: Math.min(batchSize, VALIDATION_PICTURES), look: source.validation === source.train && recipe.augment === null ? trainLook : await lookOf(source.validation) });
  const validation = makeValidation(captioner, held, source.validation, lookedOnce, firstCaption === 1 ? "first" : "all");
  const validateEvery = Math.max(1, Math.round(steps / recipe.training.validations));

  let { bestLoss, bestReward } = resume?.state ?? { bestLoss: null, bestReward: null };
  const save = async (step: number, kind: "last" | "best"): Promise<void> => {
    if (hooks.save === undefined) return;
    const trainer: RunState = { epoch: Math.floor(step / batches.perEpoch), step, bestLoss, bestReward, schedule: schedule.state, source: source.name };
    const own = [...(await model.stateDict())];
    if (kind === "best") return hooks.save({ tensors: new Map(own), metadata: captioner.metadata({ recipe }) }, kind);
    const tensors = new Map([...own, ...withPrefix(await optimizer.stateDict(), OPTIMIZER_PREFIX), ...withPrefix((await scaler?.stateDict()) ?? new Map(), SCALER_PREFIX)]);
    await hooks.save({ tensors, metadata: captioner.metadata({ recipe, trainer, random: [captioner.random.state] }) }, kind);
  };

  const checkLoss = (what: string, loss: number, at: number): void => {
    if (Number.isFinite(loss)) return;
    throw new SightlineError(`trainCaptioner: the ${what} became ${loss} at step ${at} of ${steps}`, "lower the learning rate with --lr; the last checkpoint is intact");
  };

  const begun = performance.now();
  const first = resume?.state.step ?? 0;
  let step = first;
  let secondsPerStep = 0;
  let lastTime = begun;
  /** Waits for a step's numbers and passes them on; called one step late, so that the device never waits for the host. */
  const report = async (done: number, share: number, reward: number | null, previous: Promise<void>, loss: Promise<number>, gradientNorm: Promise<number>): Promise<void> => {
    const [, lossValue, normValue] = await Promise.all([previous, loss, gradientNorm]);
    checkLoss("loss", lossValue, done);
    const now = performance.now();
    const seconds = (now - lastTime) / 1000;
    lastTime = now;
    const counted = done - first; // the first step also compiles: it tells nothing of the next ones
    secondsPerStep = counted <= 2 ? seconds : secondsPerStep + (seconds - secondsPerStep) / Math.min(RATE_STEPS, counted - 1);
    hooks.onStep?.({
      epoch: Math.ceil(done / batches.perEpoch),
      epochs: epochs + (recipe.training.reward?.epochs ?? 0),
      step: done,
      steps,
      loss: lossValue,
      reward,
      learningRate: learningRate * share,
      gradientNorm: normValue,
      picturesPerSecond: batches.batchSize / secondsPerStep,
      secondsLeft: secondsPerStep * (steps - done),
    });
  };

  let pending = Promise.resolve();
  while (step < steps && !(hooks.signal?.aborted ?? false) && !schedule.isExhausted) {
    const { share, momentum } = step < captionSteps ? schedule.at(step) : { share: reward!.learningRate / learningRate, momentum: recipe.training.betas[0] };
    optimizer.setRate(share, momentum);
    const { seen, words, next } = await batches.at(step);
    const drawn = step < captionSteps ? null : await rewarded!.draws.of(seen, batches.indicesAt(step), step);
    const inputs: StepInputs = drawn ?? { seen, texts: [words, next] };
    const { loss, gradientNorm } = await (drawn === null ? captionStep : rewardStep!).run(inputs, step / batches.perEpoch);
    step++;
    const previous = pending;
    pending = report(step, share, drawn?.reward ?? null, previous, loss(), gradientNorm());
    pending.catch(() => undefined); // what it throws is thrown by the next await of it
    await previous;
    if (step % validateEvery === 0 || step === captionSteps || step === steps) {
      await pending;
      pending = Promise.resolve();
      const validationLoss = await validation.loss();
      checkLoss("validation loss", validationLoss, step); // a model that is beyond it has no word to say
      const samples = await validation.samples();
      const reached = step;
      const isLower = bestLoss === null || validationLoss < bestLoss;
      // The loss chooses among those that learned captions; whoever learns from rewards must say better texts than the one it chose.
      const score = rewarded !== null && (drawn !== null || isLower) ? await rewarded.validate() : null;
      const best = drawn === null ? isLower : score! > (bestReward ?? -Infinity);
      if (drawn === null && best) bestLoss = validationLoss;
      if (best) bestReward = score;
      schedule.validated(drawn === null ? validationLoss : null, best);
      if (drawn === null && reward !== null && (schedule.isExhausted || step === captionSteps)) {
        step = captionSteps;
        schedule.beginRewards();
      }
      if (best) await save(step, "best"); // before "last", which says what the best loss is
      await save(step, "last");
      hooks.onValidation?.({ epoch: Math.ceil(reached / batches.perEpoch), step: reached, loss: validationLoss, reward: drawn && score, best, samples });
      lastTime = performance.now();
    } else if (hooks.saveDue?.() ?? false) {
      await pending; // a checkpoint of a loss that is no number would be of no use
      pending = Promise.resolve();
      await save(step, "last");
      lastTime = performance.now();
    }
  }
  await pending;
  const stopped = step < steps && !schedule.isExhausted;
  if (stopped) await save(step, "last");
  const dispatches = captionStep.dispatches || (rewardStep?.dispatches ?? 0);
  captionStep.dispose();
  rewardStep?.dispose();
  rewarded?.draws.dispose();
  validation.dispose();
  optimizer.dispose();
  scaler?.dispose();
  return { step, steps, stopped, early: step < steps && !stopped, seconds: (performance.now() - begun) / 1000, dispatches };
}

/** What learning from rewards needs. */
interface Rewarded {
  readonly draws: RewardedDraws;
  readonly objective: Objective;
  /** CIDEr-D of the likeliest texts for some pictures. */
  validate(): Promise<number>;
}

async function makeRewarded(captioner: Captioner, { train, validation }: PictureSource, recipe: RewardRecipe, seed: number, looked: boolean): Promise<Rewarded> {
  const { CaptionReward, policyObjective, RewardedDraws } = await import("./reward.ts");
  const scores = new CaptionReward(train);
  return {
    draws: new RewardedDraws(captioner, train, scores, recipe, seed, looked),
    objective: policyObjective(recipe),
    validate: () => scores.ofSet(captioner, validation, Math.min(validation.length, VALIDATION_PICTURES)),
  };
}

interface Validation {
  /** Mean over some pictures. */
  loss(): Promise<number>;
  /** Captions of a few. */
  samples(): Promise<SampleCaption[]>;
  dispose(): void;
}

/** @param looked Whether batches hold what the vision network has made of the pictures. */
function makeValidation(captioner: Captioner, batches: Batches, set: PictureSet, looked: boolean, wordings: "first" | "all"): Validation {
  const { device, model, preprocessing } = captioner;
  const lossStep = recorded(device, "validation loss", (...given) => {
    const [seen, [words, next]] = [given.slice(0, -2), given.slice(-2)];
    model.eval();
    return { loss: noGrad(() => model.loss(looked ? seen : model.see(seen[0]), words, next)) };
  });
  const count = Math.min(set.length, VALIDATION_PICTURES) - (Math.min(set.length, VALIDATION_PICTURES) % batches.batchSize);
  const shown = Array.from({ length: Math.min(SAMPLES, set.length) }, (_, i) => i);
  const loss = async (): Promise<number> => {
    const losses: number[] = [];
    for (let first = 0; first < count; first += batches.batchSize) {
      const { seen, words, next } = await batches.of(Array.from({ length: batches.batchSize }, (_, i) => first + i), wordings);
      losses.push(await (await lossStep.run(...seen, words, next)).loss.item());
    }
    return losses.reduce((sum, each) => sum + each, 0) / losses.length;
  };
  const samples = async (): Promise<SampleCaption[]> => {
    const captions = await captioner.describeBatch(await pictureBatch(set, shown, preprocessing));
    return captions.map(([{ text }], i) => ({ name: set.name(i), caption: text, reference: set.captions(i)[0] }));
  };
  return { loss, samples, dispose: () => lossStep.dispose() };
}

function withPrefix(tensors: ReadonlyMap<string, HostTensor>, prefix: string): [string, HostTensor][] {
  return [...tensors].map(([name, tensor]) => [prefix + name, tensor]);
}

function withoutPrefix(tensors: ReadonlyMap<string, HostTensor>, prefix: string): Map<string, HostTensor> {
  const own = [...tensors].filter(([name]) => name.startsWith(prefix));
  return new Map(own.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}
