import { maskedFill, where } from "../../src/autograd/ops/where.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { broadcast, broadcastAt } from "./compare.ts";
import { randomShape, randomStretched, referenceOf, type Input, type OpCase, type Sample } from "./op-case.ts";

type Nothing = Record<never, never>;

function mask(shape: Shape, dtype: Input["dtype"] = "u32"): Input {
  return { shape, dtype, low: 0, high: 2 };
}

function sample(condition: Shape, a: Shape, b: Shape, dtype?: Input["dtype"]): Sample<Nothing> {
  return { name: `[${condition}] ? [${a}] : [${b}]`, inputs: [mask(condition, dtype), { shape: a }, { shape: b }], attrs: {} };
}

function fuzz(random: Generator): Sample<Nothing> {
  const shape = randomShape(random, random.integer(4));
  const [condition, a, b] = random.shuffle([shape, randomStretched(random, shape), randomStretched(random, shape)]);
  return sample(condition, a, b, random.pick(["u32", "i32"]));
}

export const whereCase: OpCase<Nothing> = {
  name: "where",
  apply: ([condition, a, b]) => [where(condition, a, b)],
  reference: ([condition, a, b]) => {
    const shape = broadcast(broadcast(a.shape, b.shape), condition.shape);
    return [referenceOf(shape, (index) => broadcastAt(broadcastAt(condition, index) === 0 ? b : a, index))];
  },
  tolerance: { forward: 0, gradient: 1e-6, reason: "no arithmetic forward; gradients are summed in f32 over what was stretched" },
  differentiable: [1, 2],
  samples: [
    sample([3, 5], [3, 5], [3, 5]),
    sample([4, 6], [4, 6], [4, 6], "i32"),
    sample([], [3], [3]),
    sample([3], [], []),
    sample([5, 1], [5, 8], [1, 8]),
    sample([2, 1, 5], [3, 1], [1]),
    sample([1], [1], [1]),
    sample([2, 3, 1, 1], [6], [3, 4, 1]),
    { name: "a condition of f32", inputs: [{ shape: [6], values: [0, -0, 1, -1, 1e-40, 5] }, { shape: [2, 6] }, { shape: [6] }], attrs: {} },
  ],
  refused: [
    { ...sample([2], [3], [3]), name: "a condition that does not broadcast", message: /where: shapes must broadcast; got \[3\] and \[2\]/ },
    { name: "two types", inputs: [mask([2]), { shape: [2] }, mask([2])], attrs: {}, message: /where: both tensors must be of one type; got f32 and u32/ },
  ],
  fuzz,
  bench: [sample([1024, 1024], [12, 1024, 1024], [])],
};

/** Finite differences say nothing where values are not finite. */
export const whereExtremesCase: OpCase<Nothing> = {
  ...whereCase,
  name: "where of extremes",
  differentiable: [],
  constantOutputs: [0],
  samples: [
    { name: "a NaN is not 0", inputs: [{ shape: [4], values: [NaN, 0, Infinity, -0] }, { shape: [4] }, { shape: [4] }], attrs: {} },
    { name: "NaN and Inf in what is not taken", inputs: [{ shape: [4], dtype: "u32", values: [1, 0, 7, 0] }, { shape: [4], values: [1, NaN, 2, Infinity] }, { shape: [4], values: [NaN, 3, -Infinity, 4] }], attrs: {} },
  ],
  refused: [],
  fuzz: undefined,
  bench: [],
};

export const whereIntegersCase: OpCase<Nothing> = {
  ...whereCase,
  name: "where of integers",
  differentiable: [],
  constantOutputs: [0],
  samples: (["i32", "u32"] as const).map((dtype) => ({ name: dtype, inputs: [mask([2, 3, 1], "i32"), { shape: [3, 8], dtype, low: 0, high: 99 }, { shape: [3, 1], dtype, low: 100, high: 200 }], attrs: {} })),
  refused: [],
  fuzz: undefined,
  bench: [],
};

function filled(x: Shape, of: Shape, value: number): Sample<{ value: number }> {
  return { name: `[${x}] by [${of}] with ${value}`, inputs: [{ shape: x }, mask(of)], attrs: { value } };
}

export const maskedFillCase: OpCase<{ value: number }> = {
  name: "maskedFill",
  apply: ([x, condition], { value }) => [maskedFill(x, condition, value)],
  reference: ([x, condition], { value }) => [referenceOf(x.shape, (index) => (broadcastAt(condition, index) === 0 ? broadcastAt(x, index) : value))],
  tolerance: { forward: 0, gradient: 1e-7, reason: "no arithmetic; the cotangents are rounded to f32" },
  samples: [filled([3, 5], [3, 5], 2), filled([2, 4, 4], [4, 4], -64), filled([3, 2, 5], [2, 1], 0), filled([1], [1], -0.5), filled([5], [], 0.25)],
  refused: [{ ...filled([3], [2, 3], 0), name: "a mask larger than x", message: /maskedFill: the mask must broadcast to \[3\]; got \[2,3\]/ }],
  fuzz: (random) => {
    const shape = randomShape(random, random.integer(4));
    return filled(shape, randomStretched(random, shape), random.integer(8) - 4);
  },
};

/** Where a finite difference would be taken of Inf. */
export const maskedFillExtremesCase: OpCase<{ value: number }> = {
  ...maskedFillCase,
  name: "maskedFill with extremes",
  differentiable: [],
  constantOutputs: [0],
  samples: [filled([3, 8], [3, 8], -Infinity), filled([3, 5], [5], NaN)],
  refused: [],
  fuzz: undefined,
};
