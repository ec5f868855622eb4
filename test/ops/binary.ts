import { add, div, maximum, minimum, mul, pow, sub } from "../../src/autograd/ops/binary.ts";
import type { Tensor } from "../../src/autograd/tensor.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, randomInteger, randomShape, randomStretched, referenceOf, type Input, type OpCase, type Sample } from "./op-case.ts";

type Nothing = Record<never, never>;

const FUNCTIONS: Readonly<Record<string, { fn: (a: Tensor, b: Tensor | number) => Tensor; value: (a: number, b: number) => number; error?: number }>> = {
  add: { fn: add, value: (a, b) => a + b },
  sub: { fn: sub, value: (a, b) => a - b },
  mul: { fn: mul, value: (a, b) => a * b },
  div: { fn: div, value: (a, b) => a / b },
  pow: { fn: pow, value: (a, b) => a ** b, error: 1e-6 },
  maximum: { fn: maximum, value: Math.max },
  minimum: { fn: minimum, value: Math.min },
};

/** The index into a tensor of shape `from` of an index into what it broadcasts to. */
function shrink(index: readonly number[], from: Shape): number[] {
  return from.map((n, axis) => (n === 1 ? 0 : index[axis + index.length - from.length]));
}

function sample(a: Shape, b: Shape): Sample<Nothing> {
  const input = (shape: Shape): Input => ({ shape, low: 0.5, high: 2 }); // away from 0, where a quotient has no bound
  return { name: `[${a}] and [${b}]`, inputs: [input(a), input(b)], attrs: {} };
}

export const binaryCases: readonly OpCase<Nothing>[] = Object.entries(FUNCTIONS).map(([name, { fn, value, error = 2e-7 }]) => ({
  name,
  apply: ([a, b]) => [fn(a, b as Tensor)],
  reference: ([a, b]) => {
    const rank = Math.max(a.shape.length, b.shape.length);
    const size = (shape: Shape, axis: number): number => shape[axis - rank + shape.length] ?? 1;
    const shape = Array.from({ length: rank }, (_, axis) => Math.max(size(a.shape, axis), size(b.shape, axis)));
    return [referenceOf(shape, (index) => value(at(a, ...shrink(index, a.shape)), at(b, ...shrink(index, b.shape))))];
  },
  tolerance: { forward: error, gradient: 1e-6 + error, reason: "up to three roundings of f32 (a power: of its logarithm), and a sum" },
  samples: [
    sample([3, 5], [3, 5]),
    sample([2, 3, 4], [2, 3, 4]),
    sample([], []),
    sample([1], [1]),
    sample([5, 7], [7]),
    sample([5, 8], [8]),
    sample([8], [3, 5, 8]),
    sample([2, 6, 3, 3], [6, 1, 1]),
    sample([4, 1, 6], [1, 5, 1]),
    sample([3, 1, 8], [5, 8]),
    sample([3, 1, 8], [2, 3, 5, 1]),
    sample([2, 1, 4, 1, 4], [3, 1, 2, 1]),
    sample([6, 4], []),
    sample([1, 1], [11, 5]),
  ],
  refused: [
    { ...sample([2, 3], [2, 4]), name: "shapes that do not broadcast", message: new RegExp(`${name}: shapes must broadcast; got \\[2,3\\] and \\[2,4\\], which differ at axis -1`) },
    { name: "i32", inputs: [{ shape: [2], dtype: "i32" }, { shape: [2] }], attrs: {}, message: new RegExp(`${name}: needs f32 or f16 tensors; got i32`) },
  ],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 0, 4));
    return sample(randomStretched(random, shape), randomStretched(random, shape));
  },
  bench: name === "add" ? [sample([8, 256, 56, 56], [8, 256, 56, 56]), sample([8, 64, 768], [768])] : [],
}));

function numberSample(shape: Shape, b: number): Sample<{ b: number }> {
  return { name: `[${shape}] and ${b}`, inputs: [{ shape, low: 0.5, high: 2 }], attrs: { b } };
}

/** A number on the right side. */
export const numberCases: readonly OpCase<{ b: number }>[] = Object.entries(FUNCTIONS).map(([name, { fn, value, error = 2e-7 }]) => ({
  name: `${name} of a number`,
  apply: ([a], { b }) => [fn(a, b)],
  reference: ([a], { b }) => [{ shape: a.shape, data: a.data.map((x) => value(x, b)) }],
  tolerance: { forward: error, gradient: error, reason: "two roundings of f32 (a power: of its logarithm)" },
  samples: [numberSample([3, 7], 1.7), numberSample([4, 3], -0.3), numberSample([3], 1)],
  fuzz: (random) => numberSample(randomShape(random, randomInteger(random, 0, 3)), random.pick([-3, -0.3, 1, 1.7])),
}));
