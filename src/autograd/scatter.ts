import { isShortIndex, scatterAddShort, scatterAddSorted, scatterTargets, type ScatterAttrs } from "../kernels/scatter-add.ts";
import { run } from "./run.ts";
import { sortRows } from "./sorting.ts";
import type { Tensor } from "./tensor.ts";

/**
 * x (or 0) plus the sums of what goes to each of its elements; nothing is noted on the tape.
 * @throws ShapeError if the index is not i32, or the shapes do not fit.
 */
export function scatterSum(src: Tensor, index: Tensor, x: Tensor | null, attrs: ScatterAttrs): Tensor {
  const to = x === null ? [] : [x];
  if (isShortIndex(index, attrs)) return run(scatterAddShort, [src, index, ...to], attrs)[0];
  const [targets] = run(scatterTargets, [index], attrs);
  const { places, keys } = sortRows(targets, false);
  return run(scatterAddSorted, [src, places, keys, ...to], { ...attrs, index: index.shape })[0];
}
