import { tril, triu } from "../../src/autograd/ops/triangle.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, randomInteger, randomShape, referenceOf, type OpCase, type Sample } from "./op-case.ts";

interface Attrs {
  readonly diagonal?: number;
}

function sample(shape: Shape, diagonal?: number): Sample<Attrs> {
  return { name: `[${shape}]${diagonal === undefined ? "" : `, diagonal ${diagonal}`}`, inputs: [{ shape }], attrs: { diagonal } };
}

function triangleCase(name: string, fn: typeof tril, isKept: (above: number, diagonal: number) => boolean): OpCase<Attrs> {
  return {
    name,
    apply: ([x], { diagonal }) => [fn(x, diagonal)],
    reference: ([x], { diagonal = 0 }) => [referenceOf(x.shape, (index) => (isKept(index[index.length - 1] - index[index.length - 2], diagonal) ? at(x, ...index) : 0))],
    tolerance: { forward: 0, gradient: 1e-7, reason: "no arithmetic; the cotangents are rounded to f32" },
    samples: [sample([5, 5]), sample([3, 7], 1), sample([2, 6, 4], -2), sample([1, 1]), sample([3, 4], 9), sample([3, 4], -9)],
    refused: [
      { ...sample([4]), name: "a vector", message: /triangle: x must be \[\.\.\.,R,C\].*got \[4\]/ },
      { ...sample([4, 4], 0.5), name: "half a diagonal", message: /got \[4,4\] and 0\.5/ },
    ],
    fuzz: (random) => sample(randomShape(random, randomInteger(random, 2, 4)), randomInteger(random, -9, 9)),
  };
}

export const trilCase = triangleCase("tril", tril, (above, diagonal) => above <= diagonal);
export const triuCase = triangleCase("triu", triu, (above, diagonal) => above >= diagonal);
