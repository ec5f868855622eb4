import type { Generator } from "../core/rng.ts";
import type { Device } from "../device/device.ts";
import type { DeviceGenerator } from "../autograd/random.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { conv2d, dropout, embedding, linear, type Conv2dOptions } from "../autograd/ops/index.ts";
import { constant, defaultWeight, kaimingFanOut, normal, uniform } from "./init.ts";
import { Module, Parameter } from "./module.ts";

/** What every layer needs to make its parameters. */
export interface Builder {
  readonly device: Device;
  /** Draws initial weights: the same seed gives the same model everywhere. */
  readonly generator: Generator;
  /** Draws what dropout drops; for models that have some. */
  readonly random?: DeviceGenerator;
}

/** y = x·weightᵀ + bias. x [..., in] → y [..., out]; weight [out, in]. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor({ device, generator }: Builder, inFeatures: number, outFeatures: number, { bias = true } = {}) {
    super();
    this.weight = new Parameter(device, [outFeatures, inFeatures], defaultWeight(generator));
    this.bias = bias ? new Parameter(device, [outFeatures], uniform(generator, 1 / Math.sqrt(inFeatures))) : null;
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias ?? undefined);
  }
}

/** {@link Linear} as GPT-2 has it, with the weight the other way round. x [..., in] → y [..., out]; weight [in, out]. */
export class Conv1D extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor({ device, generator }: Builder, inFeatures: number, outFeatures: number, { deviation = 0.02 } = {}) {
    super();
    this.weight = new Parameter(device, [inFeatures, outFeatures], normal(generator, deviation));
    this.bias = new Parameter(device, [outFeatures], constant(0));
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias, { inputFirst: true });
  }
}

export interface Conv2dLayerOptions {
  readonly stride?: number;
  readonly padding?: number;
  readonly dilation?: number;
  /** Inputs and outputs are cut into that many groups, each with weights of its own. */
  readonly groups?: number;
  readonly bias?: boolean;
}

/** Convolution with a square kernel. x [N, in, H, W] → [N, out, H', W']; weight [out, in / groups, k, k]. */
export class Conv2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  private readonly options: Conv2dOptions;

  constructor({ device, generator }: Builder, inChannels: number, outChannels: number, kernelSize: number, { bias = true, ...options }: Conv2dLayerOptions = {}) {
    super();
    const inputs = inChannels / (options.groups ?? 1);
    this.weight = new Parameter(device, [outChannels, inputs, kernelSize, kernelSize], kaimingFanOut(generator));
    this.bias = bias ? new Parameter(device, [outChannels], uniform(generator, 1 / Math.sqrt(inputs * kernelSize ** 2))) : null;
    this.options = options;
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias ?? undefined, this.options);
  }
}

/** Rows of a table: ids [...] i32 → [..., D]; weight [V, D]. */
export class Embedding extends Module {
  readonly weight: Parameter;

  constructor({ device, generator }: Builder, count: number, dimension: number, { deviation = 1 } = {}) {
    super();
    this.weight = new Parameter(device, [count, dimension], normal(generator, deviation));
  }

  forward(ids: Tensor): Tensor {
    return embedding(this.weight, ids);
  }

  /** Logits of the words with the same weight, for models that tie the two: x [..., D] → [..., V]. */
  project(x: Tensor): Tensor {
    return linear(x, this.weight);
  }
}

/** Sets a share p of the values to zero in training and scales the others by 1/(1 − p). Any shape. */
export class Dropout extends Module {
  private readonly p: number;
  private readonly random: DeviceGenerator;

  constructor(random: DeviceGenerator, p: number) {
    super();
    this.p = p;
    this.random = random;
  }

  forward(x: Tensor): Tensor {
    return this.training && this.p > 0 ? dropout(x, this.p, this.random) : x;
  }
}
