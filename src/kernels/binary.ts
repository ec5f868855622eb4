import { ShapeError } from "../core/errors.ts";
import { broadcastShapes, sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import { elementwise, requireFloat } from "./elementwise.ts";
import type { Kernel } from "./kernel.ts";
import { bytesOf, commonFloat, f32, spec } from "./wgsl.ts";
import { cutElementwise, elementwiseWindows } from "./windows.ts";

/** The functions of two numbers, as WGSL expressions of `x` and `y`. */
const EXPRESSIONS = { add: "x + y", sub: "x - y", mul: "x * y", div: "x / y" } as const;

export type BinaryFunction = keyof typeof EXPRESSIONS;

/**
 * Elementwise function of two tensors with NumPy's broadcasting: out = a ∘ b.
 *
 * a [...], b [...] f32 → out, the broadcast shape.
 * @throws ShapeError if the shapes do not broadcast.
 */
export const binary: Kernel<{ fn: BinaryFunction }> = {
  name: "binary",
  parts: cutElementwise,
  infer([a, b], { fn }) {
    requireFloat(fn, a, b);
    return [spec(broadcastShapes(a.shape, b.shape, fn), commonFloat(a, b))];
  },
  cost([a, b], { fn }) {
    const out = spec(broadcastShapes(a.shape, b.shape, fn));
    return { flops: sizeOf(out.shape), bytes: bytesOf(a, b, out) };
  },
  program([a, b], { fn }, limits) {
    return elementwise({ shape: broadcastShapes(a.shape, b.shape, fn), inputs: [["x", a], ["y", b]], expression: EXPRESSIONS[fn] }, limits);
  },
};

/**
 * Gradient of a quotient by its divisor, before it is summed to the divisor's shape: −dy · y / b with y = a / b.
 *
 * dy [...], y [...], b (broadcasts to dy) f32 → [...].
 */
export const divideBackward: Kernel = {
  name: "divideBackward",
  parts: cutElementwise,
  infer([dy]) {
    return [spec(dy.shape, dy.dtype)];
  },
  cost([dy, y, b]) {
    return { flops: 3 * sizeOf(dy.shape), bytes: bytesOf(dy, y, b, dy) };
  },
  program([dy, y, b], _attrs, limits) {
    return elementwise({ shape: dy.shape, inputs: [["dy", dy], ["y", y], ["b", b]], expression: "-dy * y / b" }, limits);
  },
};

/**
 * Repeats a tensor along the axes that are stretched, times a factor: the gradient of a sum, or (with 1/n) of a mean.
 *
 * x (broadcasts to `shape`) f32 → shape.
 * @throws ShapeError if x does not broadcast to the shape.
 */
export const expand: Kernel<{ shape: Shape; scale: number }> = {
  name: "expand",
  infer([x], { shape }) {
    requireFloat("expand", x);
    if (!sameShape(broadcastShapes(x.shape, shape, "expand"), shape)) throw new ShapeError(`expand: x must broadcast to ${showShape(shape)}; got ${showShape(x.shape)}`);
    return [spec(shape, x.dtype)];
  },
  cost([x], { shape }) {
    return { flops: sizeOf(shape), bytes: bytesOf(x, spec(shape)) };
  },
  program([x], { shape, scale }, limits) {
    return elementwise({ shape, inputs: [["x", x]], expression: scale === 1 ? "x" : `x * ${f32(scale)}` }, limits);
  },
  parts([x], attrs, limits) {
    const cuts = elementwiseWindows([x, spec(attrs.shape, x.dtype)], attrs.shape, limits);
    return cuts && cuts.map((windows) => ({ windows, attrs: { ...attrs, shape: windows[1].shape } }));
  },
};
