import { ShapeError } from "../core/errors.ts";
import type { DType } from "../core/dtype.ts";
import { showShape, sizeOf, stridesOf, type Shape } from "../core/shape.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, wgslType, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions

/** Bits of what stands where a number lies outside its axis, so that it shows: NaN, or the number of a type farthest from all others. */
const MISSING: Record<ReturnType<typeof wgslType>, string> = { f32: "0x7fc00000u", i32: "0x80000000u", u32: "0xffffffffu" };

/** WGSL statement that declares the variable `missing`, of the type that a dtype has in WGSL. */
export function declareMissing(dtype: DType): string {
  const type = wgslType(dtype);
  return `var missingBits = ${MISSING[type]}; // a variable, as WGSL refuses a NaN that it can see
  let missing = bitcast<${type}>(missingBits);`;
}

/** WGSL for Σ index[axis] · strides[axis] of the flat index `i` into a shape. */
export function stridedIndex(i: string, shape: Shape, strides: readonly number[]): string {
  // Neighbouring axes that lie behind one another, or are all left out, count as one: divisions are dear.
  const groups: { size: number; step: number; stride: number }[] = [];
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 1) continue;
    const inner = groups.at(-1);
    if (inner !== undefined && strides[axis] === inner.stride * inner.size) inner.size *= shape[axis];
    else groups.push({ size: shape[axis], step, stride: strides[axis] });
    step *= shape[axis];
  }
  const terms = groups.filter(({ stride }) => stride > 0).map((group) => {
    const along = group.step === 1 ? i : `${i} / ${group.step}u`;
    const wrapped = group.step * group.size === step ? along : `${along} % ${group.size}u`;
    return group.stride === 1 ? wrapped : `${wrapped} * ${group.stride}u`;
  });
  return terms.length === 0 ? "0u" : terms.join(" + ");
}

/** WGSL condition that the flat index `i` into a shape lies within a smaller one; `true` where they are the same. */
export function insideOf(i: string, shape: Shape, smaller: Shape): string {
  const strides = stridesOf(shape);
  const conditions = shape.flatMap((n, axis) => (smaller[axis] < n ? [`${i} / ${strides[axis]}u % ${n}u < ${smaller[axis]}u`] : []));
  return conditions.length === 0 ? "true" : conditions.join(" && ");
}

/** @throws ShapeError unless an index is i32, of the rank of `x`, and no larger than it in all axes but one. */
export function requireIndex(what: string, index: TensorSpec, x: TensorSpec, axis: number): void {
  if (index.dtype !== "i32") throw new ShapeError(`${what}: the index must be i32; got ${index.dtype}`);
  if (index.shape.length !== x.shape.length || index.shape.some((n, d) => d !== axis && n > x.shape[d])) {
    throw new ShapeError(`${what}: the index must have the rank of x and, except at axis ${axis}, be no larger; got ${showShape(index.shape)} for x ${showShape(x.shape)}`);
  }
}

/** One thread for each element of `out`: what x holds where the index says, at the same place in all other axes. */
function take(x: TensorSpec, index: TensorSpec, out: TensorSpec, axis: number, outside: string, limits: KernelLimits): Program {
  const type = wgslType(x.dtype);
  const size = sizeOf(out.shape);
  const strides = stridesOf(x.shape);
  return {
    wgsl: `${bindings([["x", type], ["index", "i32"]], [["out", type]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  ${outside}
  if (${insideOf("i", out.shape, index.shape)}) {
    let id = u32(index[${stridedIndex("i", out.shape, stridesOf(index.shape))}]); // a negative one becomes a great one
    if (id < ${x.shape[axis]}u) { value = x[${stridedIndex("i", out.shape, strides.with(axis, 0))} + id * ${strides[axis]}u]; }
  }
  out[i] = value;
}`,
    grid: foldGrid(Math.ceil(size / LANES), limits),
  };
}

/**
 * out[o, j, i] = x[o, index[o, j, i], i] with the axis in the middle: PyTorch's `gather`. Where the index lies outside of
 * the axis stands NaN, the least i32 or the greatest u32.
 *
 * x [..., n, ...] of any type, index [..., J, ...] i32, elsewhere no larger than x → the shape of index.
 * @throws ShapeError if the index is not i32, or its shape does not fit.
 */
export const gather: Kernel<{ axis: number }> = {
  name: "gather",
  infer([x, index], { axis }) {
    requireIndex("gather", index, x, axis);
    return [spec(index.shape, x.dtype)];
  },
  cost([x, index]) {
    return { flops: 0, bytes: bytesOf(index) + 2 * bytesOf(spec(index.shape, x.dtype)) };
  },
  program([x, index], { axis }, limits) {
    return take(x, index, spec(index.shape, x.dtype), axis, `${declareMissing(x.dtype)}\n  var value = missing;`, limits);
  },
};

/**
 * Gradient of `scatterAdd` by what was added: where each element went, and 0 for what the index leaves out.
 *
 * dy [..., n, ...], index [..., J, ...] i32 → `shape`, in each axis at least as large as the index.
 */
export const scatterAddBackward: Kernel<{ axis: number; shape: Shape }> = {
  name: "scatterAddBackward",
  infer([dy], { shape }) {
    return [spec(shape, dy.dtype)];
  },
  cost([dy, index], { shape }) {
    return { flops: 0, bytes: bytesOf(index) + 2 * bytesOf(spec(shape, dy.dtype)) };
  },
  program([dy, index], { axis, shape }, limits) {
    return take(dy, index, spec(shape, dy.dtype), axis, "var value = 0.0;", limits);
  },
};
