import { rnnCells, type Nonlinearity } from "../../kernels/rnn.ts";
import type { Tensor } from "../tensor.ts";
import { recurrentOp, type RecurrentOutputs, type RecurrentWeights } from "./recurrent.ts";

const ops = { tanh: recurrentOp(rnnCells.tanh), relu: recurrentOp(rnnCells.relu) } as const;

/**
 * Plain recurrent network over whole sequences, batch first, in one or more layers: h = tanh(x·W + b + h₋·W' + b').
 *
 * x [B, T, I], h0 [L, B, H], weights of L layers → y [B, T, H], hn [L, B, H].
 * @throws ShapeError if shapes of x, state and weights don't fit.
 * Source: Elman 1990, "Finding structure in time"; the same result as torch.nn.RNN(batch_first=True).
 */
export function rnn(x: Tensor, h0: Tensor, weights: readonly RecurrentWeights[], nonlinearity: Nonlinearity = "tanh"): RecurrentOutputs {
  const [y, hn] = ops[nonlinearity](x, [h0], weights);
  return { y, hn };
}
