/**
 * Matrices in 8 bits, for inference: each row is a scale times whole numbers q from −127 to 127, four of which share a
 * u32, the first in the lowest byte. Symmetric, so that a row needs one number beside its bytes and 0 stays 0.
 * Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
 * inference", arXiv:1712.05877; one scale a row as in Krishnamoorthi 2018, arXiv:1806.08342.
 */

import { isFloat } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { requireFloat } from "./elementwise.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { laneReduction, layRows, rowEntry } from "./row-reduce.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, f32, foldGrid, spec, workgroupNumber } from "./wgsl.ts";
import { cutFirstAxis } from "./windows.ts";

const LANES = 64; // as for elementwise functions

/** Numbers in a u32. */
export const PACK = 4;

/** The greatest whole number: −128 is left out, so that both signs reach equally far. */
const MOST = 127;

/**
 * WGSL of the four numbers of a word times 2²⁴, which {@link UNPACKED_UNIT} takes off again: each byte is moved to where
 * the sign is, and no further. Against shifting it down once more, a product of one row took 0.8 of the time of the f32
 * one instead of 1.4 times (1×768 · 768×50,257 on SwiftShader).
 */
export const UNPACK = `fn unpack(word: u32) -> vec4<f32> {
  let high = vec4<u32>(word << 24u, (word << 16u) & 0xff000000u, (word << 8u) & 0xff000000u, word & 0xff000000u);
  return vec4<f32>(bitcast<vec4<i32>>(high));
}`;

/** What 1 is when unpacked: a power of two, so that nothing is rounded. */
export const UNPACKED_UNIT = f32(2 ** -24);

/** u32 that hold a row. */
export function wordsOf(columns: number): number {
  return Math.ceil(columns / PACK);
}

/** @throws ShapeError unless the tensors are a matrix of so many columns in 8 bits. */
export function checkQuantized(what: string, packed: TensorSpec, scales: TensorSpec, columns: number): void {
  const [rows, words] = packed.shape;
  if (packed.shape.length !== 2 || packed.dtype !== "u32" || words !== wordsOf(columns)) throw new ShapeError(`${what}: the packed matrix must be u32 [rows,${wordsOf(columns)}] for ${columns} columns; got ${packed.dtype} ${showShape(packed.shape)}`);
  if (!sameShape(scales.shape, [rows]) || !isFloat(scales.dtype)) throw new ShapeError(`${what}: there must be float scales [${rows}]; got ${scales.dtype} ${showShape(scales.shape)}`);
}

/**
 * A matrix in 8 bits: scale = max |w| / 127 of each row, q = round(w / scale), halves to the even number.
 *
 * weight [R,C] → packed u32 [R,⌈C/4⌉] (what a row does not fill is 0), scales [R]. A row that is not finite gets a scale
 * that is not, so that it shows; one of zeros gets 0.
 * @throws ShapeError if the weight is no matrix of floats.
 */
export const quantize: Kernel = {
  name: "quantize",
  infer([weight]) {
    requireFloat("quantize", weight);
    if (weight.shape.length !== 2) throw new ShapeError(`quantize: the weight must be a matrix; got ${showShape(weight.shape)}`);
    return [spec([weight.shape[0], wordsOf(weight.shape[1])], "u32"), spec([weight.shape[0]])];
  },
  cost([weight]) {
    return { flops: 4 * sizeOf(weight.shape), bytes: bytesOf(weight) + sizeOf(weight.shape) };
  },
  program([{ shape: [rows, columns] }], _attrs, limits) {
    const words = wordsOf(columns);
    const layout = layRows(rows, words, limits);
    const full = columns % PACK === 0;
    return {
      wgsl: `${bindings([["weight", full ? "vec4<f32>" : "f32"]], [["packed", "u32"], ["scales", "f32"]])}

fn word(row: u32, i: u32) -> vec4<f32> {
${full ? `  return weight[row * ${words}u + i];` : wordOfScalars("weight", columns)}
}

${laneReduction("maxLanes", "u32", "max(a, b)", layout.lanes)}

${rowEntry(layout)}
  var greatest = 0u; // as bits: they sort as the sizes do, and above all numbers Inf and then NaN
  for (var i = first; i < ${words}u; i += LANES) {
    let bits = bitcast<vec4<u32>>(abs(word(row, i)));
    greatest = max(greatest, max(max(bits.x, bits.y), max(bits.z, bits.w)));
  }
  let scale = bitcast<f32>(maxLanes(greatest, lane)) / ${f32(MOST)};
  if (first == 0u) { scales[row] = scale; }
  for (var i = first; i < ${words}u; i += LANES) {
    var q = vec4<i32>();
    if (scale > 0.0 && scale < 3.0e38) { q = vec4<i32>(clamp(round(word(row, i) / scale), vec4<f32>(-${f32(MOST)}), vec4<f32>(${f32(MOST)}))); }
    let bytes = bitcast<vec4<u32>>(q) & vec4<u32>(255u);
    packed[row * ${words}u + i] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
  }
}`,
      grid: layout.grid,
    };
  },
  parts(inputs, attrs, limits) {
    return cutFirstAxis([...inputs, ...quantize.infer(inputs, attrs)], attrs, limits);
  },
};

