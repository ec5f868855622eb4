import { topK } from "../../src/autograd/ops/top-k.ts";
import { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { distinctValues, randomInteger, randomShape, type OpCase, type Reference, type Sample } from "./op-case.ts";
import { equalValues, EXTREMES, sortedPlaces, takePlaces } from "./sort.ts";

interface Attrs {
  readonly k: number;
  readonly largest?: boolean;
}

function sample(shape: Shape, k: number, largest = true, random = new Generator(5)): Sample<Attrs> {
  return { name: `${k} of [${shape}]${largest ? "" : ", the least"}`, inputs: [{ shape, values: distinctValues(random, shape) }], attrs: { k, largest } };
}

function fuzz(random: Generator): Sample<Attrs> {
  const shape = randomShape(random, randomInteger(random, 1, 3), 3000);
  return sample(shape, randomInteger(random, 1, shape[shape.length - 1]), random.integer(2) === 1, random);
}

export const topKCase: OpCase<Attrs> = {
  name: "topK",
  apply: ([x], { k, largest }) => {
    const { values, indices } = topK(x, k, { largest });
    return [values, indices];
  },
  reference: ([x], { k, largest = true }): Reference[] => {
    const places = sortedPlaces(x, largest).map((row) => row.slice(0, k));
    const shape = x.shape.with(-1, k);
    return [{ shape, data: takePlaces(x, places) }, { shape, data: Float64Array.from(places.flat()) }];
  },
  tolerance: { forward: 0, gradient: 1e-6, reason: "no arithmetic; the cotangents, and the steps of a sample's values, are rounded to f32" },
  constantOutputs: [1],
  samples: [
    sample([7], 3),
    sample([1], 1),
    sample([4, 5], 5),
    sample([2, 3, 40], 1, false),
    sample([3, 1027], 5),
    sample([2, 2500], 128),
    sample([4100], 2, false), // several blocks, the last of them shorter than k
    sample([1026], 3),
    sample([1030], 300), // more than blocks keep
  ],
  refused: [
    { ...sample([2, 5], 6), name: "k beyond the axis", message: /topK: k must be a whole number from 1 to the size of the last axis of \[2,5\]; got 6/ },
    { ...sample([5], 0), name: "k = 0", message: /got 0/ },
    { ...sample([5], 1.5), name: "a fraction", message: /got 1\.5/ },
    { name: "a scalar", inputs: [{ shape: [] }], attrs: { k: 1 }, message: /last axis of \[\]/ },
  ],
  fuzz,
  bench: [[1, 5], [32, 5], [8, 50]].map(([rows, k]) => ({ name: `${k} of [${rows},50257]`, inputs: [{ shape: [rows, 50_257], low: -10, high: 10 }], attrs: { k } })),
};

/** Where elements are equal or not finite, finite differences say nothing. */
export const topKTiesCase: OpCase<Attrs> = {
  ...topKCase,
  name: "topK of equals and extremes",
  differentiable: [],
  constantOutputs: [0, 1],
  samples: [true, false].flatMap((largest) => [
    { name: `equals, largest ${largest}`, inputs: [{ shape: [3, 130], values: equalValues([3, 130]) }], attrs: { k: 40, largest } },
    { name: `equals in several blocks, largest ${largest}`, inputs: [{ shape: [1, 3100], values: equalValues([3100]) }], attrs: { k: 70, largest } },
    { name: `NaN, Inf and zeros of both signs, largest ${largest}`, inputs: [{ shape: [14], values: EXTREMES }], attrs: { k: 9, largest } },
    { name: `i32, largest ${largest}`, inputs: [{ shape: [2, 50], dtype: "i32" as const, low: -9, high: 9 }], attrs: { k: 7, largest } },
  ]),
  refused: [],
  fuzz: undefined,
  bench: [],
};
