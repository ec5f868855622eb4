import { binary, binaryBackward, gradientInputs, type BinaryFunction } from "../../kernels/binary.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { sumTo } from "./reduce.ts";
import { affine, clamp, reciprocal, sqrt, square, unaryOf } from "./unary.ts";

const applyBinary = defineOp<{ fn: BinaryFunction }>({
  name: "binary",
  forward(inputs, attrs) {
    return { outputs: run(binary, inputs, attrs) };
  },
  backward([dy], { inputs: [a, b], attrs: { fn }, needs }) {
    const gradient = (of: "a" | "b"): Tensor => {
      const passes = fn === "add" || (fn === "sub" && of === "a");
      return passes ? dy! : run(binaryBackward, [dy!, ...gradientInputs(fn, of).map((name) => (name === "a" ? a : b))], { fn, of })[0];
    };
    return [needs[0] ? sumTo(gradient("a"), a.shape) : null, needs[1] ? sumTo(gradient("b"), b.shape) : null];
  },
});

/** A function of two tensors, by its name in the kernel's table; for ops that are made of them. */
export function binaryOf(fn: BinaryFunction, a: Tensor, b: Tensor): Tensor {
  return applyBinary([a, b], { fn })[0];
}

/**
 * a + b, with NumPy's broadcasting. Two tensors may hold i32, as in {@link sub} and {@link mul}; the result then does too.
 * @throws ShapeError if the shapes do not broadcast.
 */
export function add(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? affine(a, 1, b) : binaryOf("add", a, b);
}

/** a − b; as {@link add}. @throws ShapeError if the shapes do not broadcast. */
export function sub(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? affine(a, 1, -b) : binaryOf("sub", a, b);
}

/** a · b; as {@link add}. @throws ShapeError if the shapes do not broadcast. */
export function mul(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? affine(a, b, 0) : binaryOf("mul", a, b);
}

/** a / b; as {@link add}. @throws ShapeError if the shapes do not broadcast, or if b is the number 0. */
export function div(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? affine(a, 1 / b, 0) : binaryOf("div", a, b);
}

/**
 * a to the power of b; as {@link add}. Any number to the power of 0 is 1, and a negative one has powers only by whole
 * numbers (NaN otherwise).
 * @throws ShapeError if the shapes do not broadcast.
 */
export function pow(a: Tensor, b: Tensor | number): Tensor {
  if (typeof b !== "number") return binaryOf("pow", a, b);
  if (b === 2) return square(a);
  if (b === 0.5) return sqrt(a);
  return b === -1 ? reciprocal(a) : unaryOf("pow", a, b);
}

/**
 * The greater of two, NaN where one is NaN; equal numbers share the gradient. As {@link add}.
 * @throws ShapeError if the shapes do not broadcast.
 */
export function maximum(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? clamp(a, b, Infinity) : binaryOf("maximum", a, b);
}

/** The lesser of two; as {@link maximum}. @throws ShapeError if the shapes do not broadcast. */
export function minimum(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? clamp(a, -Infinity, b) : binaryOf("minimum", a, b);
}
