import { reshape } from "../../src/autograd/ops/reshape.ts";
import type { Shape } from "../../src/core/shape.ts";
import { once, randomInteger, randomShape, type OpCase } from "./op-case.ts";

interface Attrs {
  readonly shape: Shape;
  /** The shape that comes out, where it differs from what was asked for. */
  readonly result?: Shape;
}

export const reshapeCase: OpCase<Attrs> = {
  name: "reshape",
  apply: ([x], { shape }) => [reshape(x, shape)],
  reference: ([x], { shape, result = shape }) => [{ shape: result, data: x.data }],
  tolerance: { forward: 0, gradient: 1e-7, reason: "no arithmetic; the cotangents are rounded to f32" },
  samples: [
    { name: "flatten", inputs: [{ shape: [2, 3, 4] }], attrs: { shape: [24] } },
    { name: "inferred size", inputs: [{ shape: [2, 3, 4] }], attrs: { shape: [4, -1], result: [4, 6] } },
    { name: "to a scalar", inputs: [{ shape: [1, 1] }], attrs: { shape: [] } },
  ],
  fuzz: (random) => {
    const from = randomShape(random, randomInteger(random, 0, 4));
    const result = random.shuffle([...from, ...Array<number>(random.integer(2)).fill(1)]);
    const shape = once(random, 2) || result.length === 0 ? result : result.with(random.integer(result.length), -1);
    return { name: `[${from}] to [${shape}]`, inputs: [{ shape: from }], attrs: { shape, result } };
  },
  refused: [
    { name: "another size", inputs: [{ shape: [2, 3] }], attrs: { shape: [4, 2] }, message: /reshape: sizes must agree, with at most one −1; got \[2,3\] \(6 elements\) to \[4,2\]/ },
    { name: "a size that cannot be inferred", inputs: [{ shape: [2, 3] }], attrs: { shape: [4, -1] }, message: /sizes must agree/ },
    { name: "two inferred sizes", inputs: [{ shape: [2, 3] }], attrs: { shape: [-1, -1] }, message: /at most one −1/ },
    { name: "other negative sizes", inputs: [{ shape: [2, 3] }], attrs: { shape: [-2, -3] }, message: /every size must be a whole number of at least 1/ },
  ],
};
