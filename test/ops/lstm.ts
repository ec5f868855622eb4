import { lstm } from "../../src/autograd/ops/lstm.ts";
import { recurrentCase, sigmoid } from "./recurrent.ts";

export const lstmCase = recurrentCase({
  name: "lstm",
  gates: 4,
  memory: true,
  saturating: 12,
  next(x, s, _h, before) {
    const [i, f, g, o] = x.map((value, gate) => value + s[gate]);
    const c = sigmoid(f) * before + sigmoid(i) * Math.tanh(g);
    return { c, h: sigmoid(o) * Math.tanh(c) };
  },
  apply(x, [h0, c0], weights) {
    const { y, hn, cn } = lstm(x, h0, c0, weights);
    return [y, hn, cn];
  },
});
