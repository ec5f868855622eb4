import { slice } from "../../src/autograd/ops/slice.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, referenceOf, type OpCase, type Sample } from "./op-case.ts";

interface Attrs {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

function sample(shape: Shape, axis: number, start: number, end: number): Sample<Attrs> {
  return { name: `${start}…${end} of axis ${axis} of [${shape}]`, inputs: [{ shape }], attrs: { axis, start, end } };
}

export const sliceCase: OpCase<Attrs> = {
  name: "slice",
  apply: ([x], { axis, start, end }) => [slice(x, axis, start, end)],
  reference: ([x], { axis, start, end }) => {
    const normal = (axis + x.shape.length) % x.shape.length;
    return [referenceOf(x.shape.with(normal, end - start), (index) => at(x, ...index.with(normal, index[normal] + start)))];
  },
  tolerance: { forward: 0, gradient: 1e-7, reason: "no arithmetic; the cotangents are rounded to f32" },
  samples: [
    sample([7], 0, 2, 5),
    sample([5, 7], 0, 1, 5),
    sample([5, 7], 1, 6, 7),
    sample([3, 6, 8], 1, 2, 4),
    sample([3, 16], -1, 4, 12),
    sample([3, 16], -1, 3, 12),
    sample([2, 3, 5, 4], 2, 0, 5),
    { ...sample([3, 8], 1, 4, 8), name: "i32", inputs: [{ shape: [3, 8], dtype: "i32", low: -99, high: 99 }] },
  ],
  refused: [
    { ...sample([2, 3], 1, 0, 4), name: "an end beyond the axis", message: /slice: start and end must be whole numbers with 0 ≤ start < end ≤ 3 for axis 1 of \[2,3\]; got 0 and 4/ },
    { ...sample([2, 3], 1, 2, 2), name: "an empty part", message: /got 2 and 2/ },
    { ...sample([2, 3], 1, -1, 2), name: "a negative start", message: /got -1 and 2/ },
    { ...sample([2, 3], 2, 0, 1), name: "an axis outside the rank", message: /axis must be in -2\.\.1/ },
  ],
  bench: [sample([8, 64, 2304], 2, 768, 1536)],
};
