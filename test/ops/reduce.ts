import { argmax, argmin, expand, max, mean, min, prod, sum, sumTo } from "../../src/autograd/ops/reduce.ts";
import { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, distinctValues, once, randomAxes, randomInteger, randomShape, randomStretched, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

export interface AxesAttrs {
  readonly axes?: readonly number[];
  readonly keepDims?: boolean;
}

/** A reduction of all elements that one element of the result stems from. */
export function reduceReference(x: Reference, { axes, keepDims = false }: AxesAttrs, combine: (terms: readonly number[]) => number): Reference {
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

function sample(shape: Shape, attrs: AxesAttrs, input: Partial<Input> = {}): Sample<AxesAttrs> {
  return { name: `[${shape}] over ${attrs.axes === undefined ? "all" : `[${attrs.axes}]`}${attrs.keepDims === true ? ", kept" : ""}`, inputs: [{ shape, ...input }], attrs };
}

const AXES: readonly Sample<AxesAttrs>[] = [
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

/** Positive values: a sum that cancels has no digits left. */
function fuzzAxes(random: Generator): Sample<AxesAttrs> {
  const shape = randomShape(random, randomInteger(random, 0, 4));
  return sample(shape, { axes: randomAxes(random, shape.length), keepDims: once(random, 2) }, { low: 0.1, high: 1 });
}

const BENCH: readonly Sample<AxesAttrs>[] = [sample([1_000_000], {}), sample([401_408, 64], { axes: [0] }), sample([8, 64, 56, 56], { axes: [0, 2, 3] }), sample([8192, 768], { axes: [1] })];
const LONG: readonly Sample<AxesAttrs>[] = [sample([4099], {}, { low: 0 }), sample([8192], {}), sample([4100, 3], { axes: [0] }), sample([3000, 4], { axes: [0] })]; // in two dispatches

const tolerance = { forward: 1e-6, gradient: 1e-6, reason: "blocked sums of f32: the error grows with the square root of the block" } as const;

export const sumCase: OpCase<AxesAttrs> = {
  name: "sum",
  apply: ([x], { axes, keepDims }) => [sum(x, axes, keepDims)],
  reference: ([x], attrs) => [reduceReference(x, attrs, total)],
  tolerance,
  samples: AXES,
  refused: [
    { ...sample([2, 3], { axes: [2] }), name: "an axis outside the rank", message: /sum: axis must be in -2\.\.1 for rank 2; got 2/ },
    { name: "i32", inputs: [{ shape: [3], dtype: "i32" }], attrs: {}, message: /needs f32 or f16 tensors; got i32/ },
  ],
  fuzz: fuzzAxes,
  bench: BENCH,
};

export const meanCase: OpCase<AxesAttrs> = {
  name: "mean",
  apply: ([x], { axes, keepDims }) => [mean(x, axes, keepDims)],
  reference: ([x], attrs) => [reduceReference(x, attrs, (terms) => total(terms) / terms.length)],
  tolerance,
  samples: AXES.slice(0, 8),
  fuzz: fuzzAxes,
};

export const prodCase: OpCase<AxesAttrs> = {
  name: "prod",
  apply: ([x], { axes, keepDims }) => [prod(x, axes, keepDims)],
  reference: ([x], attrs) => [reduceReference(x, attrs, (terms) => terms.reduce((product, term) => product * term, 1))],
  tolerance: { forward: 2e-6, gradient: 4e-6, reason: "a rounding of f32 for each of up to 60 factors" },
  samples: [
    sample([], {}),
    sample([7, 13], { axes: [0] }),
    sample([7, 16], { axes: [-1], keepDims: true }),
    sample([2, 3, 4, 5], { axes: [0, 2] }),
    sample([3, 5], {}, { low: 0.5, high: 2 }),
    { ...sample([3, 4], { axes: [1] }, { values: [1, 0, 2, 3, 0, 0, 4, 5, -1, 2, -3, 0.5] }), name: "with zeros" },
  ],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 0, 3), 60);
    return sample(shape, { axes: randomAxes(random, shape.length), keepDims: once(random, 2) }, { low: 0.5, high: 1.5 });
  },
};

/** Values alone: finite differences of thousands of terms would take minutes. */
export const longSumCase: OpCase<AxesAttrs> = {
  ...sumCase,
  name: "long sums",
  reference: ([x], { axes }) => {
    const columns = axes === undefined ? 1 : x.shape[1];
    return [referenceOf(axes === undefined ? [] : [columns], ([column = 0]) => total([...x.data].filter((_, i) => i % columns === column)))];
  },
  samples: LONG,
  refused: [],
  fuzz: (random) => {
    const columns = randomInteger(random, 1, 4);
    return sample([randomInteger(random, 1024, 4096), columns], { axes: [0] }, { low: 0, high: 1 });
  },
  differentiable: [],
  bench: [],
};

