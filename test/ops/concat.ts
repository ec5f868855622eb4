import { concat } from "../../src/autograd/ops/concat.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, once, randomInteger, randomShape, randomSize, referenceOf, type OpCase, type Sample } from "./op-case.ts";

interface Attrs {
  readonly axis: number;
}

function sample(axis: number, ...shapes: readonly Shape[]): Sample<Attrs> {
  return { name: `${shapes.length} along axis ${axis}: ${shapes.slice(0, 3).map((shape) => `[${shape}]`).join(" ")}`, inputs: shapes.map((shape) => ({ shape })), attrs: { axis } };
}

export const concatCase: OpCase<Attrs> = {
  name: "concat",
  apply: (xs, { axis }) => [concat(xs, axis)],
  reference: (xs, attrs) => {
    const { shape } = xs[0];
    const axis = (attrs.axis + shape.length) % shape.length;
    const ends = xs.map((_, k) => xs.slice(0, k + 1).reduce((sum, x) => sum + x.shape[axis], 0));
    return [
      referenceOf(shape.with(axis, ends.at(-1)!), (index) => {
        const k = ends.findIndex((end) => index[axis] < end);
        return at(xs[k], ...index.with(axis, index[axis] - (ends[k - 1] ?? 0)));
      }),
    ];
  },
  tolerance: { forward: 0, gradient: 1e-7, reason: "no arithmetic; the cotangents are rounded to f32" },
  samples: [
    sample(0, [3], [5]),
    sample(1, [2, 3, 5], [2, 1, 5]),
    sample(-1, [3, 4], [3, 8], [3, 4]),
    sample(1, [4, 3], [4, 3], [4, 2]),
    sample(0, [2, 3]),
    sample(0, ...Array<Shape>(7).fill([1, 3])),
    sample(1, ...Array<Shape>(8).fill([3, 1, 4])),
    sample(1, ...Array.from({ length: 60 }, (_, k): Shape => [2, 1 + (k % 3)])),
    { name: "i32", inputs: [{ shape: [3, 1], dtype: "i32", low: -9, high: 9 }, { shape: [3, 2], dtype: "i32", low: -9, high: 9 }], attrs: { axis: 1 } },
  ],
  refused: [
    { ...sample(0), name: "nothing", message: /concat: needs at least one tensor; got none/ },
    { ...sample(0, [2, 3], [2, 4]), name: "shapes that differ elsewhere", message: /one shape except at axis 0; got f32 \[2,3\] and f32 \[2,4\]/ },
    { ...sample(0, [2, 3], [2]), name: "another rank", message: /got f32 \[2,3\] and f32 \[2\]/ },
    { name: "two types", inputs: [{ shape: [2] }, { shape: [2], dtype: "i32" }], attrs: { axis: 0 }, message: /got f32 \[2\] and i32 \[2\]/ },
  ],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 1, 4), 200);
    const axis = random.integer(shape.length);
    const shapes = Array.from({ length: randomInteger(random, 1, 9) }, () => shape.with(axis, randomSize(random, 9)));
    return sample(once(random, 3) ? axis - shape.length : axis, ...shapes);
  },
  bench: [sample(1, [8, 1, 768], [8, 64, 768])],
};
