import { affine, exp, gelu, geluTanh, log, neg, relu, sigmoid, silu, sqrt, square, tanh } from "../../src/autograd/ops/unary.ts";
import type { Tensor } from "../../src/autograd/tensor.ts";
import type { Input, OpCase, Sample } from "./op-case.ts";

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
const ROUNDING = "a few roundings of f32";

export const FUNCTIONS: Readonly<Record<string, Tried>> = {
  relu: { fn: relu, value: (x) => Math.max(x, 0), extremes: LARGE },
  gelu: { fn: gelu, value: (x) => 0.5 * x * erfc(-x / Math.SQRT2), tail: true, extremes: LARGE },
  geluTanh: { fn: geluTanh, value: (x) => x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))), tail: true, extremes: CUBED },
  sigmoid: { fn: sigmoid, value: (x) => 1 / (1 + Math.exp(-x)), tail: true, extremes: LARGE },
  tanh: { fn: tanh, value: Math.tanh, tail: true, extremes: LARGE },
  silu: { fn: silu, value: (x) => x / (1 + Math.exp(-x)), tail: true, extremes: CUBED },
  exp: { fn: exp, value: Math.exp, extremes: [-100, -87, 0, 1, 80], reason: "the rounding of the exponent, times the exponent" },
  log: { fn: log, value: Math.log, low: 0.01, high: 20, extremes: [1e-30, 1e-3, 1, 1e30] },
  sqrt: { fn: sqrt, value: Math.sqrt, low: 0.01, high: 20, extremes: [1e-30, 1e-3, 1, 1e30] },
  square: { fn: square, value: (x) => x * x, extremes: [-1e9, 0, 1e-9, 1e9] },
  neg: { fn: neg, value: (x) => -x, extremes: LARGE },
  affine: { fn: (x) => affine(x, -2.5, 0.75), value: (x) => -2.5 * x + 0.75, extremes: [-1e30, 0, 1e30] },
};

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
  bench: [sample("ResNet-50 stage 1, batch 8", { shape: [8, 256, 56, 56] }), sample("GPT-2 MLP, 8×64", { shape: [8, 64, 3072] })],
}));
