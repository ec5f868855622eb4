import { argsort, sort, type SortOptions } from "../../src/autograd/ops/sort.ts";
import { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { distinctValues, randomInteger, randomShape, type OpCase, type Reference, type Sample } from "./op-case.ts";

/** Places of the elements of each row, sorted: NaN is greater than all numbers, and equal elements keep their order. */
export function sortedPlaces(x: Reference, descending: boolean): number[][] {
  const columns = x.shape[x.shape.length - 1];
  const compare = (a: number, b: number): number => {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return a < b ? -1 : Number(a > b);
  };
  return Array.from({ length: x.data.length / columns }, (_, row) => {
    const values = x.data.slice(row * columns, (row + 1) * columns);
    return [...values.keys()].sort((i, j) => (descending ? -1 : 1) * compare(values[i], values[j]) || i - j);
  });
}

/** What stands at places of each row. */
export function takePlaces(x: Reference, places: readonly (readonly number[])[]): Float64Array {
  const columns = x.shape[x.shape.length - 1];
  return Float64Array.from(places.flatMap((row, r) => row.map((place) => x.data[r * columns + place])));
}

/** Few different values, so that many are equal. */
export function equalValues(shape: Shape): number[] {
  const size = shape.reduce((product, n) => product * n, 1);
  return Array.from({ length: size }, (_, i) => ((i * 7) % 5) - 2);
}

export const EXTREMES: readonly number[] = [1, NaN, -0, Infinity, 0, -Infinity, NaN, -1, 1e-40, -1e-40, 3e38, 0, -3e38, 1].map(Math.fround);

function sample(shape: Shape, descending = false, random = new Generator(5)): Sample<SortOptions> {
  return { name: `[${shape}]${descending ? ", descending" : ""}`, inputs: [{ shape, values: distinctValues(random, shape) }], attrs: { descending } };
}

function fuzz(random: Generator): Sample<SortOptions> {
  return sample(randomShape(random, randomInteger(random, 1, 3), 3000), random.integer(2) === 1, random);
}

function reference([x]: readonly Reference[], { descending = false }: SortOptions): Reference[] {
  const places = sortedPlaces(x, descending);
  return [{ shape: x.shape, data: takePlaces(x, places) }, { shape: x.shape, data: Float64Array.from(places.flat()) }];
}

const bench = [{ name: "[8,50257], descending", inputs: [{ shape: [8, 50_257], low: -10, high: 10 }], attrs: { descending: true } }];

export const sortCase: OpCase<SortOptions> = {
  name: "sort",
  apply: ([x], options) => {
    const { values, indices } = sort(x, options);
    return [values, indices];
  },
  reference,
  tolerance: { forward: 0, gradient: 1e-6, reason: "no arithmetic; the cotangents, and the steps of a sample's values, are rounded to f32" },
  constantOutputs: [1],
  samples: [sample([7]), sample([1], true), sample([3, 1]), sample([5, 33], true), sample([2, 3, 40]), sample([2, 300], true), sample([1025]), sample([2, 2500], true)],
  refused: [{ name: "a scalar", inputs: [{ shape: [] }], attrs: {}, message: /sort: x must have an axis; got shape \[\]/ }],
  fuzz,
  bench,
};

/** Where elements are equal or not finite, finite differences say nothing. */
export const sortTiesCase: OpCase<SortOptions> = {
  ...sortCase,
  name: "sort of equals and extremes",
  differentiable: [],
  constantOutputs: [0, 1],
  samples: [false, true].flatMap((descending) => [
    { name: `equals, descending ${descending}`, inputs: [{ shape: [3, 130], values: equalValues([3, 130]) }], attrs: { descending } },
    { name: `many equals, descending ${descending}`, inputs: [{ shape: [2100], values: equalValues([2100]) }], attrs: { descending } },
    { name: `NaN, Inf and zeros of both signs, descending ${descending}`, inputs: [{ shape: [14], values: EXTREMES }], attrs: { descending } },
    { name: `i32, descending ${descending}`, inputs: [{ shape: [2, 50], dtype: "i32" as const, low: -9, high: 9 }], attrs: { descending } },
    { name: `u32, descending ${descending}`, inputs: [{ shape: [2, 50], dtype: "u32" as const, low: 0, high: 4e9 }], attrs: { descending } },
  ]),
  refused: [],
  fuzz: undefined,
  bench: [],
};

export const argsortCase: OpCase<SortOptions> = {
  ...sortTiesCase,
  name: "argsort",
  samples: sortTiesCase.samples.filter(({ name }) => !name.startsWith("many")),
  apply: ([x], options) => [argsort(x, options)],
  reference: (inputs, options) => reference(inputs, options).slice(1),
  constantOutputs: [0],
  refused: sortCase.refused,
};
