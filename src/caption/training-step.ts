import { autocast } from "../autograd/autocast.ts";
import { mul } from "../autograd/ops/index.ts";
import { recorded, type RecordedStep } from "../autograd/recorded.ts";
import { noGrad } from "../autograd/tape.ts";
import type { Tensor } from "../autograd/tensor.ts";
import type { HostInput } from "../core/host-tensor.ts";
import type { Device } from "../device/device.ts";
import type { CompileProgress } from "../device/pipelines.ts";
import type { Recording } from "../device/recording.ts";
import type { LossScaler } from "../train/loss-scaler.ts";
import type { CaptionModel } from "./caption-model.ts";
import type { RunOptimizers } from "./optimizers.ts";
import type { Recipe } from "./recipe.ts";
import { IGNORED } from "../models/gpt2.ts";
import { partOf } from "./systems.ts";

/** Parts that belong to the vision network. */
const VISION = ["encoder", "encoder-top"];

/** Whether a recipe never trains the vision network. */
export function neverTrainsVision({ training: { rates, batchNorm } }: Pick<Recipe, "training">): boolean {
  return batchNorm === "frozen" && VISION.every((part) => rates[part] === 0);
}

/** What a step makes smaller: a mean over the rows of a batch. */
export interface Objective {
  /** From what is seen and the batch's other tensors → []. */
  loss(model: CaptionModel, seen: readonly Tensor[], texts: readonly Tensor[]): Tensor;
  /** How much some rows of a batch count for in its mean. */
  weight(texts: readonly HostInput[]): number;
}

/** The mean cross-entropy of the words that are asked for; of words and next words i32 [B, T]. */
export const CROSS_ENTROPY: Objective = {
  loss: (model, seen, [words, next]) => model.loss(seen, words, next),
  weight: ([, { data }]) => (data as Int32Array).reduce((count, word) => count + (word === IGNORED ? 0 : 1), 0),
};

/** One step's inputs: what is seen, and what its objective takes; the rows of each are the first axis. */
export interface StepInputs {
  readonly seen: readonly HostInput[];
  readonly texts: readonly HostInput[];
}

/** The numbers of a step: ask for them before the next one, which overwrites them. They come when the device is through. */
export interface StepNumbers {
  loss(): Promise<number>;
  gradientNorm(): Promise<number>;
}

export interface StepOptions {
  /** Default: {@link CROSS_ENTROPY}. */
  readonly objective?: Objective;
  /** Whether batches hold what the vision network has made of the pictures, instead of pictures. */
  readonly looked?: boolean;
  /** For f16. */
  readonly scaler?: LossScaler | null;
  readonly onCompile?: CompileProgress;
}

/** The steps of a run: which part of the model is trained, in how many pieces, in what precision. */
export class TrainingStep {
  private readonly device: Device;
  private readonly model: CaptionModel;
  private readonly optimizer: RunOptimizers;
  private readonly recipe: Pick<Recipe, "system" | "training">;
  private readonly objective: Objective;
  private readonly scaler: LossScaler | null;
  private readonly looked: boolean;
  private readonly onCompile: CompileProgress | undefined;
  private whole: RecordedStep<{ loss: Tensor; gradientNorm: Tensor }> | null = null;
  private piece: RecordedStep<{ loss: Tensor }> | null = null;
  private apply: RecordedStep<{ gradientNorm: Tensor }> | null = null;
  private stage = -1;

  constructor(device: Device, model: CaptionModel, optimizer: RunOptimizers, recipe: Pick<Recipe, "system" | "training">, { objective = CROSS_ENTROPY, looked = false, scaler = null, onCompile }: StepOptions = {}) {
    this.device = device;
    this.model = model;
    this.optimizer = optimizer;
    this.recipe = recipe;
    this.objective = objective;
    this.looked = looked;
    this.scaler = scaler;
    this.onCompile = onCompile;
  }

  /** The commands of a step that is computed in one; null before the first. */
  get recording(): Recording | null {
    return this.whole?.recording ?? null;
  }

  /** GPU commands of a step. */
  get dispatches(): number {
    const { accumulate } = this.recipe.training;
    return (this.recording?.dispatches ?? 0) + accumulate * (this.piece?.recording?.dispatches ?? 0) + (this.apply?.recording?.dispatches ?? 0);
  }

