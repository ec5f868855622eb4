import * as kernel from "../../kernels/softmax.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const op = defineOp<kernel.SoftmaxAttrs>({
  name: "softmax",
  forward(inputs, attrs) {
    return { outputs: run(kernel.softmax, inputs, attrs) };
  },
  backward([dy], { outputs: [y], attrs }) {
    return dy === null ? [] : run(kernel.softmaxBackward, [dy, y], attrs);
  },
});

/**
 * Softmax over the last axis: y = exp(x) / Σ exp(x), computed with the maximum taken off.
 *
 * x [...,C] → y [...,C]. −Inf gives 0; a row of −Inf alone, or with NaN or +Inf, is NaN throughout, as in PyTorch.
 * @throws ShapeError if x is a scalar.
 */
export function softmax(x: Tensor): Tensor {
  return op([x], { log: false })[0];
}

/**
 * Logarithm of the softmax over the last axis, exact where the softmax itself would be 0: y = x − log Σ exp(x).
 *
 * x [...,C] → y [...,C]. Rows without a softmax are NaN, as in {@link softmax}.
 * @throws ShapeError if x is a scalar.
 */
export function logSoftmax(x: Tensor): Tensor {
  return op([x], { log: true })[0];
}
