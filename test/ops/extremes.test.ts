import { describe, expect, test } from "vitest";
import * as ops from "../../src/autograd/ops/index.ts";
import { full, tensor, zeros, type Tensor } from "../../src/autograd/tensor.ts";
import type { Shape } from "../../src/core/shape.ts";
import { useDevice } from "../device.ts";

/**
 * NaN and Inf, and what becomes of them forward and backward (under a cotangent of ones): all expectations are PyTorch
 * 1.13's. A gradient is left out where PyTorch's own depends on which of its formulas runs (products), where it has Inf
 * beside a NaN (variances; here the whole row is NaN), and where it is the same everywhere.
 */

interface Expected {
  readonly value: readonly number[];
  readonly gradient?: readonly number[];
}

const X = [NaN, Infinity, -Infinity, 0, 1, -1];

const UNARY: Readonly<Record<string, Expected>> = {
  abs: { value: [NaN, Infinity, Infinity, 0, 1, 1], gradient: [0, 1, -1, 0, 1, -1] },
  ceil: { value: [NaN, Infinity, -Infinity, 0, 1, -1], gradient: [0, 0, 0, 0, 0, 0] },
  clamp: { value: [NaN, 2, -0.5, 0, 1, -0.5], gradient: [0, 0, 0, 1, 1, 0] },
  cos: { value: [NaN, NaN, NaN, 1, 0.5403023, 0.5403023], gradient: [NaN, NaN, NaN, 0, -0.841471, 0.841471] },
  elu: { value: [NaN, Infinity, -1, 0, 1, -0.6321205], gradient: [1, 1, 0, 1, 1, 0.3678795] },
  erf: { value: [NaN, 1, -1, 0, 0.8427008, -0.8427008], gradient: [NaN, 0, 0, 1.128379, 0.4151075, 0.4151075] },
  exp: { value: [NaN, Infinity, 0, 1, 2.718282, 0.3678795], gradient: [NaN, Infinity, 0, 1, 2.718282, 0.3678795] },
  expm1: { value: [NaN, Infinity, -1, 0, 1.718282, -0.6321205], gradient: [NaN, Infinity, 0, 1, 2.718282, 0.3678795] },
  floor: { value: [NaN, Infinity, -Infinity, 0, 1, -1], gradient: [0, 0, 0, 0, 0, 0] },
  gelu: { value: [NaN, Infinity, NaN, 0, 0.8413447, -0.1586553], gradient: [NaN, NaN, NaN, 0.5, 1.083315, -0.08331543] },
  hardsigmoid: { value: [NaN, 1, 0, 0.5, 0.6666667, 0.3333333], gradient: [0, 0, 0, 0.1666667, 0.1666667, 0.1666667] },
  hardswish: { value: [NaN, Infinity, NaN, 0, 0.6666667, -0.3333333], gradient: [1, 1, 0, 0.5, 0.8333334, 0.1666667] },
  hardtanh: { value: [NaN, 1, -1, 0, 1, -1], gradient: [1, 0, 0, 1, 0, 0] },
  leakyRelu: { value: [NaN, Infinity, -Infinity, 0, 1, -0.01], gradient: [0.01, 1, 0.01, 0.01, 1, 0.01] },
  log: { value: [NaN, Infinity, NaN, -Infinity, 0, NaN], gradient: [NaN, 0, 0, Infinity, 1, -1] },
  log1p: { value: [NaN, Infinity, NaN, 0, 0.6931472, -Infinity], gradient: [NaN, 0, 0, 1, 0.5, Infinity] },
  mish: { value: [NaN, Infinity, NaN, 0, 0.8650984, -0.3034014], gradient: [NaN, NaN, NaN, 0.6, 1.049036, 0.05921673] },
  neg: { value: [NaN, -Infinity, Infinity, 0, -1, 1], gradient: [-1, -1, -1, -1, -1, -1] },
  reciprocal: { value: [NaN, 0, 0, Infinity, 1, -1], gradient: [NaN, 0, 0, -Infinity, -1, -1] },
  relu: { value: [NaN, Infinity, 0, 0, 1, 0], gradient: [1, 1, 0, 0, 1, 0] },
  relu6: { value: [NaN, 6, 0, 0, 1, 0], gradient: [1, 0, 0, 0, 1, 0] },
  round: { value: [NaN, Infinity, -Infinity, 0, 1, -1], gradient: [0, 0, 0, 0, 0, 0] },
  rsqrt: { value: [NaN, 0, NaN, Infinity, 1, NaN], gradient: [NaN, 0, NaN, -Infinity, -0.5, NaN] },
  sigmoid: { value: [NaN, 1, 0, 0.5, 0.7310586, 0.2689414], gradient: [NaN, 0, 0, 0.25, 0.1966119, 0.1966119] },
  sign: { value: [0, 1, -1, 0, 1, -1], gradient: [0, 0, 0, 0, 0, 0] },
  silu: { value: [NaN, Infinity, NaN, 0, 0.7310586, -0.2689414], gradient: [NaN, NaN, NaN, 0.5, 0.9276705, 0.07232948] },
  sin: { value: [NaN, NaN, NaN, 0, 0.841471, -0.841471], gradient: [NaN, NaN, NaN, 1, 0.5403023, 0.5403023] },
  softplus: { value: [NaN, Infinity, 0, 0.6931472, 1.313262, 0.3132617], gradient: [NaN, 1, 0, 0.5, 0.7310586, 0.2689414] },
  sqrt: { value: [NaN, Infinity, NaN, 0, 1, NaN], gradient: [NaN, 0, NaN, Infinity, 0.5, NaN] },
  square: { value: [NaN, Infinity, Infinity, 0, 1, 1], gradient: [NaN, Infinity, -Infinity, 0, 2, -2] },
  tanh: { value: [NaN, 1, -1, 0, 0.7615942, -0.7615942], gradient: [NaN, 0, 0, 1, 0.4199743, 0.4199743] },
};

