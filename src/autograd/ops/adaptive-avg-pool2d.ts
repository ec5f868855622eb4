import type { Pair } from "../../kernels/conv2d.ts";
import * as kernel from "../../kernels/pool2d.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const op = defineOp<kernel.AdaptivePoolAttrs>({
  name: "adaptiveAvgPool2d",
  forward(inputs, attrs) {
    return { outputs: run(kernel.adaptiveAvgPool2d, inputs, attrs) };
  },
  backward([dy], { inputs: [x], attrs }) {
    return dy === null ? [] : run(kernel.adaptiveAvgPool2dBackward, [dy], { ...attrs, inputShape: x.shape });
  },
});

/**
 * Mean of windows that divide the input into a given number of rows and columns; 1 is the global mean.
 *
 * x [N, C, H, W] → [N, C, OH, OW].
 * @throws ShapeError if x has not four axes or an output size is below 1.
 * Source: the same result as torch.nn.functional.adaptive_avg_pool2d.
 */
export function adaptiveAvgPool2d(x: Tensor, output: Pair): Tensor {
  return op([x], { output })[0];
}
