import { ShapeError } from "../core/errors.ts";
import { showShape, sizeOf } from "../core/shape.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, wgslType, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions

interface SliceAttrs {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

/** Spec of a tensor with one axis of another size. */
function resized({ shape, dtype }: TensorSpec, axis: number, size: number): TensorSpec {
  return spec(shape.with(axis, size), dtype);
}

/**
 * One thread for each element of `out`, or for four: `element(i, row, along)` is the WGSL of its value, where `row` counts
 * what lies before the axis and `along` is the place on and after it. `widths` must all divide by four to take four.
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
  if (i >= arrayLength(&out)) { return; }
  let row = i / ${unit(sizeOf(out.shape.slice(axis)))};
  let along = i - row * ${unit(sizeOf(out.shape.slice(axis)))}; // dearer: i % …
  ${element(unit)}
}`,
    grid: foldGrid(Math.ceil(sizeOf(out.shape) / (packed ? 4 : 1) / LANES), limits),
  };
}

/**
 * The part start … end − 1 of an axis.
 *
 * x [..., n, ...], any type → [..., end − start, ...].
 * @throws ShapeError unless 0 ≤ start < end ≤ n.
 */
export const slice: Kernel<SliceAttrs> = {
  name: "slice",
  infer([x], { axis, start, end }) {
    const n = x.shape[axis];
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start < end && end <= n)) {
      throw new ShapeError(`slice: start and end must be whole numbers with 0 ≤ start < end ≤ ${n} for axis ${axis} of ${showShape(x.shape)}; got ${start} and ${end}`);
    }
    return [resized(x, axis, end - start)];
  },
  cost([x], { axis, start, end }) {
    return { flops: 0, bytes: 2 * bytesOf(resized(x, axis, end - start)) };
  },
  program([x], { axis, start, end }, limits) {
    const inner = sizeOf(x.shape.slice(axis + 1));
    const [whole, before, part] = [x.shape[axis], start, end - start].map((n) => n * inner);
    return alongAxis(x, resized(x, axis, end - start), axis, [whole, before, part], (unit) => `out[i] = x[row * ${unit(whole)} + ${unit(before)} + along];`, limits);
  },
};

/**
 * Gradient of {@link slice}: x in its place, and zeros around it.
 *
 * x [..., end − start, ...] → [..., size, ...].
 */
export const sliceBackward: Kernel<{ axis: number; start: number; size: number }> = {
  name: "sliceBackward",
  infer([x], { axis, size }) {
    return [resized(x, axis, size)];
  },
  cost([x], { axis, size }) {
    return { flops: 0, bytes: bytesOf(x, resized(x, axis, size)) };
  },
  program([x], { axis, start, size }, limits) {
    const inner = sizeOf(x.shape.slice(axis + 1));
    const [whole, before, part] = [size, start, x.shape[axis]].map((n) => n * inner);
    const body = (unit: (width: number) => string): string => `let place = along - ${unit(before)}; // wraps to a great number before the part
  out[i] = T();
  if (place < ${unit(part)}) { out[i] = x[row * ${unit(part)} + place]; }`;
    return alongAxis(x, resized(x, axis, size), axis, [whole, before, part], body, limits);
  },
};
