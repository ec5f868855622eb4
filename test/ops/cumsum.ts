import { cumsum } from "../../src/autograd/ops/cumsum.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import type { Along } from "./gather.ts";
import { randomInteger, randomShape, type OpCase, type Reference, type Sample } from "./op-case.ts";

function sample(shape: Shape, axis: number, low = -1): Sample<Along> {
  return { name: `[${shape}] along ${axis}${low === 0 ? ", none negative" : ""}`, inputs: [{ shape, low }], attrs: { axis } };
}

function fuzz(random: Generator): Sample<Along> {
  const shape = randomShape(random, randomInteger(random, 1, 4));
  return sample(shape, random.integer(2 * shape.length) - shape.length);
}

/** Each element of the flat tensor is added to the one before it along the axis. */
function reference([x]: readonly Reference[], { axis }: Along): Reference[] {
  const along = (axis + x.shape.length) % x.shape.length;
  const step = x.shape.slice(along + 1).reduce((product, n) => product * n, 1);
  const data = Float64Array.from(x.data);
  for (let i = step; i < data.length; i++) if (Math.floor(i / step) % x.shape[along] > 0) data[i] += data[i - step];
  return [{ shape: x.shape, data }];
}

export const cumsumCase: OpCase<Along> = {
  name: "cumsum",
  apply: ([x], { axis }) => [cumsum(x, axis)],
  reference,
  tolerance: { forward: 2e-6, gradient: 2e-6, reason: "sums of f32 in blocks: the error grows with the square root of the block" },
  samples: [
    sample([7], 0),
    sample([1], 0),
    sample([5, 33], 1),
    sample([5, 33], 0),
    sample([3, 4, 5], -2),
    sample([4, 1, 3], 1),
    sample([3, 700], -1),
    sample([700, 3], 0),
    sample([2, 1500], 1),
    sample([130], 0),
  ],
  refused: [
    { ...sample([3], 0), name: "an axis outside the rank", attrs: { axis: 1 }, message: /cumsum: axis must be in -1\.\.0 for rank 1; got 1/ },
    { name: "a scalar", inputs: [{ shape: [] }], attrs: { axis: 0 }, message: /cumsum: axis must be in/ },
  ],
  fuzz,
  bench: [sample([32, 50_257], 1), sample([1_000_000], 0), sample([4096, 768], 0)],
};

/** Values alone: finite differences of so many elements would take minutes. */
export const longCumsumCase: OpCase<Along> = {
  ...cumsumCase,
  name: "long cumsum",
  differentiable: [],
  constantOutputs: [0],
  samples: [
    sample([100_003], 0, 0),
    sample([70_001, 2], 0),
    ...(["i32", "u32"] as const).map((dtype) => ({ name: dtype, inputs: [{ shape: [3, 1100], dtype, low: 0, high: 1000 }], attrs: { axis: 1 } })),
    { name: "Inf and NaN", inputs: [{ shape: [3, 300], values: Array.from({ length: 900 }, (_, i) => (i === 50 || i === 700 ? Infinity : i === 100 ? NaN : i === 760 ? -Infinity : 1)) }], attrs: { axis: 1 } },
  ],
  refused: [],
  fuzz: undefined,
  bench: [],
};
