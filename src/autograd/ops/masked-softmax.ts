import * as kernel from "../../kernels/softmax.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const op = defineOp<Record<never, never>>({
  name: "maskedSoftmax",
  forward(inputs) {
    return { outputs: run(kernel.maskedSoftmax, inputs, {}) };
  },
  backward([dy], { outputs: [y] }) {
    return [...run(kernel.softmaxBackward, [dy!, y], { log: false }), null]; // what is masked has y = 0, and so no gradient
  },
});

/**
 * Softmax over those elements of the last axis where a mask is not 0.
 *
 * x [...,C], mask [...,C] of any type → y [...,C]. The mask has x's last axis and as many of its first ones as it differs
 * along: for scores [B,Q,K] it is [K], [B,K] or [B,Q,K]. What is masked is 0, and so is a row that is masked as a whole.
 * @throws ShapeError if x is a scalar, or the mask's axes are others.
 */
export function maskedSoftmax(x: Tensor, mask: Tensor): Tensor {
  return op([x, mask], {})[0];
}
