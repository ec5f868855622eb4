import { triangle, type TriangleAttrs } from "../../kernels/triangle.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<TriangleAttrs>({
  name: "triangle",
  forward(inputs, attrs) {
    return { outputs: run(triangle, inputs, attrs) };
  },
  backward([dy], { attrs }) {
    return run(triangle, [dy!], attrs);
  },
});

/**
 * The lower triangles of matrices, and 0 above them.
 *
 * x [..., R, C] → [..., R, C].
 * @param diagonal The last one that is kept: 0 is the main one, positive ones lie above it.
 * @throws ShapeError if x is no matrix, or the diagonal no whole number.
 */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return apply([x], { part: "lower", diagonal })[0];
}

/** The upper triangles of matrices, from a diagonal on; as {@link tril}. @throws ShapeError as there. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return apply([x], { part: "upper", diagonal })[0];
}
