import { isFloat } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { Kernel } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, workgroupNumber } from "./wgsl.ts";
import { cutElementwise } from "./windows.ts";

const LANES = 64; // as for elementwise functions

/**
 * Copies values into an existing tensor: destination ← source.
 *
 * destination [...] (changed in place), source [...] of the same shape and type (or both of float types) → no output.
 * @throws ShapeError if shapes or types differ.
 */
export const assign: Kernel = {
  name: "assign",
  parts: cutElementwise,
  updates: [0],
  infer([destination, source]) {
    if (!sameShape(destination.shape, source.shape) || !(destination.dtype === source.dtype || (isFloat(destination.dtype) && isFloat(source.dtype)))) {
      throw new ShapeError(`assign: both tensors must have one shape and type; got ${destination.dtype} ${showShape(destination.shape)} and ${source.dtype} ${showShape(source.shape)}`);
    }
    return [];
  },
  cost([destination, source]) {
    return { flops: 0, bytes: bytesOf(destination, source) };
  },
  program([destination], _attrs, limits) {
    const type = isFloat(destination.dtype) ? "f32" : "u32"; // bits of whole numbers, so that one pipeline serves them all
    return {
      wgsl: `${bindings([], [["destination", type]])}
@group(0) @binding(1) var<storage, read> source: array<${type}>;

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i < arrayLength(&destination)) { destination[i] = source[i]; }
}`,
      grid: foldGrid(Math.ceil(sizeOf(destination.shape) / LANES), limits),
    };
  },
};
