/**
 * Rows of a table by their numbers, and the gradient of the table.
 *
 * The gradient sums, for each row of the table, the gradients at all places that hold its number. Without float atomics,
 * and in the same order at every run: a stable sort of the places by their ids, where each row's places begin
 * (sort.ts), and one sum for each element of the table.
 * The alternative, one thread a row that scans all N ids, takes V·N steps. On a software adapter it took 3.4,
 * 103 and 1,261 ms for V × N × D = 64 × 640 × 128, 8,000 × 2,560 × 256 and 50,257 × 8,192 × 256; this took 1.8, 32 and
 * 139 ms, with a slower sort than today's.
 */

import { ShapeError } from "../core/errors.ts";
import { showShape, sizeOf } from "../core/shape.ts";
import { requireFloat } from "./elementwise.ts";
import type { Kernel } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber } from "./wgsl.ts";
import { cutRows, isBindable, rowWindow, whole, type Range } from "./windows.ts";

const LANES = 64; // as for elementwise functions

/**
 * out[..., d] = weight[ids[...], d]; NaN where an id lies outside 0 … V − 1, so that it shows.
 *
 * weight [V, D], ids [...] i32 → [..., D]. Where the weight is a part of a table, the one that begins at `firstWord`, ids
 * of other parts are left alone; the first part writes NaN for them, which their own parts replace.
 * @throws ShapeError if weight is no matrix, or ids are not i32.
 */
export const embedding: Kernel<{ firstWord?: number }> = {
  name: "embedding",
  infer([weight, ids]) {
    requireFloat("embedding", weight);
    if (weight.shape.length !== 2) throw new ShapeError(`embedding: the weight must have shape [V,D]; got ${showShape(weight.shape)}`);
    if (ids.dtype !== "i32") throw new ShapeError(`embedding: ids must be i32; got ${ids.dtype}`);
    return [spec([...ids.shape, weight.shape[1]], weight.dtype)];
  },
  cost([weight, ids]) {
    return { flops: 0, bytes: bytesOf(ids) + 8 * sizeOf(ids.shape) * weight.shape[1] };
  },
  program([weight, ids], { firstWord = 0 }, limits) {
    const [words, width] = weight.shape;
    const packed = width % 4 === 0;
    const element = packed ? "vec4<f32>" : "f32";
    const columns = packed ? width / 4 : width;
    const outside = `var nan = 0x7fc00000u; // a variable, as WGSL refuses a NaN that it can see
  out[i] = ${element}(bitcast<f32>(nan));`;
    return {
      wgsl: `${bindings([["weight", element], ["ids", "i32"]], [["out", element]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= arrayLength(&out)) { return; }
  let place = i / ${columns}u;
  let word = u32(ids[place])${firstWord === 0 ? "" : ` - ${firstWord}u`}; // a negative one becomes a great one
  ${firstWord === 0 ? outside : ""}
  if (word < ${words}u) { out[i] = weight[word * ${columns}u + i - place * ${columns}u]; }
}`,
      grid: foldGrid(Math.ceil((sizeOf(ids.shape) * columns) / LANES), limits),
    };
  },
  parts([weight, ids], attrs, limits) {
    const places = sizeOf(ids.shape);
    const flatIds = spec([places], ids.dtype);
    const out = spec([places, weight.shape[1]], weight.dtype);
    const placeRanges = cutRows([flatIds, out], limits);
    const wordRanges = cutRows([weight], limits);
    if (placeRanges === null || wordRanges === null) return null;
    return placeRanges.flatMap((range) =>
      wordRanges.map((words) => ({ windows: [rowWindow(weight, words), rowWindow(flatIds, range), rowWindow(out, range)], attrs: { ...attrs, firstWord: words.begin } })),
    );
  },
};

/**
 * Gradient of the table, or of some of its words: dweight[v, d] = Σ dy[place, d] over the places of v, first to last.
 *
 * dy [..., D], order [N] u32, starts [V + 1] u32 → [V, D] f32.
 */
export const sumPlaces: Kernel<{ words?: Range }> = {
  name: "sumPlaces",
  infer([dy, , starts], { words: { begin, end } = { begin: 0, end: starts.shape[0] - 1 } }) {
    return [spec([end - begin, dy.shape[dy.shape.length - 1]])];
  },
  cost(inputs, attrs) {
    return { flops: sizeOf(inputs[0].shape), bytes: bytesOf(...inputs, ...sumPlaces.infer(inputs, attrs)) };
  },
  program([dy, , starts], { words: { begin, end } = { begin: 0, end: starts.shape[0] - 1 } }, limits) {
    const width = dy.shape[dy.shape.length - 1];
    const packed = width % 4 === 0;
    const element = packed ? "vec4<f32>" : "f32";
    const columns = packed ? width / 4 : width;
    return {
      wgsl: `${bindings([["dy", element], ["order", "u32"], ["starts", "u32"]], [["dweight", element]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= arrayLength(&dweight)) { return; }
  let row = i / ${columns}u;
  let column = i - row * ${columns}u;
  let word = row${begin === 0 ? "" : ` + ${begin}u`};
  let end = starts[word + 1u];
  var total = ${element}();
  var s = starts[word];
  for (; s + 4u <= end; s += 4u) { // four loads under way at once
    total += (dy[order[s] * ${columns}u + column] + dy[order[s + 1u] * ${columns}u + column]) + (dy[order[s + 2u] * ${columns}u + column] + dy[order[s + 3u] * ${columns}u + column]);
  }
  for (; s < end; s++) { total += dy[order[s] * ${columns}u + column]; }
  dweight[i] = total;
}`,
      grid: foldGrid(Math.ceil(((end - begin) * columns) / LANES), limits),
    };
  },
  parts(inputs, attrs, limits) {
    const [dweight] = sumPlaces.infer(inputs, attrs);
    const ranges = inputs.every((input) => isBindable(input, limits)) ? cutRows([dweight], limits) : null;
    return ranges && ranges.map((words) => ({ windows: [...inputs.map(whole), rowWindow(dweight, words)], attrs: { words } }));
  },
};
