import { affine as affineKernel, gradientFrom, unary, unaryBackward, type UnaryAttrs, type UnaryFunction } from "../../kernels/unary.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const applyUnary = defineOp<UnaryAttrs>({
  name: "unary",
  forward(inputs, attrs) {
    return { outputs: run(unary, inputs, attrs) };
  },
  backward([dy], { inputs: [x], outputs: [y], attrs }) {
    return run(unaryBackward, [dy!, gradientFrom(attrs.fn) === "x" ? x : y], attrs);
  },
});

/** A function of one tensor, by its name in the kernel's table, and the numbers that it takes beside; for ops that are made of them. */
export function unaryOf(fn: UnaryFunction, x: Tensor, ...parameters: readonly number[]): Tensor {
  return applyUnary([x], { fn, parameters })[0];
}

const applyAffine = defineOp<{ scale: number; offset: number }>({
  name: "affine",
  forward(inputs, attrs) {
    return { outputs: run(affineKernel, inputs, attrs) };
  },
  backward([dy], { attrs: { scale } }) {
    return [scale === 1 ? dy : run(affineKernel, [dy!], { scale, offset: 0 })[0]];
  },
});

/** max(x, 0); NaN stays NaN. */
export function relu(x: Tensor): Tensor {
  return unaryOf("relu", x);
}

/** x · Φ(x) with the normal distribution's exact cumulative function: torch's `gelu`. */
export function gelu(x: Tensor): Tensor {
  return unaryOf("gelu", x);
}

/** x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))): torch's `gelu(approximate="tanh")`, GPT-2's activation. */
export function geluTanh(x: Tensor): Tensor {
  return unaryOf("geluTanh", x);
}

/** 1 / (1 + exp(−x)). */
export function sigmoid(x: Tensor): Tensor {
  return unaryOf("sigmoid", x);
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return unaryOf("tanh", x);
}

/** x · sigmoid(x), also called swish. */
export function silu(x: Tensor): Tensor {
  return unaryOf("silu", x);
}

export function exp(x: Tensor): Tensor {
  return unaryOf("exp", x);
}

/** Natural logarithm. */
export function log(x: Tensor): Tensor {
  return unaryOf("log", x);
}

export function sqrt(x: Tensor): Tensor {
  return unaryOf("sqrt", x);
}

/** x². */
export function square(x: Tensor): Tensor {
  return unaryOf("square", x);
}

/** |x|; the gradient at 0 is 0. */
export function abs(x: Tensor): Tensor {
  return unaryOf("abs", x);
}

/** −1, 0 or 1. No gradient flows through steps: it is 0 everywhere. */
export function sign(x: Tensor): Tensor {
  return unaryOf("sign", x);
}

/** The greatest whole number that is not above x; gradient 0. */
export function floor(x: Tensor): Tensor {
  return unaryOf("floor", x);
}

/** The least whole number that is not below x; gradient 0. */
export function ceil(x: Tensor): Tensor {
  return unaryOf("ceil", x);
}

/** The nearest whole number, halves to the even one; gradient 0. */
export function round(x: Tensor): Tensor {
  return unaryOf("round", x);
}

/** 1 / x. */
export function reciprocal(x: Tensor): Tensor {
  return unaryOf("reciprocal", x);
}

/** 1 / √x. */
export function rsqrt(x: Tensor): Tensor {
  return unaryOf("rsqrt", x);
}

/** Sine of an angle in radians; from about ±10⁴ on the angle itself has too few digits. */
export function sin(x: Tensor): Tensor {
  return unaryOf("sin", x);
}

/** Cosine of an angle in radians; as {@link sin}. */
export function cos(x: Tensor): Tensor {
  return unaryOf("cos", x);
}

/** The error function 2/√π ∫₀ˣ exp(−t²) dt. */
export function erf(x: Tensor): Tensor {
  return unaryOf("erf", x);
}

/** exp(x) − 1, exact for small x. */
export function expm1(x: Tensor): Tensor {
  return unaryOf("expm1", x);
}

/** log(1 + x), exact for small x. */
export function log1p(x: Tensor): Tensor {
  return unaryOf("log1p", x);
}

/** log(1 + exp(βx)) / β; x itself where βx > threshold. */
export function softplus(x: Tensor, beta = 1, threshold = 20): Tensor {
  return unaryOf("softplus", x, beta, threshold);
}

/** x where it is positive, otherwise α (exp(x) − 1). */
export function elu(x: Tensor, alpha = 1): Tensor {
  return unaryOf("elu", x, alpha);
}

/** x where it is positive, otherwise x times the slope. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  return unaryOf("leakyRelu", x, slope);
}

/** x · tanh(log(1 + exp(x))). Source: Misra 2019, arXiv:1908.08681. */
export function mish(x: Tensor): Tensor {
  return unaryOf("mish", x);
}

/** x · min(max(x + 3, 0), 6) / 6. Source: Howard et al. 2019, arXiv:1905.02244. */
export function hardswish(x: Tensor): Tensor {
  return unaryOf("hardswish", x);
}

/** min(max(x + 3, 0), 6) / 6. */
export function hardsigmoid(x: Tensor): Tensor {
  return unaryOf("hardsigmoid", x);
}

/** x between two numbers, with no gradient at them or beyond: torch's `hardtanh`. */
export function hardtanh(x: Tensor, low = -1, high = 1): Tensor {
  return unaryOf("hardtanh", x, low, high);
}

/** min(max(x, 0), 6). */
export function relu6(x: Tensor): Tensor {
  return hardtanh(x, 0, 6);
}

/** x between two numbers, one of which may be infinite; unlike {@link hardtanh} with a gradient at them. */
export function clamp(x: Tensor, low: number, high: number): Tensor {
  return unaryOf("clamp", x, low, high);
}

/** x²/2 where |x| < δ, otherwise δ (|x| − δ/2): square near 0 and linear beyond. */
export function huber(x: Tensor, delta = 1): Tensor {
  return unaryOf("huber", x, delta);
}

/** −x. */
export function neg(x: Tensor): Tensor {
  return affine(x, -1, 0);
}

/**
 * x · scale + offset, with numbers that are part of the program: for constants, not for what varies between steps.
 * @throws ShapeError if one of them is not finite.
 */
export function affine(x: Tensor, scale: number, offset: number): Tensor {
  return applyAffine([x], { scale, offset })[0];
}
