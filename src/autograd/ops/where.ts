import { ShapeError } from "../../core/errors.ts";
import { broadcastShapes, sameShape, showShape } from "../../core/shape.ts";
import { where as whereKernel, whereBackward } from "../../kernels/where.ts";
import { scalarLike } from "../constant.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { sumTo } from "./reduce.ts";

const apply = defineOp<Record<never, never>>({
  name: "where",
  forward(inputs) {
    return { outputs: run(whereKernel, inputs, {}) };
  },
  backward([dy], { inputs: [condition, a, b], needs }) {
    const gradient = (x: Tensor, taken: boolean): Tensor => sumTo(run(whereBackward, [condition, dy!], { taken })[0], x.shape);
    return [null, needs[1] ? gradient(a, true) : null, needs[2] ? gradient(b, false) : null];
  },
});

/**
 * a where the condition is not 0, b elsewhere, with NumPy's broadcasting.
 *
 * condition [...] of any type (a comparison's result, say), a [...], b [...] of one type → their broadcast shape.
 * Gradients flow to a and b.
 * @throws ShapeError if the shapes do not broadcast, or the types of a and b differ.
 */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return apply([condition, a, b], {})[0];
}

/**
 * x with `value` where the mask is not 0; any number will do, −Infinity too.
 *
 * x [...], mask (broadcasts to x) of any type → [...].
 * @throws ShapeError if the mask does not broadcast to x.
 */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  if (!sameShape(broadcastShapes(x.shape, mask.shape, "maskedFill"), x.shape)) {
    throw new ShapeError(`maskedFill: the mask must broadcast to ${showShape(x.shape)}; got ${showShape(mask.shape)}`);
  }
  return where(mask, scalarLike(x, value, "maskedFill"), x);
}
