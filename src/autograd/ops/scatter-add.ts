import { normalizeAxis } from "../../core/shape.ts";
import { scatterAddBackward } from "../../kernels/gather.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import { scatterSum } from "../scatter.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<{ axis: number }>({
  name: "scatterAdd",
  forward([x, index, src], { axis }) {
    return { outputs: [scatterSum(src, index, x, { axis, shape: x.shape })] };
  },
  backward([dy], { inputs: [, index, src], attrs: { axis }, needs }) {
    return [dy, null, needs[2] ? run(scatterAddBackward, [dy!, index], { axis, shape: src.shape })[0] : null];
  },
});

/**
 * x with src added where the index says: out[o, index[o, j, i], i] += src[o, j, i], with the axis in the middle: torch's
 * `scatter_add`, with the same bits at each run.
 *
 * x [..., n, ...], index [..., J, ...] i32 (elsewhere no larger than x), src (at least as large as the index) → the shape
 * of x. Numbers outside 0 … n − 1, negative ones too, are left out.
 * @throws ShapeError if the index is not i32, or the shapes do not fit.
 */
export function scatterAdd(x: Tensor, axis: number, index: Tensor, src: Tensor): Tensor {
  return apply([x, index, src], { axis: normalizeAxis(axis, x.shape.length, "scatterAdd") })[0];
}
