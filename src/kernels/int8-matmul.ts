/**
 * Products with a matrix in 8 bits (see quantized.ts), which is unpacked where it is loaded: inference reads a quarter of
 * the bytes. Two kernels: for few rows of x, where reading the matrix is all the time it takes, one that goes along its
 * rows; for many, the engine of all matrix products.
 */

import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { requireFloat } from "./elementwise.ts";
import { ACTIVATIONS, gemmProgram } from "./gemm.ts";
import { type Activation, type Product } from "./gemm-product.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { checkQuantized, PACK, UNPACK, UNPACKED_UNIT, wordsOf } from "./quantized.ts";
import { independentThreads, powerOfTwoAbove } from "./row-reduce.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber, upTo } from "./wgsl.ts";

/** Threads of a workgroup, and those that share a row of the matrix: with a word each, they read a whole cache line. */
const LANES = 128;
const LANES_A_ROW = 32;

/** Rows of x that a thread multiplies with what it has unpacked. */
const ROWS = 8;

/** From so many outputs on a GPU stays busy with fewer threads, each for several of them. */
const BUSY_OUTPUTS = 8192;

export interface Int8MatmulAttrs {
  readonly activation: Activation;
}

/**
 * y = activation(x · wᵀ + bias), where row o of w is scales[o] · q[o].
 *
 * x [N,C], packed u32 [O,⌈C/4⌉], scales [O], bias [O] (optional) → y [N,O] of x's type; sums in f32.
 * @throws ShapeError if the sizes don't fit.
 */
export const int8Matmul: Kernel<Int8MatmulAttrs> = {
  name: "int8Matmul",
  infer([x, packed, scales, bias]) {
    requireFloat("int8Matmul", x);
    if (x.shape.length !== 2) throw new ShapeError(`int8Matmul: x must be [N,C]; got ${showShape(x.shape)}`);
    checkQuantized("int8Matmul", packed, scales, x.shape[1]);
    if (bias !== undefined && !sameShape(bias.shape, scales.shape)) throw new ShapeError(`int8Matmul: bias must be ${showShape(scales.shape)}; got ${showShape(bias.shape)}`);
    return [spec([x.shape[0], packed.shape[0]], x.dtype)];
  },
  cost(inputs, attrs) {
    const [x, packed] = inputs;
    return { flops: 2 * sizeOf(x.shape) * packed.shape[0], bytes: bytesOf(...inputs, ...int8Matmul.infer(inputs, attrs)) };
  },
  program(inputs, attrs, limits) {
    return inputs[0].shape[0] <= ROWS ? rowProgram(inputs, attrs, limits) : gemmProgram(int8Product(inputs, attrs), limits);
  },
};

function int8Product([x, packed, , bias]: readonly TensorSpec[], { activation }: Int8MatmulAttrs): Product {
  const [rows, depth] = x.shape;
  const [columns, words] = packed.shape;
  return {
    rows,
    columns,
    batch: 1,
    depth,
    axes: [{ index: "k", extent: `${depth}u` }],
    prelude: "",
    a: {
      binding: "x",
      locate: (index, s) => `let at${s} = (${index}) * ${depth}u;`,
      advance: () => "",
      stride: 1,
      load: (s, offset) => `x[at${s} + ${offset}]`,
    },
    b: {
      binding: "packed",
      locate: (index, s) => `let at${s} = (${index}) * ${words}u;\nlet scale${s} = scales[${index}];`,
      advance: () => "",
      stride: 1,
      // Shifted up and down again, which carries the sign along; extractBits is slow on CPU adapters.
      load: (s, offset) => `f32(bitcast<i32>(packed[at${s} + (${offset}) / ${PACK}u] << (24u - (${offset}) % ${PACK}u * 8u)) >> 24u) * scale${s}`,
    },
    inputs: ["x", "packed", "scales", ...(bias === undefined ? [] : ["bias"])],
    elements: { packed: "u32" },
    locateOutput: (column, s) => `let at${s} = ${column};`,
    output: (row, s) => `at${s} + ${row} * ${columns}u`,
    bias: bias === undefined ? undefined : { along: "column", load: (column) => `bias[${column}]` },
    activation,
  };
}

/** Columns of the output that a thread computes, which share its loads of x; `rows` is a power of two. */
function columnsOf(rows: number, outputs: number, limits: KernelLimits): number {
  if (!limits.cooperativeWorkgroups) return Math.max(4, ROWS / rows);
  return outputs < BUSY_OUTPUTS ? 1 : Math.max(1, ROWS / 2 / rows);
}

