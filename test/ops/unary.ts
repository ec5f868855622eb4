import { pow } from "../../src/autograd/ops/binary.ts";
import * as ops from "../../src/autograd/ops/unary.ts";
import type { Tensor } from "../../src/autograd/tensor.ts";
import { randomInteger, randomShape, type Input, type OpCase, type Sample } from "./op-case.ts";

/** erfc in float64: the Taylor series of erf near 0, a continued fraction beyond. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 80; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 200; n >= 1; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}

interface Tried {
  readonly fn: (x: Tensor) => Tensor;
  readonly value: (x: number) => number;
  readonly low?: number;
  readonly high?: number;
  /** Whether it is smooth and has a lower tail that approaches 0. */
  readonly tail?: boolean;
  /** Tried one by one: in one sum, the greatest would drown the others' finite differences. */
  readonly extremes: readonly number[];
  readonly reason?: string;
}

const LARGE = [-1e30, -1e4, -120, -90, -20, -1e-3, 1e-3, 20, 90, 120, 1e4, 1e30]; // where exp of ±x over- or underflows
const CUBED = LARGE.filter((x) => Math.abs(x) < 1e9); // where x³ is finite
const POSITIVE = [1e-30, 1e-3, 1.001, 1e30];
const ROUNDING = "a few roundings of f32";

const clip = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const even = (x: number): number => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

export const FUNCTIONS: Readonly<Record<string, Tried>> = {
  relu: { fn: ops.relu, value: (x) => Math.max(x, 0), extremes: LARGE },
  gelu: { fn: ops.gelu, value: (x) => 0.5 * x * erfc(-x / Math.SQRT2), tail: true, extremes: LARGE },
  geluTanh: { fn: ops.geluTanh, value: (x) => x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))), tail: true, extremes: CUBED },
  sigmoid: { fn: ops.sigmoid, value: (x) => 1 / (1 + Math.exp(-x)), tail: true, extremes: LARGE },
  tanh: { fn: ops.tanh, value: Math.tanh, tail: true, extremes: LARGE },
  silu: { fn: ops.silu, value: (x) => x / (1 + Math.exp(-x)), tail: true, extremes: CUBED },
  exp: { fn: ops.exp, value: Math.exp, extremes: [-100, -87, 0, 1, 80], reason: "the rounding of the exponent, times the exponent" },
  log: { fn: ops.log, value: Math.log, low: 0.01, high: 20, extremes: POSITIVE },
  sqrt: { fn: ops.sqrt, value: Math.sqrt, low: 0.01, high: 20, extremes: POSITIVE },
  square: { fn: ops.square, value: (x) => x * x, extremes: [-1e9, 0, 1e-9, 1e9] },
  neg: { fn: ops.neg, value: (x) => -x, extremes: LARGE },
  affine: { fn: (x) => ops.affine(x, -2.5, 0.75), value: (x) => -2.5 * x + 0.75, extremes: [-1e30, 0, 1e30] },
  abs: { fn: ops.abs, value: Math.abs, extremes: LARGE },
  sign: { fn: ops.sign, value: Math.sign, extremes: LARGE },
  floor: { fn: ops.floor, value: Math.floor, extremes: [-2.5, 0.5, 9999.5] },
  ceil: { fn: ops.ceil, value: Math.ceil, extremes: [-2.5, 0.5, 9999.5] },
  round: { fn: ops.round, value: even, extremes: [-2.6, -0.4, 0.6, 9999.75] },
  reciprocal: { fn: ops.reciprocal, value: (x) => 1 / x, low: 0.1, high: 9, extremes: [-1e3, -1e-3, 1e-3, 1e3] },
  rsqrt: { fn: ops.rsqrt, value: (x) => 1 / Math.sqrt(x), low: 0.1, high: 9, extremes: [1e-3, 1, 1e3] },
  sin: { fn: ops.sin, value: Math.sin, tail: true, extremes: [-1000, -3, 0, 1e-3, 7, 700] },
  cos: { fn: ops.cos, value: Math.cos, extremes: [-1000, -3, 0.5, 7, 700] },
  erf: { fn: ops.erf, value: (x) => (Math.abs(x) < 2.5 ? 1 - erfc(x) : Math.sign(x) * (1 - erfc(Math.abs(x)))), low: -2.5, high: 2.5, tail: true, extremes: LARGE },
  expm1: { fn: ops.expm1, value: Math.expm1, tail: true, extremes: [-100, -1e-6, 1e-6, 1, 80] },
  log1p: { fn: ops.log1p, value: Math.log1p, low: -0.9, high: 20, extremes: [-0.999, -1e-6, 1e-6, 1e4] },
  softplus: { fn: ops.softplus, value: softplus, tail: true, extremes: LARGE },
  "softplus of a steep kind": { fn: (x) => ops.softplus(x, 3, 9), value: (x) => (3 * x > 9 ? x : softplus(3 * x) / 3), extremes: LARGE },
  elu: { fn: ops.elu, value: (x) => (x > 0 ? x : Math.expm1(x)), tail: true, extremes: LARGE },
  "elu of another slope": { fn: (x) => ops.elu(x, 1.7), value: (x) => (x > 0 ? x : 1.7 * Math.expm1(x)), extremes: LARGE },
  leakyRelu: { fn: (x) => ops.leakyRelu(x, 0.2), value: (x) => (x > 0 ? x : 0.2 * x), extremes: LARGE },
  mish: { fn: ops.mish, value: (x) => x * Math.tanh(softplus(x)), tail: true, extremes: CUBED },
  hardswish: { fn: ops.hardswish, value: (x) => (x * clip(x + 3, 0, 6)) / 6, extremes: CUBED },
  hardsigmoid: { fn: ops.hardsigmoid, value: (x) => clip(x + 3, 0, 6) / 6, extremes: LARGE },
  hardtanh: { fn: ops.hardtanh, value: (x) => clip(x, -1, 1), extremes: LARGE },
  relu6: { fn: ops.relu6, value: (x) => clip(x, 0, 6), extremes: LARGE },
  clamp: { fn: (x) => ops.clamp(x, -2.5, 1.25), value: (x) => clip(x, -2.5, 1.25), extremes: LARGE },
  "clamp on one side": { fn: (x) => ops.clamp(x, -Infinity, 1.25), value: (x) => Math.min(x, 1.25), extremes: LARGE },
  huber: { fn: (x) => ops.huber(x, 1.5), value: (x) => (Math.abs(x) < 1.5 ? x * x / 2 : 1.5 * (Math.abs(x) - 0.75)), extremes: LARGE },
  "cube": { fn: (x) => pow(x, 3), value: (x) => x ** 3, extremes: [-1e9, -1, 1e-9, 1e9] },
  "power of a number": { fn: (x) => pow(x, -1.7), value: (x) => x ** -1.7, low: 0.2, high: 5, extremes: [1e-3, 1, 1e3] },
  "even power of a number": { fn: (x) => pow(x, 4), value: (x) => x ** 4, extremes: [-1e4, 1e-4, 1e4] },
  "square root as a power": { fn: (x) => pow(x, 0.5), value: Math.sqrt, low: 0.01, high: 9, extremes: POSITIVE },
};

