import { isFloat } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, upTo, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions

/** Tensors that one dispatch reorders, where the adapter binds so many beside the parents. */
export const MOST_REORDERED = 15;

/** What a row holds, four elements at a time where that divides; whole numbers by their bits. */
function rowsOf({ shape, dtype }: TensorSpec): { type: string; columns: number } {
  const type = isFloat(dtype) ? "f32" : "u32";
  const width = sizeOf(shape.slice(1));
  return width % 4 === 0 ? { type: `vec4<${type}>`, columns: width / 4 } : { type, columns: width };
}

/**
 * Rows of tensors take the place of others of their group, in place: x[r] ← x[parents[r]], within groups of `width` rows that
 * stand together.
 *
 * parents i32 [R], tensors [R,...] of any type (changed). A row that is its own parent, or whose parent lies outside its group,
 * stays as it is and moves no memory. A thread owns a column of all rows of a group, so that nothing is overwritten before it
 * was read.
 * @throws ShapeError if the tensors have other rows than the parents, are too many, or the groups don't divide the rows.
 */
export const reorderRows: Kernel<{ readonly width: number }> = {
  name: "reorderRows",
  updates: upTo(MOST_REORDERED).map((i) => i + 1),
  infer([parents, ...tensors], { width }) {
    if (parents.dtype !== "i32" || parents.shape.length !== 1) throw new ShapeError(`reorderRows: parents must be i32 [R]; got ${parents.dtype} ${showShape(parents.shape)}`);
    const [rows] = parents.shape;
    if (!(Number.isInteger(width) && width >= 1 && rows % width === 0)) throw new ShapeError(`reorderRows: groups must divide the ${rows} rows; got groups of ${width}`);
    if (tensors.length > MOST_REORDERED) throw new ShapeError(`reorderRows: at most ${MOST_REORDERED} tensors at a time; got ${tensors.length}`);
    for (const { shape } of tensors) {
      if (!sameShape(shape.slice(0, 1), [rows])) throw new ShapeError(`reorderRows: tensors must have ${rows} rows, as many as parents; got ${showShape(shape)}`);
    }
    return [];
  },
  /** As if every row had another parent. */
  cost([parents, ...tensors]) {
    return { flops: 0, bytes: bytesOf(parents) + 2 * bytesOf(...tensors) };
  },
  program([parents, ...tensors], { width }, limits) {
    const rows = tensors.map(rowsOf);
    const most = Math.max(...rows.map(({ columns }) => columns));
    const size = (parents.shape[0] / width) * most;
    const moves = rows.map(({ type, columns }, k) => `if (column < ${columns}u) {
    var values: array<${type}, WIDTH>;
    for (var slot = 0u; slot < WIDTH; slot++) { if (origins[slot] != slot) { values[slot] = x${k}[(first + origins[slot]) * ${columns}u + column]; } }
    for (var slot = 0u; slot < WIDTH; slot++) { if (origins[slot] != slot) { x${k}[(first + slot) * ${columns}u + column] = values[slot]; } }
  }`);
    return {
      wgsl: `${bindings([["parents", "i32"]], rows.map(({ type }, k) => [`x${k}`, type]))}
const WIDTH = ${width}u;

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  let first = i / ${most}u * WIDTH;
  let column = i % ${most}u;
  var origins: array<u32, WIDTH>;
  var moves = false;
  for (var slot = 0u; slot < WIDTH; slot++) {
    let parent = u32(parents[first + slot]) - first; // one before the group becomes a great number
    origins[slot] = select(slot, parent, parent < WIDTH);
    moves = moves || origins[slot] != slot;
  }
  if (!moves) { return; }
  ${moves.join("\n  ")}
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};
