import { rnn } from "../../src/autograd/ops/rnn.ts";
import { recurrentCase } from "./recurrent.ts";

export const rnnTanhCase = recurrentCase({
  name: "rnnTanh",
  gates: 1,
  memory: false,
  saturating: 3, // beyond, 1 − h² has no digits but those of h's rounding error, in PyTorch as well
  next: ([x], [s]) => ({ h: Math.tanh(x + s), c: 0 }),
  apply(x, [h0], weights) {
    const { y, hn } = rnn(x, h0, weights);
    return [y, hn];
  },
});

const relu = recurrentCase({
  name: "rnnRelu",
  gates: 1,
  memory: false,
  saturating: 1,
  kinked: true,
  next: ([x], [s]) => ({ h: Math.max(x + s, 0), c: 0 }),
  apply(x, [h0], weights) {
    const { y, hn } = rnn(x, h0, weights, "relu");
    return [y, hn];
  },
});

/** What it shares with the other cells is tried with them. */
export const rnnReluCase = { ...relu, samples: relu.samples.slice(1, 3), refused: [] };
