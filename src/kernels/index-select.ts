import { ShapeError } from "../core/errors.ts";
import { showShape, sizeOf, type Shape } from "../core/shape.ts";
import { declareMissing } from "./gather.ts";
import type { Kernel } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, wgslType, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions

/** What lies at one number of an axis, four elements at a time where that divides. */
function rowOf(shape: Shape, axis: number, type: string): { element: string; columns: number } {
  const width = sizeOf(shape.slice(axis + 1));
  return width % 4 === 0 ? { element: `vec4<${type}>`, columns: width / 4 } : { element: type, columns: width };
}

/**
 * out[o, p, i] = x[o, ids[p], i] with the axis in the middle. Where an id lies outside of the axis stands NaN, the least i32
 * or the greatest u32.
 *
 * x [..., n, ...] of any type, ids [P] i32 → [..., P, ...].
 * @throws ShapeError if ids are not i32 [P].
 */
export const indexSelect: Kernel<{ axis: number }> = {
  name: "indexSelect",
  infer([x, ids], { axis }) {
    if (ids.dtype !== "i32" || ids.shape.length !== 1) throw new ShapeError(`indexSelect: ids must be i32 [n]; got ${ids.dtype} ${showShape(ids.shape)}`);
    return [spec(x.shape.with(axis, ids.shape[0]), x.dtype)];
  },
  cost([x, ids], { axis }) {
    return { flops: 0, bytes: bytesOf(ids) + 2 * bytesOf(spec(x.shape.with(axis, ids.shape[0]), x.dtype)) };
  },
  program([x, ids], { axis }, limits) {
    const { element, columns } = rowOf(x.shape, axis, wgslType(x.dtype));
    const [count] = ids.shape;
    const size = sizeOf(x.shape.slice(0, axis)) * count * columns;
    return {
      wgsl: `${bindings([["x", element], ["ids", "i32"]], [["out", element]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  let row = i / ${columns}u;
  let outer = row / ${count}u;
  let id = u32(ids[row - outer * ${count}u]); // a negative one becomes a great one
  ${declareMissing(x.dtype)}
  var value = ${element}(missing);
  if (id < ${x.shape[axis]}u) { value = x[(outer * ${x.shape[axis]}u + id) * ${columns}u + i - row * ${columns}u]; }
  out[i] = value;
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};
