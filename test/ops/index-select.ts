import { indexSelect } from "../../src/autograd/ops/index-select.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { numbers, type Along } from "./gather.ts";
import { at, randomInteger, randomShape, referenceOf, type OpCase, type Sample } from "./op-case.ts";

function sample(x: Shape, axis: number, count: number): Sample<Along> {
  return { name: `${count} of axis ${axis} of [${x}]`, inputs: [{ shape: x }, numbers([count], x.at(axis)!)], attrs: { axis } };
}

function fuzz(random: Generator): Sample<Along> {
  const x = randomShape(random, randomInteger(random, 1, 4));
  return sample(x, random.integer(2 * x.length) - x.length, randomInteger(random, 1, 60));
}

export const indexSelectCase: OpCase<Along> = {
  name: "indexSelect",
  apply: ([x, ids], { axis }) => [indexSelect(x, axis, ids)],
  reference: ([x, ids], { axis }) => {
    const along = (axis + x.shape.length) % x.shape.length;
    return [referenceOf(x.shape.with(along, ids.shape[0]), (place) => at(x, ...place.with(along, ids.data[place[along]])))];
  },
  tolerance: { forward: 0, gradient: 1e-6, reason: "sums of f32 over the places of a number" },
  samples: [sample([7], 0, 5), sample([1], 0, 1), sample([5, 8], 0, 9), sample([5, 7], 0, 3), sample([5, 8], 1, 12), sample([3, 4, 5], 1, 2), sample([2, 3, 6, 2], -2, 40), sample([2, 1, 4], -2, 3), sample([30, 3], 0, 1100)],
  refused: [
    { name: "ids of f32", inputs: [{ shape: [3] }, { shape: [3] }], attrs: { axis: 0 }, message: /indexSelect: ids must be i32 \[n\]; got f32 \[3\]/ },
    { name: "a matrix of ids", inputs: [{ shape: [3] }, numbers([3, 1], 3)], attrs: { axis: 0 }, message: /got i32 \[3,1\]/ },
    { ...sample([3], 0, 2), name: "an axis outside the rank", attrs: { axis: 1 }, message: /indexSelect: axis must be in -1\.\.0/ },
  ],
  fuzz,
  bench: [sample([40, 12, 64, 64], 0, 40), sample([8, 50, 512], 1, 20)],
};
