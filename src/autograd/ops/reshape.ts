import { ShapeError } from "../../core/errors.ts";
import { checkShape, showShape, sizeOf, type Shape } from "../../core/shape.ts";
import { defineOp } from "../op.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<{ shape: Shape }>({
  name: "reshape",
  forward([x], { shape }) {
    return { outputs: [x.view(shape)] };
  },
  backward([dy], { inputs: [x] }) {
    return [dy!.view(x.shape)];
  },
});

/**
 * The same values, row-major, under another shape; no memory is copied.
 * @param shape One size may be −1: it follows from the others.
 * @throws ShapeError if the sizes do not agree.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = sizeOf(shape.filter((n) => n !== -1));
  const resolved = shape.map((n) => (n === -1 ? x.size / known : n));
  if (shape.indexOf(-1) !== shape.lastIndexOf(-1) || sizeOf(resolved) !== x.size || !resolved.every(Number.isInteger)) {
    throw new ShapeError(`reshape: sizes must agree, with at most one −1; got ${showShape(x.shape)} (${x.size} elements) to ${showShape(shape)}`);
  }
  checkShape(resolved, "reshape");
  return apply([x], { shape: resolved })[0];
}
