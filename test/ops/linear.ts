import { linear } from "../../src/autograd/ops/linear.ts";
import type { Generator } from "../../src/core/rng.ts";
import { once, randomShape, randomSize, type OpCase, type Reference, type Sample } from "./op-case.ts";

type Attrs = { readonly inputFirst: boolean };

function reference([x, weight, bias]: readonly Reference[], { inputFirst }: Attrs): readonly Reference[] {
  const [outputs, inputs] = inputFirst ? [weight.shape[1], weight.shape[0]] : weight.shape;
  const rows = x.data.length / inputs;
  const data = new Float64Array(rows * outputs);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outputs; o++) {
      let sum = bias === undefined ? 0 : bias.data[o];
      for (let i = 0; i < inputs; i++) sum += x.data[r * inputs + i] * weight.data[inputFirst ? i * outputs + o : o * inputs + i];
      data[r * outputs + o] = sum;
    }
  }
  return [{ shape: [...x.shape.slice(0, -1), outputs], data }];
}

function sample(x: readonly number[], outputs: number, { bias = true, inputFirst = false } = {}): Sample<Attrs> {
  const inputs = [{ shape: x }, { shape: inputFirst ? [x[x.length - 1], outputs] : [outputs, x[x.length - 1]] }, ...(bias ? [{ shape: [outputs] }] : [])];
  return { name: `${x.join("×")} → ${outputs}${bias ? "" : " without bias"}${inputFirst ? ", weight [I,O]" : ""}`, inputs, attrs: { inputFirst } };
}

function fuzz(random: Generator): Sample<Attrs> {
  return sample([...randomShape(random, random.integer(3), 60), randomSize(random)], randomSize(random), { bias: !once(random, 3), inputFirst: once(random, 2) });
}

export const linearCase: OpCase<Attrs> = {
  name: "linear",
  apply: ([x, weight, bias], attrs) => [linear(x, weight, bias, attrs)],
  reference,
  tolerance: { forward: 1e-6, gradient: 2e-6, reason: "f32 sums of up to 2100 products" },
  samples: [sample([5, 9], 7), sample([3, 4, 16], 33), sample([13], 6), sample([2, 3, 5], 1, { bias: false }), sample([2100, 3], 4), sample([3, 5, 12], 29, { inputFirst: true }), sample([2, 7], 3, { bias: false, inputFirst: true })],
  refused: [
    { name: "a weight of another input size", inputs: [{ shape: [2, 5] }, { shape: [3, 4] }], attrs: { inputFirst: false }, message: /weight must be \[O,I\]/ },
    { name: "a weight the other way round", inputs: [{ shape: [2, 5] }, { shape: [3, 5] }], attrs: { inputFirst: true }, message: /weight must be \[I,O\]/ },
    { name: "a bias of another size", inputs: [{ shape: [2, 4] }, { shape: [3, 4] }, { shape: [4] }], attrs: { inputFirst: false }, message: /bias must be \[3\]; got \[4\]/ },
  ],
  fuzz,
  bench: [sample([640, 128], 512), sample([640, 256], 1024), sample([64, 768], 3072, { inputFirst: true })],
};