interface ExpectedPair {
  readonly value: readonly number[];
  readonly da?: readonly number[];
  readonly db?: readonly number[];
}

const PAIRED = [NaN, Infinity, -Infinity, 0, 1, -2]; // each with each

const BINARY: Readonly<Record<string, ExpectedPair>> = {
  add: { value: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, Infinity, NaN, Infinity, Infinity, Infinity, NaN, NaN, -Infinity, -Infinity, -Infinity, -Infinity, NaN, Infinity, -Infinity, 0, 1, -2, NaN, Infinity, -Infinity, 1, 2, -1, NaN, Infinity, -Infinity, -2, -1, -4] },
  sub: { value: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, Infinity, Infinity, Infinity, Infinity, NaN, -Infinity, NaN, -Infinity, -Infinity, -Infinity, NaN, -Infinity, Infinity, 0, -1, 2, NaN, -Infinity, Infinity, 1, 0, 3, NaN, -Infinity, Infinity, -2, -3, 0] },
  mul: { value: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, Infinity, -Infinity, NaN, Infinity, -Infinity, NaN, -Infinity, Infinity, NaN, -Infinity, Infinity, NaN, NaN, NaN, 0, 0, 0, NaN, Infinity, -Infinity, 0, 1, -2, NaN, -Infinity, Infinity, 0, -2, 4], da: [NaN, Infinity, -Infinity, 0, 1, -2, NaN, Infinity, -Infinity, 0, 1, -2, NaN, Infinity, -Infinity, 0, 1, -2, NaN, Infinity, -Infinity, 0, 1, -2, NaN, Infinity, -Infinity, 0, 1, -2, NaN, Infinity, -Infinity, 0, 1, -2], db: [NaN, NaN, NaN, NaN, NaN, NaN, Infinity, Infinity, Infinity, Infinity, Infinity, Infinity, -Infinity, -Infinity, -Infinity, -Infinity, -Infinity, -Infinity, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, -2, -2, -2, -2, -2, -2] },
  div: { value: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, Infinity, Infinity, -Infinity, NaN, NaN, NaN, -Infinity, -Infinity, Infinity, NaN, 0, 0, NaN, 0, 0, NaN, 0, 0, Infinity, 1, -0.5, NaN, 0, 0, -Infinity, -2, 1] },
  pow: { value: [NaN, NaN, NaN, 1, NaN, NaN, NaN, Infinity, 0, 1, Infinity, 0, NaN, Infinity, 0, 1, -Infinity, 0, NaN, 0, Infinity, 1, 0, Infinity, 1, 1, 1, 1, 1, 1, NaN, Infinity, 0, 1, -2, 0.25], da: [NaN, NaN, NaN, 0, 1, NaN, NaN, Infinity, NaN, 0, 1, 0, NaN, Infinity, NaN, 0, 1, 0, NaN, NaN, -Infinity, 0, 1, -Infinity, NaN, Infinity, -Infinity, 0, 1, -2, NaN, Infinity, NaN, 0, 1, 0.25], db: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, Infinity, NaN, Infinity, Infinity, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0, -Infinity, 0, 0, -Infinity, 0, 0, 0, 0, 0, 0, NaN, NaN, NaN, NaN, NaN, NaN] },
  maximum: { value: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, Infinity, Infinity, Infinity, Infinity, Infinity, NaN, Infinity, -Infinity, 0, 1, -2, NaN, Infinity, 0, 0, 1, 0, NaN, Infinity, 1, 1, 1, 1, NaN, Infinity, -2, 0, 1, -2], da: [1, 1, 1, 1, 1, 1, 1, 0.5, 1, 1, 1, 1, 1, 0, 0.5, 0, 0, 0, 1, 0, 1, 0.5, 0, 1, 1, 0, 1, 1, 0.5, 1, 1, 0, 1, 0, 0, 0.5], db: [1, 1, 1, 1, 1, 1, 1, 0.5, 0, 0, 0, 0, 1, 1, 0.5, 1, 1, 1, 1, 1, 0, 0.5, 1, 0, 1, 1, 0, 0, 0.5, 0, 1, 1, 0, 1, 1, 0.5] },
  minimum: { value: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, Infinity, -Infinity, 0, 1, -2, NaN, -Infinity, -Infinity, -Infinity, -Infinity, -Infinity, NaN, 0, -Infinity, 0, 0, -2, NaN, 1, -Infinity, 0, 1, -2, NaN, -2, -Infinity, -2, -2, -2], da: [1, 1, 1, 1, 1, 1, 1, 0.5, 0, 0, 0, 0, 1, 1, 0.5, 1, 1, 1, 1, 1, 0, 0.5, 1, 0, 1, 1, 0, 0, 0.5, 0, 1, 1, 0, 1, 1, 0.5], db: [1, 1, 1, 1, 1, 1, 1, 0.5, 1, 1, 1, 1, 1, 0, 0.5, 0, 0, 0, 1, 0, 1, 0.5, 0, 1, 1, 0, 1, 1, 0.5, 1, 1, 0, 1, 0, 0, 0.5] },
};

