import type { Cell } from "./recurrent.ts";

/**
 * Long short-term memory: i, f, o = σ(x + s), g = tanh(x + s);  c = f·c₋ + i·g;  h = o·tanh(c).
 *
 * c is computed again for the backward pass, which so needs no more than eight bindings.
 * Source: Hochreiter and Schmidhuber 1997; gate order i, f, g, o and two biases as torch.nn.LSTM.
 */
export const lstmCell: Cell = {
  name: "lstm",
  gates: 4,
  before: "c",
  forward: `let i = sigmoid(x0 + s0);
  let f = sigmoid(x1 + s1);
  let g = hyperbolic(x2 + s2);
  let o = sigmoid(x3 + s3);
  let c = f * before + i * g;
  let h = o * hyperbolic(c);`,
  kept: ["i", "f", "g", "o"],
  keptIn: "input",
  backward: `let squashed = hyperbolic(f * before + i * g);
  let dcell = dc + dh * o * (1.0 - squashed * squashed);`,
  dx: ["dcell * g * i * (1.0 - i)", "dcell * before * f * (1.0 - f)", "dcell * i * (1.0 - g * g)", "dh * squashed * o * (1.0 - o)"],
  dcBefore: "dcell * f",
  flops: 40,
};
