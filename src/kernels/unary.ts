import { ShapeError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import { elementwise, requireFloat } from "./elementwise.ts";
import type { Kernel } from "./kernel.ts";
import { bytesOf, f32, spec } from "./wgsl.ts";
import { cutElementwise } from "./windows.ts";

/**
 * WGSL of functions that have no builtin, or whose builtin overflows or loses digits on some adapters; over the type
 * `T` (f32 or vec4<f32>). None takes the exponential of a positive number, so none can overflow.
 */
export const FUNCTIONS = {
  sigmoid: `fn sigmoid(x: T) -> T {
  let e = exp(-abs(x));
  return select(e, T(1.0), x >= T(0.0)) / (T(1.0) + e);
}`,
  // A polynomial near 0, where 1 − e cancels. Source: Moshier, Cephes, tanhf.c.
  hyperbolic: `fn hyperbolic(x: T) -> T {
  let e = exp(-2.0 * abs(x));
  let y = (T(1.0) - e) / (T(1.0) + e);
  let z = x * x;
  let p = (((T(-5.70498872745e-3) * z + T(2.06390887954e-2)) * z - T(5.37397155531e-2)) * z + T(1.33314422036e-1)) * z - T(3.33332819422e-1);
  return select(select(-y, y, x >= T(0.0)), x + x * z * p, abs(x) < T(0.625));
}`,
  // 1 − y² cancels where |y| is near 1.
  hyperbolicSlope: `fn hyperbolicSlope(x: T) -> T {
  let e = exp(-2.0 * abs(x));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}`,
  // exp(−x²/2). Squaring rounds, and the exponential multiplies that error by x²: so the square is taken in two parts, of
  // which the great one is exact. Beyond 20 it is 0 in f32.
  bell: `fn bell(x: T) -> T {
  let a = min(abs(x), T(20.0));
  let h = floor(a * 16.0) / 16.0;
  return exp(-0.5 * h * h) * exp(-0.5 * (a - h) * (a + h));
}`,
  // The lower tail by erfc, which keeps its digits where 1 + erf(x / √2) cancels.
  // Source: Press et al., Numerical Recipes, "erfcc": relative error below 1.2e-7 everywhere.
  normalCdf: `fn normalCdf(x: T) -> T {
  let t = T(1.0) / (T(1.0) + abs(x) * 0.35355339059f);
  let p = (((((((t * 0.17087277f - 0.82215223f) * t + 1.48851587f) * t - 1.13520398f) * t + 0.27886807f) * t - 0.18628806f) * t + 0.09678418f) * t + 0.37409196f) * t + 1.00002368f;
  let tail = 0.5 * t * exp(t * p - 1.26551223f) * bell(x);
  return select(tail, T(1.0) - tail, x >= T(0.0));
}`,
  // geluTanh's ½ (1 + tanh u) is sigmoid(2u), which does not cancel for u ≪ 0.
  geluTanhArgument: `fn geluTanhArgument(x: T) -> T { return 1.5957691216f * (x + 0.044715f * x * x * x); }`,
} as const;

type FunctionName = keyof typeof FUNCTIONS;

interface Unary {
  /** Which of FUNCTIONS the expressions call. */
  readonly calls?: readonly FunctionName[];
  /** WGSL of y, of `x`. */
  readonly value: string;
  /** WGSL of dx, of `dy` and `x` or `y`. */
  readonly gradient: string;
  /** Which of the two the gradient needs. */
  readonly from: "x" | "y";
}

/** Comparisons in relu are such that a NaN passes, as in PyTorch. */
const UNARY = {
  relu: { value: "select(x, T(0.0), x <= T(0.0))", gradient: "select(dy, T(0.0), y <= T(0.0))", from: "y" },
  gelu: { calls: ["bell", "normalCdf"], value: "x * normalCdf(x)", gradient: "dy * (normalCdf(x) + 0.3989422804f * x * bell(x))", from: "x" },
  geluTanh: {
    calls: ["sigmoid", "geluTanhArgument"],
    value: "x * sigmoid(geluTanhArgument(x))",
    gradient: "dy * (sigmoid(geluTanhArgument(x)) * (1.0 + x * sigmoid(-geluTanhArgument(x)) * 1.5957691216f * (1.0 + 0.134145f * x * x)))",
    from: "x",
  },
  sigmoid: { calls: ["sigmoid"], value: "sigmoid(x)", gradient: "dy * y * (1.0 - y)", from: "y" },
  tanh: { calls: ["hyperbolic", "hyperbolicSlope"], value: "hyperbolic(x)", gradient: "dy * hyperbolicSlope(x)", from: "x" },
  silu: { calls: ["sigmoid"], value: "x * sigmoid(x)", gradient: "dy * sigmoid(x) * (1.0 + x * sigmoid(-x))", from: "x" },
  exp: { value: "exp(x)", gradient: "dy * y", from: "y" },
  log: { value: "log(x)", gradient: "dy / x", from: "x" },
  sqrt: { value: "sqrt(x)", gradient: "0.5 * dy / y", from: "y" },
  square: { value: "x * x", gradient: "2.0 * dy * x", from: "x" },
} as const satisfies Record<string, Unary>;

export type UnaryFunction = keyof typeof UNARY;

/** Operations an element, about, for the cost of one call. */
const FLOPS = 8;

function unaryOf(fn: UnaryFunction): { unary: Unary; functions: string } {
  const unary: Unary = UNARY[fn];
  return { unary, functions: (unary.calls ?? []).map((name) => FUNCTIONS[name]).join("\n") };
}

/** Whether the gradient of a function is computed from its input or from its output. */
export function gradientFrom(fn: UnaryFunction): "x" | "y" {
  return UNARY[fn].from;
}

/**
 * Elementwise function of one tensor: y = f(x).
 *
 * x [...] f32 → y [...]. gelu is x·Φ(x) with the exact error function, geluTanh its approximation by tanh.
 * Source: Hendrycks and Gimpel 2016, arXiv:1606.08415 (gelu, silu).
 */
export const unary: Kernel<{ fn: UnaryFunction }> = {
  name: "unary",
  parts: cutElementwise,
  infer([x], { fn }) {
    requireFloat(fn, x);
    return [spec(x.shape, x.dtype)];
  },
  cost([x]) {
    return { flops: FLOPS * sizeOf(x.shape), bytes: bytesOf(x, x) };
  },
  program([x], { fn }, limits) {
    const { unary: { value }, functions } = unaryOf(fn);
    return elementwise({ shape: x.shape, inputs: [["x", x]], functions, expression: value }, limits);
  },
};

/** Gradient of {@link unary}: dy [...], and x or y [...] as {@link gradientFrom} says → dx [...]. */
export const unaryBackward: Kernel<{ fn: UnaryFunction }> = {
  name: "unaryBackward",
  parts: cutElementwise,
  infer([dy]) {
    return [spec(dy.shape, dy.dtype)];
  },
  cost([dy]) {
    return { flops: 2 * FLOPS * sizeOf(dy.shape), bytes: bytesOf(dy, dy, dy) };
  },
  program([dy, kept], { fn }, limits) {
    const { unary: { gradient, from }, functions } = unaryOf(fn);
    return elementwise({ shape: dy.shape, inputs: [["dy", dy], [from, kept]], functions, expression: gradient }, limits);
  },
};

/**
 * y = x · scale + offset. x [...] f32 → y [...].
 * @throws ShapeError if scale or offset is not finite.
 */
export const affine: Kernel<{ scale: number; offset: number }> = {
  name: "affine",
  parts: cutElementwise,
  infer([x], { scale, offset }) {
    requireFloat("affine", x);
    if (![scale, offset].map(Math.fround).every(Number.isFinite)) throw new ShapeError(`affine: scale and offset must be finite in f32; got ${scale} and ${offset}`);
    return [spec(x.shape, x.dtype)];
  },
  cost([x]) {
    return { flops: 2 * sizeOf(x.shape), bytes: bytesOf(x, x) };
  },
  program([x], { scale, offset }, limits) {
    const scaled = scale === 1 ? "x" : `x * ${f32(scale)}`;
    return elementwise({ shape: x.shape, inputs: [["x", x]], expression: offset === 0 ? scaled : `${scaled} + ${f32(offset)}` }, limits);
  },
};
