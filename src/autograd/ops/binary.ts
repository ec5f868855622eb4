import { binary, divideBackward, type BinaryFunction } from "../../kernels/binary.ts";
import { affine as affineKernel } from "../../kernels/unary.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { sumTo } from "./reduce.ts";
import { affine } from "./unary.ts";

function applyBinary(fn: BinaryFunction, a: Tensor, b: Tensor): Tensor {
  return run(binary, [a, b], { fn })[0];
}

function negated(x: Tensor): Tensor {
  return run(affineKernel, [x], { scale: -1, offset: 0 })[0];
}

/** Gradients by a and by b, before they are summed to the shapes of a and b. */
const GRADIENTS: Record<BinaryFunction, { a(dy: Tensor, b: Tensor): Tensor; b(dy: Tensor, a: Tensor, b: Tensor, y: Tensor): Tensor }> = {
  add: { a: (dy) => dy, b: (dy) => dy },
  sub: { a: (dy) => dy, b: (dy) => negated(dy) },
  mul: { a: (dy, b) => applyBinary("mul", dy, b), b: (dy, a) => applyBinary("mul", dy, a) },
  div: { a: (dy, b) => applyBinary("div", dy, b), b: (dy, _a, b, y) => run(divideBackward, [dy, y, b], {})[0] },
};

const apply = defineOp<{ fn: BinaryFunction }>({
  name: "binary",
  forward(inputs, attrs) {
    return { outputs: run(binary, inputs, attrs) };
  },
  backward([dy], { inputs: [a, b], outputs: [y], attrs: { fn }, needs }) {
    const gradient = GRADIENTS[fn];
    return [needs[0] ? sumTo(gradient.a(dy!, b), a.shape) : null, needs[1] ? sumTo(gradient.b(dy!, a, b, y), b.shape) : null];
  },
});

/**
 * a + b, with NumPy's broadcasting.
 * @throws ShapeError if the shapes do not broadcast.
 */
export function add(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? affine(a, 1, b) : apply([a, b], { fn: "add" })[0];
}

/** a − b; as {@link add}. @throws ShapeError if the shapes do not broadcast. */
export function sub(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? affine(a, 1, -b) : apply([a, b], { fn: "sub" })[0];
}

/** a · b; as {@link add}. @throws ShapeError if the shapes do not broadcast. */
export function mul(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? affine(a, b, 0) : apply([a, b], { fn: "mul" })[0];
}

/** a / b; as {@link add}. @throws ShapeError if the shapes do not broadcast, or if b is the number 0. */
export function div(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === "number" ? affine(a, 1 / b, 0) : apply([a, b], { fn: "div" })[0];
}
