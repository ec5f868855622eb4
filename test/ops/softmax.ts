import { logSoftmax, softmax } from "../../src/autograd/ops/softmax.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { once, randomInteger, randomShape, type OpCase, type Reference, type Sample } from "./op-case.ts";

interface Attrs {
  /** The last where left out. */
  readonly axis?: number;
}

/** log softmax of every row, by plain loops. */
function logarithm([x]: readonly Reference[], { axis = -1 }: Attrs): Reference {
  const normal = (axis + x.shape.length) % x.shape.length;
  const columns = x.shape[normal];
  const step = x.shape.slice(normal + 1).reduce((product, n) => product * n, 1);
  const data = new Float64Array(x.data.length);
  for (let start = 0; start < data.length; start++) {
    if (Math.floor(start / step) % columns > 0) continue;
    const places = Array.from({ length: columns }, (_, j) => start + j * step);
    const maximum = places.reduce((most, i) => Math.max(most, x.data[i]), -Infinity);
    const sum = places.reduce((total, i) => total + Math.exp(x.data[i] - maximum), 0);
    for (const i of places) data[i] = x.data[i] - maximum - Math.log(sum);
  }
  return { shape: x.shape, data };
}

function sample(shape: Shape, low = -4, high = 4, axis?: number): Sample<Attrs> {
  return { name: `${shape.join("×")} in ${low}..${high}${axis === undefined ? "" : ` over axis ${axis}`}`, inputs: [{ shape, low, high }], attrs: { axis } };
}

/** At least two in a row: one alone has no gradient. */
function fuzz(random: Generator): Sample<Attrs> {
  const shape = randomShape(random, randomInteger(random, 1, 3), 600);
  const axis = random.integer(shape.length);
  return sample(shape.with(axis, shape[axis] + 1), -4, 4, once(random, 3) ? axis - shape.length : axis);
}

const samples: Sample<Attrs>[] = [
  sample([5, 33]),
  sample([2, 3, 20]),
  sample([7]),
  sample([4, 1]),
  sample([3, 2]),
  sample([130, 3]),
  sample([2, 600], -20, 20),
  sample([5, 33], -4, 4, 0),
  sample([3, 5, 7], -4, 4, 1),
  sample([2, 70, 8], -4, 4, -2),
  { name: "masked with -10⁹", inputs: [{ shape: [2, 6], values: [1, 2, -1e9, -1e9, 3, -1e9, -1e9, -1e9, -1e9, -1e9, -1e9, 5] }], attrs: {} },
];

const MASKED = [-Infinity, -Infinity, -Infinity] as const;

/** Rows where steps of finite differences say nothing. */
const extremes: Sample<Attrs>[] = [
  { name: "±10⁴", inputs: [{ shape: [3, 3], values: [1e4, -1e4, 0, -1e4, -1e4, -1e4, 1e4, 1e4, 9999] }], attrs: {} },
  { name: "masked with -Inf", inputs: [{ shape: [2, 8], values: [1, 2, -Infinity, -Infinity, 3, -Infinity, -Infinity, 0, ...MASKED, ...MASKED, 1, 5] }], attrs: {} },
  { name: "a row of -Inf", inputs: [{ shape: [2, 4], values: [-Infinity, -Infinity, -Infinity, -Infinity, 0, 1, 2, 3] }], attrs: {} },
  { name: "a row with NaN", inputs: [{ shape: [2, 3], values: [1, NaN, 2, 0, 1, 2] }], attrs: {} },
];

const bench = [sample([32 * 4 * 65, 65]), sample([32 * 8 * 20, 20]), sample([8 * 12 * 197, 197])];

const scalar = { name: "a scalar", inputs: [{ shape: [] }], attrs: {} };

export const softmaxCase: OpCase<Attrs> = {
  name: "softmax",
  apply: ([x], { axis }) => [softmax(x, axis)],
  reference: (inputs, attrs) => {
    const log = logarithm(inputs, attrs);
    return [{ shape: log.shape, data: log.data.map(Math.exp) }];
  },
  tolerance: { forward: 2e-6, gradient: 1e-5, reason: "f32 exponentials; the gradient is a difference of nearly equal numbers" },
  samples,
  refused: [
    { ...scalar, message: /^softmax: x must have an axis/ },
    { ...sample([2, 3], 0, 1, 2), name: "an axis outside the rank", message: /softmax: axis must be in -2\.\.1 for rank 2; got 2/ },
  ],
  fuzz,
  bench,
};

export const logSoftmaxCase: OpCase<Attrs> = {
  name: "logSoftmax",
  apply: ([x], { axis }) => [logSoftmax(x, axis)],
  reference: (inputs, attrs) => [logarithm(inputs, attrs)],
  tolerance: { forward: 1e-6, gradient: 1e-5, reason: "f32 exponentials, of sums of up to a few hundred" },
  samples: samples.filter(({ name }) => !name.startsWith("masked")), // a loss of 10⁹ leaves finite differences no digits
  refused: [{ ...scalar, message: /^logSoftmax: x must have an axis/ }],
  fuzz,
  bench,
};

export const softmaxExtremesCase: OpCase<Attrs> = { ...softmaxCase, name: "softmax of extremes", samples: extremes, differentiable: [], constantOutputs: [0], refused: [], fuzz: undefined, bench: [] };

export const logSoftmaxExtremesCase: OpCase<Attrs> = { ...logSoftmaxCase, name: "logSoftmax of extremes", samples: extremes, differentiable: [], constantOutputs: [0], refused: [], fuzz: undefined, bench: [] };
