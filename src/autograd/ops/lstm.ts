import { lstmCell } from "../../kernels/lstm.ts";
import type { Tensor } from "../tensor.ts";
import { recurrentOp, type RecurrentOutputs, type RecurrentWeights } from "./recurrent.ts";

export interface LstmOutputs extends RecurrentOutputs {
  /** Cell states of each layer after the last step, [L, B, H]. */
  readonly cn: Tensor;
}

const op = recurrentOp(lstmCell);

/**
 * Long short-term memory over whole sequences, batch first, in one or more layers.
 *
 * x [B, T, I], h0 [L, B, H], c0 [L, B, H], weights of L layers, their gates in the order i, f, g, o →
 * y [B, T, H], hn [L, B, H], cn [L, B, H].
 * One matrix product and T dispatches a layer, so decoding one word with one layer takes two.
 * @throws ShapeError if shapes of x, states and weights don't fit.
 * Source: Hochreiter and Schmidhuber 1997; the same result as torch.nn.LSTM(batch_first=True).
 */
export function lstm(x: Tensor, h0: Tensor, c0: Tensor, weights: readonly RecurrentWeights[]): LstmOutputs {
  const [y, hn, cn] = op(x, [h0, c0], weights);
  return { y, hn, cn };
}
