import { oneHot } from "../../src/autograd/ops/one-hot.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, randomInteger, randomShape, referenceOf, type OpCase, type Sample } from "./op-case.ts";

interface Attrs {
  readonly classes: number;
}

function sample(shape: Shape, classes: number): Sample<Attrs> {
  return { name: `[${shape}] of ${classes}`, inputs: [{ shape, dtype: "i32", low: -1, high: classes + 1 }], attrs: { classes } };
}

export const oneHotCase: OpCase<Attrs> = {
  name: "oneHot",
  apply: ([ids], { classes }) => [oneHot(ids, classes)],
  reference: ([ids], { classes }) => [referenceOf([...ids.shape, classes], (index) => Number(at(ids, ...index.slice(0, -1)) === index[index.length - 1]))],
  tolerance: { forward: 0, gradient: 0, reason: "no arithmetic" },
  differentiable: [],
  constantOutputs: [0],
  samples: [sample([5], 3), sample([], 4), sample([2, 3, 4], 1), sample([3, 7], 33)],
  refused: [
    { name: "ids of f32", inputs: [{ shape: [3] }], attrs: { classes: 2 }, message: /oneHot: ids must be i32; got f32/ },
    { ...sample([3], 2), name: "no class", attrs: { classes: 0 }, message: /oneHot: there must be a whole number of classes, at least 1; got 0/ },
  ],
  fuzz: (random) => sample(randomShape(random, random.integer(3), 60), randomInteger(random, 1, 20)),
};
