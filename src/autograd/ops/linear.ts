import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import * as kernel from "../../kernels/matmul.ts";
import { likeOutput, lowered } from "../autocast.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { product } from "./matmul.ts";
import { sumTo } from "./reduce.ts";

const op = defineOp<Record<never, never>>({
  name: "linear",
  forward([x, weight, ...bias]) {
    const [y] = run(kernel.matmul, [rowsOf(x), weight, ...bias], { transposeB: true, bias: bias.length > 0 });
    return { outputs: [y.view([...x.shape.slice(0, -1), weight.shape[0]])] };
  },
  backward([dy], { inputs: [x, weight, bias], outputs: [y], needs }) {
    const rows = rowsOf(likeOutput(dy!, y));
    return [
      needs[0] ? product(rows, weight, false, false).view(x.shape) : null,
      needs[1] ? product(rows, rowsOf(x), true, false, true) : null,
      needs[2] ? sumTo(rows, bias.shape) : null,
    ];
  },
});

/**
 * Linear layer: y = x · weightᵀ + bias over the last axis.
 *
 * x [..., I], weight [O, I], bias [O] (optional) → y [..., O].
 * @throws ShapeError if x is a scalar, weight has not two axes, or the sizes don't fit.
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (weight.shape.length !== 2 || x.shape.length === 0 || x.shape.at(-1) !== weight.shape[1]) {
    throw new ShapeError(`linear: weight must be [O,I] for an input [...,I]; got ${showShape(weight.shape)} for ${showShape(x.shape)}`);
  }
  return op([...lowered(x, weight), ...(bias === undefined ? [] : [bias])], {})[0];
}

/** All axes but the last as one. */
function rowsOf(x: Tensor): Tensor {
  const last = x.shape[x.shape.length - 1];
  return x.view([x.size / last, last]);
}
