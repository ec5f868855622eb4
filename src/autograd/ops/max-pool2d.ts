import * as kernel from "../../kernels/pool2d.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const op = defineOp<kernel.MaxPool2dAttrs>({
  name: "maxPool2d",
  forward(inputs, attrs) {
    const [y, indices] = run(kernel.maxPool2d, inputs, attrs);
    return { outputs: [y], saved: [indices] };
  },
  backward([dy], { inputs: [x], saved: [indices], attrs }) {
    return dy === null ? [] : run(kernel.maxPool2dBackward, [dy, indices], { ...attrs, inputShape: x.shape });
  },
});

/**
 * Largest element of each window; of equal ones the first gets the gradient, and a NaN wins.
 *
 * x [N, C, H, W] → [N, C, OH, OW], OH = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1 (ceil with
 * `ceilMode`). The stride is the kernel's size where left out; the padding is never chosen.
 * @throws ShapeError if x has not four axes, the padding is over half the kernel, or the output would be empty.
 * Source: the same result as torch.nn.functional.max_pool2d.
 */
export function maxPool2d(x: Tensor, options: kernel.MaxPool2dAttrs): Tensor {
  return op([x], options)[0];
}
