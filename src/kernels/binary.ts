import { broadcastShapes, sameShape, sizeOf, stridesOf, type Shape } from "../core/shape.ts";
import type { Kernel } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // one wavefront on AMD, two warps on NVIDIA; small enough to spread over every adapter

/** The functions of two numbers, as WGSL expressions of `x` and `y`. */
const EXPRESSIONS = { add: "x + y", sub: "x - y", mul: "x * y", div: "x / y" } as const;

export type BinaryFunction = keyof typeof EXPRESSIONS;

/**
 * Elementwise function of two tensors with NumPy's broadcasting: out = a ∘ b.
 *
 * a [...], b [...] f32 → out, the broadcast shape. One thread per element, or per four where the shapes are equal
 * and divisible by four.
 * @throws ShapeError if the shapes do not broadcast.
 */
export const binary: Kernel<{ fn: BinaryFunction }> = {
  name: "binary",
  infer([a, b], { fn }) {
    return [spec(broadcastShapes(a.shape, b.shape, fn))];
  },
  cost([a, b], { fn }) {
    const out = spec(broadcastShapes(a.shape, b.shape, fn));
    return { flops: sizeOf(out.shape), bytes: bytesOf(a, b, out) };
  },
  program([a, b], { fn }, limits) {
    const shape = broadcastShapes(a.shape, b.shape, fn);
    const same = sameShape(a.shape, b.shape);
    const packed = same && sizeOf(shape) % 4 === 0;
    const element = packed ? "vec4<f32>" : "f32";
    const threads = packed ? sizeOf(shape) / 4 : sizeOf(shape);
    return {
      wgsl: `${bindings([["a", element], ["b", element]], [["out", element]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= arrayLength(&out)) { return; }
  let x = a[${same ? "i" : broadcastIndex("i", shape, a.shape)}];
  let y = b[${same ? "i" : broadcastIndex("i", shape, b.shape)}];
  out[i] = ${EXPRESSIONS[fn]};
}`,
      grid: foldGrid(Math.ceil(threads / LANES), limits),
    };
  },
};

/** WGSL for the index into a tensor of shape `from`, broadcast to `to`, of the flat index `i` into `to`. */
export function broadcastIndex(i: string, to: Shape, from: Shape): string {
  const outer = stridesOf(to);
  const inner = stridesOf(from);
  const terms = from.flatMap((n, axis) => {
    if (n === 1) return [];
    const stride = outer[axis + to.length - from.length];
    return [`${i} / ${stride}u % ${n}u * ${inner[axis]}u`];
  });
  return terms.length === 0 ? "0u" : terms.join(" + ");
}
