import { ShapeError } from "../../core/errors.ts";
import { normalizeAxis } from "../../core/shape.ts";
import { slice as sliceKernel, spread, type SliceAttrs } from "../../kernels/slice.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { normalizeAxes, type Axes } from "./reduce.ts";

const apply = defineOp<SliceAttrs>({
  name: "slice",
  forward(inputs, attrs) {
    return { outputs: run(sliceKernel, inputs, attrs) };
  },
  backward([dy], { inputs: [x], attrs: { axis, start, step } }) {
    return run(spread, [dy!], { axis, start, step, size: x.shape[axis] });
  },
});

/**
 * The places `start`, `start` + `step` … before `end` of an axis; a negative axis counts from the end.
 * @throws ShapeError unless 0 ≤ start < end ≤ size of the axis, and the step is at least 1.
 */
export function slice(x: Tensor, axis: number, start: number, end: number, step = 1): Tensor {
  if (!(step >= 1)) throw new ShapeError(`slice: the step must be a whole number of at least 1; got ${step}`, "flip() turns an axis round");
  return apply([x], { axis: normalizeAxis(axis, x.shape.length, "slice"), start, end, step })[0];
}

/**
 * Turns axes round: the last place comes first.
 * @param axes All where left out.
 * @throws ShapeError if an axis lies outside the rank.
 */
export function flip(x: Tensor, axes?: Axes): Tensor {
  return normalizeAxes(axes, x.shape.length, "flip").reduce((turned, axis) => apply([turned], { axis, start: x.shape[axis] - 1, end: -1, step: -1 })[0], x);
}
