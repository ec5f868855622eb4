import { mseLoss } from "../../src/autograd/ops/mse-loss.ts";
import type { Shape } from "../../src/core/shape.ts";
import { referenceOf, type OpCase, type Sample } from "./op-case.ts";

function sample(...shapes: readonly Shape[]): Sample<Record<never, never>> {
  return { name: shapes.map((shape) => `[${shape}]`).join(" "), inputs: shapes.map((shape) => ({ shape })), attrs: {} };
}

export const mseLossCase: OpCase<Record<never, never>> = {
  name: "mseLoss",
  apply: ([x, y]) => [mseLoss(x, y)],
  reference: ([x, y]) => [referenceOf([], () => x.data.reduce((sum, value, i) => sum + (value - y.data[i]) ** 2 / x.data.length, 0))],
  tolerance: { forward: 1e-6, gradient: 1e-6, reason: "a sum of f32" },
  samples: [sample([3, 5], [3, 5]), sample([1], [1]), sample([4, 4], [4, 4])],
  refused: [{ ...sample([3, 1], [3]), name: "shapes that differ", message: /mseLoss: both tensors must have one shape; got \[3,1\] and \[3\]/ }],
  bench: [sample([512, 1024], [512, 1024])],
};