/** WGSL body that returns the four numbers of word `i` of `row` of a matrix of scalars; 0 beyond the row's end. */
function wordOfScalars(binding: string, columns: number): string {
  const part = (j: number): string => `  if (${PACK}u * i + ${j}u < ${columns}u) { value[${j}] = ${binding}[row * ${columns}u + ${PACK}u * i + ${j}u]; }`;
  return `  var value = vec4<f32>();
${[0, 1, 2, 3].map(part).join("\n")}
  return value;`;
}

/** One thread a word of `out` [places, columns], whose row of the matrix is `row` (a WGSL expression of `place`). */
function unpackRows(places: number, columns: number, read: readonly (readonly [string, string])[], row: string, check: string, limits: KernelLimits): Program {
  const words = wordsOf(columns);
  const full = columns % PACK === 0;
  const store = full
    ? "out[i] = value;"
    : [0, 1, 2, 3].map((j) => `if (${PACK}u * word + ${j}u < ${columns}u) { out[place * ${columns}u + ${PACK}u * word + ${j}u] = value[${j}]; }`).join("\n  ");
  return {
    wgsl: `${bindings([["packed", "u32"], ["scales", "f32"], ...read], [["out", full ? "vec4<f32>" : "f32"]])}
${UNPACK}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${places * words}u) { return; }
  let place = i / ${words}u;
  let word = i - place * ${words}u;
  let row = ${row};
  var nan = 0x7fc00000u; // a variable, as WGSL refuses a NaN that it can see
  var value = vec4<f32>(bitcast<f32>(nan));
  if (${check}) { value = unpack(packed[row * ${words}u + word]) * (scales[row] * ${UNPACKED_UNIT}); }
  ${store}
}`,
    grid: foldGrid(Math.ceil((places * words) / LANES), limits),
  };
}

/**
 * The matrix that a quantised one stands for: out = scale · q.
 *
 * packed u32 [R,⌈C/4⌉], scales [R] → [R,C].
 */
export const dequantize: Kernel<{ columns: number }> = {
  name: "dequantize",
  infer([packed, scales], { columns }) {
    checkQuantized("dequantize", packed, scales, columns);
    return [spec([packed.shape[0], columns])];
  },
  cost([packed, scales], { columns }) {
    return { flops: packed.shape[0] * columns, bytes: bytesOf(packed, scales, spec([packed.shape[0], columns])) };
  },
  program([{ shape: [rows] }], { columns }, limits) {
    return unpackRows(rows, columns, [], "place", "true", limits);
  },
  parts(inputs, attrs, limits) {
    return cutFirstAxis([...inputs, ...dequantize.infer(inputs, attrs)], attrs, limits);
  },
};

/**
 * Rows of a quantised matrix by their numbers; NaN where an id lies outside 0 … R − 1, so that it shows.
 *
 * packed u32 [R,⌈C/4⌉], scales [R], ids [...] i32 → [..., C].
 * @throws ShapeError if the ids are not i32.
 */
export const int8Embedding: Kernel<{ columns: number }> = {
  name: "int8Embedding",
  infer([packed, scales, ids], { columns }) {
    checkQuantized("int8Embedding", packed, scales, columns);
    if (ids.dtype !== "i32") throw new ShapeError(`int8Embedding: ids must be i32; got ${ids.dtype}`);
    return [spec([...ids.shape, columns])];
  },
  cost([, , ids], { columns }) {
    return { flops: sizeOf(ids.shape) * columns, bytes: bytesOf(ids) + 5 * sizeOf(ids.shape) * columns };
  },
  program([packed, , ids], { columns }, limits) {
    return unpackRows(sizeOf(ids.shape), columns, [["ids", "i32"]], "u32(ids[place])", `row < ${packed.shape[0]}u`, limits);
  },
};
