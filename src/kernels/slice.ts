import { isFloat } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { showShape, sizeOf } from "../core/shape.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, f32, foldGrid, spec, wgslType, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions

export interface SliceAttrs {
  readonly axis: number;
  readonly start: number;
  /** One beyond the last place, in the direction of the step. */
  readonly end: number;
  /** From one place to the next; negative to go backwards. Default 1. */
  readonly step?: number;
}

export interface SpreadAttrs {
  readonly axis: number;
  readonly start: number;
  readonly step?: number;
  /** Of the axis in the output. */
  readonly size: number;
  /** What fills the places between and around. Default 0. */
  readonly value?: number;
}

/** A number of type `T` (f32 or vec4<f32>), infinite ones from their bits: WGSL has no literals for those. */
function floatLiteral(value: number): string {
  if (Number.isFinite(Math.fround(value))) return `T(${f32(value)})`;
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0];
  return `T(bitcast<f32>(${bits}u + (along & 0u)))`; // what the compiler can see to be infinite it refuses
}

/** Places that a slice takes. */
function countOf({ start, end, step = 1 }: SliceAttrs): number {
  return Math.ceil((end - start) / step);
}

/** Spec of a tensor with one axis of another size. */
function resized({ shape, dtype }: TensorSpec, axis: number, size: number): TensorSpec {
  return spec(shape.with(axis, size), dtype);
}

/**
 * One thread for each element of `out`, or for four: `element(i, row, along)` is the WGSL of its value, where `row` counts
 * what lies before the axis and `along` is the place on and after it. Four go at once where all `widths` divide by four.
 */
function alongAxis(x: TensorSpec, out: TensorSpec, axis: number, widths: readonly number[], element: (unit: (width: number) => string) => string, limits: KernelLimits): Program {
  const packed = widths.every((width) => width % 4 === 0);
  const type = packed ? `vec4<${wgslType(x.dtype)}>` : wgslType(x.dtype);
  const unit = (width: number): string => `${packed ? width / 4 : width}u`;
  return {
    wgsl: `alias T = ${type};
${bindings([["x", type]], [["out", type]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${unit(sizeOf(out.shape))}) { return; }
  let row = i / ${unit(sizeOf(out.shape.slice(axis)))};
  let along = i - row * ${unit(sizeOf(out.shape.slice(axis)))}; // dearer: i % …
  ${element(unit)}
}`,
    grid: foldGrid(Math.ceil(sizeOf(out.shape) / (packed ? 4 : 1) / LANES), limits),
  };
}

/**
 * The places start, start + step … before `end` of an axis.
 *
 * x [..., n, ...], any type → [..., count, ...].
 * @throws ShapeError unless there is a place, and all lie in 0 … n − 1.
 */
export const slice: Kernel<SliceAttrs> = {
  name: "slice",
  infer([x], attrs) {
    const { axis, start, end, step = 1 } = attrs;
    const n = x.shape[axis];
    const last = start + (countOf(attrs) - 1) * step;
    if (![start, end, step].every(Number.isInteger) || !(countOf(attrs) >= 1) || Math.min(start, last) < 0 || Math.max(start, last) >= n || (step > 0 && end > n)) {
      throw new ShapeError(`slice: start and end must be whole numbers with 0 ≤ start < end ≤ ${n} for axis ${axis} of ${showShape(x.shape)}; got ${start} and ${end}${step === 1 ? "" : `, step ${step}`}`);
    }
    return [resized(x, axis, countOf(attrs))];
  },
  cost([x], attrs) {
    return { flops: 0, bytes: 2 * bytesOf(resized(x, attrs.axis, countOf(attrs))) };
  },
  program([x], attrs, limits) {
    const { axis, start, step = 1 } = attrs;
    const inner = sizeOf(x.shape.slice(axis + 1));
    const out = resized(x, axis, countOf(attrs));
    const whole = x.shape[axis] * inner;
    if (step === 1) {
      return alongAxis(x, out, axis, [whole, start * inner, out.shape[axis] * inner], (unit) => `out[i] = x[row * ${unit(whole)} + ${unit(start * inner)} + along];`, limits);
    }
    const body = (unit: (width: number) => string): string => `let place = ${start}u + along / ${unit(inner)} * ${step >>> 0}u; // a negative step wraps around
  out[i] = x[row * ${unit(whole)} + place * ${unit(inner)} + along % ${unit(inner)}];`;
    return alongAxis(x, out, axis, [inner], body, limits);
  },
};

/**
 * Puts x along an axis of a larger tensor, at the places start, start + step …, and a value everywhere else: padding, and
 * the gradient of {@link slice}.
 *
 * x [..., count, ...] → [..., size, ...].
 */
export const spread: Kernel<SpreadAttrs> = {
  name: "spread",
  infer([x], { axis, size }) {
    return [resized(x, axis, size)];
  },
  cost([x], { axis, size }) {
    return { flops: 0, bytes: bytesOf(x, resized(x, axis, size)) };
  },
  program([x], { axis, start, step = 1, size, value = 0 }, limits) {
    const inner = sizeOf(x.shape.slice(axis + 1));
    const count = x.shape[axis];
    const out = resized(x, axis, size);
    const filler = isFloat(x.dtype) ? floatLiteral(value) : `T(${value})`;
    if (step === 1) {
      const body = (unit: (width: number) => string): string => `let place = along - ${unit(start * inner)}; // wraps to a great number before the part
  out[i] = ${filler};
  if (place < ${unit(count * inner)}) { out[i] = x[row * ${unit(count * inner)} + place]; }`;
      return alongAxis(x, out, axis, [size * inner, start * inner, count * inner], body, limits);
    }
    const stride = Math.abs(step);
    const hop = step > 0 ? (place: string) => `${place} - ${start}u` : (place: string) => `${start}u - ${place}`;
    const body = (unit: (width: number) => string): string => `let hop = ${hop(`along / ${unit(inner)}`)}; // wraps to a great number before the first place
  out[i] = ${filler};
  if (hop % ${stride}u == 0u && hop / ${stride}u < ${count}u) { out[i] = x[(row * ${count}u + hop / ${stride}u) * ${unit(inner)} + along % ${unit(inner)}]; }`;
    return alongAxis(x, out, axis, [inner], body, limits);
  },
};
