import { layerNorm } from "../../src/autograd/ops/layer-norm.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { randomShape, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

interface LayerNormCaseAttrs {
  readonly eps: number;
}

function reference([x, weight, bias]: readonly Reference[], { eps }: LayerNormCaseAttrs): readonly Reference[] {
  const columns = weight.data.length;
  const data = new Float64Array(x.data.length);
  for (let start = 0; start < data.length; start += columns) {
    let mean = 0;
    for (let j = 0; j < columns; j++) mean += x.data[start + j] / columns;
    let variance = 0;
    for (let j = 0; j < columns; j++) variance += (x.data[start + j] - mean) ** 2 / columns;
    for (let j = 0; j < columns; j++) data[start + j] = ((x.data[start + j] - mean) / Math.sqrt(variance + eps)) * weight.data[j] + bias.data[j];
  }
  return [{ shape: x.shape, data }];
}

function sample(shape: Shape, eps = 1e-5, x: Partial<Input> = {}): Sample<LayerNormCaseAttrs> {
  const channel = [shape.at(-1)!];
  return { name: shape.join("×"), inputs: [{ shape, low: -3, high: 4, ...x }, { shape: channel, low: 0.5, high: 1.5 }, { shape: channel }], attrs: { eps } };
}

/** Values about `mean` with a spread of one. */
function far(shape: Shape, mean: number): number[] {
  return [...referenceOf(shape, (index) => Math.fround(mean + 1.4 * Math.sin(index[0] * 7 + index[1] * 1.9))).data];
}

/** Rows of at least four: of fewer, what is left after mean and spread are taken off is but rounding. */
function fuzz(random: Generator): Sample<LayerNormCaseAttrs> {
  const shape = [...randomShape(random, random.integer(3), 60), random.pick([4, 5, 7, 8, 12, 13, 20, 33, 64, 77, 130, 260])];
  return sample(shape, random.pick([1e-5, 1e-6, 1e-3]));
}

export const layerNormCase: OpCase<LayerNormCaseAttrs> = {
  name: "layerNorm",
  apply: ([x, weight, bias], { eps }) => [layerNorm(x, weight, bias, eps)],
  reference,
  tolerance: { forward: 1e-6, gradient: 1e-5, reason: "f32 sums over a row, or over a few hundred rows; the gradient is a difference of nearly equal numbers" },
  samples: [sample([5, 64]), sample([2, 9, 20], 1e-6), sample([3, 37]), sample([6]), sample([4, 1]), sample([150, 5]), sample([70, 12], 1e-3), sample([1, 1, 768])],
  refused: [
    { name: "a scalar", inputs: [{ shape: [] }, { shape: [1] }, { shape: [1] }], attrs: { eps: 1e-5 }, message: /layerNorm: x must have an axis/ },
    { name: "weights of another size", inputs: [{ shape: [2, 6] }, { shape: [4] }, { shape: [6] }], attrs: { eps: 1e-5 }, message: /must be \[6\] for x \[2,6\]; got \[4\]/ },
  ],
  fuzz,
  bench: [sample([640, 256]), sample([32 * 65, 192]), sample([8 * 197, 768])],
};

/** Means far above the spread: what a one-pass variance, or a mean rounded to f32, gets wrong. */
export const layerNormFarCase: OpCase<LayerNormCaseAttrs> = {
  ...layerNormCase,
  name: "layerNorm far from 0",
  tolerance: { forward: 2e-6, gradient: 1e-4, reason: "finite differences take steps of a tenth there" },
  samples: [1e3, 1e4].flatMap((mean) => [[4, 64], [3, 77]].map((shape) => ({ ...sample(shape, 1e-5, { values: far(shape, mean) }), name: `${shape.join("×")} about ${mean}` }))),
  differentiable: [1, 2],
  refused: [],
  fuzz: undefined,
  bench: [],
};