  /** Trains on a batch; the numbers come when the device is through. */
  async run({ seen, texts }: StepInputs, epoch: number): Promise<StepNumbers> {
    this.enterStage(epoch);
    const { accumulate } = this.recipe.training;
    const inputs = [...seen, ...texts];
    if (accumulate === 1) {
      this.whole ??= recorded(this.device, "training step", (...given) => this.update(given, seen.length), { onCompile: this.onCompile });
      const { loss, gradientNorm } = await this.whole.run(...inputs);
      return { loss: () => loss.item(), gradientNorm: () => gradientNorm.item() };
    }
    this.piece ??= recorded(this.device, "part of a training step", (share, ...given) => this.accumulate(share, given, seen.length), { onCompile: this.onCompile });
    this.apply ??= recorded(this.device, "update", () => this.applyGradients());
    const whole = this.objective.weight(texts);
    const losses: Promise<number>[] = [];
    for (let i = 0; i < accumulate; i++) {
      const rows = inputs.map((input) => rowsOf(input, i, accumulate));
      const share = this.objective.weight(rows.slice(seen.length)) / whole; // the mean over the batch is none of the parts' means: some have fewer words
      const { loss } = await this.piece.run({ shape: [], data: Float32Array.of(share) }, ...rows);
      const part = loss.item().then((value) => (share === 0 ? 0 : share * value));
      part.catch(() => undefined); // what it throws is thrown where the sum is asked for
      losses.push(part);
    }
    const { gradientNorm } = await this.apply.run();
    return { loss: async () => (await Promise.all(losses)).reduce((sum, loss) => sum + loss, 0), gradientNorm: () => gradientNorm.item() };
  }

  dispose(): void {
    for (const step of [this.whole, this.piece, this.apply]) step?.dispose();
    [this.whole, this.piece, this.apply] = [null, null, null];
  }

  /** Freezes and thaws parts where a new stage begins; it is recorded anew. */
  private enterStage(epoch: number): void {
    const { stages, rates } = this.recipe.training;
    let end = 0;
    const found = stages.findIndex(({ epochs }) => epoch < (end += epochs));
    const stage = found < 0 ? stages.length : found;
    if (stage === this.stage) return;
    this.stage = stage;
    this.dispose();
    this.optimizer.zeroGrad();
    for (const [name, parameter] of this.model.namedParameters()) {
      const part = partOf(this.recipe.system, name);
      parameter.requiresGrad = (rates[part] ?? 1) > 0 && (stages[stage]?.parts.includes(part) ?? true);
    }
  }

  private update(given: readonly Tensor[], seen: number): { loss: Tensor; gradientNorm: Tensor } {
    const loss = this.loss(given, seen);
    (this.scaler?.scale(loss) ?? loss).backward();
    return { loss, ...this.applyGradients() };
  }

  private accumulate(share: Tensor, given: readonly Tensor[], seen: number): { loss: Tensor } {
    const loss = this.loss(given, seen);
    const part = mul(loss, share);
    (this.scaler?.scale(part) ?? part).backward();
    this.optimizer.accumulate();
    return { loss };
  }

  private applyGradients(): { gradientNorm: Tensor } {
    this.optimizer.step({ clipNorm: this.recipe.training.clipNorm ?? Infinity, ...(this.scaler && { scaler: this.scaler }) });
    this.scaler?.update();
    return { gradientNorm: this.optimizer.gradientNorm };
  }

  /** @param seen How many of the inputs are what is seen. */
  private loss(given: readonly Tensor[], seen: number): Tensor {
    const { model } = this;
    const { batchNorm, precision } = this.recipe.training;
    const [inputs, texts] = [given.slice(0, seen), given.slice(seen)];
    model.train();
    if (batchNorm === "frozen") model.vision?.eval();
    const look = (): readonly Tensor[] => (this.looked ? inputs : this.trainsVision() ? model.see(inputs[0]) : noGrad(() => model.see(inputs[0])));
    const loss = (): Tensor => this.objective.loss(model, look(), texts);
    return precision === "f16" ? autocast(loss) : loss();
  }

  private trainsVision(): boolean {
    return this.model.namedParameters().some(([name, { requiresGrad }]) => requiresGrad && VISION.includes(partOf(this.recipe.system, name)));
  }
}

/** One of several equal parts of a batch. */
function rowsOf({ shape: [rows, ...rest], data }: HostInput, part: number, parts: number): HostInput {
  const size = data.length / parts;
  return { shape: [rows / parts, ...rest], data: data.slice(part * size, (part + 1) * size) };
}
