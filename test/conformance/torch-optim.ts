import { add, matmul, mseLoss } from "../../src/autograd/ops/index.ts";
import { recorded } from "../../src/autograd/recorded.ts";
import { tensor, type Tensor } from "../../src/autograd/tensor.ts";
import type { HostTensor } from "../../src/core/host-tensor.ts";
import type { Device } from "../../src/device/device.ts";
import { AdamW, type AdamOptions } from "../../src/train/adamw.ts";
import type { Optimizer, Settings } from "../../src/train/optimizer.ts";
import { oneCycle, Plateau, stepDecay, warmupCosine } from "../../src/train/schedule.ts";
import { SGD, type SgdOptions } from "../../src/train/sgd.ts";

/** A training of some steps as the reference files describe it: names and attributes are PyTorch's. */
export interface OptimCase {
  readonly name: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly losses: readonly number[];
  readonly lrs: readonly number[];
  /** Norms before clipping; empty where nothing is clipped. */
  readonly grad_norms: readonly number[];
}

/** The problem of all trails: mse(X·w + b, Y). */
export interface Problem {
  readonly x: Float32Array; // [rows, inputs]
  readonly y: Float32Array; // [rows, outputs]
  readonly w: Float32Array; // [inputs, outputs]
  readonly b: Float32Array; // [outputs]
  readonly sizes: readonly [rows: number, inputs: number, outputs: number];
}

/** What a training leaves behind. */
export interface Trail {
  readonly w: ArrayLike<number>;
  readonly b: ArrayLike<number>;
  readonly losses: readonly number[];
  readonly norms: readonly number[];
}

export type BuildOptimizer = (params: readonly Tensor[]) => Optimizer<Settings>;

export interface TrainOptions {
  readonly mode: "eager" | "recorded";
  readonly clipNorm?: number;
  readonly steps?: number;
  /** Sets the rates of a step. */
  readonly before?: (optimizer: Optimizer<Settings>, step: number) => void;
  /** Is told the loss of a step. */
  readonly after?: (loss: number) => void;
}

export const adam = (options: AdamOptions): BuildOptimizer => (params) => new AdamW([{ params }], options);
export const sgd = (options: SgdOptions): BuildOptimizer => (params) => new SGD([{ params }], options);

/** A tensor that an optimiser may change. */
export function parameter(device: Device, data: Float32Array, shape: readonly number[]): Tensor {
  const result = tensor(device, data, shape);
  result.requiresGrad = true;
  return result;
}

/** Trains the problem on a device, ten steps unless told otherwise. */
export async function train(device: Device, problem: Problem, build: BuildOptimizer, { mode, clipNorm, steps = 10, before, after }: TrainOptions): Promise<Trail> {
  const [rows, inputs, outputs] = problem.sizes;
  const w = parameter(device, problem.w, [inputs, outputs]);
  const b = parameter(device, problem.b, [outputs]);
  const optimizer = build([w, b]);
  const take = (x: Tensor, y: Tensor): { loss: Tensor } => {
    const loss = mseLoss(add(matmul(x, w), b), y);
    loss.backward();
    optimizer.step({ clipNorm });
    return { loss };
  };
  const step = recorded(device, "step", take);
  const losses: number[] = [];
  const norms: number[] = [];
  for (let i = 0; i < steps; i++) {
    before?.(optimizer, i);
    if (mode === "recorded") {
      const { loss } = await step.run({ shape: [rows, inputs], data: problem.x }, { shape: [rows, outputs], data: problem.y });
      losses.push(await loss.item());
    } else {
      using _scope = device.scope();
      losses.push(await take(tensor(device, problem.x, [rows, inputs]), tensor(device, problem.y, [rows, outputs])).loss.item());
    }
    after?.(losses[i]);
    if (clipNorm !== undefined) norms.push(await optimizer.gradientNorm.item());
  }
  const trail = { w: await w.read(), b: await b.read(), losses, norms };
  step.dispose();
  optimizer.dispose();
  for (const each of [w, b]) each.dispose();
  return trail;
}

