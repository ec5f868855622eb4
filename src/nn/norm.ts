import type { Tensor } from "../autograd/tensor.ts";
import { batchNorm, layerNorm } from "../autograd/ops/index.ts";
import { ShapeError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import { constant } from "./init.ts";
import type { Builder } from "./layers.ts";
import { Module, Parameter, StateTensor } from "./module.ts";

/** What a batch norm does after normalising, in the same pass over memory. */
export interface NormEpilogue {
  readonly activation?: "relu";
  /** Added before the activation; the shape of x. */
  readonly residual?: Tensor;
}

/**
 * Batch normalisation over all axes but 1. x [N, C, ...] → the same shape.
 * In evaluation mode, and where it is {@link frozen}, it uses the running statistics. Source: Ioffe and Szegedy 2015,
 * arXiv:1502.03167.
 */
abstract class BatchNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly running_mean: StateTensor;
  readonly running_var: StateTensor;
  /** Whether the running statistics are used, and stay as they are, in training too; see {@link freezeBatchNorm}. */
  frozen = false;
  private readonly eps: number;
  private readonly momentum: number;

  /** Ranks that x may have. */
  protected abstract readonly ranks: readonly number[];

  constructor({ device }: Builder, channels: number, { eps = 1e-5, momentum = 0.1 } = {}) {
    super();
    this.weight = new Parameter(device, [channels], constant(1));
    this.bias = new Parameter(device, [channels], constant(0));
    this.running_mean = new StateTensor(device, [channels], constant(0));
    this.running_var = new StateTensor(device, [channels], constant(1));
    this.eps = eps;
    this.momentum = momentum;
  }

  forward(x: Tensor, epilogue: NormEpilogue = {}): Tensor {
    if (!this.ranks.includes(x.shape.length)) {
      throw new ShapeError(`BatchNorm: x must have ${this.ranks.join(" or ")} axes; got ${showShape(x.shape)}`);
    }
    const { eps, momentum } = this;
    const training = this.training && !this.frozen;
    return batchNorm(x, this.weight, this.bias, this.running_mean, this.running_var, { training, eps, momentum, ...epilogue });
  }
}

/** {@link BatchNorm} of vectors: x [N, C] or [N, C, L]. */
export class BatchNorm1d extends BatchNorm {
  protected readonly ranks = [2, 3];
}

/** {@link BatchNorm} of pictures: x [N, C, H, W]. */
export class BatchNorm2d extends BatchNorm {
  protected readonly ranks = [4];
}

/**
 * Freezes (or thaws) every batch norm of a module: statistics, weight and bias stay as a checkpoint left them. Usual
 * where a pretrained encoder is fine-tuned on small batches, whose own statistics are poor.
 */
export function freezeBatchNorm(module: Module, frozen = true): void {
  for (const part of module.modules()) {
    if (!(part instanceof BatchNorm)) continue;
    part.frozen = frozen;
    part.freeze(frozen);
  }
}

/** Layer normalisation over the last axis. x [..., C] → the same shape. Source: Ba et al. 2016, arXiv:1607.06450. */
export class LayerNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  private readonly eps: number;

  constructor({ device }: Builder, channels: number, { eps = 1e-5 } = {}) {
    super();
    this.weight = new Parameter(device, [channels], constant(1));
    this.bias = new Parameter(device, [channels], constant(0));
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, this.eps);
  }
}
