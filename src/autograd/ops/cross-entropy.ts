import * as kernel from "../../kernels/cross-entropy.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

export interface CrossEntropyOptions {
  /** Rows with this target count for nothing. Default −100. */
  readonly ignoreIndex?: number;
  /** Share of the target's weight that goes to all classes alike. Default 0. */
  readonly labelSmoothing?: number;
  /** Over the rows that count. Default mean. */
  readonly reduction?: kernel.Reduction;
}

const op = defineOp<Required<CrossEntropyOptions>>({
  name: "crossEntropy",
  forward([logits, targets], attrs) {
    const [losses, rows] = run(kernel.crossEntropyRows, [logits, targets], attrs);
    const [loss, weight] = run(kernel.crossEntropyTotal, [losses, targets], attrs);
    return { outputs: [loss], saved: [rows, weight] };
  },
  backward([dy], { inputs: [logits, targets], saved: [rows, weight], attrs }) {
    return dy === null ? [] : [run(kernel.crossEntropyBackward, [dy, logits, targets, rows, weight], attrs)[0], null];
  },
});

/**
 * Cross entropy of a softmax: the mean (or sum) over rows of −log softmax(logits)[target].
 *
 * logits [N,V], targets i32 [N] → loss []. A target outside 0..V−1 that is not ignoreIndex makes the loss NaN, and so
 * does a mean over no rows at all, as in PyTorch (whose gradient is 0 then, and here too).
 * @throws ShapeError if logits are no matrix, the targets don't fit, or labelSmoothing lies outside 0..1.
 * Source: the same result as torch.nn.functional.cross_entropy; label smoothing after Szegedy et al. 2016, arXiv:1512.00567.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { ignoreIndex = -100, labelSmoothing = 0, reduction = "mean" } = options;
  return op([logits, targets], { ignoreIndex, labelSmoothing, reduction })[0];
}
