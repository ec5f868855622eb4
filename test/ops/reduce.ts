import { argmax, expand, max, mean, sum, sumTo } from "../../src/autograd/ops/reduce.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

interface Axes {
  readonly axes?: readonly number[];
  readonly keepDims?: boolean;
}

/** All elements that one element of the result stems from. */
function reference(x: Reference, { axes, keepDims = false }: Axes, combine: (terms: readonly number[]) => number): Reference {
  const rank = x.shape.length;
  const reduced = x.shape.map((_, axis) => axes === undefined || axes.includes(axis) || axes.includes(axis - rank));
  const shape = x.shape.flatMap((n, axis) => (reduced[axis] ? (keepDims ? [1] : []) : [n]));
  const terms = new Map<string, number[]>();
  referenceOf(x.shape, (index) => {
    const key = index.flatMap((i, axis) => (reduced[axis] ? (keepDims ? [0] : []) : [i])).join();
    terms.set(key, [...(terms.get(key) ?? []), at(x, ...index)]);
    return 0;
  });
  return referenceOf(shape, (index) => combine(terms.get(index.join())!));
}

function total(terms: readonly number[]): number {
  return terms.reduce((sum, term) => sum + term, 0);
}

function sample(shape: Shape, attrs: Axes, input: Partial<Input> = {}): Sample<Axes> {
  return { name: `[${shape}] over ${attrs.axes === undefined ? "all" : `[${attrs.axes}]`}${attrs.keepDims === true ? ", kept" : ""}`, inputs: [{ shape, ...input }], attrs };
}

const AXES: readonly Sample<Axes>[] = [
  sample([3, 5], {}),
  sample([], {}),
  sample([1], {}, { low: 2, high: 3 }),
  sample([7, 13], { axes: [0] }),
  sample([7, 13], { axes: [1], keepDims: true }),
  sample([7, 16], { axes: [-1] }),
  sample([5, 3, 8], { axes: [1] }),
  sample([2, 3, 4, 5], { axes: [0, 2, 3] }),
  sample([2, 3, 4, 5], { axes: [1, 3], keepDims: true }),
  sample([2, 3, 4, 6], { axes: [3, 0, -2] }),
  sample([130, 33], { axes: [0] }),
  sample([3, 1, 1027], { axes: [2] }),
  sample([2, 3], { axes: [] }),
];

const BENCH: readonly Sample<Axes>[] = [sample([1_000_000], {}), sample([401_408, 64], { axes: [0] }), sample([8, 64, 56, 56], { axes: [0, 2, 3] }), sample([8192, 768], { axes: [1] })];
const LONG: readonly Sample<Axes>[] = [sample([4099], {}, { low: 0 }), sample([8192], {}), sample([4100, 3], { axes: [0] }), sample([3000, 4], { axes: [0] })]; // in two dispatches

const tolerance = { forward: 1e-6, gradient: 1e-6, reason: "blocked sums of f32: the error grows with the square root of the block" } as const;

export const sumCase: OpCase<Axes> = {
  name: "sum",
  apply: ([x], { axes, keepDims }) => [sum(x, axes, keepDims)],
  reference: ([x], attrs) => [reference(x, attrs, total)],
  tolerance,
  samples: AXES,
  refused: [
    { ...sample([2, 3], { axes: [2] }), name: "an axis outside the rank", message: /sum: axis must be in -2\.\.1 for rank 2; got 2/ },
    { name: "i32", inputs: [{ shape: [3], dtype: "i32" }], attrs: {}, message: /needs f32 tensors; got i32/ },
  ],
  bench: BENCH,
};

export const meanCase: OpCase<Axes> = {
  name: "mean",
  apply: ([x], { axes, keepDims }) => [mean(x, axes, keepDims)],
  reference: ([x], attrs) => [reference(x, attrs, (terms) => total(terms) / terms.length)],
  tolerance,
  samples: AXES.slice(0, 8),
};

/** Values alone: finite differences of thousands of terms would take minutes. */
export const longSumCase: OpCase<Axes> = {
  ...sumCase,
  name: "long sums",
  reference: ([x], { axes }) => {
    const columns = axes === undefined ? 1 : x.shape[1];
    return [referenceOf(axes === undefined ? [] : [columns], ([column = 0]) => total([...x.data].filter((_, i) => i % columns === column)))];
  },
  samples: LONG,
  refused: [],
  differentiable: [],
  bench: [],
};