/** Each row of the matrix is read once, by threads that share it or by one alone, and multiplied with all rows of x. */
function rowProgram([x, { shape: [outputs] }, , bias]: readonly TensorSpec[], { activation }: Int8MatmulAttrs, limits: KernelLimits): Program {
  const [rows, depth] = x.shape;
  const words = wordsOf(depth);
  const wholeWords = Math.floor(depth / PACK);
  const packed = depth % PACK === 0;
  const cooperative = limits.cooperativeWorkgroups;
  const columns = columnsOf(powerOfTwoAbove(rows), outputs, limits);
  const shares = cooperative ? LANES_A_ROW : 1;
  const threads = Math.ceil(outputs / columns);
  const size = cooperative ? LANES : independentThreads(threads);
  const groups = Math.ceil((threads * shares) / size);
  const sums = upTo(rows).flatMap((m) => upTo(columns).map((c) => ({ m, c, name: `sum${m}_${c}` })));
  const each = <T>(items: readonly T[], text: (item: T, i: number) => string): string => items.map(text).join("\n");
  const vector = (m: number): string => (packed ? `x[${m * words}u + i]` : `vec4<f32>(${upTo(PACK).map((j) => `x[${m * depth + j}u + ${PACK}u * i]`).join(", ")})`);
  const rest = upTo(depth % PACK);
  const unpackWords = (word: string): string => each(upTo(columns), (c) => `    let w${c} = unpack(packed[row${c} + ${word}]);`);
  return {
    wgsl: `${bindings([["x", packed ? "vec4<f32>" : "f32"], ["packed", "u32"], ["scales", "f32"], ...(bias === undefined ? [] : [["bias", "f32"] as const])], [["out", "f32"]])}
${UNPACK}
${ACTIVATIONS[activation]}
${cooperative ? sharesReduction(sums.length) : ""}

@compute @workgroup_size(${size})
fn main(${ENTRY_PARAMETERS}) {
  let tile = ${workgroupNumber()};
  if (tile >= ${groups}u) { return; } // uniform
  let first = (tile * ${size / shares}u + lane / ${shares}u) * ${columns}u;
  let share = lane % ${shares}u;
${each(upTo(columns), (c) => `  let row${c} = min(first + ${c}u, ${outputs - 1}u) * ${words}u;`)}
${each(sums, ({ name }) => `  var ${name} = 0.0;`)}
  for (var i = share; i < ${wholeWords}u; i += ${shares}u) {
${unpackWords("i")}
${each(upTo(rows), (m) => `    let x${m} = ${vector(m)};`)}
${each(sums, ({ m, c, name }) => `    ${name} += dot(w${c}, x${m});`)}
  }
  ${rest.length === 0 ? "" : `if (share == 0u) { // what is left of the rows
${unpackWords(`${wholeWords}u`)}
${each(sums, ({ m, c, name }) => `    ${name} += ${rest.map((j) => `w${c}[${j}] * x[${m * depth + wholeWords * PACK + j}u]`).join(" + ")};`)}
  }`}
  ${cooperative ? `${each(sums, ({ name }, i) => `partial[lane * ${sums.length}u + ${i}u] = ${name};`)}
  addShares(lane, share);
  ${each(sums, ({ name }, i) => `${name} = partial[lane * ${sums.length}u + ${i}u];`)}
  if (share != 0u) { return; }` : ""}
${each(upTo(columns), (c) => {
  const stores = each(sums.filter((sum) => sum.c === c), ({ m, name }) => {
    const value = `${name} * scale${bias === undefined ? "" : ` + bias[first + ${c}u]`}`;
    return `    out[${m * outputs}u + first + ${c}u] = ${activation === "none" ? value : `activate(${value})`};`;
  });
  return `  if (first + ${c}u < ${outputs}u) {\n    let scale = scales[first + ${c}u] * ${UNPACKED_UNIT};\n${stores}\n  }`;
})}
}`,
    grid: foldGrid(groups, limits),
  };
}

/** WGSL that leaves in the first share what all shares of a thread's outputs hold: a fixed tree. */
function sharesReduction(sums: number): string {
  return `var<workgroup> partial: array<f32, ${LANES * sums}>;

fn addShares(lane: u32, share: u32) {
  for (var reach = ${LANES_A_ROW / 2}u; reach > 0u; reach >>= 1u) {
    workgroupBarrier(); // uniform: every thread makes each round
    if (share < reach) {
      for (var i = 0u; i < ${sums}u; i++) { partial[lane * ${sums}u + i] += partial[(lane + reach) * ${sums}u + i]; }
    }
  }
}`;
}
