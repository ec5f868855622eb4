import type { Tensor } from "../autograd/tensor.ts";
import { add, affine, assign, linear, matmul } from "../autograd/ops/index.ts";
import { noGrad } from "../autograd/tape.ts";
import { ShapeError, SightlineError } from "../core/errors.ts";
import { constant, defaultWeight } from "./init.ts";
import { Conv1D, Linear, type Builder } from "./layers.ts";
import { Module, Parameter } from "./module.ts";
import { layersIn } from "./replace.ts";

export interface LoRAOptions {
  /** Width of the adapters; default 8. */
  readonly rank?: number;
  /** What the adapters add is multiplied by alpha / rank. Default twice the rank. */
  readonly alpha?: number;
  /** Which linear layers get one, by their names; default: those of attention (`c_attn`, `q_attn`, `qkv`). */
  readonly layers?: RegExp;
}

/** What {@link addLoRA} did. */
export interface LoRAReport {
  /** Names of the layers that have an adapter now. */
  readonly layers: readonly string[];
  /** Values that are trained: those of the adapters alone. */
  readonly trained: number;
}

const ATTENTION = /(^|\.)(c_attn|q_attn|qkv)$/;

/** One of the two factors of an adapter: y = x · weightᵀ. */
class Factor extends Module {
  readonly weight: Parameter;

  constructor(weight: Parameter) {
    super();
    this.weight = weight;
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight);
  }
}

/**
 * A linear layer with an adapter of low rank: y = base(x) + alpha / rank · lora_B(lora_A(x)). x [..., in] → y [..., out].
 *
 * The base keeps its names (`weight`, `bias`), so checkpoints of the model load as before; those of the adapter are PEFT's.
 * Source: Hu et al. 2021, "LoRA: low-rank adaptation of large language models", arXiv:2106.09685.
 */
export class LoRALinear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  /** [rank, in], random at first. */
  readonly lora_A: Factor;
  /** [out, rank], zero at first: an adapter begins by changing nothing. */
  readonly lora_B: Factor;
  /** What the adapter's part is multiplied by. */
  readonly scale: number;
  readonly #base: Linear | Conv1D; // hidden from the names: its tensors are this layer's own

  constructor({ device, generator }: Builder, base: Linear | Conv1D, rank: number, scale: number) {
    super();
    const [outputs, inputs] = base instanceof Conv1D ? base.weight.shape.toReversed() : base.weight.shape;
    this.#base = base;
    this.weight = base.weight;
    this.bias = base.bias;
    this.lora_A = new Factor(new Parameter(device, [rank, inputs], defaultWeight(generator)));
    this.lora_B = new Factor(new Parameter(device, [outputs, rank], constant(0)));
    this.scale = scale;
  }

  forward(x: Tensor): Tensor {
    return add(this.#base.forward(x), affine(this.lora_B.forward(this.lora_A.forward(x)), this.scale, 0));
  }

  /** Adds the adapter to the weight, gives its memory back, and returns the plain layer. */
  merge(): Linear | Conv1D {
    using _scope = this.weight.device.scope();
    const [a, b] = [this.lora_A.weight, this.lora_B.weight];
    noGrad(() => {
      const change = this.#base instanceof Conv1D ? matmul(a, b, { transposeA: true, transposeB: true }) : matmul(b, a);
      assign(this.weight, add(this.weight, affine(change, this.scale, 0)));
    });
    a.dispose();
    b.dispose();
    return this.#base;
  }
}

const isLinear = (module: Module): module is Linear | Conv1D => module instanceof Linear || module instanceof Conv1D;
const isAdapted = (module: Module): module is LoRALinear => module instanceof LoRALinear;

/**
 * Gives linear layers of a model adapters, in place, and freezes all else: a few hundred thousand values are trained instead of a
 * hundred million. An optimiser takes `model.parameters().filter((parameter) => parameter.requiresGrad)`.
 * @throws SightlineError if no layer is meant, or a step is being recorded. @throws ShapeError for a rank below 1.
 */
export function addLoRA(model: Module, builder: Builder, { rank = 8, alpha = 2 * rank, layers = ATTENTION }: LoRAOptions = {}): LoRAReport {
  if (!(Number.isInteger(rank) && rank >= 1)) throw new ShapeError(`addLoRA: rank must be a whole number of at least 1; got ${rank}`);
  if (builder.device.tracing !== null) throw new SightlineError("addLoRA: a model cannot be changed while a step is recorded");
  const all = layersIn(model, isLinear);
  const chosen = all.filter(({ name }) => layers.test(name));
  if (chosen.length === 0) throw new SightlineError(`addLoRA: the pattern ${layers} must fit the name of a linear layer; got none`, `there are ${all.slice(0, 8).map(({ name }) => name).join(", ")} …`);
  model.freeze();
  const adapted = chosen.map(({ layer, replace }) => {
    const replacement = new LoRALinear(builder, layer, rank, alpha / rank);
    replace(replacement);
    return replacement;
  });
  builder.device.relocations++; // recordings know nothing of the adapters
  return { layers: chosen.map(({ name }) => name), trained: adapted.reduce((sum, { lora_A, lora_B }) => sum + lora_A.weight.size + lora_B.weight.size, 0) };
}

/**
 * Adds all adapters to the weights that they belong to, and takes them out: the model computes the same, and is again what it was
 * without them. Its parameters stay frozen until `model.freeze(false)`.
 * @throws SightlineError while a step is recorded.
 */
export function mergeLoRA(model: Module): void {
  for (const { layer, replace } of layersIn(model, isAdapted)) {
    const { device } = layer.weight;
    if (device.tracing !== null) throw new SightlineError("mergeLoRA: a model cannot be changed while a step is recorded");
    replace(layer.merge());
    device.relocations++; // recordings use the adapters
  }
}

/** The adapters of a model: what has to be saved where its base is known. */
export interface Adapters {
  /** By their names in the model. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly rank: number;
  readonly alpha: number;
}

/** @throws SightlineError if the model has no adapters. */
export function adaptersOf(model: Module): Adapters {
  const adapted = layersIn(model, isAdapted);
  if (adapted.length === 0) throw new SightlineError("adaptersOf: the model must have adapters; got none", "call addLoRA first");
  const tensors = adapted.flatMap(({ name, layer }) => layer.namedTensors(`${name}.`).filter(([key]) => key.includes(".lora_")));
  const { lora_A, scale } = adapted[0].layer;
  const [rank] = lora_A.weight.shape;
  return { tensors: new Map(tensors), rank, alpha: scale * rank };
}
