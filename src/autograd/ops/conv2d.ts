import * as kernel from "../../kernels/conv2d.ts";
import { sumParts } from "../../kernels/matmul.ts";
import { likeOutput, lowered } from "../autocast.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { sumTo } from "./reduce.ts";

/** Stride and dilation 1, padding 0, groups 1 where left out; one number, or one each for height and width. */
export type Conv2dOptions = Pick<kernel.Conv2dAttrs, "stride" | "padding" | "dilation" | "groups">;

const op = defineOp<Conv2dOptions>({
  name: "conv2d",
  forward(inputs, attrs) {
    return { outputs: run(kernel.conv2d, inputs, attrs) };
  },
  backward([dOut], { inputs: [x, weight, bias], outputs: [out], attrs, needs }) {
    const dy = likeOutput(dOut!, out);
    return [
      needs[0] ? run(kernel.conv2dInputGradient, [dy, weight], { ...attrs, inputShape: x.shape })[0] : null,
      needs[1] ? convWeightGradient(dy, x, weight, attrs) : null,
      needs[2] ? sumTo(dy, [bias.size, 1, 1]).view(bias.shape) : null,
    ];
  },
});

/**
 * 2-D convolution (cross-correlation).
 *
 * x [N, C, H, W], weight [O, C/groups, KH, KW], bias [O] (optional) → [N, O, OH, OW],
 * OH = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1.
 * @throws ShapeError if ranks, channels, groups or bias don't fit, or the output would be empty.
 * Source: the same result as torch.nn.functional.conv2d.
 */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor, options: Conv2dOptions = {}): Tensor {
  return op([...lowered(x, weight), ...(bias === undefined ? [] : [bias])], options)[0];
}

/** The gradient of a convolution by its weight, without tape. */
export function convWeightGradient(dy: Tensor, x: Tensor, weight: Tensor, options: Conv2dOptions): Tensor {
  const attrs = { ...options, weightShape: weight.shape };
  const splits = kernel.weightGradientSplits(x, attrs, x.device.limits);
  const [parts] = run(kernel.conv2dWeightGradient, [dy, x], { ...attrs, splits });
  return splits === 1 ? parts : run(sumParts, [parts], { dtype: "f32" })[0];
}
