import { maskedSoftmax } from "../../src/autograd/ops/masked-softmax.ts";
import type { DType } from "../../src/core/dtype.ts";
import type { Generator } from "../../src/core/rng.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { randomInteger, randomShape, type OpCase, type Reference, type Sample } from "./op-case.ts";

type None = Record<never, never>;

/** Softmax over what the mask lets through; 0 elsewhere. */
function reference([x, mask]: readonly Reference[]): Reference {
  const columns = x.shape.at(-1)!;
  const repeats = x.data.length / mask.data.length; // neighbouring rows with the same mask
  const data = new Float64Array(x.data.length);
  for (let start = 0; start < data.length; start += columns) {
    const first = Math.floor(start / columns / repeats) * columns;
    const attended = Array.from({ length: columns }, (_, j) => j).filter((j) => mask.data[first + j] !== 0);
    const maximum = Math.max(...attended.map((j) => x.data[start + j]));
    const sum = attended.reduce((part, j) => part + Math.exp(x.data[start + j] - maximum), 0);
    for (const j of attended) data[start + j] = Math.exp(x.data[start + j] - maximum) / sum;
  }
  return { shape: x.shape, data };
}

function sample(shape: Shape, maskShape: Shape, hides: (i: number) => boolean, dtype: DType = "i32", range = 4): Sample<None> {
  const values = Array.from({ length: sizeOf(maskShape) }, (_, i) => (hides(i) ? 0 : 1 + (i % 3)));
  return { name: `${shape.join("×")}, mask ${maskShape.join("×")} ${dtype}`, inputs: [{ shape, low: -range, high: range }, { shape: maskShape, dtype, values }], attrs: {} };
}

const third = (i: number): boolean => i % 3 === 1;

function fuzz(random: Generator): Sample<None> {
  const shape = randomShape(random, randomInteger(random, 1, 3));
  const axes = random.integer(shape.length);
  const share = random.pick([0, 0.3, 0.9]);
  // Where one element takes nearly all the weight, gradients are differences of nearly equal numbers.
  return sample(shape, [...shape.slice(0, axes), shape.at(-1)!], () => random.uniform() < share, random.pick(["i32", "u32", "f32"] as const), 1);
}

export const maskedSoftmaxCase: OpCase<None> = {
  name: "maskedSoftmax",
  apply: ([x, mask]) => [maskedSoftmax(x, mask)],
  reference: (inputs) => [reference(inputs)],
  tolerance: { forward: 2e-6, gradient: 1e-5, reason: "f32 exponentials; the gradient is a difference of nearly equal numbers" },
  samples: [
    sample([5, 33], [33], third),
    sample([2, 3, 20], [2, 20], third),
    sample([4, 3], [4, 3], (i) => i < 6 || i === 7), // two rows that are masked as a whole
    sample([2, 2, 600], [2, 2, 600], (i) => i % 600 > 500, "f32"),
    sample([3], [3], () => false, "u32"),
    sample([2, 1], [2, 1], (i) => i === 0),
  ],
  differentiable: [0],
  fuzz,
  refused: [
    { name: "a scalar", inputs: [{ shape: [] }, { shape: [] }], attrs: {}, message: /^maskedSoftmax: x must have an axis/ },
    { name: "a mask of other columns", inputs: [{ shape: [2, 3, 4] }, { shape: [2, 3] }], attrs: {}, message: /^maskedSoftmax: mask must have the first axes of x and its last one, \[2,3,4\]; got \[2,3\]/ },
    { name: "a mask of more axes", inputs: [{ shape: [3, 4] }, { shape: [1, 3, 4] }], attrs: {}, message: /^maskedSoftmax: mask must have.*got \[1,3,4\]/ },
  ],
  bench: [sample([32, 20, 196], [32, 196], third)],
};

const NONE = [0, 0, 0, 0] as const;

/** Values where steps of finite differences say nothing: what is masked must not be seen, whatever it is. */
export const maskedSoftmaxExtremesCase: OpCase<None> = {
  ...maskedSoftmaxCase,
  name: "maskedSoftmax of extremes",
  reference: ([x, mask]) => {
    const { shape, data } = reference([{ shape: x.shape, data: x.data.map((value, i) => (mask.data[i] === 0 ? 0 : value)) }, mask]);
    const lost = (i: number): boolean => mask.data[i] !== 0 && [0, 1, 2, 3].every((j) => mask.data[i - (i % 4) + j] === 0 || x.data[i - (i % 4) + j] === -Infinity);
    return [{ shape, data: data.map((value, i) => (lost(i) ? NaN : value)) }];
  },
  samples: [
    { name: "±10⁴", inputs: [{ shape: [2, 4], values: [1e4, -1e4, 0, 1e4, -1e4, -1e4, 1e4, 9999] }, { shape: [2, 4], dtype: "i32", values: [1, 1, 1, 0, 1, 1, 0, 0] }], attrs: {} },
    { name: "NaN and Inf that are masked", inputs: [{ shape: [3, 4], values: [NaN, 1, 2, 3, Infinity, 0, 1, -Infinity, NaN, NaN, NaN, NaN] }, { shape: [3, 4], dtype: "i32", values: [0, 1, 1, 1, 0, 1, 1, 1, ...NONE] }], attrs: {} },
    { name: "-Inf alone, without and with a mask", inputs: [{ shape: [3, 4], values: Array(12).fill(-Infinity) }, { shape: [3, 4], dtype: "i32", values: [1, 1, 1, 1, 0, 1, 1, 0, ...NONE] }], attrs: {} },
  ],
  differentiable: [],
  constantOutputs: [0],
  fuzz: undefined,
  refused: [],
  bench: [],
};
