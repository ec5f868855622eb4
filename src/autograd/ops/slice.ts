import { normalizeAxis } from "../../core/shape.ts";
import { slice as sliceKernel, sliceBackward } from "../../kernels/slice.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<{ axis: number; start: number; end: number }>({
  name: "slice",
  forward(inputs, attrs) {
    return { outputs: run(sliceKernel, inputs, attrs) };
  },
  backward([dy], { inputs: [x], attrs: { axis, start } }) {
    return run(sliceBackward, [dy!], { axis, start, size: x.shape[axis] });
  },
});

/**
 * The part `start` … `end` − 1 of an axis; a negative axis counts from the end.
 * @throws ShapeError unless 0 ≤ start < end ≤ size of the axis.
 */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  return apply([x], { axis: normalizeAxis(axis, x.shape.length, "slice"), start, end })[0];
}