/** The values of all but the first sample are distinct: a finite difference would break a tie. */
function extremumCase(name: string, fn: typeof max, better: (a: number, b: number) => boolean): OpCase<AxesAttrs> {
  const distinct = (random: Generator, shape: Shape, attrs: AxesAttrs): Sample<AxesAttrs> => sample(shape, attrs, { values: distinctValues(random, shape) });
  return {
    name,
    apply: ([x], { axes, keepDims }) => [fn(x, axes, keepDims)],
    reference: ([x], attrs) => [reduceReference(x, attrs, (terms) => terms.reduce((a, b) => (Number.isNaN(a) || better(a, b) ? a : b)))],
    tolerance: { forward: 0, gradient: 1e-6, reason: "a value is chosen, not computed; the cotangents are rounded to f32" },
    samples: [
      ...AXES.map(({ inputs: [{ shape }], attrs }) => distinct(new Generator(shape.length), shape, attrs)),
      distinct(new Generator(1), [1500, 1], { axes: [0] }),
    ],
    refused: [{ ...sample([2, 3], { axes: [2] }), name: "an axis outside the rank", message: new RegExp(`${name}: axis must be in -2\\.\\.1 for rank 2; got 2`) }],
    fuzz: (random) => {
      const shape = randomShape(random, randomInteger(random, 0, 4), 600);
      return distinct(random, shape, { axes: randomAxes(random, shape.length), keepDims: once(random, 2) });
    },
  };
}

const SPECIAL = [1, NaN, 2, NaN, 1, 2, -Infinity, -Infinity, -Infinity, 1, Infinity, 2, Infinity, NaN, -Infinity];

export const maxCase = extremumCase("max", max, (a, b) => a > b);
export const minCase = extremumCase("min", min, (a, b) => a < b);

/** Values alone. */
export const extremesCases: readonly OpCase<AxesAttrs>[] = [maxCase, minCase].map((opCase) => ({
  ...opCase,
  name: `${opCase.name} of NaN, Inf and many`,
  differentiable: [],
  samples: [sample([5, 3], { axes: [1] }, { values: SPECIAL }), sample([5000], { axes: [0] })],
  refused: [],
  fuzz: undefined,
}));

interface Axis {
  readonly axis?: number;
  readonly keepDims?: boolean;
}

function argmaxSample(shape: Shape, axis: number, keepDims: boolean, values?: readonly number[]): Sample<Axis> {
  return { name: `[${shape}] over ${axis}${keepDims ? ", kept" : ""}`, inputs: [{ shape, values }], attrs: { axis, keepDims } };
}

export const argmaxCase: OpCase<Axis> = {
  name: "argmax",
  apply: ([x], { axis, keepDims }) => [argmax(x, axis, keepDims)],
  reference: ([x], { axis = -1, keepDims }) => [reduceReference(x, { axes: [axis], keepDims }, (terms) => terms.reduce((best, term, i) => (!Number.isNaN(terms[best]) && (Number.isNaN(term) || term > terms[best]) ? i : best), 0))],
  tolerance: { forward: 0, gradient: 0, reason: "no arithmetic" },
  differentiable: [],
  constantOutputs: [0],
  samples: [
    { name: "rows", inputs: [{ shape: [3, 4, 201] }], attrs: {} },
    { name: "one row", inputs: [{ shape: [1037] }], attrs: {} },
    argmaxSample([3, 4, 7], 0, false),
    argmaxSample([3, 4, 7], -2, true),
    { name: "one column", inputs: [{ shape: [9, 1] }], attrs: {} },
    { name: "ties", inputs: [{ shape: [4, 64], dtype: "f32", values: Array.from({ length: 256 }, (_, i) => Math.floor((i * 7) % 5)) }], attrs: {} },
    { name: "NaN and Inf", inputs: [{ shape: [5, 3], values: [1, NaN, NaN, 3, 1, NaN, -Infinity, -Infinity, -Infinity, 1, Infinity, 2, Infinity, NaN, -Infinity] }], attrs: {} },
  ],
  refused: [{ name: "a scalar", inputs: [{ shape: [] }], attrs: {}, message: /argmax: the tensor must have at least one axis/ }],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 1, 3));
    const values = distinctValues(random, shape);
    return argmaxSample(shape, randomInteger(random, -shape.length, shape.length - 1), once(random, 3), once(random, 2) ? values : values.map((value) => Math.round(value * 8)));
  },
  bench: [{ name: "32 words of 50257", inputs: [{ shape: [32, 50_257] }], attrs: {} }],
};

/** The least element is the greatest of what is negated. */
export const argminCase: OpCase<Axis> = {
  ...argmaxCase,
  name: "argmin",
  apply: ([x], { axis, keepDims }) => [argmin(x, axis, keepDims)],
  reference: ([x], attrs) => argmaxCase.reference([{ shape: x.shape, data: x.data.map((value) => -value) }], attrs),
  refused: [{ name: "a scalar", inputs: [{ shape: [] }], attrs: {}, message: /argmin: the tensor must have at least one axis/ }],
  bench: [],
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
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 0, 4));
    const from = randomStretched(random, shape);
    return { name: `[${from}] to [${shape}]`, inputs: [{ shape: from, low: 0.1, high: 1 }], attrs: { shape } };
  },
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
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 0, 4));
    const to = randomStretched(random, shape);
    return { name: `[${shape}] to [${to}]`, inputs: [{ shape, low: 0.1, high: 1 }], attrs: { shape: to } };
  },
};
