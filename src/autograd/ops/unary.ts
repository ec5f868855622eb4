import { affine as affineKernel, gradientFrom, unary, unaryBackward, type UnaryFunction } from "../../kernels/unary.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const applyUnary = defineOp<{ fn: UnaryFunction }>({
  name: "unary",
  forward(inputs, attrs) {
    return { outputs: run(unary, inputs, attrs) };
  },
  backward([dy], { inputs: [x], outputs: [y], attrs }) {
    return run(unaryBackward, [dy!, gradientFrom(attrs.fn) === "x" ? x : y], attrs);
  },
});

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
  return applyUnary([x], { fn: "relu" })[0];
}

/** x · Φ(x) with the normal distribution's exact cumulative function: torch's `gelu`. */
export function gelu(x: Tensor): Tensor {
  return applyUnary([x], { fn: "gelu" })[0];
}

/** x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))): torch's `gelu(approximate="tanh")`, GPT-2's activation. */
export function geluTanh(x: Tensor): Tensor {
  return applyUnary([x], { fn: "geluTanh" })[0];
}

/** 1 / (1 + exp(−x)). */
export function sigmoid(x: Tensor): Tensor {
  return applyUnary([x], { fn: "sigmoid" })[0];
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return applyUnary([x], { fn: "tanh" })[0];
}

/** x · sigmoid(x), also called swish. */
export function silu(x: Tensor): Tensor {
  return applyUnary([x], { fn: "silu" })[0];
}

export function exp(x: Tensor): Tensor {
  return applyUnary([x], { fn: "exp" })[0];
}

/** Natural logarithm. */
export function log(x: Tensor): Tensor {
  return applyUnary([x], { fn: "log" })[0];
}

export function sqrt(x: Tensor): Tensor {
  return applyUnary([x], { fn: "sqrt" })[0];
}

/** x². */
export function square(x: Tensor): Tensor {
  return applyUnary([x], { fn: "square" })[0];
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