const ROWS = [1, NaN, 2, 0, 1, Infinity, 2, 0, Infinity, -Infinity, 1, 0, -Infinity, -Infinity, -Infinity, -Infinity, 0, 0, Infinity, -1, -Infinity, 2, 1, 0, 0, 0, 0, 0];

const OVER_ROWS: Readonly<Record<string, Expected>> = {
  sum: { value: [NaN, Infinity, NaN, -Infinity, Infinity, -Infinity, 0] },
  mean: { value: [NaN, Infinity, NaN, -Infinity, Infinity, -Infinity, 0] },
  max: { value: [NaN, Infinity, Infinity, -Infinity, Infinity, 2, 0], gradient: [NaN, NaN, NaN, NaN, 0, 1, 0, 0, 1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25, 0, 0, 1, 0, 0, 1, 0, 0, 0.25, 0.25, 0.25, 0.25] },
  min: { value: [NaN, 0, -Infinity, -Infinity, -1, -Infinity, 0], gradient: [NaN, NaN, NaN, NaN, 0, 0, 0, 1, 0, 1, 0, 0, 0.25, 0.25, 0.25, 0.25, 0, 0, 0, 1, 1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25] },
  prod: { value: [NaN, NaN, NaN, Infinity, NaN, NaN, 0] },
  logSumExp: { value: [NaN, Infinity, Infinity, -Infinity, Infinity, 2.407606, 1.386294], gradient: [NaN, NaN, NaN, NaN, 0, NaN, 0, 0, NaN, 0, 0, 0, NaN, NaN, NaN, NaN, 0, 0, NaN, 0, 0, 0.665241, 0.2447285, 0.09003058, 0.25, 0.25, 0.25, 0.25] },
  variance: { value: [NaN, NaN, NaN, NaN, NaN, NaN, 0] },
  std: { value: [NaN, NaN, NaN, NaN, NaN, NaN, 0], gradient: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0, 0, 0, 0] },
  norm: { value: [NaN, Infinity, Infinity, Infinity, Infinity, Infinity, 0], gradient: [NaN, NaN, NaN, NaN, 0, NaN, 0, 0, NaN, NaN, 0, 0, NaN, NaN, NaN, NaN, 0, 0, NaN, 0, NaN, 0, 0, 0, 0, 0, 0, 0] },
  softmax: { value: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0, 0.6652409, 0.2447285, 0.09003057, 0.25, 0.25, 0.25, 0.25], gradient: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0, 0, 0, 0, 0, 0, 0, 0] },
  logSoftmax: { value: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, -Infinity, -0.4076059, -1.407606, -2.407606, -1.386294, -1.386294, -1.386294, -1.386294], gradient: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 1, -1.660964, 0.02108604, 0.6398777, 0, 0, 0, 0] },
  layerNorm: { value: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0, 0, 0, 0], gradient: [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0, 0, 0, 0] },
  groupNorm: { value: [NaN, NaN, 0.999995, -0.999995, NaN, NaN, 0.999995, -0.999995, NaN, NaN, 0.99998, -0.99998, NaN, NaN, NaN, NaN, 0, 0, NaN, NaN, NaN, NaN, 0.99998, -0.99998, 0, 0, 0, 0], gradient: [NaN, NaN, 0, 0, NaN, NaN, 0, 0, NaN, NaN, 0, 0, NaN, NaN, NaN, NaN, 0, 0, NaN, NaN, NaN, NaN, 0, 0, 0, 0, 0, 0] },
  cumsum: { value: [1, NaN, NaN, NaN, 1, Infinity, Infinity, Infinity, Infinity, NaN, NaN, NaN, -Infinity, -Infinity, -Infinity, -Infinity, 0, 0, Infinity, Infinity, -Infinity, -Infinity, -Infinity, -Infinity, 0, 0, 0, 0], gradient: [4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1] },
};

