import type { Cell } from "./recurrent.ts";

export type Nonlinearity = "tanh" | "relu";

/**
 * The plain recurrent cells: h = tanh(x + s), or max(x + s, 0), where a NaN passes.
 *
 * Source: Elman 1990, "Finding structure in time"; two biases as torch.nn.RNN.
 */
export const rnnCells: Readonly<Record<Nonlinearity, Cell>> = {
  tanh: plain("hyperbolic(x0 + s0)", "dh * (1.0 - h * h)"),
  relu: plain("select(x0 + s0, T(), x0 + s0 <= T())", "select(dh, T(), h <= T())"),
};

function plain(h: string, dx: string): Cell {
  return { name: "rnn", gates: 1, before: null, forward: `let h = ${h};`, kept: ["h"], keptIn: "output", backward: "", dx: [dx], flops: 10 };
}
