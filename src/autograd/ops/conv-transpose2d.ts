import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import * as kernel from "../../kernels/conv2d.ts";
import { likeOutput, lowered } from "../autocast.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./binary.ts";
import { convWeightGradient, type Conv2dOptions } from "./conv2d.ts";
import { reshape } from "./reshape.ts";

export interface ConvTranspose2dOptions extends Conv2dOptions {
  /** Rows and columns added at the end, to tell apart outputs that give one input. Default 0. */
  readonly outputPadding?: kernel.Pair;
}

interface Attrs extends Conv2dOptions {
  readonly inputShape: readonly number[];
}

const op = defineOp<Attrs>({
  name: "convTranspose2d",
  forward(inputs, attrs) {
    return { outputs: run(kernel.conv2dInputGradient, inputs, attrs) };
  },
  backward([dOut], { inputs: [x, weight], outputs: [out], attrs, needs }) {
    const dy = likeOutput(dOut!, out);
    return [needs[0] ? run(kernel.conv2d, [dy, weight], attrs)[0] : null, needs[1] ? convWeightGradient(x, dy, weight, attrs) : null];
  },
});

/**
 * Transposed 2-D convolution: the gradient of {@link conv2d} by its input, as a function of its own.
 *
 * x [N, I, H, W], weight [I, O/groups, KH, KW], bias [O] (optional) → [N, O, OH, OW],
 * OH = (H - 1) stride - 2 padding + dilation (KH - 1) + outputPadding + 1.
 * @throws ShapeError if ranks, channels, groups or bias don't fit, or the output padding reaches the stride.
 * Source: the same result as torch.nn.functional.conv_transpose2d.
 */
export function convTranspose2d(x: Tensor, weight: Tensor, bias?: Tensor, { outputPadding = 0, ...options }: ConvTranspose2dOptions = {}): Tensor {
  if (x.shape.length !== 4 || weight.shape.length !== 4) {
    throw new ShapeError(`convTranspose2d: input and weight must be [N,I,H,W] and [I,O/groups,KH,KW]; got ${showShape(x.shape)} and ${showShape(weight.shape)}`);
  }
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const [s, p, d, added] = [stride, padding, dilation, outputPadding].map(kernel.pairOf);
  if (added.some((n, axis) => !(n >= 0 && n < s[axis]))) throw new ShapeError(`convTranspose2d: the output padding must lie in 0..stride−1 for stride ${s}; got ${added}`);
  const size = [0, 1].map((axis) => (x.shape[2 + axis] - 1) * s[axis] - 2 * p[axis] + d[axis] * (weight.shape[2 + axis] - 1) + added[axis] + 1);
  if (size.some((n) => n < 1)) throw new ShapeError(`convTranspose2d: the output must have at least one pixel; got ${showShape(size)} of ${showShape(x.shape)}`);
  const [y] = op(lowered(x, weight), { ...options, inputShape: [x.shape[0], weight.shape[1] * groups, ...size] });
  return bias === undefined ? y : add(y, reshape(bias, [-1, 1, 1]));
}