const PICTURE = [1, NaN, 2, Infinity, 3, 4, 0, 1, -Infinity, -Infinity, Infinity, -Infinity, -Infinity, -Infinity, 5, 6];

const POOLED: Readonly<Record<string, Expected>> = {
  maxPool2d: { value: [NaN, Infinity, -Infinity, Infinity], gradient: [0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0] },
  avgPool2d: { value: [NaN, Infinity, -Infinity, NaN], gradient: [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25] },
  adaptiveAvgPool2d: { value: [NaN, NaN, Infinity, -Infinity, NaN, NaN, -Infinity, NaN, NaN], gradient: [0.25, 0.5, 0.5, 0.25, 0.5, 1, 1, 0.5, 0.5, 1, 1, 0.5, 0.25, 0.5, 0.5, 0.25] },
};

/** Ours that need more than tensors to be called. */
const CALLS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  adaptiveAvgPool2d: (x) => ops.adaptiveAvgPool2d(x, 3),
  avgPool2d: (x) => ops.avgPool2d(x, { kernel: 2 }),
  clamp: (x) => ops.clamp(x, -0.5, 2),
  cumsum: (x) => ops.cumsum(x, 1),
  groupNorm: (x) => ops.groupNorm(x, 2),
  layerNorm: (x) => ops.layerNorm(x, full(x.device, [4], 1), zeros(x.device, [4])),
  logSoftmax: (x) => ops.logSoftmax(x),
  logSumExp: (x) => ops.logSumExp(x, 1),
  max: (x) => ops.max(x, 1),
  maxPool2d: (x) => ops.maxPool2d(x, { kernel: 2 }),
  mean: (x) => ops.mean(x, 1),
  min: (x) => ops.min(x, 1),
  norm: (x) => ops.norm(x, 1),
  prod: (x) => ops.prod(x, 1),
  softmax: (x) => ops.softmax(x),
  std: (x) => ops.std(x, 1),
  sum: (x) => ops.sum(x, 1),
  variance: (x) => ops.variance(x, 1),
};

