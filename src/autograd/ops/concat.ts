import { isFloat } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { normalizeAxis } from "../../core/shape.ts";
import { concat as concatKernel, MAX_CONCAT } from "../../kernels/concat.ts";
import { slice } from "../../kernels/slice.ts";
import { commonFloat } from "../../kernels/wgsl.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./cast.ts";

const apply = defineOp<{ axis: number }>({
  name: "concat",
  forward(inputs, { axis }) {
    return { outputs: [join(inputs, axis)] };
  },
  backward([dy], { inputs, attrs: { axis }, needs }) {
    let end = 0;
    return inputs.map((input, k) => {
      const start = end;
      end += input.shape[axis];
      return needs[k] ? run(slice, [dy!], { axis, start, end })[0] : null;
    });
  },
});

/** Joins as many as one dispatch can, and then what came of it. */
function join(xs: readonly Tensor[], axis: number): Tensor {
  if (xs.length <= MAX_CONCAT) return run(concatKernel, xs, { axis })[0];
  const groups = Array.from({ length: Math.ceil(xs.length / MAX_CONCAT) }, (_, g) => xs.slice(g * MAX_CONCAT, (g + 1) * MAX_CONCAT));
  return join(groups.map((group) => join(group, axis)), axis);
}

/**
 * Joins tensors along an axis; a negative one counts from the end. Of f16 and f32 together comes f32.
 * @throws ShapeError if there are none, if their types differ otherwise, or their shapes in another axis.
 */
export function concat(xs: readonly Tensor[], axis: number): Tensor {
  if (xs.length === 0) throw new ShapeError("concat: needs at least one tensor; got none");
  const joined = xs.every(({ dtype }) => isFloat(dtype)) ? xs.map((x) => cast(x, commonFloat(...xs))) : xs;
  return apply(joined, { axis: normalizeAxis(axis, xs[0].shape.length, "concat") })[0];
}
