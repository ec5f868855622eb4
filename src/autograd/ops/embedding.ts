import { embedding as embeddingKernel, findStarts, isOneBlock, mergeBlocks, sortBlocks, sumPlaces } from "../../kernels/embedding.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<Record<never, never>>({
  name: "embedding",
  forward(inputs) {
    return { outputs: run(embeddingKernel, inputs, {}) };
  },
  backward([dy], { inputs: [weight, ids] }) {
    const blocks = run(sortBlocks, [ids], {});
    const [order, sorted] = isOneBlock(ids.size) ? blocks : run(mergeBlocks, blocks, {});
    const [starts] = run(findStarts, [sorted], { words: weight.shape[0] });
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
