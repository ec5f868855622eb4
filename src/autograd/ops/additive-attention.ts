import * as kernel from "../../kernels/additive-attention.ts";
import { ShapeError } from "../../core/errors.ts";
import { sameShape, showShape } from "../../core/shape.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { maskedSoftmax } from "./masked-softmax.ts";
import { matmul } from "./matmul.ts";
import { sumTo } from "./reduce.ts";
import { softmax } from "./softmax.ts";

const op = defineOp<Record<never, never>>({
  name: "additiveScores",
  forward(inputs) {
    return { outputs: run(kernel.additiveScores, inputs, {}) };
  },
  backward([dscores], { inputs, needs }) {
    const [, , v] = inputs;
    const given = [dscores!, ...inputs];
    const [dqueries, dv] = needs[0] || needs[2] ? run(kernel.additiveScoresBackward, given, { of: "queries", v: needs[2] }) : [];
    const [dkeys] = needs[1] ? run(kernel.additiveScoresBackward, given, { of: "keys", v: false }) : [];
    return [needs[0] ? dqueries : null, dkeys ?? null, needs[2] ? sumTo(dv, v.shape) : null];
  },
});

/**
 * Scores of additive attention: how much each query wants each key, v·tanh(query + key).
 *
 * queries [B, Q, A], keys [B, K, A], v [A] → scores [B, Q, K]. Both come out of linear layers of their own; memory grows with
 * Q·K, not with Q·K·A.
 * @throws ShapeError if the sizes don't fit.
 * Source: Bahdanau et al. 2014, arXiv:1409.0473.
 */
export function additiveScores(queries: Tensor, keys: Tensor, v: Tensor): Tensor {
  return op([queries, keys, v], {})[0];
}

export interface AdditiveAttentionOptions {
  /** [B, K] of any type: which keys may be attended, those where it is not 0. Without any, the context is 0. */
  readonly keyMask?: Tensor;
}

export interface AdditiveAttentionOutputs {
  /** Mean of the values under the weights, [B, Q, D]. */
  readonly context: Tensor;
  /** Where each query looks, [B, Q, K], to be drawn over the picture; each row sums to 1, or is 0 where all is masked. */
  readonly weights: Tensor;
}

/**
 * Additive attention: weights = softmax over the keys of v·tanh(query + key), context = weights · values.
 *
 * queries [B, Q, A], keys [B, K, A], values [B, K, D], v [A] → context [B, Q, D], weights [B, Q, K].
 * @throws ShapeError if the sizes don't fit.
 * Source: Bahdanau et al. 2014, arXiv:1409.0473; over the regions of a picture, Xu et al. 2015, arXiv:1502.03044.
 */
export function additiveAttention(queries: Tensor, keys: Tensor, values: Tensor, v: Tensor, { keyMask }: AdditiveAttentionOptions = {}): AdditiveAttentionOutputs {
  const scores = additiveScores(queries, keys, v);
  const [batch, , count] = scores.shape;
  if (values.shape.length !== 3 || !sameShape(values.shape.slice(0, 2), [batch, count])) {
    throw new ShapeError(`additiveAttention: values must be [${batch},${count},D] for keys ${showShape(keys.shape)}; got ${showShape(values.shape)}`);
  }
  if (keyMask !== undefined && !sameShape(keyMask.shape, [batch, count])) {
    throw new ShapeError(`additiveAttention: keyMask must be [${batch},${count}] for keys ${showShape(keys.shape)}; got ${showShape(keyMask.shape)}`);
  }
  const weights = keyMask === undefined ? softmax(scores) : maskedSoftmax(scores, keyMask);
  return { context: matmul(weights, values), weights };
}