/** The rates of a step; momentum is β₁ for Adam, and left alone where it is undefined. */
interface Rates {
  readonly lr: number;
  readonly momentum?: number;
}

/** How the rates change over a training. */
interface RateRule {
  readonly at: (step: number) => Rates;
  readonly observe?: (loss: number) => void;
}

/** Attributes of a trail. @throws Error for one that is missing or of another type. */
class Attributes {
  private readonly values: OptimCase["attrs"];

  constructor(values: OptimCase["attrs"]) {
    this.values = values;
  }

  has(name: string): boolean {
    return this.values[name] !== undefined && this.values[name] !== null;
  }

  number(name: string): number {
    const value = this.values[name];
    if (typeof value !== "number") throw new Error(`attribute "${name}" must be a number; got ${String(value)}`);
    return value;
  }

  /** Undefined where the trail does not say it: ours has PyTorch's defaults. */
  optional(name: string): number | undefined {
    return this.has(name) ? this.number(name) : undefined;
  }

  flag(name: string, otherwise: boolean): boolean {
    return this.has(name) ? this.values[name] === true : otherwise;
  }

  text(name: string): string | undefined {
    const value = this.values[name];
    return typeof value === "string" ? value : undefined;
  }

  betas(): [number, number] {
    const [first, second] = Array.isArray(this.values.betas) ? (this.values.betas as unknown[]) : [];
    return [Number(first ?? this.optional("beta1") ?? 0.9), Number(second ?? this.optional("beta2") ?? 0.999)];
  }

  /** @throws Error where the trail asks for what ours has not. */
  refuse(name: string, harmless: unknown): void {
    if (this.has(name) && this.values[name] !== harmless) throw new Error(`there is no "${name}" other than ${String(harmless)}; got ${String(this.values[name])}`);
  }
}

/** Only what is defined: an option that is undefined would hide the default. */
function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** The optimiser of a trail; its name says which: sgd, adam or adamw. */
function optimizerOf(name: string, attrs: Attributes): BuildOptimizer {
  attrs.refuse("amsgrad", false);
  attrs.refuse("maximize", false);
  attrs.refuse("dampening", 0);
  const [lr, weightDecay] = [attrs.optional("lr") ?? attrs.optional("max_lr"), attrs.optional("weight_decay")];
  if (name.includes("sgd")) return sgd(defined({ lr, weightDecay, momentum: attrs.optional("momentum"), nesterov: attrs.flag("nesterov", false) }));
  if (name.includes("adam")) return adam(defined({ lr, weightDecay, betas: attrs.betas(), epsilon: attrs.optional("eps"), decoupled: name.includes("adamw") }));
  throw new Error(`no optimiser for "${name}": the name must say sgd, adam or adamw`);
}

/** The schedule of a trail; its attributes say which. */
function ratesOf(attrs: Attributes): RateRule {
  if (attrs.has("max_lr")) return oneCycleOf(attrs);
  const lr = attrs.number("lr");
  const scaled = (factor: (step: number) => number): RateRule => ({ at: (step) => ({ lr: lr * factor(step) }) });
  if (attrs.has("step_size")) return scaled(stepDecay(defined({ stepSize: attrs.number("step_size"), gamma: attrs.optional("gamma") })));
  if (attrs.has("warmup")) {
    const floor = attrs.has("min_lr") ? attrs.number("min_lr") / lr : undefined;
    return scaled(warmupCosine(defined({ warmup: attrs.number("warmup"), total: attrs.number("total"), floor })));
  }
  if (attrs.has("patience") || attrs.has("factor")) {
    attrs.refuse("threshold_mode", "rel");
    const plateau = new Plateau(defined({
      mode: attrs.text("mode") === "max" ? ("max" as const) : ("min" as const),
      factor: attrs.optional("factor"),
      patience: attrs.optional("patience"),
      threshold: attrs.optional("threshold"),
      cooldown: attrs.optional("cooldown"),
      floor: attrs.has("min_lr") ? attrs.number("min_lr") / lr : undefined,
    }));
    let factor = 1;
    return { at: () => ({ lr: lr * factor }), observe: (loss) => (factor = plateau.update(loss)) };
  }
  return scaled(() => 1);
}

