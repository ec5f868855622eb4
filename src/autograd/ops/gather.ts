import { normalizeAxis } from "../../core/shape.ts";
import { gather as gatherKernel } from "../../kernels/gather.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import { scatterSum } from "../scatter.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<{ axis: number }>({
  name: "gather",
  forward(inputs, attrs) {
    return { outputs: run(gatherKernel, inputs, attrs) };
  },
  backward([dy], { inputs: [x, index], attrs: { axis } }) {
    return [scatterSum(dy!, index, null, { axis, shape: x.shape }), null];
  },
});

/**
 * out[o, j, i] = x[o, index[o, j, i], i], with the axis in the middle: torch's `gather`.
 *
 * x [..., n, ...] of any type, index [..., J, ...] i32, elsewhere no larger than x → the shape of index. A number outside
 * 0 … n − 1, a negative one too, gives NaN (the least i32, the greatest u32), and no gradient.
 * @throws ShapeError if the index is not i32, or its shape does not fit.
 */
export function gather(x: Tensor, axis: number, index: Tensor): Tensor {
  return apply([x, index], { axis: normalizeAxis(axis, x.shape.length, "gather") })[0];
}