/** What models use, or what costs most of its kind. */
const BENCHED = new Set(["relu", "gelu", "geluTanh", "sigmoid", "tanh", "silu", "exp", "log", "sqrt", "square", "neg", "affine", "sin", "mish"]);

function sample(name: string, input: Input): Sample<Record<never, never>> {
  return { name, inputs: [input], attrs: {} };
}

export const unaryCases: readonly OpCase<Record<never, never>>[] = Object.entries(FUNCTIONS).map(([name, { fn, value, low = -8, high = 8, tail = false, reason = ROUNDING }]) => ({
  name,
  apply: ([x]) => [fn(x)],
  reference: ([x]) => [{ shape: x.shape, data: x.data.map(value) }],
  tolerance: { forward: 1e-6, gradient: 2e-6, reason },
  samples: [
    sample("range", { shape: [7, 143], low, high }),
    sample("packed", { shape: [3, 1, 44], low, high }),
    sample("one element", { shape: [1], low, high }),
    sample("scalar", { shape: [], low, high }),
    ...(tail ? [sample("lower tail", { shape: [64], low: -6, high: -3 }), sample("about 0", { shape: [64], low: -0.01, high: 0.01 })] : []),
  ],
  // Far out on a tail a finite difference has no digits left.
  fuzz: (random) => sample("random", { shape: randomShape(random, randomInteger(random, 0, 4)), low: tail ? Math.max(low, -4) : low, high: tail ? Math.min(high, 4) : high }),
  bench: !BENCHED.has(name) ? [] : [sample("ResNet-50 stage 1, batch 8", { shape: [8, 256, 56, 56] }), sample("GPT-2 MLP, 8×64", { shape: [8, 64, 3072] })],
}));
