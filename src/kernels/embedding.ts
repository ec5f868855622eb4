/**
 * Rows of a table by their numbers, and the gradient of the table.
 *
 * The gradient sums, for each row of the table, the gradients at all places that hold its number. Without float atomics,
 * and in the same order at every run: a stable sort of the places by their ids (in blocks, which are then joined), where
 * each row's places begin, and one sum for each element of the table.
 * The alternative, one thread a row that scans all N ids, takes V·N steps. On a software adapter it took 3.4,
 * 103 and 1,261 ms for V × N × D = 64 × 640 × 128, 8,000 × 2,560 × 256 and 50,257 × 8,192 × 256; this takes 1.8, 32 and
 * 139 ms, of which the sort 1.3, 7 and 42.
 */

import { ShapeError } from "../core/errors.ts";
import { showShape, sizeOf } from "../core/shape.ts";
import { requireF32 } from "./elementwise.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions
const BLOCK = 256; // ids: sorting takes N·BLOCK steps, joining N·log₂(BLOCK)·N/BLOCK, about the same for N = 8,000

/** Whether this many places need {@link mergeBlocks}. */
export function isOneBlock(places: number): boolean {
  return places <= BLOCK;
}

/**
 * out[..., d] = weight[ids[...], d]; NaN where an id lies outside 0 … V − 1, so that it shows.
 *
 * weight [V, D] f32, ids [...] i32 → [..., D].
 * @throws ShapeError if weight is no matrix, or ids are not i32.
 */
export const embedding: Kernel = {
  name: "embedding",
  infer([weight, ids]) {
    requireF32("embedding", weight);
    if (weight.shape.length !== 2) throw new ShapeError(`embedding: the weight must have shape [V,D]; got ${showShape(weight.shape)}`);
    if (ids.dtype !== "i32") throw new ShapeError(`embedding: ids must be i32; got ${ids.dtype}`);
    return [spec([...ids.shape, weight.shape[1]])];
  },
  cost([weight, ids]) {
    return { flops: 0, bytes: bytesOf(ids) + 8 * sizeOf(ids.shape) * weight.shape[1] };
  },
  program([weight, ids], _attrs, limits) {
    const [words, width] = weight.shape;
    const packed = width % 4 === 0;
    const element = packed ? "vec4<f32>" : "f32";
    const columns = packed ? width / 4 : width;
    return {
      wgsl: `${bindings([["weight", element], ["ids", "i32"]], [["out", element]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= arrayLength(&out)) { return; }
  let place = i / ${columns}u;
  let id = u32(ids[place]); // a negative one becomes a great one
  var nan = 0x7fc00000u; // a variable, as WGSL refuses a NaN that it can see
  out[i] = ${element}(bitcast<f32>(nan));
  if (id < ${words}u) { out[i] = weight[id * ${columns}u + i - place * ${columns}u]; }
}`,
      grid: foldGrid(Math.ceil((sizeOf(ids.shape) * columns) / LANES), limits),
    };
  },
};

/** Outputs of both halves of the sort: places and their ids. */
function sortedSpecs(size: number): TensorSpec[] {
  return [spec([size], "u32"), spec([size], "i32")];
}

/**
 * Places in the order of their ids within blocks of {@link BLOCK}, equal ones in the order of the places: an element's
 * rank is the number of those that go before it.
 *
 * ids [...] (N of them) i32 → order [N] u32, and the ids in that order [N] i32.
 */
