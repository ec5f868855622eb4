import * as kernel from "../../kernels/layer-norm.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const op = defineOp<{ eps: number }>({
  name: "layerNorm",
  forward(inputs, attrs) {
    const [y, moments] = run(kernel.layerNorm, inputs, attrs);
    return { outputs: [y], saved: [moments] };
  },
  backward([dy], { inputs: [x, weight], saved: [moments], needs }) {
    if (dy === null) return [];
    const dx = needs[0] ? run(kernel.layerNormBackwardInput, [dy, x, weight, moments], {})[0] : null;
    if (!needs[1] && !needs[2]) return [dx, null, null];
    return [dx, ...run(kernel.layerNormBackwardWeights, run(kernel.layerNormBackwardSums, [dy, x, moments], {}), {})];
  },
});

/**
 * Layer normalisation over the last axis: y = (x − mean) / √(variance + eps) · weight + bias.
 *
 * x [...,C], weight [C], bias [C] → y [...,C]. The variance is the biased one.
 * @throws ShapeError if weight or bias is not [C].
 * Source: Ba et al. 2016, arXiv:1607.06450; the same result as torch.nn.functional.layer_norm.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
  return op([x, weight, bias], { eps })[0];
}
