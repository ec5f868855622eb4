import { gru } from "../../src/autograd/ops/gru.ts";
import { recurrentCase, sigmoid } from "./recurrent.ts";

export const gruCase = recurrentCase({
  name: "gru",
  gates: 3,
  memory: false,
  saturating: 12,
  next(x, s, h) {
    const reset = sigmoid(x[0] + s[0]);
    const update = sigmoid(x[1] + s[1]);
    const candidate = Math.tanh(x[2] + reset * s[2]);
    return { h: (1 - update) * candidate + update * h, c: 0 };
  },
  apply(x, [h0], weights) {
    const { y, hn } = gru(x, h0, weights);
    return [y, hn];
  },
});
