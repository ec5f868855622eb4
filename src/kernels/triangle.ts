import { ShapeError } from "../core/errors.ts";
import { showShape, sizeOf } from "../core/shape.ts";
import type { Kernel } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, wgslType, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions

export interface TriangleAttrs {
  readonly part: "upper" | "lower";
  /** The last diagonal that is kept: 0 is the main one, positive ones lie above it. */
  readonly diagonal: number;
}

/**
 * The elements of matrices on one side of a diagonal, and 0 elsewhere. Its gradient is the same of dy.
 *
 * x [..., R, C], any type → [..., R, C].
 * @throws ShapeError if x is no matrix, or the diagonal no whole number.
 */
export const triangle: Kernel<TriangleAttrs> = {
  name: "triangle",
  infer([x], { diagonal }) {
    if (x.shape.length < 2 || !Number.isInteger(diagonal)) throw new ShapeError(`triangle: x must be [...,R,C] and the diagonal a whole number; got ${showShape(x.shape)} and ${diagonal}`);
    return [spec(x.shape, x.dtype)];
  },
  cost([x]) {
    return { flops: 0, bytes: bytesOf(x, x) };
  },
  program([x], { part, diagonal }, limits) {
    const [rows, columns] = x.shape.slice(-2);
    const type = wgslType(x.dtype);
    const size = sizeOf(x.shape);
    return {
      wgsl: `${bindings([["x", type]], [["out", type]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  let above = i32(i % ${columns}u) - i32(i / ${columns}u % ${rows}u);
  var value = ${type}();
  if (above ${part === "upper" ? ">=" : "<="} ${diagonal}) { value = x[i]; }
  out[i] = value;
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};
