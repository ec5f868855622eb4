import { linear } from "../../src/autograd/ops/linear.ts";
import type { Generator } from "../../src/core/rng.ts";
import { once, randomShape, randomSize, type OpCase, type Reference, type Sample } from "./op-case.ts";

type NoAttrs = Record<never, never>;

function reference([x, weight, bias]: readonly Reference[]): readonly Reference[] {
  const [outputs, inputs] = weight.shape;
  const rows = x.data.length / inputs;
  const data = new Float64Array(rows * outputs);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outputs; o++) {
      let sum = bias === undefined ? 0 : bias.data[o];
      for (let i = 0; i < inputs; i++) sum += x.data[r * inputs + i] * weight.data[o * inputs + i];
      data[r * outputs + o] = sum;
    }
  }
  return [{ shape: [...x.shape.slice(0, -1), outputs], data }];
}

function sample(x: readonly number[], outputs: number, bias = true): Sample<NoAttrs> {
  const inputs = [{ shape: x }, { shape: [outputs, x[x.length - 1]] }, ...(bias ? [{ shape: [outputs] }] : [])];
  return { name: `${x.join("×")} → ${outputs}${bias ? "" : " without bias"}`, inputs, attrs: {} };
}

function fuzz(random: Generator): Sample<NoAttrs> {
  return sample([...randomShape(random, random.integer(3), 60), randomSize(random)], randomSize(random), !once(random, 3));
}

export const linearCase: OpCase<NoAttrs> = {
  name: "linear",
  apply: ([x, weight, bias]) => [linear(x, weight, bias)],
  reference,
  tolerance: { forward: 1e-6, gradient: 2e-6, reason: "f32 sums of up to 2100 products" },
  samples: [sample([5, 9], 7), sample([3, 4, 16], 33), sample([13], 6), sample([2, 3, 5], 1, false), sample([2100, 3], 4)],
  refused: [
    { name: "a weight of another input size", inputs: [{ shape: [2, 5] }, { shape: [3, 4] }], attrs: {}, message: /weight must be \[O,I\]/ },
    { name: "a bias of another size", inputs: [{ shape: [2, 4] }, { shape: [3, 4] }, { shape: [4] }], attrs: {}, message: /bias must be \[3\]; got \[4\]/ },
  ],
  fuzz,
  bench: [sample([640, 128], 512), sample([640, 256], 1024)],
};
