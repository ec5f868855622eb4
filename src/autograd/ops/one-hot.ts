import { oneHot as oneHotKernel } from "../../kernels/one-hot.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

/**
 * 1 at the number that an id names, 0 elsewhere.
 *
 * ids [...] i32 → [..., classes] f32; a row of zeros for an id outside 0 … classes − 1. No gradient flows.
 * @throws ShapeError if ids are not i32, or there is not at least one class.
 */
export function oneHot(ids: Tensor, classes: number): Tensor {
  return run(oneHotKernel, [ids], { classes })[0];
}
