import type { DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { broadcastShapes, sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import { broadcastIndex } from "./elementwise.ts";
import { gemmProgram, gemmSplits } from "./gemm.ts";
import type { Activation, Operand, Product, ProductSize, Variant } from "./gemm-product.ts";
import type { Kernel, KernelLimits, TensorSpec } from "./kernel.ts";
import { batchParts, matrixParts, type Block } from "./matmul-parts.ts";
import { bindings, bytesOf, commonFloat, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber } from "./wgsl.ts";
import { asMatrix, isBindable } from "./windows.ts";

export interface MatmulAttrs {
  /** The last two axes of a are [K, M] instead of [M, K]. */
  readonly transposeA?: boolean;
  /** The last two axes of b are [N, K] instead of [K, N]. */
  readonly transposeB?: boolean;
  /** There is a third input [N], added to each row. */
  readonly bias?: boolean;
  readonly activation?: Activation;
  /** Cuts the sum into that many parts, each a product of its own: out [splits, ..., M, N], to be summed. No bias, no activation. */
  readonly splits?: number;
  /** Leaves the output in f32 although both inputs are f16: for gradients of weights. */
  readonly wide?: boolean;
  /** Adds to what the output holds, which must be given. */
  readonly accumulate?: boolean;
  /** What this dispatch computes of a product whose tensors are too large for one. */
  readonly block?: Block;
  /** Instead of the best guess. */
  readonly variant?: Variant;
}

interface MatmulShape extends ProductSize {
  readonly splits: number;
  /** Axes before the last two of a, b and the output, after rows of a batch of A have become rows of one A. */
  readonly batchA: Shape;
  readonly batchB: Shape;
  readonly batchOut: Shape;
  readonly out: Shape;
}

/**
 * Matrix product out = activation(a · b + bias), batched, with broadcasting of the axes before the last two.
 *
 * a [..., M, K] (or [..., K, M]), b [..., K, N] (or [..., N, K]), bias [N] → out [..., M, N], f16 where a and b are.
 * @throws ShapeError if a rank is below 2, the sizes of K differ, the other axes do not broadcast, or bias is not [N].
 */
export const matmul: Kernel<MatmulAttrs> = {
  name: "matmul",
  infer(inputs, attrs) {
    const { out, splits, columns } = matmulShape(inputs, attrs);
    const bias = inputs[2];
    if ((attrs.bias === true) !== (bias !== undefined)) throw new ShapeError(`matmul: attribute bias must say whether there is a third input; got ${attrs.bias === true} with ${inputs.length} inputs`);
    if (bias !== undefined && !sameShape(bias.shape, [columns])) throw new ShapeError(`matmul: bias must be [${columns}]; got ${showShape(bias.shape)}`);
    if (splits > 1 && (bias !== undefined || (attrs.activation ?? "none") !== "none")) throw new ShapeError("matmul: a product in parts can have no bias and no activation");
    return [splits > 1 ? spec([splits, ...out]) : spec(out, attrs.wide === true ? "f32" : commonFloat(inputs[0], inputs[1]))];
  },
  cost(inputs, attrs) {
    if (attrs.block !== undefined) {
      const { rows, columns, depth } = attrs.block;
      return { flops: 2 * rows * columns * depth, bytes: bytesOf(spec([rows, depth], inputs[0].dtype), spec([depth, columns], inputs[1].dtype), spec([rows, columns])) };
    }
    const { rows, columns, depth, batch, splits } = matmulShape(inputs, attrs);
    return { flops: 2 * rows * columns * depth * (batch / splits), bytes: bytesOf(...inputs, ...matmul.infer(inputs, attrs)) };
  },
  program(inputs, attrs, limits) {
    const product = attrs.block === undefined ? matmulProduct(inputs, attrs) : blockProduct(inputs, attrs, attrs.block);
    return gemmProgram({ ...product, accumulate: attrs.accumulate }, limits, attrs.variant);
  },
  parts(inputs, attrs, limits) {
    const { rows, columns, batch, splits } = matmulShape(inputs, attrs);
    const [out] = matmul.infer(inputs, attrs);
    if (splits > 1) return null;
    if (batch > 1) return batchParts(inputs, out, attrs, limits);
    const [a, b, ...bias] = inputs;
    return matrixParts([asMatrix(a), asMatrix(b), ...bias], { ...out, shape: [rows, columns] }, attrs, limits);
  },
};

/** Into how many parts {@link matmul} should cut its sum on this adapter; one where tensors are so large that it is cut anyway. */
export function matmulSplits(inputs: readonly TensorSpec[], attrs: MatmulAttrs, limits: KernelLimits): number {
  const bindable = [...inputs, ...matmul.infer(inputs, attrs)].every((tensor) => isBindable(tensor, limits));
  return bindable ? gemmSplits(matmulShape(inputs, attrs), limits) : 1;
}

function matmulShape([a, b]: readonly TensorSpec[], { transposeA = false, transposeB = false, splits = 1 }: MatmulAttrs): MatmulShape {
  if (a.shape.length < 2 || b.shape.length < 2) throw new ShapeError(`matmul: both inputs must have at least two axes; got ${showShape(a.shape)} and ${showShape(b.shape)}`);
  const [m, k] = lastTwo(a.shape, transposeA);
  const [inner, n] = lastTwo(b.shape, transposeB);
  if (k !== inner) throw new ShapeError(`matmul: the inner sizes must be equal; got ${k} of ${showShape(a.shape)} and ${inner} of ${showShape(b.shape)}`);
  const batchA = a.shape.slice(0, -2);
  const batchB = b.shape.slice(0, -2);
  const batchOut = broadcastShapes(batchA, batchB, "matmul");
  const out = [...batchOut, m, n];
  const depth = Math.ceil(k / splits);
  // With one B for all, the batch of A is one tall A.
  if (sizeOf(batchB) === 1 && !transposeA) return { rows: m * sizeOf(batchOut), columns: n, depth, batch: splits, splits, batchA: [], batchB: [], batchOut: [], out };
  return { rows: m, columns: n, depth, batch: sizeOf(batchOut) * splits, splits, batchA, batchB, batchOut, out };
}

function lastTwo(shape: Shape, transpose: boolean): [number, number] {
  const [first, second] = shape.slice(-2);
  return transpose ? [second, first] : [first, second];
}

function matmulProduct(inputs: readonly TensorSpec[], attrs: MatmulAttrs): Product {
  const shape = matmulShape(inputs, attrs);
  const { rows, columns, batch, depth, splits, batchA, batchB, batchOut } = shape;
  const { transposeA = false, transposeB = false } = attrs;
  const k = lastTwo(inputs[0].shape, transposeA)[1];
  const matrices = batch / splits;
  const matrix = splits === 1 ? "batch" : `(batch % ${matrices}u)`;
  return {
    rows,
    columns,
    batch,
    depth,
    axes: [{ index: "k", extent: splits === 1 ? `${k}u` : "count" }],
    prelude: `let firstA = ${matrices === 1 ? "0u" : `(${broadcastIndex(matrix, batchOut, batchA)}) * ${rows * k}u`};
let firstB = ${matrices === 1 ? "0u" : `(${broadcastIndex(matrix, batchOut, batchB)}) * ${columns * k}u`};
${splits === 1 ? "let skip = 0u;" : `let skip = batch / ${matrices}u * ${depth}u;\nlet count = min(${depth}u, max(skip, ${k}u) - skip);`}`,
    a: matrixOperand("a", "firstA", transposeA ? rows : k, !transposeA, rows % 4 === 0),
    b: matrixOperand("b", "firstB", transposeB ? k : columns, transposeB, columns % 4 === 0),
    inputs: ["a", "b", ...(inputs.length > 2 ? ["bias"] : [])],
    locateOutput: (column, s) => `let at${s} = batch * ${rows * columns}u + ${column};`,
    output: (row, s) => `at${s} + ${row} * ${columns}u`,
    bias: inputs.length > 2 ? { along: "column", load: (column) => `bias[${column}]` } : undefined,
    activation: attrs.activation ?? "none",
  };
}

/** A block of a larger product: rows and columns lie as far apart as in the whole. */
function blockProduct(inputs: readonly TensorSpec[], { transposeA = false, transposeB = false, activation = "none" }: MatmulAttrs, block: Block): Product {
  const { rows, columns, depth, partial } = block;
  const hasBias = inputs.length > 2;
  const operand = (binding: "a" | "b", { shape }: TensorSpec, lines: number, alongSum: boolean): Operand =>
    matrixOperand(binding, `${block[binding]}u`, shape[1], alongSum, !alongSum && [lines, shape[1], block[binding]].every((n) => n % 4 === 0));
  return {
    rows,
    columns,
    batch: 1,
    depth,
    axes: [{ index: "k", extent: `${depth}u` }],
    prelude: "let skip = 0u;",
    a: operand("a", inputs[0], rows, !transposeA),
    b: operand("b", inputs[1], columns, transposeB),
    inputs: ["a", "b", ...(hasBias ? ["bias"] : [])],
    locateOutput: (column, s) => `let at${s} = ${block.out}u + ${column};`,
    output: (row, s) => `at${s} + ${row} * ${block.outStride}u`,
    bias: hasBias && !partial ? { along: "column", load: (column) => `bias[${block.bias}u + ${column}]` } : undefined,
    activation: partial ? "none" : activation,
  };
}

/**
 * An operand stored as [lines, k] or [k, lines], where a line is a row of A or a column of B.
 * @param width Size of the last of those two axes.
 * @param aligned Whether four neighbouring lines can be loaded as a vector.
 */
function matrixOperand(binding: string, first: string, width: number, alongSum: boolean, aligned: boolean): Operand {
  if (alongSum) {
    return {
      binding,
      locate: (index, s) => `let at${s} = ${first} + (${index}) * ${width}u + skip;`,
      advance: () => "",
      stride: 1,
      load: (s, offset) => `${binding}[at${s} + ${offset}]`,
    };
  }
  return {
    binding,
    locate: (index, s) => `let at${s} = ${first} + skip * ${width}u + ${index};`,
    advance: () => "",
    stride: width,
    load: (s, offset) => `${binding}[at${s} + ${offset}]`,
    load4: aligned ? (s, offset) => `${binding}[(at${s} + ${offset}) / 4u]` : undefined,
  };
}

const LANES = 64; // one wavefront on AMD, two warps on NVIDIA

/**
 * The sum over the first axis: out = Σ parts[s], or added to what the output holds. The second half of a product whose
 * sum was cut.
 *
 * parts [S, ...] f32 → out [...], of the dtype that the whole product would have. One thread per element; always in the
 * same order, so always the same bits.
 */
export const sumParts: Kernel<{ dtype: DType; accumulate?: boolean }> = {
  name: "sumParts",
  infer([parts], { dtype }) {
    if (parts.shape.length === 0) throw new ShapeError("sumParts: the input must have an axis to sum over; got []");
    return [spec(parts.shape.slice(1), dtype)];
  },
  cost([parts]) {
    return { flops: sizeOf(parts.shape), bytes: bytesOf(parts, spec(parts.shape.slice(1))) };
  },
  program([parts], { accumulate = false }, limits) {
    const size = sizeOf(parts.shape.slice(1));
    return {
      wgsl: `${bindings([["parts", "f32"]], [["out", "f32"]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  var sum = ${accumulate ? "out[i]" : "0.0"};
  for (var part = 0u; part < ${parts.shape[0]}u; part++) { sum += parts[part * ${size}u + i]; }
  out[i] = sum;
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};
