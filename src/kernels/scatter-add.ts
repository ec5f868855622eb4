/**
 * Sums of elements by numbers along one axis, without float atomics and in the same order at every run.
 *
 * Where the index is short along its axis, each element of the result looks through all numbers that could mean it. Otherwise
 * the places are sorted by where they go (sort.ts), and each element of the result adds up its own.
 */

import { ShapeError } from "../core/errors.ts";
import { showShape, sizeOf, stridesOf, type Shape } from "../core/shape.ts";
import { requireFloat } from "./elementwise.ts";
import { insideOf, requireIndex, stridedIndex } from "./gather.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber, type Binding } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions
const BLOCK = 64; // terms added up before they go into the total: rounding errors grow with each count, not with all
const SHORT_INDEX = 64; // numbers that an element of the result looks through sooner than all are sorted
const FEW_STEPS = 2 ** 18; // in all, which cost less than the dispatches of a sort

/** Where numbers along an axis say what is added up. */
export interface ScatterAttrs {
  readonly axis: number;
  /** Shape of the result. */
  readonly shape: Shape;
}

/** Whether {@link scatterAddShort} is the faster way. */
export function isShortIndex(index: TensorSpec, { axis, shape }: ScatterAttrs): boolean {
  const terms = index.shape[axis];
  return terms <= SHORT_INDEX || terms * sizeOf(shape) <= FEW_STEPS;
}

/** What both ways have in common: `x`, to which is added, may be left out. @throws ShapeError if the tensors don't fit. */
function inferSum(src: TensorSpec, index: TensorSpec, x: TensorSpec | undefined, { axis, shape }: ScatterAttrs): TensorSpec[] {
  requireFloat("scatterAdd", src, ...(x === undefined ? [] : [x]));
  requireIndex("scatterAdd", index, spec(shape), axis);
  if (src.shape.length !== index.shape.length || index.shape.some((n, d) => n > src.shape[d])) {
    throw new ShapeError(`scatterAdd: src must be at least as large as the index; got ${showShape(src.shape)} for index ${showShape(index.shape)}`);
  }
  return [spec(shape, (x ?? src).dtype)];
}

/** WGSL of a sum of as many terms as a loop finds, in blocks: `add` is called with each, and `total()` at the end. */
const BLOCKED_SUM = `var<private> sum = 0.0;
var<private> partial = 0.0;
var<private> terms = 0u;

fn add(term: f32) {
  partial += term;
  terms++;
  if (terms % ${BLOCK}u == 0u) {
    sum += partial;
    partial = 0.0;
  }
}

fn total() -> f32 { return sum + partial; }`;

/**
 * out = x; out[o, index[o, j, i], i] += src[o, j, i], with the axis in the middle: PyTorch's `scatter_add`. Numbers outside
 * of the axis are left out. For a short index.
 *
 * src [...], index [..., J, ...] i32, x [...] (or none: 0) → `shape`.
 * @throws ShapeError if the index is not i32, or the shapes do not fit.
 */
export const scatterAddShort: Kernel<ScatterAttrs> = {
  name: "scatterAddShort",
  infer([src, index, x], attrs) {
    return inferSum(src, index, x, attrs);
  },
  cost([src, index, ...x], { axis, shape }) {
    return { flops: sizeOf(shape) * index.shape[axis], bytes: bytesOf(src, index, ...x, spec(shape, src.dtype)) };
  },
  program([src, index, x], { axis, shape }, limits) {
    const size = sizeOf(shape);
    const [indexStrides, srcStrides] = [index, src].map((tensor) => stridesOf(tensor.shape));
    const smaller = index.shape.with(axis, shape[axis]);
    return {
      wgsl: `${bindings([["src", "f32"], ["index", "i32"], ...(x === undefined ? [] : [["x", "f32"] as const])], [["out", "f32"]])}
${BLOCKED_SUM}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  if (${insideOf("i", shape, smaller)}) {
    let own = i32(i / ${stridesOf(shape)[axis]}u % ${shape[axis]}u);
    var indexAt = ${stridedIndex("i", shape, indexStrides.with(axis, 0))};
    var srcAt = ${stridedIndex("i", shape, srcStrides.with(axis, 0))};
    for (var j = 0u; j < ${index.shape[axis]}u; j++) {
      if (index[indexAt] == own) { add(src[srcAt]); }
      indexAt += ${indexStrides[axis]}u;
      srcAt += ${srcStrides[axis]}u;
    }
  }
  out[i] = ${x === undefined ? "" : "x[i] + "}total();
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};

/**
 * Where each element of the index sends what is added: flat places in the result, and the greatest u32 for numbers outside
 * of the axis.
 *
 * index [...] i32 → [N] u32.
 */
export const scatterTargets: Kernel<ScatterAttrs> = {
  name: "scatterTargets",
  infer([index]) {
    return [spec([sizeOf(index.shape)], "u32")];
  },
  cost([index]) {
    return { flops: 0, bytes: 2 * bytesOf(index) };
  },
  program([index], { axis, shape }, limits) {
    const size = sizeOf(index.shape);
    const strides = stridesOf(shape);
    return {
      wgsl: `${bindings([["index", "i32"]], [["targets", "u32"]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  let id = u32(index[i]); // a negative one becomes a great one
  let place = ${stridedIndex("i", index.shape, strides.with(axis, 0))} + id * ${strides[axis]}u;
  targets[i] = select(0xffffffffu, place, id < ${shape[axis]}u);
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};

/**
 * Sums what was sorted by {@link scatterTargets}: each element of the result finds its first term by bisection.
 *
 * src [...], order [N] i32, targets [N] u32 (sorted), x [...] (or none: 0) → `shape`. @param index The index's shape.
 */
export const scatterAddSorted: Kernel<ScatterAttrs & { readonly index: Shape }> = {
  name: "scatterAddSorted",
  infer([src, , , x], { index, ...attrs }) {
    return inferSum(src, spec(index, "i32"), x, attrs);
  },
  cost([src, order, targets, ...x], { shape }) {
    return { flops: sizeOf(order.shape) + sizeOf(shape) * Math.ceil(Math.log2(sizeOf(order.shape))), bytes: bytesOf(src, order, targets, ...x, spec(shape, src.dtype)) };
  },
  program([src, order, , x], { shape, index }, limits) {
    const size = sizeOf(shape);
    const inputs: Binding[] = [["src", "f32"], ["order", "i32"], ["targets", "u32"], ...(x === undefined ? [] : [["x", "f32"] as const])];
    return {
      wgsl: `${bindings(inputs, [["out", "f32"]])}
${BLOCKED_SUM}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  var low = 0u;
  var high = ${sizeOf(order.shape)}u;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (targets[middle] < i) { low = middle + 1u; } else { high = middle; }
  }
  for (; low < ${sizeOf(order.shape)}u && targets[low] == i; low++) {
    let place = u32(order[low]);
    add(src[${stridedIndex("place", index, stridesOf(src.shape))}]);
  }
  out[i] = ${x === undefined ? "" : "x[i] + "}total();
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};