function functionOf(name: string): (...inputs: Tensor[]) => Tensor {
  return CALLS[name] ?? (ops as unknown as Readonly<Record<string, (...inputs: Tensor[]) => Tensor>>)[name];
}

/** NaN and Inf stand where they should, and all else is near. */
function expectLike(found: ArrayLike<number>, expected: readonly number[], what: string): void {
  const shown = Array.from(found, (value, i) => (Math.abs(value - expected[i]) <= 1e-5 * Math.max(1, Math.abs(expected[i])) ? expected[i] : value));
  expect(shown, what).toEqual(expected.map((value) => value + 0)); // −0 is 0
}

describe.each([
  ["one thread", false],
  ["cooperative", true],
] as const)("NaN and Inf as in PyTorch, %s", (_variant, cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  async function check(name: string, inputs: readonly (readonly number[])[], shape: Shape, value: readonly number[], gradients: readonly (readonly number[] | undefined)[]): Promise<void> {
    using _scope = device().scope();
    const tensors = inputs.map((values) => tensor(device(), Float32Array.from(values), shape));
    for (const each of tensors) each.requiresGrad = true;
    const y = functionOf(name)(...tensors);
    expectLike(await y.read(), value, "value");
    y.backward(full(device(), y.shape, 1));
    for (const [i, gradient] of gradients.entries()) {
      if (gradient !== undefined) expectLike(await tensors[i].grad!.read(), gradient, `gradient ${i}`);
    }
  }

  test.each(Object.entries(UNARY))("%s", (name, { value, gradient }) => check(name, [X], [X.length], value, [gradient]));

  test.each(Object.entries(BINARY))("%s", (name, { value, da, db }) => {
    const pairs = PAIRED.flatMap((a) => PAIRED.map((b) => [a, b]));
    return check(name, [pairs.map(([a]) => a), pairs.map(([, b]) => b)], [pairs.length], value, [da, db]);
  });

  test.each(Object.entries(OVER_ROWS))("%s", (name, { value, gradient }) => check(name, [ROWS], [7, 4], value, [gradient]));

  test.each(Object.entries(POOLED))("%s", (name, { value, gradient }) => check(name, [PICTURE], [1, 1, 4, 4], value, [gradient]));

  test("batchNorm: a channel with NaN or Inf is NaN, the others are not", async () => {
    using _scope = device().scope();
    const x = tensor(device(), Float32Array.of(1, NaN, Infinity, 2, 3, 1, 3, 1, 2, 4, 5, 3), [4, 3]);
    const y = ops.batchNorm(x, full(device(), [3], 1), zeros(device(), [3]), zeros(device(), [3]), full(device(), [3], 1), { training: true });
    expectLike(await y.read(), [-1.341635, NaN, NaN, -0.4472117, NaN, NaN, 0.4472119, NaN, NaN, 1.341635, NaN, NaN], "value");
  });
});
