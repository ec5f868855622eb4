import * as kernel from "../../kernels/batch-norm.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

export interface BatchNormOptions {
  /** Whether to use, and keep running averages of, the statistics of this batch; otherwise the running ones are used. */
  readonly training: boolean;
  /** How far the running statistics move towards the batch's. Default 0.1. */
  readonly momentum?: number;
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
  /** Applied to the result in the same pass over memory. Default none. */
  readonly activation?: "none" | "relu";
  /** Added before the activation in the same pass over memory. */
  readonly residual?: Tensor;
}

interface BatchNormAttrs extends kernel.BatchNormFusion, kernel.BatchNormTraining {
  readonly training: boolean;
}

const op = defineOp<BatchNormAttrs>({
  name: "batchNorm",
  forward([x, weight, bias, runningMean, runningVar, ...residual], attrs) {
    kernel.checkBatchNorm(x, [weight, bias, runningMean, runningVar], attrs.training);
    const affine = [weight, bias, runningMean, runningVar];
    const [channels] = attrs.training ? run(kernel.batchNormBatch, [...run(kernel.batchNormMoments, [x], {}), x, ...affine], attrs) : run(kernel.batchNormFixed, affine, attrs);
    return { outputs: run(kernel.batchNormApply, [x, channels, ...residual], attrs), saved: [channels] };
  },
  backward([dy], { inputs: [x, weight, , , , residual], outputs: [y], saved: [channels], attrs, needs }) {
    if (dy === null) return [];
    const mask = attrs.activation !== "none" && attrs.residual ? [y] : [];
    const [sums] = run(kernel.batchNormBackwardSums, [dy, x, channels, ...mask], attrs);
    const [dweight, dbias, slopes] = run(kernel.batchNormBackwardChannels, [sums, channels], { training: attrs.training, population: x.size / weight.size });
    const wanted = needs[0] || needs[5];
    const [dx, dresidual] = wanted ? run(kernel.batchNormBackwardApply, [dy, x, channels, slopes, ...mask], attrs) : [null, null];
    return [dx, dweight, dbias, null, null, ...(residual === undefined ? [] : [dresidual ?? dy])];
  },
});

/**
 * Batch normalisation: y = activation((x − mean) / √(variance + eps) · weight + bias + residual), over all axes but 1.
 *
 * x [N,C,...], weight, bias, runningMean, runningVar [C] → y [N,C,...].
 * In training mean and (biased) variance are those of the batch, and the running statistics change in place, the
 * variance with the unbiased estimate; in evaluation the running statistics are used. The gradient of a ReLU at 0 is 0.
 * @throws ShapeError if a shape does not fit, or if training has one value per channel.
 * Source: Ioffe and Szegedy 2015, arXiv:1502.03167; the same result as torch.nn.functional.batch_norm.
 */
export function batchNorm(x: Tensor, weight: Tensor, bias: Tensor, runningMean: Tensor, runningVar: Tensor, options: BatchNormOptions): Tensor {
  const { training, momentum = 0.1, eps = 1e-5, activation = "none", residual } = options;
  const inputs = [x, weight, bias, runningMean, runningVar, ...(residual === undefined ? [] : [residual])];
  return op(inputs, { training, momentum, eps, activation, residual: residual !== undefined })[0];
}
