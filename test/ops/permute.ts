import { transpose } from "../../src/autograd/ops/permute.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, randomInteger, randomShape, referenceOf, type Input, type OpCase, type Sample } from "./op-case.ts";

interface Attrs {
  readonly permutation?: readonly number[];
}

function sample(shape: Shape, permutation?: readonly number[], input: Partial<Input> = {}): Sample<Attrs> {
  return { name: `[${shape}] by ${permutation === undefined ? "default" : `[${permutation}]`}${input.dtype === undefined ? "" : ` ${input.dtype}`}`, inputs: [{ shape, ...input }], attrs: { permutation } };
}

export const transposeCase: OpCase<Attrs> = {
  name: "transpose",
  apply: ([x], { permutation }) => [transpose(x, permutation)],
  reference: ([x], { permutation }) => {
    const rank = x.shape.length;
    const axes = (permutation ?? x.shape.map((_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis))).map((axis) => (axis + rank) % rank);
    return [referenceOf(axes.map((axis) => x.shape[axis]), (index) => at(x, ...x.shape.map((_, axis) => index[axes.indexOf(axis)])))];
  },
  tolerance: { forward: 0, gradient: 1e-7, reason: "no arithmetic; the cotangents are rounded to f32" },
  samples: [
    sample([5, 7]),
    sample([2, 3, 5, 8], [0, 2, 1, 3]),
    sample([2, 3, 5, 7], [0, 2, 1, 3]),
    sample([2, 3, 4, 5], [3, 1, 0, 2]),
    sample([2, 3, 4], [1, -1, 0]),
    sample([3, 33, 65], [0, 2, 1]),
    sample([32, 64], [1, 0]),
    sample([100, 9], [1, 0]),
    sample([2, 5, 1, 12, 3], [0, 3, 4, 2, 1]),
    sample([4, 1, 6], [1, 0, 2]),
    sample([1, 5], [1, 0]),
    sample([], []),
    sample([1], [0]),
    sample([4, 3], [1, 0], { dtype: "i32", low: -9, high: 9 }),
  ],
  refused: [
    { ...sample([2, 3], [0, 0]), name: "an axis that stands there twice", message: /transpose: the permutation must hold each axis of \[2,3\] once; got \[0,0\]/ },
    { ...sample([2, 3], [0]), name: "too few axes", message: /got \[0\]/ },
    { ...sample([2, 3], [0, 2]), name: "an axis outside the rank", message: /axis must be in -2\.\.1 for rank 2; got 2/ },
    { ...sample([3]), name: "a vector without a permutation", message: /transpose: the permutation must/ },
  ],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 0, 5));
    return sample(shape, random.shuffle([...shape.keys()]));
  },
  bench: [sample([8, 64, 12, 64], [0, 2, 1, 3]), sample([768, 3072])],
};
