import { assign as assignKernel } from "../../kernels/assign.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

/**
 * Copies values into a tensor that lives on: destination ← source. No gradient flows.
 *
 * Both [...] of one shape and type, or of float types.
 * @throws ShapeError if shapes or types differ.
 */
export function assign(destination: Tensor, source: Tensor): void {
  run(assignKernel, [destination, source], {});
}
