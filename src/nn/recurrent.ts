import { gru } from "../autograd/ops/gru.ts";
import { lstm } from "../autograd/ops/lstm.ts";
import type { RecurrentWeights } from "../autograd/ops/recurrent.ts";
import { rnn } from "../autograd/ops/rnn.ts";
import { zeros, type Tensor } from "../autograd/tensor.ts";
import { uniform } from "./init.ts";
import type { Builder } from "./layers.ts";
import { Module, Parameter, type Init } from "./module.ts";

/** What a recurrent network carries from step to step: h [L, B, H]. */
export interface RecurrentState {
  readonly h: Tensor;
}

/** The state of an {@link LSTM}: h and c [L, B, H]. */
export interface LSTMState extends RecurrentState {
  readonly c: Tensor;
}

export interface RecurrentOptions {
  /** How many networks stand one on the other; default 1. */
  readonly layers?: number;
}

/** Size of a network: what it reads, what it keeps, and how many rows of weights a hidden unit has. */
interface RecurrentSize extends RecurrentOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly gates: number;
}

/** What LSTM, GRU and RNN have in common, so that a decoder can take any of them; batch first, names as in PyTorch. */
export abstract class Recurrent<State extends RecurrentState> extends Module {
  [name: `${"weight" | "bias"}_${"ih" | "hh"}_l${number}`]: Parameter;
  private readonly layers: number;

  constructor({ device, generator }: Builder, { inputSize, hiddenSize, gates, layers = 1 }: RecurrentSize, biasIh = (init: Init): Init => init) {
    super();
    const init = uniform(generator, 1 / Math.sqrt(hiddenSize));
    const rows = gates * hiddenSize;
    for (let layer = 0; layer < layers; layer++) {
      this[`weight_ih_l${layer}`] = new Parameter(device, [rows, layer === 0 ? inputSize : hiddenSize], init);
      this[`weight_hh_l${layer}`] = new Parameter(device, [rows, hiddenSize], init);
      this[`bias_ih_l${layer}`] = new Parameter(device, [rows], biasIh(init));
      this[`bias_hh_l${layer}`] = new Parameter(device, [rows], init);
    }
    this.layers = layers;
  }

  /** The state before the first step, where h [L, B, H] is given and nothing else is known. */
  abstract start(h: Tensor): State;

  /** x [B, T, I] and the state before it → y [B, T, H], the hidden states of the last layer, and the state after it. */
  abstract forward(x: Tensor, state: State): { y: Tensor; state: State };

  protected weights(): RecurrentWeights[] {
    return Array.from({ length: this.layers }, (_, layer) => ({
      weightIh: this[`weight_ih_l${layer}`],
      weightHh: this[`weight_hh_l${layer}`],
      biasIh: this[`bias_ih_l${layer}`],
      biasHh: this[`bias_hh_l${layer}`],
    }));
  }
}

/** A forget gate that starts open lets gradients reach the first words. Source: Jozefowicz et al. 2015. */
const rememberAtFirst = (hiddenSize: number) => (init: Init): Init => (values, shape) => {
  init(values, shape);
  values.fill(1, hiddenSize, 2 * hiddenSize);
};

/**
 * Long short-term memory. x [B, T, I] → y [B, T, H]; gates in the order i, f, g, o.
 * Source: Hochreiter and Schmidhuber 1997; the same result as torch.nn.LSTM.
 */
export class LSTM extends Recurrent<LSTMState> {
  constructor(builder: Builder, inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(builder, { inputSize, hiddenSize, gates: 4, ...options }, rememberAtFirst(hiddenSize));
  }

  /** The cells start at 0. */
  override start(h: Tensor): LSTMState {
    return { h, c: zeros(h.device, h.shape) };
  }

  override forward(x: Tensor, { h, c }: LSTMState): { y: Tensor; state: LSTMState } {
    const { y, hn, cn } = lstm(x, h, c, this.weights());
    return { y, state: { h: hn, c: cn } };
  }
}

/**
 * Gated recurrent units. x [B, T, I] → y [B, T, H]; gates in the order r, z, n.
 * Source: Cho et al. 2014, arXiv:1406.1078; the same result as torch.nn.GRU.
 */
export class GRU extends Recurrent<RecurrentState> {
  constructor(builder: Builder, inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(builder, { inputSize, hiddenSize, gates: 3, ...options });
  }

  override start(h: Tensor): RecurrentState {
    return { h };
  }

  override forward(x: Tensor, { h }: RecurrentState): { y: Tensor; state: RecurrentState } {
    const { y, hn } = gru(x, h, this.weights());
    return { y, state: { h: hn } };
  }
}

export interface RNNOptions extends RecurrentOptions {
  /** Default tanh. */
  readonly nonlinearity?: "tanh" | "relu";
}

/** A plain recurrent network. x [B, T, I] → y [B, T, H]. Source: Elman 1990; the same result as torch.nn.RNN. */
export class RNN extends Recurrent<RecurrentState> {
  private readonly nonlinearity: "tanh" | "relu";

  constructor(builder: Builder, inputSize: number, hiddenSize: number, { nonlinearity = "tanh", ...options }: RNNOptions = {}) {
    super(builder, { inputSize, hiddenSize, gates: 1, ...options });
    this.nonlinearity = nonlinearity;
  }

  override start(h: Tensor): RecurrentState {
    return { h };
  }

  override forward(x: Tensor, { h }: RecurrentState): { y: Tensor; state: RecurrentState } {
    const { y, hn } = rnn(x, h, this.weights(), this.nonlinearity);
    return { y, state: { h: hn } };
  }
}
