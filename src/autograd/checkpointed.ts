import { isFloat } from "../core/dtype.ts";
import { precisionOfNow } from "./autocast.ts";
import { observed } from "./observe.ts";
import { keepingDraws, repeatingDraws } from "./random.ts";
import { enableGrad, gradientsOf, isGradEnabled, leavesOf, type TapeNode } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * What `fn` makes of the inputs, without keeping anything in between for the backward pass: that runs `fn` once more, in the
 * same precision and with the same random draws, so gradients have the same bits as those of `fn(...inputs)`. (Where an input is used
 * outside, too, its gradient is the same sum; only there the terms might be added in another order.)
 *
 * A step then needs memory for the inputs of each such call, and for the inside of one at a time, and takes about a third longer.
 * Inside a recording, that is: outside of one, all tensors belong to the scope that is open.
 * @param fn Must do the same each time, and change nothing: batch norm in training would move its running statistics twice. It may use
 * parameters of any module; whatever else it differentiates should be among the inputs, or its past is walked once for each call.
 * @throws SightlineError in the backward pass, if `fn` draws more or fewer random numbers than before.
 * Source: Chen et al. 2016, "Training deep nets with sublinear memory cost", arXiv:1604.06174.
 */
export function checkpointed(fn: (...inputs: readonly Tensor[]) => readonly Tensor[], inputs: readonly Tensor[]): readonly Tensor[] {
  if (!isGradEnabled()) return fn(...inputs);
  const inPrecision = precisionOfNow();
  const starts = inputs.map(standIn);
  const { result, draws } = keepingDraws(() => fn(...starts));
  const parameters = leavesOf(result).filter((leaf) => !starts.includes(leaf));
  const sources = [...inputs, ...parameters];
  const outputs = result.map((output) => output.detach()); // without the tape of the first run, which keeps what was in between
  const node: TapeNode = {
    name: "checkpointed",
    inputs: sources,
    outputs,
    backward(dys) {
      const again = inputs.map(standIn);
      const repeated = enableGrad(() => inPrecision(() => repeatingDraws(draws, () => fn(...again))));
      const gradients = gradientsOf(repeated.flatMap((output, i) => (dys[i] === null ? [] : [[output, dys[i]] as const])));
      return [...again, ...parameters].map((source) => gradients.get(source) ?? null);
    },
  };
  outputs.forEach((output, i) => {
    if (!isFloat(output.dtype) || !result[i].requiresGrad) return;
    output.requiresGrad = true;
    output.node = node;
  });
  observed(node.name, outputs);
  return outputs;
}

/** The same values, where a tape of its own begins. */
function standIn(input: Tensor): Tensor {
  const start = input.detach();
  start.requiresGrad = input.requiresGrad;
  return start;
}
