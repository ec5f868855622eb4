import type { DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { broadcastShapes, sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import { elementwise, requireFloat } from "./elementwise.ts";
import { elementaryFunctions } from "./elementary.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { bytesOf, commonFloat, f32, spec } from "./wgsl.ts";
import { cutElementwise, elementwiseWindows } from "./windows.ts";

interface Binary {
  /** WGSL of the result, of `a` and `b`. */
  readonly value: string;
  /** WGSL of the gradients by a and by b, of `dy`, `a` and `b`; none for functions that only backward rules use. */
  readonly da?: string;
  readonly db?: string;
}

/** Equal numbers share the gradient of a maximum or minimum, and a NaN wins it, as in PyTorch. */
const BINARY = {
  add: { value: "a + b", da: "dy", db: "dy" },
  sub: { value: "a - b", da: "dy", db: "-dy" },
  mul: { value: "a * b", da: "dy * b", db: "dy * a" },
  div: { value: "a / b", da: "dy / b", db: "-dy * (a / b) / b" },
  pow: {
    value: "power(a, b)",
    da: "select(dy * b * power(a, b - 1.0), T(), b == T())",
    db: "select(dy * power(a, b) * logarithm(a), T(), (a == T()) & (b >= T()))",
  },
  maximum: { value: "carryNan(b, carryNan(a, select(b, a, a > b)))", da: "select(select(dy, 0.5 * dy, a == b), T(), a < b)", db: "select(select(dy, 0.5 * dy, a == b), T(), b < a)" },
  minimum: { value: "carryNan(b, carryNan(a, select(b, a, a < b)))", da: "select(select(dy, 0.5 * dy, a == b), T(), a > b)", db: "select(select(dy, 0.5 * dy, a == b), T(), b > a)" },
  /** −b log σ(a) − (1 − b) log(1 − σ(a)). */
  bceWithLogits: { value: "carryNan(a, max(a, T()) - a * b + logNearOne(exp(-abs(a))))", da: "dy * (sigmoid(a) - b)", db: "-dy * a" },
  /** b (log b − a), and 0 where b is. */
  klDiv: { value: "select(b * (logarithm(b) - a), T(), b <= T())", da: "-dy * b", db: "select(dy * (logarithm(b) + 1.0 - a), T(), b <= T())" },
  /** 1 where both are equal. */
  same: { value: "select(T(), T(1.0), a == b)" },
  /** a / b, and 0 where b is. */
  ratio: { value: "select(a / b, T(), b == T())" },
} as const satisfies Record<string, Binary>;

export type BinaryFunction = keyof typeof BINARY;

/** Which of the two inputs a gradient is computed from, beside dy. */
export function gradientInputs(fn: BinaryFunction, of: "a" | "b"): ("a" | "b")[] {
  return (["a", "b"] as const).filter((name) => new RegExp(`\\b${name}\\b`).test(gradientOf(fn, of)));
}

function gradientOf(fn: BinaryFunction, of: "a" | "b"): string {
  const { da = "", db = "" }: Binary = BINARY[fn];
  return of === "a" ? da : db;
}

/** Functions that whole numbers have too. */
const OF_INTEGERS: ReadonlySet<BinaryFunction> = new Set(["add", "sub", "mul"]);

function dtypeOf(fn: BinaryFunction, a: TensorSpec, b: TensorSpec): DType {
  if (OF_INTEGERS.has(fn) && a.dtype === "i32" && b.dtype === "i32") return "i32";
  requireFloat(fn, a, b);
  return commonFloat(a, b);
}

/**
 * Elementwise function of two tensors with NumPy's broadcasting: out = a ∘ b.
 *
 * a [...], b [...] floats, or both i32 for sums, differences and products (which wrap around) → out, the broadcast shape.
 * @throws ShapeError if the shapes do not broadcast.
 */
export const binary: Kernel<{ fn: BinaryFunction }> = {
  name: "binary",
  parts: cutElementwise,
  infer([a, b], { fn }) {
    return [spec(broadcastShapes(a.shape, b.shape, fn), dtypeOf(fn, a, b))];
  },
  cost([a, b], { fn }) {
    const out = spec(broadcastShapes(a.shape, b.shape, fn));
    return { flops: sizeOf(out.shape), bytes: bytesOf(a, b, out) };
  },
  program([a, b], { fn }, limits) {
    return elementwise({ shape: broadcastShapes(a.shape, b.shape, fn), inputs: [["a", a], ["b", b]], functions: elementaryFunctions(BINARY[fn].value), expression: BINARY[fn].value, ...(a.dtype === "i32" ? { dtype: "i32" } : {}) }, limits);
  },
};

/**
 * Gradient of {@link binary} by one input, before it is summed to that input's shape.
 *
 * dy [...], and those of a, b (broadcast to dy) that {@link gradientInputs} names → [...].
 */
export const binaryBackward: Kernel<{ fn: BinaryFunction; of: "a" | "b" }> = {
  name: "binaryBackward",
  parts: cutElementwise,
  infer([dy]) {
    return [spec(dy.shape, dy.dtype)];
  },
  cost([dy, ...kept]) {
    return { flops: 3 * sizeOf(dy.shape), bytes: bytesOf(dy, ...kept, dy) };
  },
  program([dy, ...kept], { fn, of }, limits) {
    const expression = gradientOf(fn, of);
    const names = gradientInputs(fn, of);
    return elementwise({ shape: dy.shape, inputs: [["dy", dy], ...kept.map((input, i) => [names[i], input] as const)], functions: elementaryFunctions(expression), expression }, limits);
  },
};

/**
 * Gradient of a product of many: dx = dy · (product of the others), which a zero among them makes 0.
 *
 * dy (broadcasts to x), x [...], others (the product of all that is not 0), zeros (how many are; both as dy) → dx [...].
 */
export const productBackward: Kernel = {
  name: "productBackward",
  parts: cutElementwise,
  infer([, x]) {
    return [spec(x.shape, x.dtype)];
  },
  cost([dy, x, others, zeros]) {
    return { flops: 3 * sizeOf(x.shape), bytes: bytesOf(dy, x, others, zeros, x) };
  },
  program([dy, x, others, zeros], _attrs, limits) {
    const expression = "select(select(T(), dy * others, (zeros == T(1.0)) & (x == T())), dy * others / x, zeros == T())";
    return elementwise({ shape: x.shape, inputs: [["dy", dy], ["x", x], ["others", others], ["zeros", zeros]], expression }, limits);
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
