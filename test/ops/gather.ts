import { gather } from "../../src/autograd/ops/gather.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, randomInteger, randomShape, referenceOf, type Input, type OpCase, type Sample } from "./op-case.ts";

export interface Along {
  readonly axis: number;
}

/** Random numbers 0 … end − 1. */
export function numbers(shape: Shape, end: number): Input {
  return { shape, dtype: "i32", low: 0, high: end };
}

export function sample(x: Shape, axis: number, index: Shape, numbered: Input = numbers(index, x.at(axis)!)): Sample<Along> {
  return { name: `[${x}] at [${index}] along ${axis}`, inputs: [{ shape: x }, numbered], attrs: { axis } };
}

/** An index for a shape: no larger than it except along the axis. */
export function randomIndexShape(random: Generator, x: Shape, axis: number): number[] {
  return x.map((n, d) => (d === axis ? randomInteger(random, 1, 2 * n) : randomInteger(random, 1, n)));
}

function fuzz(random: Generator): Sample<Along> {
  const x = randomShape(random, randomInteger(random, 1, 4), 400);
  const axis = random.integer(x.length);
  return { ...sample(x, axis, randomIndexShape(random, x, axis)), attrs: { axis: random.pick([axis, axis - x.length]) } };
}

export const gatherCase: OpCase<Along> = {
  name: "gather",
  apply: ([x, index], { axis }) => [gather(x, axis, index)],
  reference: ([x, index], { axis }) => {
    const along = (axis + x.shape.length) % x.shape.length;
    return [
      referenceOf(index.shape, (place) => {
        const id = at(index, ...place);
        return id >= 0 && id < x.shape[along] ? at(x, ...place.with(along, id)) : NaN;
      }),
    ];
  },
  tolerance: { forward: 0, gradient: 1e-6, reason: "sums of f32 over the places that a number stands at" },
  samples: [
    sample([7], 0, [5]),
    sample([1], 0, [1]),
    sample([5, 8], 1, [5, 3]),
    sample([5, 8], 0, [9, 8]),
    sample([5, 8], -1, [3, 12]), // smaller than x elsewhere
    sample([3, 4, 5], 1, [2, 7, 3]),
    sample([2, 3, 4, 5], 2, [2, 3, 1, 5]),
    sample([3000], 0, [100]), // whose gradient is sorted
    sample([70, 50], 0, [100, 37]),
    sample([4, 33], 1, [4, 1]),
  ],
  refused: [
    { name: "an index of f32", inputs: [{ shape: [3] }, { shape: [3] }], attrs: { axis: 0 }, message: /gather: the index must be i32; got f32/ },
    { ...sample([3, 4], 1, [4, 4]), name: "an index that is too large", message: /gather: the index must have the rank of x and, except at axis 1, be no larger; got \[4,4\] for x \[3,4\]/ },
    { ...sample([3, 4], 1, [3]), name: "another rank", inputs: [{ shape: [3, 4] }, numbers([3], 3)], message: /got \[3\] for x \[3,4\]/ },
    { ...sample([3, 4], 1, [3, 4]), name: "an axis outside the rank", attrs: { axis: 2 }, message: /gather: axis must be in -2\.\.1/ },
  ],
  fuzz,
  bench: [sample([32, 50_257], 1, [32, 1]), sample([8, 12, 128, 64], 2, [8, 12, 128, 64])],
};
