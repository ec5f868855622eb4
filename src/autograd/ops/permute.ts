import { normalizeAxis } from "../../core/shape.ts";
import { permute } from "../../kernels/permute.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<{ permutation: readonly number[] }>({
  name: "transpose",
  forward(inputs, attrs) {
    return { outputs: run(permute, inputs, attrs) };
  },
  backward([dy], { attrs: { permutation } }) {
    return run(permute, [dy!], { permutation: permutation.map((_, axis) => permutation.indexOf(axis)) });
  },
});

/**
 * Puts axes in another order: axis i of the result is axis `permutation[i]` of x, as in torch's `permute`.
 * @param permutation Left out: the two last axes change places.
 * @throws ShapeError unless the permutation holds each axis once.
 */
export function transpose(x: Tensor, permutation?: readonly number[]): Tensor {
  const rank = x.shape.length;
  const swapped = [...x.shape.keys()].slice(0, -2).concat(rank - 1, rank - 2);
  return apply([x], { permutation: permutation?.map((axis) => normalizeAxis(axis, rank, "transpose")) ?? swapped })[0];
}
