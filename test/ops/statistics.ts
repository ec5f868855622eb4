import { logSumExp, norm, std, variance, type VarianceOptions } from "../../src/autograd/ops/statistics.ts";
import type { Generator } from "../../src/core/rng.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { once, randomAxes, randomInteger, randomShape, type Input, type OpCase, type Sample } from "./op-case.ts";
import { reduceReference, type AxesAttrs } from "./reduce.ts";

interface Attrs extends AxesAttrs, VarianceOptions {}

function sample(shape: Shape, attrs: Attrs, input: Partial<Input> = {}): Sample<Attrs> {
  return { name: `[${shape}] ${JSON.stringify(attrs)}`, inputs: [{ shape, ...input }], attrs };
}

/** Axes over which there are at least three values: of fewer, what is left without the mean is but rounding. */
function fuzz(random: Generator): Sample<Attrs> {
  const shape = randomShape(random, randomInteger(random, 1, 3), 400);
  const axes = randomAxes(random, shape.length);
  const [long] = axes ?? [0];
  const enough = shape.with(long, shape[(long + shape.length) % shape.length] + 2);
  return sample(enough, { axes, keepDims: once(random, 2), correction: random.pick([0, 1]) }, { low: -1, high: 2 });
}

function squares(terms: readonly number[]): number {
  const mean = terms.reduce((a, b) => a + b, 0) / terms.length;
  return terms.reduce((sum, term) => sum + (term - mean) ** 2, 0);
}

const tolerance = { forward: 2e-6, gradient: 4e-6, reason: "sums of f32, and of what is left after a mean is taken off" } as const;
const samples = [
  sample([7, 13], { axes: [0] }),
  sample([3, 5], {}),
  sample([2, 3, 8], { axes: [-1], keepDims: true }),
  sample([2, 3, 4, 5], { axes: [0, 2], correction: 0 }),
  sample([5, 40], { axes: [1] }, { low: 99, high: 102 }),
];

export const varianceCase: OpCase<Attrs> = {
  name: "variance",
  apply: ([x], { axes, ...options }) => [variance(x, axes, options)],
  reference: ([x], { correction = 1, ...attrs }) => [reduceReference(x, attrs, (terms) => squares(terms) / (terms.length - correction))],
  tolerance,
  samples,
  refused: [{ ...sample([4, 1], { axes: [1] }), name: "one value", message: /variance: there must be more than 1 values; got 1 of \[4,1\]/ }],
  fuzz,
};

export const stdCase: OpCase<Attrs> = {
  ...varianceCase,
  name: "std",
  apply: ([x], { axes, ...options }) => [std(x, axes, options)],
  reference: ([x], { correction = 1, ...attrs }) => [reduceReference(x, attrs, (terms) => Math.sqrt(squares(terms) / (terms.length - correction)))],
};

export const normCase: OpCase<Attrs> = {
  name: "norm",
  apply: ([x], { axes, keepDims }) => [norm(x, axes, keepDims)],
  reference: ([x], attrs) => [reduceReference(x, attrs, (terms) => Math.hypot(...terms))],
  tolerance,
  samples: [...samples, sample([], {}, { low: 1, high: 2 }), sample([5], { axes: [] }, { low: 1, high: 2 })],
  fuzz,
};

export const logSumExpCase: OpCase<Attrs> = {
  name: "logSumExp",
  apply: ([x], { axes, keepDims }) => [logSumExp(x, axes, keepDims)],
  reference: ([x], attrs) => [
    reduceReference(x, attrs, (terms) => {
      const most = Math.max(...terms);
      return most + Math.log(terms.reduce((sum, term) => sum + Math.exp(term - most), 0));
    }),
  ],
  tolerance,
  samples: [...samples, sample([3, 4], { axes: [1] }, { low: -90, high: 90 })],
  refused: [{ ...sample([2, 3], { axes: [2] }), name: "an axis outside the rank", message: /axis must be in -2\.\.1 for rank 2; got 2/ }],
  fuzz: (random) => {
    const drawn = fuzz(random);
    return { ...drawn, inputs: [{ shape: drawn.inputs[0].shape, low: -5, high: 8 }], name: `${drawn.name}, ${sizeOf(drawn.inputs[0].shape)} values` };
  },
};