function oneCycleOf(attrs: Attributes): RateRule {
  attrs.refuse("three_phase", false);
  const schedule = oneCycle(defined({
    maxLr: attrs.number("max_lr"),
    totalSteps: attrs.number("total_steps"),
    pctStart: attrs.optional("pct_start"),
    divFactor: attrs.optional("div_factor"),
    finalDivFactor: attrs.optional("final_div_factor"),
    baseMomentum: attrs.optional("base_momentum"),
    maxMomentum: attrs.optional("max_momentum"),
    anneal: (attrs.text("anneal") ?? attrs.text("anneal_strategy")) === "linear" ? ("linear" as const) : ("cos" as const),
  }));
  const cycle = attrs.flag("cycle_momentum", true);
  return { at: (step) => (cycle ? schedule(step) : { lr: schedule(step).lr }) };
}

function setRates(optimizer: Optimizer<Settings>, { lr, momentum }: Rates): void {
  optimizer.lr = lr;
  if (momentum === undefined) return;
  if (optimizer instanceof AdamW) for (const group of optimizer.groups) group.betas = [momentum, group.betas[1]];
  else if (optimizer instanceof SGD) for (const group of optimizer.groups) group.momentum = momentum;
}

/**
 * Runs a trail on a device, recorded, as many steps as it has losses.
 * @param tensors By the names in the reference file without the trail's prefix: `X`, `Y`, `w0`, `b0`.
 * @returns What was found by the names `w10`, `b10`, `losses`, `lrs` and, where gradients are clipped, `norms`.
 * @throws Error if the optimiser is not supported, or a tensor or attribute is missing.
 */
export async function runOptimCase(device: Device, { name, attrs: values, losses }: OptimCase, tensors: ReadonlyMap<string, HostTensor>): Promise<ReadonlyMap<string, ArrayLike<number>>> {
  const attrs = new Attributes(values);
  const [x, y, w, b] = ["X", "Y", "w0", "b0"].map((key) => {
    const tensor = tensors.get(key);
    if (tensor === undefined) throw new Error(`the reference has no "${name}/${key}"`);
    return tensor;
  });
  const problem = { x: x.data, y: y.data, w: w.data, b: b.data, sizes: [x.shape[0], x.shape[1], y.shape[1]] } as Problem;
  const rates = ratesOf(attrs);
  const lrs: number[] = [];
  const trail = await train(device, problem, optimizerOf(name, attrs), {
    mode: "recorded",
    steps: losses.length,
    clipNorm: attrs.optional("clip_norm") ?? attrs.optional("max_norm"),
    before: (optimizer, step) => {
      const now = rates.at(step);
      setRates(optimizer, now);
      lrs.push(now.lr);
    },
    after: rates.observe,
  });
  const found = new Map<string, ArrayLike<number>>([[`w${losses.length}`, trail.w], [`b${losses.length}`, trail.b], ["losses", trail.losses], ["lrs", lrs]]);
  if (trail.norms.length > 0) found.set("norms", trail.norms);
  return found;
}

/** What the reference says of a trail, by the names of {@link runOptimCase}. */
export function expectedTrail({ losses, lrs, grad_norms: norms }: OptimCase, tensors: ReadonlyMap<string, HostTensor>): ReadonlyMap<string, ArrayLike<number>> {
  const expected = new Map<string, ArrayLike<number>>([["losses", losses], ["lrs", lrs]]);
  if (norms.length > 0) expected.set("norms", norms);
  for (const key of [`w${losses.length}`, `b${losses.length}`]) {
    const tensor = tensors.get(key);
    if (tensor !== undefined) expected.set(key, tensor.data);
  }
  return expected;
}
