import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, wgslType, workgroupNumber, type Binding } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions

/** Tensors that one dispatch can join: every adapter binds eight storage buffers, and one is the output. */
export const MAX_CONCAT = 7;

function joined(inputs: readonly TensorSpec[], axis: number): TensorSpec {
  const [first] = inputs;
  const size = inputs.reduce((sum, { shape }) => sum + shape[axis], 0);
  return spec(first.shape.with(axis, size), first.dtype);
}

/**
 * Joins tensors along an axis.
 *
 * 1 to 7 × [..., n_k, ...] of one type → [..., Σ n_k, ...].
 * @throws ShapeError if types differ, or shapes in another axis.
 */
export const concat: Kernel<{ axis: number }> = {
  name: "concat",
  infer(inputs, { axis }) {
    const [first] = inputs;
    for (const { shape, dtype } of inputs) {
      if (dtype !== first.dtype || shape.length !== first.shape.length || !sameShape(shape.with(axis, 1), first.shape.with(axis, 1))) {
        throw new ShapeError(`concat: all tensors must have one type, and one shape except at axis ${axis}; got ${first.dtype} ${showShape(first.shape)} and ${dtype} ${showShape(shape)}`);
      }
    }
    return [joined(inputs, axis)];
  },
  cost(inputs, { axis }) {
    return { flops: 0, bytes: bytesOf(...inputs, joined(inputs, axis)) };
  },
  program(inputs, { axis }, limits) {
    const widths = inputs.map(({ shape }) => sizeOf(shape.slice(axis)));
    const packed = widths.every((width) => width % 4 === 0);
    const units = widths.map((width) => (packed ? width / 4 : width));
    const all = units.reduce((sum, n) => sum + n, 0);
    const size = sizeOf(inputs[0].shape.slice(0, axis)) * all;
    const type = wgslType(inputs[0].dtype);
    const element = packed ? `vec4<${type}>` : type;
    const copies = units.map((n, k) => {
      const before = units.slice(0, k).reduce((sum, m) => sum + m, 0);
      return `if (along < ${before + n}u) { out[i] = x${k}[row * ${n}u + along - ${before}u]; }`;
    });
    return {
      wgsl: `${bindings(inputs.map((_, k): Binding => [`x${k}`, element]), [["out", element]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  let row = i / ${all}u;
  let along = i - row * ${all}u;
  ${copies.join("\n  else ")}
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};
