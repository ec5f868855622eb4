import * as kernel from "../../kernels/pool2d.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const op = defineOp<kernel.AvgPool2dAttrs>({
  name: "avgPool2d",
  forward(inputs, attrs) {
    return { outputs: run(kernel.avgPool2d, inputs, attrs) };
  },
  backward([dy], { inputs: [x], attrs }) {
    return dy === null ? [] : run(kernel.avgPool2dBackward, [dy], { ...attrs, inputShape: x.shape });
  },
});

/**
 * Mean of each window; the padding counts as zeros unless `countIncludePad` is false.
 *
 * x [N, C, H, W] → [N, C, OH, OW], OH = floor((H + 2 padding - kernel) / stride) + 1 (ceil with `ceilMode`). The stride is
 * the kernel's size where left out.
 * @throws ShapeError if x has not four axes, the padding is over half the kernel, or the output would be empty.
 * Source: the same result as torch.nn.functional.avg_pool2d.
 */
export function avgPool2d(x: Tensor, options: kernel.AvgPool2dAttrs): Tensor {
  return op([x], options)[0];
}
