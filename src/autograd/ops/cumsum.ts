import { normalizeAxis, sizeOf } from "../../core/shape.ts";
import { blockLength, blockSums, cumsum as cumsumKernel } from "../../kernels/cumsum.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<{ axis: number }>({
  name: "cumsum",
  forward([x], { axis }) {
    return { outputs: [alongAxis(x, axis, false)] };
  },
  backward([dy], { attrs: { axis } }) {
    return [alongAxis(dy!, axis, true)];
  },
});

function alongAxis(x: Tensor, axis: number, reverse: boolean): Tensor {
  const flat = x.view([sizeOf(x.shape.slice(0, axis)), x.shape[axis], sizeOf(x.shape.slice(axis + 1))]);
  return runningSums(flat, reverse).view(x.shape);
}

/** [outer, R, inner] → the same shape; where the axis is long, the sums of its blocks come first. */
function runningSums(x: Tensor, reverse: boolean): Tensor {
  const attrs = { reverse, length: blockLength(x.shape, x.device.limits) };
  const before = x.shape[1] <= attrs.length ? [] : [runningSums(run(blockSums, [x], attrs)[0], false)];
  return run(cumsumKernel, [x, ...before], attrs)[0];
}

/**
 * The sum of all elements up to each one along an axis: torch's `cumsum`, with the same bits at each run.
 *
 * x [..., n, ...] of any type → the same shape.
 * @throws ShapeError if the axis lies outside the rank.
 */
export function cumsum(x: Tensor, axis: number): Tensor {
  return apply([x], { axis: normalizeAxis(axis, x.shape.length, "cumsum") })[0];
}
