import { ShapeError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import type { Kernel } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions

/**
 * out[..., c] = 1 where ids[...] = c, 0 elsewhere.
 *
 * ids [...] i32 → [..., classes] f32; a row of zeros for an id outside 0 … classes − 1.
 * @throws ShapeError if ids are not i32, or there is not at least one class.
 */
export const oneHot: Kernel<{ classes: number }> = {
  name: "oneHot",
  infer([ids], { classes }) {
    if (ids.dtype !== "i32") throw new ShapeError(`oneHot: ids must be i32; got ${ids.dtype}`);
    if (!(Number.isInteger(classes) && classes >= 1)) throw new ShapeError(`oneHot: there must be a whole number of classes, at least 1; got ${classes}`);
    return [spec([...ids.shape, classes])];
  },
  cost([ids], { classes }) {
    return { flops: 0, bytes: bytesOf(ids, spec([...ids.shape, classes])) };
  },
  program([ids], { classes }, limits) {
    const size = sizeOf(ids.shape) * classes;
    return {
      wgsl: `${bindings([["ids", "i32"]], [["out", "f32"]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  out[i] = select(0.0, 1.0, ids[i / ${classes}u] == i32(i % ${classes}u));
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};
