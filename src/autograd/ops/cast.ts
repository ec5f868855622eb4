import type { DType } from "../../core/dtype.ts";
import { cast as kernel } from "../../kernels/cast.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const op = defineOp<{ dtype: DType }>({
  name: "cast",
  forward(inputs, attrs) {
    return { outputs: run(kernel, inputs, attrs) };
  },
  backward([dy]) {
    return [dy]; // in the type that it has: a gradient may be wider than its tensor
  },
});

/**
 * The same numbers stored as f32 or f16.
 *
 * x [...] → [...]. Numbers beyond ±65,504 become infinite in f16.
 * @throws ShapeError if x or `dtype` is no float type.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : op([x], { dtype })[0];
}
