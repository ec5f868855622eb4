import { embedding as embeddingKernel, sumPlaces } from "../../kernels/embedding.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import { placesOf } from "../sorting.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<Record<never, never>>({
  name: "embedding",
  forward(inputs) {
    return { outputs: run(embeddingKernel, inputs, {}) };
  },
  backward([dy], { inputs: [weight, ids] }) {
    const { order, starts } = placesOf(ids, weight.shape[0]);
    return [run(sumPlaces, [dy!, order, starts], {})[0], null];
  },
});

/**
 * Rows of a table by their numbers.
 *
 * weight [V, D], ids [...] i32 → [..., D]. An id outside 0 … V − 1 gives a row of NaN, and no gradient.
 * @throws ShapeError if weight is no matrix, or ids are not i32.
 */
export function embedding(weight: Tensor, ids: Tensor): Tensor {
  return apply([weight, ids], {})[0];
}
