import { gruCell } from "../../kernels/gru.ts";
import type { Tensor } from "../tensor.ts";
import { recurrentOp, type RecurrentOutputs, type RecurrentWeights } from "./recurrent.ts";

const op = recurrentOp(gruCell);

/**
 * Gated recurrent unit over whole sequences, batch first, in one or more layers:
 * r, z = σ(x·W + b + h₋·W' + b'),  n = tanh(x·W + b + r·(h₋·W' + b')),  h = (1 − z)·n + z·h₋.
 *
 * x [B, T, I], h0 [L, B, H], weights of L layers, their gates in the order r, z, n → y [B, T, H], hn [L, B, H].
 * @throws ShapeError if shapes of x, state and weights don't fit.
 * Source: Cho et al. 2014, arXiv:1406.1078; the same result as torch.nn.GRU(batch_first=True).
 */
export function gru(x: Tensor, h0: Tensor, weights: readonly RecurrentWeights[]): RecurrentOutputs {
  const [y, hn] = op(x, [h0], weights);
  return { y, hn };
}
