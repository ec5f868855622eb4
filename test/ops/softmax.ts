import { logSoftmax, softmax } from "../../src/autograd/ops/softmax.ts";
import type { Shape } from "../../src/core/shape.ts";
import type { OpCase, Reference, Sample } from "./op-case.ts";

type None = Record<never, never>;

/** log softmax of every row, by plain loops. */
function logarithm([x]: readonly Reference[]): Reference {
  const columns = x.shape.at(-1)!;
  const data = new Float64Array(x.data.length);
  for (let start = 0; start < data.length; start += columns) {
    let maximum = -Infinity;
    for (let j = 0; j < columns; j++) maximum = Math.max(maximum, x.data[start + j]);
    let sum = 0;
    for (let j = 0; j < columns; j++) sum += Math.exp(x.data[start + j] - maximum);
    for (let j = 0; j < columns; j++) data[start + j] = x.data[start + j] - maximum - Math.log(sum);
  }
  return { shape: x.shape, data };
}

function sample(shape: Shape, low = -4, high = 4): Sample<None> {
  return { name: `${shape.join("×")} in ${low}..${high}`, inputs: [{ shape, low, high }], attrs: {} };
}

const samples: Sample<None>[] = [
  sample([5, 33]),
  sample([2, 3, 20]),
  sample([7]),
  sample([4, 1]),
  sample([3, 2]),
  sample([130, 3]),
  sample([2, 600], -20, 20),
  { name: "masked with -10⁹", inputs: [{ shape: [2, 6], values: [1, 2, -1e9, -1e9, 3, -1e9, -1e9, -1e9, -1e9, -1e9, -1e9, 5] }], attrs: {} },
];

const MASKED = [-Infinity, -Infinity, -Infinity] as const;

/** Rows where steps of finite differences say nothing. */
const extremes: Sample<None>[] = [
  { name: "±10⁴", inputs: [{ shape: [3, 3], values: [1e4, -1e4, 0, -1e4, -1e4, -1e4, 1e4, 1e4, 9999] }], attrs: {} },
  { name: "masked with -Inf", inputs: [{ shape: [2, 8], values: [1, 2, -Infinity, -Infinity, 3, -Infinity, -Infinity, 0, ...MASKED, ...MASKED, 1, 5] }], attrs: {} },
  { name: "a row of -Inf", inputs: [{ shape: [2, 4], values: [-Infinity, -Infinity, -Infinity, -Infinity, 0, 1, 2, 3] }], attrs: {} },
  { name: "a row with NaN", inputs: [{ shape: [2, 3], values: [1, NaN, 2, 0, 1, 2] }], attrs: {} },
];

const bench = [sample([32 * 4 * 65, 65]), sample([32 * 8 * 20, 20]), sample([8 * 12 * 197, 197])];

const scalar = { name: "a scalar", inputs: [{ shape: [] }], attrs: {} };

export const softmaxCase: OpCase<None> = {
  name: "softmax",
  apply: ([x]) => [softmax(x)],
  reference: (inputs) => {
    const log = logarithm(inputs);
    return [{ shape: log.shape, data: log.data.map(Math.exp) }];
  },
  tolerance: { forward: 2e-6, gradient: 1e-5, reason: "f32 exponentials; the gradient is a difference of nearly equal numbers" },
  samples,
  refused: [{ ...scalar, message: /^softmax: x must have an axis/ }],
  bench,
};

export const logSoftmaxCase: OpCase<None> = {
  name: "logSoftmax",
  apply: ([x]) => [logSoftmax(x)],
  reference: (inputs) => [logarithm(inputs)],
  tolerance: { forward: 1e-6, gradient: 1e-5, reason: "f32 exponentials, of sums of up to a few hundred" },
  samples: samples.filter(({ name }) => !name.startsWith("masked")), // a loss of 10⁹ leaves finite differences no digits
  refused: [{ ...scalar, message: /^logSoftmax: x must have an axis/ }],
  bench,
};

export const softmaxExtremesCase: OpCase<None> = { ...softmaxCase, name: "softmax of extremes", samples: extremes, differentiable: [], constantOutputs: [0], refused: [], bench: [] };

export const logSoftmaxExtremesCase: OpCase<None> = { ...logSoftmaxCase, name: "logSoftmax of extremes", samples: extremes, differentiable: [], constantOutputs: [0], refused: [], bench: [] };
