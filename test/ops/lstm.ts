import { lstm, type LstmWeights } from "../../src/autograd/ops/lstm.ts";
import type { Tensor } from "../../src/autograd/tensor.ts";
import { at, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

type Attrs = Record<never, never>;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** One layer in plain loops: the textbook's equations. */
function layer(x: Reference, h0: Reference, c0: Reference, number: number, [weightIh, weightHh, biasIh, biasHh]: readonly Reference[]): { y: Reference; c: Reference } {
  const [batch, steps, size] = x.shape;
  const hidden = h0.shape[2];
  const y = referenceOf([batch, steps, hidden], () => 0);
  const c = referenceOf([batch, steps, hidden], () => 0);
  for (let b = 0; b < batch; b++) {
    let h = Array.from({ length: hidden }, (_, j) => at(h0, number, b, j));
    let cell = Array.from({ length: hidden }, (_, j) => at(c0, number, b, j));
    for (let t = 0; t < steps; t++) {
      const before = (row: number): number => {
        let sum = at(biasIh, row) + at(biasHh, row);
        for (let i = 0; i < size; i++) sum += at(x, b, t, i) * at(weightIh, row, i);
        for (let i = 0; i < hidden; i++) sum += h[i] * at(weightHh, row, i);
        return sum;
      };
      cell = cell.map((old, j) => sigmoid(before(hidden + j)) * old + sigmoid(before(j)) * Math.tanh(before(2 * hidden + j)));
      h = cell.map((value, j) => sigmoid(before(3 * hidden + j)) * Math.tanh(value));
      h.forEach((value, j) => {
        y.data[(b * steps + t) * hidden + j] = value;
        c.data[(b * steps + t) * hidden + j] = cell[j];
      });
    }
  }
  return { y, c };
}

function inputs(batch: number, steps: number, size: number, hidden: number, layers = 1, scale = 0.5): Input[] {
  const state = { shape: [layers, batch, hidden] };
  const range = { low: -scale, high: scale };
  const weights = Array.from({ length: layers }, (_, l): Input[] => [
    { shape: [4 * hidden, l === 0 ? size : hidden], ...range },
    { shape: [4 * hidden, hidden], ...range },
    { shape: [4 * hidden], ...range },
    { shape: [4 * hidden], ...range },
  ]);
  return [{ shape: [batch, steps, size] }, state, state, ...weights.flat()];
}

function sample(batch: number, steps: number, size: number, hidden: number, layers = 1, scale = 0.5): Sample<Attrs> {
  return { name: `B${batch} T${steps} I${size} H${hidden} L${layers}${scale === 0.5 ? "" : `, weights up to ${scale}`}`, inputs: inputs(batch, steps, size, hidden, layers, scale), attrs: {} };
}

function refusal(name: string, index: number, shape: readonly number[], message: RegExp): Sample<Attrs> & { message: RegExp } {
  return { name, inputs: inputs(2, 3, 4, 5).map((input, i) => (i === index ? { shape } : input)), attrs: {}, message };
}

export const lstmCase: OpCase<Attrs> = {
  name: "lstm",
  apply([x, h0, c0, ...rest]: readonly Tensor[]) {
    const weights: LstmWeights[] = [];
    for (let i = 0; i < rest.length; i += 4) weights.push({ weightIh: rest[i], weightHh: rest[i + 1], biasIh: rest[i + 2], biasHh: rest[i + 3] });
    const { y, hn, cn } = lstm(x, h0, c0, weights);
    return [y, hn, cn];
  },
  reference([x, h0, c0, ...rest]) {
    const [layers, batch, hidden] = h0.shape;
    const steps = x.shape[1];
    const all: { y: Reference; c: Reference }[] = [];
    for (let l = 0; l < layers; l++) all.push(layer(l === 0 ? x : all[l - 1].y, h0, c0, l, rest.slice(4 * l)));
    const last = (of: "y" | "c"): Reference => referenceOf([layers, batch, hidden], ([l, b, j]) => at(all[l][of], b, steps - 1, j));
    return [all[layers - 1].y, last("y"), last("c")];
  },
  tolerance: { forward: 2e-6, gradient: 1e-5, reason: "f32 sums of up to H products a step; errors pass through T steps of bounded functions" },
  // One word; vectors of four units; odd sizes in three layers; two tiles of batch rows; gates that saturate.
  samples: [sample(1, 1, 1, 1), sample(1, 1, 8, 12), sample(5, 3, 4, 7, 3), sample(37, 2, 3, 8), sample(2, 3, 6, 8, 1, 40)],
  refused: [
    refusal("x without an axis of steps", 0, [2, 4], /lstm: x must be \[B, T, I\]; got \[2,4\]/),
    refusal("states of another batch", 1, [1, 3, 5], /lstm: h0 must be \[1,2,5\].*got \[1,3,5\]/),
    refusal("cell states of another size", 2, [1, 2, 6], /lstm: c0 must be \[1,2,5\].*got \[1,2,6\]/),
    refusal("weights for another input", 3, [20, 6], /lstm: weightIh of layer 0 must be \[20,4\].*got \[20,6\]/),
    refusal("a transposed weight", 4, [5, 20], /lstm: weightHh of layer 0 must be \[20,5\].*got \[5,20\]/),
    refusal("a bias of one gate", 6, [5], /lstm: biasHh of layer 0 must be \[20\].*got \[5\]/),
  ],
  bench: [sample(32, 16, 128, 256), sample(32, 20, 512, 512), sample(1, 1, 512, 512), sample(64, 16, 256, 256, 2)],
};
