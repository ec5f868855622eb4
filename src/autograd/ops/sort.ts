import { gather } from "../../kernels/gather.ts";
import { putBack } from "../../kernels/sort.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import { sortRows } from "../sorting.ts";
import type { Tensor } from "../tensor.ts";

export interface SortOptions {
  /** From the greatest to the least; default false. */
  readonly descending?: boolean;
}

const apply = defineOp<{ descending: boolean }>({
  name: "sort",
  forward([x], { descending }) {
    const { places } = sortRows(x, descending);
    return { outputs: [run(gather, [x, places], { axis: x.shape.length - 1 })[0], places] };
  },
  backward([dy], { inputs: [x], outputs: [, indices] }) {
    return run(putBack, [dy!, indices], { columns: x.shape[x.shape.length - 1] });
  },
});

/**
 * The elements along the last axis in their order, and where they stood: torch's `sort` with `stable=True`. A NaN is
 * greater than every number. Gradients flow through the values.
 *
 * x [...,C] → values [...,C], indices [...,C] i32.
 * @throws ShapeError for a scalar.
 */
export function sort(x: Tensor, { descending = false }: SortOptions = {}): { values: Tensor; indices: Tensor } {
  const [values, indices] = apply([x], { descending });
  return { values, indices };
}

/**
 * The places of the elements along the last axis in the order of {@link sort}.
 *
 * x [...,C] → [...,C] i32.
 * @throws ShapeError for a scalar.
 */
export function argsort(x: Tensor, { descending = false }: SortOptions = {}): Tensor {
  return sortRows(x, descending).places;
}