export const sortBlocks: Kernel = {
  name: "sortBlocks",
  infer([ids]) {
    return sortedSpecs(sizeOf(ids.shape));
  },
  cost([ids]) {
    return { flops: 2 * sizeOf(ids.shape) * Math.min(BLOCK, sizeOf(ids.shape)), bytes: 3 * bytesOf(ids) };
  },
  program([ids], _attrs, limits) {
    const size = sizeOf(ids.shape);
    return {
      wgsl: `${bindings([["ids", "i32"]], [["order", "u32"], ["sorted", "i32"]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let place = ${workgroupNumber()} * ${LANES}u + lane;
  if (place >= ${size}u) { return; }
  let id = ids[place];
  let begin = place / ${BLOCK}u * ${BLOCK}u;
  let end = min(begin + ${BLOCK}u, ${size}u);
  var rank = begin;
  for (var i = begin; i < end; i++) {
    let other = ids[i];
    rank += select(0u, 1u, other < id || (other == id && i < place));
  }
  order[rank] = place;
  sorted[rank] = id;
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};

/**
 * Joins all sorted blocks: an element's rank is the sum of its ranks in each, found by bisection.
 *
 * order [N] u32, sorted [N] i32 of {@link sortBlocks} → the same, sorted as a whole.
 */
export const mergeBlocks: Kernel = {
  name: "mergeBlocks",
  infer([order]) {
    return sortedSpecs(order.shape[0]);
  },
  cost([order]) {
    const [size] = order.shape;
    return { flops: size * Math.ceil(size / BLOCK) * Math.log2(BLOCK), bytes: 4 * bytesOf(order) };
  },
  program([{ shape: [size] }], _attrs, limits) {
    return {
      wgsl: `${bindings([["order", "u32"], ["sorted", "i32"]], [["wholeOrder", "u32"], ["wholeSorted", "i32"]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let place = ${workgroupNumber()} * ${LANES}u + lane;
  if (place >= ${size}u) { return; }
  let id = sorted[place];
  let own = place / ${BLOCK}u * ${BLOCK}u;
  var rank = place - own;
  for (var begin = 0u; begin < ${size}u; begin += ${BLOCK}u) {
    if (begin == own) { continue; }
    var low = begin;
    var high = min(begin + ${BLOCK}u, ${size}u);
    while (low < high) {
      let middle = (low + high) / 2u;
      // Equal ids of earlier blocks go first.
      if (sorted[middle] < id || (sorted[middle] == id && begin < own)) { low = middle + 1u; } else { high = middle; }
    }
    rank += low - begin;
  }
  wholeOrder[rank] = order[place];
  wholeSorted[rank] = id;
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};

/**
 * Where each row's places begin in the sorted order: the number of ids below it.
 *
 * sorted [N] i32 → starts [V + 1] u32.
 */
export const findStarts: Kernel<{ words: number }> = {
  name: "findStarts",
  infer(_inputs, { words }) {
    return [spec([words + 1], "u32")];
  },
  cost([sorted], { words }) {
    return { flops: (words + 1) * Math.ceil(Math.log2(sorted.shape[0] + 1)), bytes: bytesOf(sorted) + 4 * (words + 1) };
  },
  program([sorted], { words }, limits) {
    return {
      wgsl: `${bindings([["sorted", "i32"]], [["starts", "u32"]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let word = ${workgroupNumber()} * ${LANES}u + lane;
  if (word > ${words}u) { return; }
  var low = 0u;
  var high = ${sorted.shape[0]}u;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (sorted[middle] < i32(word)) { low = middle + 1u; } else { high = middle; }
  }
  starts[word] = low;
}`,
      grid: foldGrid(Math.ceil((words + 1) / LANES), limits),
    };
  },
};

/**
 * Gradient of the table: dweight[v, d] = Σ dy[place, d] over the places of v, first to last.
 *
 * dy [..., D] f32, order [N] u32, starts [V + 1] u32 → [V, D].
 */
export const sumPlaces: Kernel = {
  name: "sumPlaces",
  infer([dy, , starts]) {
    return [spec([starts.shape[0] - 1, dy.shape[dy.shape.length - 1]])];
  },
  cost([dy, order, starts]) {
    const width = dy.shape[dy.shape.length - 1];
    return { flops: sizeOf(dy.shape), bytes: bytesOf(dy, order, starts) + 4 * (starts.shape[0] - 1) * width };
  },
  program([dy, , starts], _attrs, limits) {
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
  let word = i / ${columns}u;
  let column = i - word * ${columns}u;
  let end = starts[word + 1u];
  var total = ${element}();
  var s = starts[word];
  for (; s + 4u <= end; s += 4u) { // four loads under way at once
    total += (dy[order[s] * ${columns}u + column] + dy[order[s + 1u] * ${columns}u + column]) + (dy[order[s + 2u] * ${columns}u + column] + dy[order[s + 3u] * ${columns}u + column]);
  }
  for (; s < end; s++) { total += dy[order[s] * ${columns}u + column]; }
  dweight[i] = total;
}`,
      grid: foldGrid(Math.ceil(((starts.shape[0] - 1) * columns) / LANES), limits),
    };
  },
};
