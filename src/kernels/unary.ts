import { ShapeError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import { elementwise, requireFloat } from "./elementwise.ts";
import { elementaryFunctions } from "./elementary.ts";
import type { Kernel } from "./kernel.ts";
import { bytesOf, f32, spec } from "./wgsl.ts";
import { cutElementwise } from "./windows.ts";

interface Unary {
  /** Names of the numbers it takes beside x: functions without arguments in the expressions. */
  readonly parameters?: readonly string[];
  /** WGSL of y, of `x`. A NaN in x passes to y whatever the expression makes of it. */
  readonly value: string;
  /** WGSL of dx, of `dy` and `x` or `y`. */
  readonly gradient: string;
  /** Which of the two the gradient needs. */
  readonly from: "x" | "y";
  /** Whether a NaN does not pass. */
  readonly dropsNan?: boolean;
}

const STEP: Pick<Unary, "gradient" | "from"> = { gradient: "T()", from: "x" }; // functions that are constant but for jumps

/** Comparisons are such that a NaN passes, and equal numbers fall on the side on which PyTorch has them. */
const UNARY = {
  abs: { value: "abs(x)", gradient: "dy * signum(x)", from: "x" },
  ceil: { value: "ceil(x)", ...STEP },
  clamp: { parameters: ["low", "high"], value: "between(x, low(), high())", gradient: "select(T(), dy, (x >= low()) & (x <= high()))", from: "x" },
  cos: { value: "circular(x, 1.0)", gradient: "-dy * circular(x, 0.0)", from: "x" },
  elu: { parameters: ["alpha"], value: "select(alpha() * expMinusOne(x), x, x > T())", gradient: "select(dy * alpha() * exp(min(x, T())), dy, x > T())", from: "x" },
  erf: { value: "errorFunction(x)", gradient: "carryNan(x, dy * 1.1283791671f * bell(x * 1.4142135624f))", from: "x" },
  exp: { value: "exp(x)", gradient: "dy * y", from: "y" },
  expm1: { value: "expMinusOne(x)", gradient: "carryNan(x, dy * exp(x))", from: "x" },
  floor: { value: "floor(x)", ...STEP },
  gelu: { value: "x * normalCdf(x)", gradient: "dy * (normalCdf(x) + 0.3989422804f * x * bell(x))", from: "x" },
  geluTanh: {
    value: "x * sigmoid(geluTanhArgument(x))",
    gradient: "dy * (sigmoid(geluTanhArgument(x)) * (1.0 + x * sigmoid(-geluTanhArgument(x)) * 1.5957691216f * (1.0 + 0.134145f * x * x)))",
    from: "x",
  },
  hardsigmoid: { value: "between(x + 3.0, T(), T(6.0)) / 6.0", gradient: "select(T(), dy / 6.0, abs(x) < T(3.0))", from: "x" },
  hardswish: { value: "x * between(x + 3.0, T(), T(6.0)) / 6.0", gradient: "select(select(dy, dy * (x / 3.0 + 0.5), x <= T(3.0)), T(), x < T(-3.0))", from: "x" },
  hardtanh: { parameters: ["low", "high"], value: "between(x, low(), high())", gradient: "select(dy, T(), (x <= low()) | (x >= high()))", from: "x" },
  huber: { parameters: ["delta"], value: "select(delta() * (abs(x) - 0.5 * delta()), 0.5 * x * x, abs(x) < delta())", gradient: "dy * between(x, -delta(), delta())", from: "x" },
  isZero: { value: "select(T(), T(1.0), x == T())", ...STEP, dropsNan: true },
  leakyRelu: { parameters: ["slope"], value: "select(slope() * x, x, x > T())", gradient: "select(slope() * dy, dy, x > T())", from: "x" },
  log: { value: "logarithm(x)", gradient: "dy / x", from: "x" },
  log1p: { value: "logOnePlus(x)", gradient: "dy / (x + 1.0)", from: "x" },
  mish: { value: "x * tanhSoftplus(x)", gradient: "dy * (tanhSoftplus(x) + x * sigmoid(x) * (1.0 - tanhSoftplus(x) * tanhSoftplus(x)))", from: "x" },
  nonZero: { value: "select(x, T(1.0), x == T())", ...STEP },
  pow: {
    parameters: ["exponent"],
    value: "power(x, exponent())",
    gradient: "select(dy * exponent() * power(x, exponent() - 1.0), T(), exponent() == T())",
    from: "x",
    dropsNan: true,
  },
  reciprocal: { value: "1.0 / x", gradient: "-dy * y * y", from: "y" },
  relu: { value: "select(x, T(), x <= T())", gradient: "select(dy, T(), y <= T())", from: "y" },
  /** A square root whose gradient is 0 where it is. */
  root: { value: "sqrt(x)", gradient: "select(0.5 * dy / y, T(), y == T())", from: "y" },
  round: { value: "round(x)", ...STEP },
  rsqrt: { value: "inverseSqrt(x)", gradient: "-0.5 * dy * y * y * y", from: "y" },
  // From x: 1 − y cancels where y is near 1.
  sigmoid: { value: "sigmoid(x)", gradient: "dy * sigmoid(x) * sigmoid(-x)", from: "x" },
  sign: { value: "signum(x)", ...STEP, dropsNan: true },
  silu: { value: "x * sigmoid(x)", gradient: "dy * sigmoid(x) * (1.0 + x * sigmoid(-x))", from: "x" },
  sin: { value: "circular(x, 0.0)", gradient: "dy * circular(x, 1.0)", from: "x" },
  softplus: {
    parameters: ["beta", "threshold"],
    value: "select((max(x * beta(), T()) + logNearOne(exp(-abs(x * beta())))) / beta(), x, x * beta() > threshold())",
    gradient: "select(dy * sigmoid(x * beta()), dy, x * beta() > threshold())",
    from: "x",
  },
  sqrt: { value: "sqrt(x)", gradient: "0.5 * dy / y", from: "y" },
  square: { value: "x * x", gradient: "2.0 * dy * x", from: "x" },
  tanh: { value: "hyperbolic(x)", gradient: "dy * hyperbolicSlope(x)", from: "x" },
} as const satisfies Record<string, Unary>;

export type UnaryFunction = keyof typeof UNARY;

export interface UnaryAttrs {
  readonly fn: UnaryFunction;
  /** The numbers that the function takes beside x, in the order of its `parameters`. */
  readonly parameters?: readonly number[];
}

/** Operations an element, about, for the cost of one call. */
const FLOPS = 8;

/** An expression with the functions that it calls and the numbers that it finds under its parameters' names. */
function complete(fn: UnaryFunction, values: readonly number[] | undefined, expression: string): { functions: string; expression: string } {
  const { parameters = [] }: Unary = UNARY[fn];
  const numbers = parameters.map((name, i) => `fn ${name}() -> T { return ${wgslNumber(values?.[i] ?? NaN)}; }`).join("\n");
  return { functions: `${elementaryFunctions(expression + numbers)}${numbers}`, expression };
}

/** A number of type `T`; constants that are not finite come from their bits. */
function wgslNumber(value: number): string {
  return Number.isFinite(Math.fround(value)) ? `T(${f32(value)})` : `special(${new Uint32Array(Float32Array.of(value).buffer)[0]}u)`;
}

/** Whether the gradient of a function is computed from its input or from its output. */
export function gradientFrom(fn: UnaryFunction): "x" | "y" {
  return UNARY[fn].from;
}

/**
 * Elementwise function of one tensor: y = f(x).
 *
 * x [...] f32 → y [...]. gelu is x·Φ(x) with the exact error function, geluTanh its approximation by tanh.
 * Source: the same values, gradients and ties as PyTorch's functions of these names.
 */
export const unary: Kernel<UnaryAttrs> = {
  name: "unary",
  parts: cutElementwise,
  infer([x], { fn }) {
    requireFloat(fn, x);
    return [spec(x.shape, x.dtype)];
  },
  cost([x]) {
    return { flops: FLOPS * sizeOf(x.shape), bytes: bytesOf(x, x) };
  },
  program([x], { fn, parameters }, limits) {
    const { value, dropsNan = false }: Unary = UNARY[fn];
    return elementwise({ shape: x.shape, inputs: [["x", x]], ...complete(fn, parameters, dropsNan ? value : `carryNan(x, ${value})`) }, limits);
  },
};

/** Gradient of {@link unary}: dy [...], and x or y [...] as {@link gradientFrom} says → dx [...]. */
export const unaryBackward: Kernel<UnaryAttrs> = {
  name: "unaryBackward",
  parts: cutElementwise,
  infer([dy]) {
    return [spec(dy.shape, dy.dtype)];
  },
  cost([dy]) {
    return { flops: 2 * FLOPS * sizeOf(dy.shape), bytes: bytesOf(dy, dy, dy) };
  },
  program([dy, kept], { fn, parameters }, limits) {
    const { gradient, from }: Unary = UNARY[fn];
    return elementwise({ shape: dy.shape, inputs: [["dy", dy], [from, kept]], ...complete(fn, parameters, gradient) }, limits);
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
