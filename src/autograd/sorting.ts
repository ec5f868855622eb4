import type { DType } from "../core/dtype.ts";
import { findStarts, mergeRuns, MOST_KEPT, selectionBlock, sortBlocks, sortedBlock } from "../kernels/sort.ts";
import { run } from "./run.ts";
import { Tensor } from "./tensor.ts";

/** Places of a row in the order of its elements, and what they were sorted by. */
export interface Sorted {
  readonly places: Tensor;
  readonly keys: Tensor;
}

/**
 * The places of each row in the order of its elements, equal ones in the order of the places; nothing is noted on the tape.
 *
 * x [...,C] → places [...,C] i32, keys [...,C] u32. A NaN is greater than every number.
 * @throws ShapeError for a scalar.
 */
export function sortRows(x: Tensor, descending: boolean): Sorted {
  const block = sortedBlock(x.device.limits);
  let [places, keys] = run(sortBlocks, [x], { descending, block, keep: block });
  for (let length = block; length < x.shape[x.shape.length - 1]; length *= 2) [places, keys] = run(mergeRuns, [places, keys], { run: length });
  return { places, keys };
}

/**
 * The places of the `count` first elements of each row in their order, as {@link sortRows} would give them, for a count of
 * at most {@link MOST_KEPT}.
 *
 * x [...,C] → [...,count] i32.
 */
export function firstOfRows(x: Tensor, count: number, descending: boolean): Tensor {
  const attrs = { descending, block: selectionBlock(count, x.device.limits), keep: count };
  let [places, keys] = run(sortBlocks, [x], attrs);
  while (keys.shape[keys.shape.length - 1] > count) [places, keys] = run(sortBlocks, [keys, places], attrs);
  return places;
}

/** Whether {@link firstOfRows} serves. */
export function isFew(count: number): boolean {
  return count <= MOST_KEPT;
}

/**
 * The places of each number, first to last: those of number v are `order[starts[v]]` … `order[starts[v + 1] − 1]`. What
 * lies outside 0 … count − 1 is left out.
 *
 * ids [...] (N of them) i32 → order [N] u32, starts [count + 1] u32.
 */
export function placesOf(ids: Tensor, count: number): { order: Tensor; starts: Tensor } {
  const { places, keys } = sortRows(withType(ids.view([ids.size]), "u32"), false); // a negative one becomes a great one
  return { order: withType(places, "u32"), starts: run(findStarts, [keys], { count })[0] };
}

/** The same bits as another 32-bit type. */
function withType({ device, shape, storage }: Tensor, dtype: DType): Tensor {
  return new Tensor(device, shape, dtype, storage);
}