export const maxCase: OpCase<{ axis: number }> = {
  name: "max",
  apply: ([x], { axis }) => [max(x, axis)],
  reference: ([x], { axis }) => [reference(x, { axes: [axis] }, (terms) => terms.reduce((a, b) => (Number.isNaN(a) || a > b ? a : b)))],
  tolerance: { forward: 0, gradient: 0, reason: "no arithmetic" },
  differentiable: [],
  samples: [
    { name: "last axis", inputs: [{ shape: [5, 37] }], attrs: { axis: -1 } },
    { name: "first axis", inputs: [{ shape: [37, 5] }], attrs: { axis: 0 } },
    { name: "middle axis", inputs: [{ shape: [3, 9, 4], low: -3, high: -2 }], attrs: { axis: 1 } },
    { name: "long", inputs: [{ shape: [5000] }], attrs: { axis: 0 } },
    { name: "NaN and Inf", inputs: [{ shape: [5, 3], values: [1, NaN, 2, NaN, 1, 2, -Infinity, -Infinity, -Infinity, 1, Infinity, 2, Infinity, NaN, -Infinity] }], attrs: { axis: 1 } },
  ],
};

export const argmaxCase: OpCase<Record<never, never>> = {
  name: "argmax",
  apply: ([x]) => [argmax(x)],
  reference: ([x]) => [reference(x, { axes: [-1] }, (terms) => terms.reduce((best, term, i) => (!Number.isNaN(terms[best]) && (Number.isNaN(term) || term > terms[best]) ? i : best), 0))],
  tolerance: { forward: 0, gradient: 0, reason: "no arithmetic" },
  differentiable: [],
  constantOutputs: [0],
  samples: [
    { name: "rows", inputs: [{ shape: [3, 4, 201] }], attrs: {} },
    { name: "one row", inputs: [{ shape: [1037] }], attrs: {} },
    { name: "one column", inputs: [{ shape: [9, 1] }], attrs: {} },
    { name: "ties", inputs: [{ shape: [4, 64], dtype: "f32", values: Array.from({ length: 256 }, (_, i) => Math.floor((i * 7) % 5)) }], attrs: {} },
    { name: "NaN and Inf", inputs: [{ shape: [5, 3], values: [1, NaN, NaN, 3, 1, NaN, -Infinity, -Infinity, -Infinity, 1, Infinity, 2, Infinity, NaN, -Infinity] }], attrs: {} },
  ],
  refused: [{ name: "a scalar", inputs: [{ shape: [] }], attrs: {}, message: /argmax: the tensor must have at least one axis/ }],
  bench: [{ name: "32 words of 50257", inputs: [{ shape: [32, 50_257] }], attrs: {} }],
};

export const expandCase: OpCase<{ shape: Shape }> = {
  name: "expand",
  apply: ([x], { shape }) => [expand(x, shape)],
  reference: ([x], { shape }) => [referenceOf(shape, (index) => at(x, ...x.shape.map((n, axis) => (n === 1 ? 0 : index[axis + shape.length - x.shape.length]))))],
  tolerance,
  samples: [
    { name: "new axes", inputs: [{ shape: [3] }], attrs: { shape: [2, 5, 3] } },
    { name: "middle axis", inputs: [{ shape: [2, 1, 4] }], attrs: { shape: [2, 5, 4] } },
    { name: "scalar", inputs: [{ shape: [] }], attrs: { shape: [4, 3] } },
    { name: "same shape", inputs: [{ shape: [4, 3] }], attrs: { shape: [4, 3] } },
  ],
  refused: [
    { name: "a size that does not fit", inputs: [{ shape: [2, 3] }], attrs: { shape: [4, 3] }, message: /expand: shapes must broadcast; got \[2,3\] and \[4,3\]/ },
    { name: "a shape that would shrink", inputs: [{ shape: [2, 3] }], attrs: { shape: [1, 3] }, message: /expand: x must broadcast to \[1,3\]; got \[2,3\]/ },
  ],
};

export const sumToCase: OpCase<{ shape: Shape }> = {
  name: "sumTo",
  apply: ([x], { shape }) => [sumTo(x, shape)],
  reference: ([x], { shape }) => {
    const data = new Float64Array(shape.reduce((product, n) => product * n, 1));
    referenceOf(x.shape, (index) => {
      const place = shape.reduce((flat, n, axis) => flat * n + (n === 1 ? 0 : index[axis + index.length - shape.length]), 0);
      return (data[place] += at(x, ...index));
    });
    return [{ shape, data }];
  },
  tolerance,
  differentiable: [],
  samples: [
    { name: "bias", inputs: [{ shape: [6, 5, 8] }], attrs: { shape: [8] } },
    { name: "channels", inputs: [{ shape: [2, 3, 4, 5] }], attrs: { shape: [3, 1, 1] } },
    { name: "scalar", inputs: [{ shape: [4, 5] }], attrs: { shape: [] } },
    { name: "nothing", inputs: [{ shape: [4, 5] }], attrs: { shape: [4, 5] } },
  ],
};
