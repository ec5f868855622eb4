import { scatterAdd } from "../../src/autograd/ops/scatter-add.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { numbers, randomIndexShape, type Along } from "./gather.ts";
import { at, randomInteger, randomShape, referenceOf, type OpCase, type Sample } from "./op-case.ts";

function sample(x: Shape, axis: number, index: Shape, src: Shape = index): Sample<Along> {
  return { name: `[${src}] by [${index}] into [${x}] along ${axis}`, inputs: [{ shape: x }, numbers(index, x.at(axis)!), { shape: src }], attrs: { axis } };
}

function fuzz(random: Generator): Sample<Along> {
  const x = randomShape(random, randomInteger(random, 1, 4), 400);
  const axis = random.integer(x.length);
  const index = randomIndexShape(random, x, axis);
  return { ...sample(x, axis, index, index.map((n) => n + random.integer(2) * random.integer(3))), attrs: { axis: random.pick([axis, axis - x.length]) } };
}

export const scatterAddCase: OpCase<Along> = {
  name: "scatterAdd",
  apply: ([x, index, src], { axis }) => [scatterAdd(x, axis, index, src)],
  reference: ([x, index, src], { axis }) => {
    const along = (axis + x.shape.length) % x.shape.length;
    const data = Float64Array.from(x.data);
    referenceOf(index.shape, (place) => {
      const flat = place.with(along, at(index, ...place)).reduce((sum, i, d) => sum * x.shape[d] + i, 0);
      return (data[flat] += at(src, ...place));
    });
    return [{ shape: x.shape, data }];
  },
  tolerance: { forward: 1e-6, gradient: 1e-6, reason: "sums of f32 over the places that a number stands at, in blocks" },
  samples: [
    sample([7], 0, [5]),
    sample([1], 0, [9]),
    sample([3, 5], 0, [4, 5]),
    sample([3, 5], 1, [2, 9], [3, 10]), // a part of src into a part of x
    sample([2, 6, 3], -2, [2, 4, 3]),
    sample([2, 3, 4, 5], 3, [1, 3, 2, 6], [2, 3, 3, 6]),
    sample([3, 2], 0, [300, 2]), // hundreds of terms in one sum
    sample([3000], 0, [100]), // from here on sorted
    sample([70, 50], 0, [100, 37], [101, 40]),
    sample([5, 700], 1, [5, 150]),
  ],
  refused: [
    { name: "an index of f32", inputs: [{ shape: [3] }, { shape: [3] }, { shape: [3] }], attrs: { axis: 0 }, message: /scatterAdd: the index must be i32; got f32/ },
    { ...sample([3, 4], 1, [4, 4]), name: "an index larger than x", message: /scatterAdd: the index must have the rank of x and, except at axis 1, be no larger; got \[4,4\] for x \[3,4\]/ },
    { ...sample([3, 4], 1, [3, 4], [3, 3]), name: "an index larger than src", message: /scatterAdd: src must be at least as large as the index; got \[3,3\] for index \[3,4\]/ },
    { name: "integers", inputs: [numbers([3], 9), numbers([3], 3), numbers([3], 9)], attrs: { axis: 0 }, message: /scatterAdd: needs f32 or f16 tensors; got i32/ },
  ],
  fuzz,
  bench: [sample([1000, 256], 0, [4096, 256]), sample([50_257], 0, [4096])],
};
