import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import { gather } from "../../kernels/gather.ts";
import { slice } from "../../kernels/slice.ts";
import { putBack } from "../../kernels/sort.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import { firstOfRows, isFew, sortRows } from "../sorting.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<{ k: number; largest: boolean }>({
  name: "topK",
  forward([x], { k, largest }) {
    const axis = x.shape.length - 1;
    const indices = isFew(k) ? firstOfRows(x, k, largest) : run(slice, [sortRows(x, largest).places], { axis, start: 0, end: k })[0];
    return { outputs: [run(gather, [x, indices], { axis })[0], indices] };
  },
  backward([dy], { inputs: [x], outputs: [, indices] }) {
    return run(putBack, [dy!, indices], { columns: x.shape[x.shape.length - 1] });
  },
});

/**
 * The k greatest elements along the last axis, the greatest first, and where they stand; of equals the earlier one first,
 * and NaN before all numbers, as in torch's `topk`. Gradients flow through the values.
 *
 * x [...,C] → values [...,k], indices [...,k] i32.
 * @param options With `largest` false: the k least, the least first, and NaN after all numbers.
 * @throws ShapeError unless 1 ≤ k ≤ C.
 */
export function topK(x: Tensor, k: number, { largest = true }: { readonly largest?: boolean } = {}): { values: Tensor; indices: Tensor } {
  const columns = x.shape.at(-1);
  if (columns === undefined || !(Number.isInteger(k) && k >= 1 && k <= columns)) {
    throw new ShapeError(`topK: k must be a whole number from 1 to the size of the last axis of ${showShape(x.shape)}; got ${k}`);
  }
  const [values, indices] = apply([x], { k, largest });
  return { values, indices };
}
