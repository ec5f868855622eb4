import { autocast } from "../autograd/autocast.ts";
import { affine } from "../autograd/ops/index.ts";
import { recorded, type RecordedStep } from "../autograd/recorded.ts";
import { noGrad } from "../autograd/tape.ts";
import type { Tensor } from "../autograd/tensor.ts";
import type { HostInput } from "../core/host-tensor.ts";
import type { Device } from "../device/device.ts";
import type { CompileProgress } from "../device/pipelines.ts";
import type { Recording } from "../device/recording.ts";
import type { Batch } from "../train/batches.ts";
import type { LossScaler } from "../train/loss-scaler.ts";
import type { CaptionModel } from "./caption-model.ts";
import type { RunOptimizers } from "./optimizers.ts";
import type { Recipe } from "./recipe.ts";
import { partOf } from "./systems.ts";

/** Parts that belong to the vision network. */
const VISION = ["encoder", "encoder-top"];

/** Whether a recipe never trains the vision network. */
export function neverTrainsVision({ training: { rates, batchNorm } }: Pick<Recipe, "training">): boolean {
  return batchNorm === "frozen" && VISION.every((part) => rates[part] === 0);
}

export interface StepNumbers {
  readonly loss: Promise<number>;
  readonly gradientNorm: Promise<number>;
}

/** The steps of a run: which part of the model is trained, in how many pieces, in what precision. */
export class TrainingStep {
  private readonly device: Device;
  private readonly model: CaptionModel;
  private readonly optimizer: RunOptimizers;
  private readonly recipe: Pick<Recipe, "system" | "training">;
  private readonly scaler: LossScaler | null;
  private readonly looked: boolean;
  private readonly onCompile: CompileProgress | undefined;
  private whole: RecordedStep<{ loss: Tensor; gradientNorm: Tensor }> | null = null;
  private piece: RecordedStep<{ loss: Tensor }> | null = null;
  private apply: RecordedStep<{ gradientNorm: Tensor }> | null = null;
  private stage = -1;

  /**
   * @param looked Whether batches hold what the vision network has made of the pictures, instead of pictures.
   * @param scaler For f16.
   */
  constructor(device: Device, model: CaptionModel, optimizer: RunOptimizers, recipe: Pick<Recipe, "system" | "training">, looked = false, scaler: LossScaler | null = null, onCompile?: CompileProgress) {
    this.device = device;
    this.model = model;
    this.optimizer = optimizer;
    this.recipe = recipe;
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
  async run({ seen, words, next }: Batch, epoch: number): Promise<StepNumbers> {
    this.enterStage(epoch);
    const { accumulate } = this.recipe.training;
    const inputs = [...seen, words, next];
    if (accumulate === 1) {
      this.whole ??= recorded(this.device, "training step", (...given) => this.update(given), { onCompile: this.onCompile });
      const { loss, gradientNorm } = await this.whole.run(...inputs);
      return { loss: loss.item(), gradientNorm: gradientNorm.item() };
    }
    this.piece ??= recorded(this.device, "part of a training step", (...given) => this.accumulate(given), { onCompile: this.onCompile });
    this.apply ??= recorded(this.device, "update", () => this.applyGradients());
    const losses: Promise<number>[] = [];
    for (let part = 0; part < accumulate; part++) losses.push((await this.piece.run(...inputs.map((input) => rowsOf(input, part, accumulate)))).loss.item());
    const { gradientNorm } = await this.apply.run();
    return { loss: Promise.all(losses).then((each) => each.reduce((sum, loss) => sum + loss, 0) / accumulate), gradientNorm: gradientNorm.item() };
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
    for (const [name, parameter] of this.model.namedParameters()) {
      const part = partOf(this.recipe.system, name);
      parameter.requiresGrad = (rates[part] ?? 1) > 0 && (stages[stage]?.parts.includes(part) ?? true);
    }
  }

  private update(given: readonly Tensor[]): { loss: Tensor; gradientNorm: Tensor } {
    const loss = this.loss(given);
    (this.scaler?.scale(loss) ?? loss).backward();
    return { loss, ...this.applyGradients() };
  }

  private accumulate(given: readonly Tensor[]): { loss: Tensor } {
    const loss = this.loss(given);
    const share = affine(loss, 1 / this.recipe.training.accumulate, 0);
    (this.scaler?.scale(share) ?? share).backward();
    this.optimizer.accumulate();
    return { loss };
  }

  private applyGradients(): { gradientNorm: Tensor } {
    this.optimizer.step({ clipNorm: this.recipe.training.clipNorm ?? Infinity, ...(this.scaler && { scaler: this.scaler }) });
    this.scaler?.update();
    return { gradientNorm: this.optimizer.gradientNorm };
  }

  private loss(given: readonly Tensor[]): Tensor {
    const { model } = this;
    const { batchNorm, precision } = this.recipe.training;
    const [seen, [words, next]] = [given.slice(0, -2), given.slice(-2)];
    model.train();
    if (batchNorm === "frozen") model.vision?.eval();
    const look = (): readonly Tensor[] => (this.looked ? seen : this.trainsVision() ? model.see(seen[0]) : noGrad(() => model.see(seen[0])));
    const loss = (): Tensor => model.loss(look(), words, next);
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
