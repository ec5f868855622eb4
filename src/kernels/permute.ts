import { ShapeError } from "../core/errors.ts";
import { showShape, sizeOf, stridesOf, type Shape } from "../core/shape.ts";
import type { Kernel } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, wgslType, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions
const TILE = 32; // side of the square that goes through workgroup memory: 32 lanes read and write neighbours
const TILE_ROWS = 8; // rows of the square that the workgroup moves at once

/** The shape of a tensor with its axes in another order. @throws ShapeError unless each axis stands there once. */
function permutedShape(shape: Shape, permutation: readonly number[]): number[] {
  if (permutation.length !== shape.length || !shape.every((_, axis) => permutation.includes(axis))) {
    throw new ShapeError(`transpose: the permutation must hold each axis of ${showShape(shape)} once; got [${permutation}]`);
  }
  return permutation.map((axis) => shape[axis]);
}

/** The same permutation without axes of size 1, and with axes that stay neighbours joined: fewer divisions. */
function joinAxes(shape: Shape, permutation: readonly number[]): { shape: number[]; permutation: number[] } {
  const runs: number[][] = [];
  for (const axis of permutation.filter((a) => shape[a] !== 1)) {
    const before = runs.at(-1);
    const adjacent = before !== undefined && before.at(-1)! < axis && shape.slice(before.at(-1)! + 1, axis).every((n) => n === 1);
    if (adjacent) before.push(axis);
    else runs.push([axis]);
  }
  const sorted = runs.toSorted((a, b) => a[0] - b[0]);
  return { shape: sorted.map((run) => sizeOf(run.map((axis) => shape[axis]))), permutation: runs.map((run) => sorted.indexOf(run)) };
}

/**
 * Puts axes in another order: out[i_p0, i_p1, …] = x[i_0, i_1, …].
 *
 * x [n_0, n_1, …], any type → [n_p0, n_p1, …]. Where the last axis stays last, four elements go at once; where two last
 * axes change places, squares go through workgroup memory, so that both sides are read and written in order.
 * @throws ShapeError unless the permutation holds each axis once.
 */
export const permute: Kernel<{ permutation: readonly number[] }> = {
  name: "permute",
  infer([x], { permutation }) {
    return [spec(permutedShape(x.shape, permutation), x.dtype)];
  },
  cost([x]) {
    return { flops: 0, bytes: bytesOf(x, x) };
  },
  program([x], attrs, limits) {
    const type = wgslType(x.dtype);
    const { shape, permutation } = joinAxes(x.shape, attrs.permutation);
    const rank = shape.length;
    const swapsLast = rank >= 2 && permutation[rank - 1] === rank - 2 && permutation[rank - 2] === rank - 1 && permutation.slice(0, -2).every((axis, i) => axis === i);
    if (swapsLast && limits.cooperativeWorkgroups && Math.min(shape[rank - 1], shape[rank - 2]) >= TILE_ROWS) {
      const [rows, columns] = shape.slice(-2);
      const across = Math.ceil(columns / TILE);
      const tiles = across * Math.ceil(rows / TILE);
      const groups = tiles * sizeOf(shape.slice(0, -2));
      return {
        wgsl: `${bindings([["x", type]], [["out", type]])}
var<workgroup> square: array<${type}, ${TILE * (TILE + 1)}>; // one column more, so that columns lie in different banks

@compute @workgroup_size(${TILE * TILE_ROWS})
fn main(${ENTRY_PARAMETERS}) {
  let work = ${workgroupNumber()};
  if (work >= ${groups}u) { return; } // uniform
  let base = work / ${tiles}u * ${rows * columns}u;
  let row = work % ${tiles}u / ${across}u * ${TILE}u;
  let column = work % ${across}u * ${TILE}u;
  let a = lane % ${TILE}u;
  for (var b = lane / ${TILE}u; b < ${TILE}u; b += ${TILE_ROWS}u) {
    if (row + b < ${rows}u && column + a < ${columns}u) { square[b * ${TILE + 1}u + a] = x[base + (row + b) * ${columns}u + column + a]; }
  }
  workgroupBarrier(); // uniform
  for (var b = lane / ${TILE}u; b < ${TILE}u; b += ${TILE_ROWS}u) {
    if (row + a < ${rows}u && column + b < ${columns}u) { out[base + (column + b) * ${rows}u + row + a] = square[a * ${TILE + 1}u + b]; }
  }
}`,
        grid: foldGrid(groups, limits),
      };
    }
    const packed = rank > 0 && permutation[rank - 1] === rank - 1 && shape[rank - 1] % 4 === 0;
    const from = packed ? [...shape.slice(0, -1), shape[rank - 1] / 4] : shape;
    const to = permutation.map((axis) => from[axis]);
    const [inner, outer] = [stridesOf(from), stridesOf(to)];
    const terms = permutation.map((axis, i) => {
      const along = outer[i] === 1 ? "i" : `i / ${outer[i]}u`;
      return `${i === 0 ? along : `${along} % ${to[i]}u`} * ${inner[axis]}u`;
    });
    const element = packed ? `vec4<${type}>` : type;
    return {
      wgsl: `${bindings([["x", element]], [["out", element]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i < arrayLength(&out)) { out[i] = x[${terms.join(" + ") || "0u"}]; }
}`,
      grid: foldGrid(Math.ceil(sizeOf(from) / LANES), limits),
    };
  },
};
