import type { Cell } from "./recurrent.ts";

/**
 * Gated recurrent unit: r, z = σ(x + s), n = tanh(x + r·s);  h = (1 − z)·n + z·h₋.
 *
 * The reset gate is applied after the product with h₋, so that all products are done at once; n's half from the state
 * is kept, since dr needs it.
 * Source: Cho et al. 2014, arXiv:1406.1078 (v1); gate order r, z, n and two biases as torch.nn.GRU.
 */
export const gruCell: Cell = {
  name: "gru",
  gates: 3,
  before: "h",
  forward: `let r = sigmoid(x0 + s0);
  let z = sigmoid(x1 + s1);
  let n = hyperbolic(x2 + r * s2);
  let h = n + z * (before - n);`,
  kept: ["r", "z", "n", "s2"],
  keptIn: "own",
  backward: `let dn = dh * (1.0 - z) * (1.0 - n * n);
  let dr = dn * s2 * r * (1.0 - r);
  let dz = dh * (before - n) * z * (1.0 - z);`,
  dx: ["dr", "dz", "dn"],
  ds: ["dr", "dz", "dn * r"],
  dhBefore: "dh * z",
  flops: 30,
};
