import type { Generator } from "../core/rng.ts";
import type { Device } from "../device/device.ts";
import type { DeviceGenerator } from "../autograd/random.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { conv2d, dropout, embedding, linear, lstm } from "../autograd/ops/index.ts";
import { defaultWeight, kaimingFanOut, normal, uniform } from "./init.ts";
import { Module, Parameter, type Init } from "./module.ts";

/** What every layer needs to make its parameters. */
export interface Builder {
  readonly device: Device;
  /** Draws initial weights: the same seed gives the same model everywhere. */
  readonly generator: Generator;
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

export interface Conv2dLayerOptions {
  readonly stride?: number;
  readonly padding?: number;
  readonly bias?: boolean;
}

/** Convolution with a square kernel. x [N, in, H, W] → [N, out, H', W']; weight [out, in, k, k]. */
export class Conv2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  private readonly stride: number;
  private readonly padding: number;

  constructor({ device, generator }: Builder, inChannels: number, outChannels: number, kernelSize: number, { stride = 1, padding = 0, bias = true }: Conv2dLayerOptions = {}) {
    super();
    this.weight = new Parameter(device, [outChannels, inChannels, kernelSize, kernelSize], kaimingFanOut(generator));
    this.bias = bias ? new Parameter(device, [outChannels], uniform(generator, 1 / Math.sqrt(inChannels * kernelSize ** 2))) : null;
    this.stride = stride;
    this.padding = padding;
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias ?? undefined, { stride: this.stride, padding: this.padding });
  }
}

/** Rows of a table: ids [...] i32 → [..., D]; weight [V, D]. */
export class Embedding extends Module {
  readonly weight: Parameter;

  constructor({ device, generator }: Builder, count: number, dimension: number) {
    super();
    this.weight = new Parameter(device, [count, dimension], normal(generator, 1));
  }

  forward(ids: Tensor): Tensor {
    return embedding(this.weight, ids);
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

/** The recurrent state of an {@link LSTM}: h and c [L, B, H]. */
export interface LSTMState {
  readonly h: Tensor;
  readonly c: Tensor;
}

/** A forget gate that starts open lets gradients reach the first words. Source: Jozefowicz et al. 2015. */
const rememberAtFirst = (init: Init, hiddenSize: number): Init => (values, shape) => {
  init(values, shape);
  values.fill(1, hiddenSize, 2 * hiddenSize);
};

/**
 * Long short-term memory, one layer, batch first. x [B, T, I] → y [B, T, H]; gates in the order i, f, g, o.
 * Source: Hochreiter and Schmidhuber 1997; the same result as torch.nn.LSTM.
 */
export class LSTM extends Module {
  readonly weight_ih_l0: Parameter;
  readonly weight_hh_l0: Parameter;
  readonly bias_ih_l0: Parameter;
  readonly bias_hh_l0: Parameter;

  constructor({ device, generator }: Builder, inputSize: number, hiddenSize: number) {
    super();
    const init = uniform(generator, 1 / Math.sqrt(hiddenSize));
    this.weight_ih_l0 = new Parameter(device, [4 * hiddenSize, inputSize], init);
    this.weight_hh_l0 = new Parameter(device, [4 * hiddenSize, hiddenSize], init);
    this.bias_ih_l0 = new Parameter(device, [4 * hiddenSize], rememberAtFirst(init, hiddenSize));
    this.bias_hh_l0 = new Parameter(device, [4 * hiddenSize], init);
  }

  forward(x: Tensor, { h, c }: LSTMState): { y: Tensor; state: LSTMState } {
    const weights = { weightIh: this.weight_ih_l0, weightHh: this.weight_hh_l0, biasIh: this.bias_ih_l0, biasHh: this.bias_hh_l0 };
    const { y, hn, cn } = lstm(x, h, c, [weights]);
    return { y, state: { h: hn, c: cn } };
  }
}
