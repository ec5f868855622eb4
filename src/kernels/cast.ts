import type { DType } from "../core/dtype.ts";
import { sizeOf } from "../core/shape.ts";
import { elementwise, requireFloat } from "./elementwise.ts";
import type { Kernel } from "./kernel.ts";
import { bytesOf, spec } from "./wgsl.ts";
import { cutElementwise } from "./windows.ts";

/**
 * The same numbers in another float type, rounded to the nearest; beyond the range of f16 they become infinite.
 *
 * x [...] f32 or f16 → [...] of `dtype`.
 * @throws ShapeError if x is no float tensor.
 */
export const cast: Kernel<{ dtype: DType }> = {
  name: "cast",
  parts: cutElementwise,
  infer([x], { dtype }) {
    requireFloat("cast", x, spec([], dtype));
    return [spec(x.shape, dtype)];
  },
  cost([x], { dtype }) {
    return { flops: sizeOf(x.shape), bytes: bytesOf(x, spec(x.shape, dtype)) };
  },
  program([x], _attrs, limits) {
    return elementwise({ shape: x.shape, inputs: [["x", x]], expression: "x" }, limits);
  },
};
