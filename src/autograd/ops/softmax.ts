import { ShapeError } from "../../core/errors.ts";
import { normalizeAxis } from "../../core/shape.ts";
import { permute } from "../../kernels/permute.ts";
import * as kernel from "../../kernels/softmax.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

interface SoftmaxAttrs extends kernel.SoftmaxAttrs {
  /** From the front. */
  readonly axis: number;
}

const op = defineOp<SoftmaxAttrs>({
  name: "softmax",
  forward([x], { log, axis }) {
    const [y] = run(kernel.softmax, [swapWithLast(x, axis)], { log });
    return { outputs: [swapWithLast(y, axis)], saved: [y] };
  },
  backward([dy], { saved: [y], attrs: { log, axis } }) {
    return dy === null ? [] : [swapWithLast(run(kernel.softmaxBackward, [swapWithLast(dy, axis), y], { log })[0], axis)];
  },
});

/** A tensor with an axis and its last one in each other's place; itself where they are one. */
function swapWithLast(x: Tensor, axis: number): Tensor {
  const last = x.shape.length - 1;
  const permutation = [...x.shape.keys()].with(axis, last).with(last, axis);
  return axis === last ? x : run(permute, [x], { permutation })[0];
}

function along(x: Tensor, axis: number, log: boolean): Tensor {
  const what = log ? "logSoftmax" : "softmax";
  if (x.shape.length === 0) throw new ShapeError(`${what}: x must have an axis; got a scalar`);
  return op([x], { log, axis: normalizeAxis(axis, x.shape.length, what) })[0];
}

/**
 * Softmax over an axis: y = exp(x) / Σ exp(x), computed with the maximum taken off.
 *
 * x [...,C,...] → y [...,C,...]. −Inf gives 0; a row of −Inf alone, or with NaN or +Inf, is NaN throughout, as in PyTorch.
 * @throws ShapeError if x is a scalar, or the axis lies outside the rank.
 */
export function softmax(x: Tensor, axis = -1): Tensor {
  return along(x, axis, false);
}

/**
 * Logarithm of the softmax over an axis, exact where the softmax itself would be 0: y = x − log Σ exp(x).
 *
 * x [...,C,...] → y [...,C,...]. Rows without a softmax are NaN, as in {@link softmax}.
 * @throws ShapeError if x is a scalar, or the axis lies outside the rank.
 */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return along(x, axis, true);
}
