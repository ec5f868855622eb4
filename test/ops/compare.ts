import * as ops from "../../src/autograd/ops/compare.ts";
import type { Tensor } from "../../src/autograd/tensor.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, randomShape, randomStretched, referenceOf, type Input, type OpCase, type Reference, type Refusal, type Sample } from "./op-case.ts";

type Nothing = Record<never, never>;

const COMPARISONS: Readonly<Record<string, { fn: (a: Tensor, b: Tensor | number) => Tensor; holds: (a: number, b: number) => boolean }>> = {
  equal: { fn: ops.equal, holds: (a, b) => a === b },
  notEqual: { fn: ops.notEqual, holds: (a, b) => a !== b },
  less: { fn: ops.less, holds: (a, b) => a < b },
  lessEqual: { fn: ops.lessEqual, holds: (a, b) => a <= b },
  greater: { fn: ops.greater, holds: (a, b) => a > b },
  greaterEqual: { fn: ops.greaterEqual, holds: (a, b) => a >= b },
};

const LOGICAL: Readonly<Record<string, { fn: (a: Tensor, b: Tensor) => Tensor; holds: (a: number, b: number) => boolean }>> = {
  logicalAnd: { fn: ops.logicalAnd, holds: (a, b) => a !== 0 && b !== 0 },
  logicalOr: { fn: ops.logicalOr, holds: (a, b) => a !== 0 || b !== 0 },
};

/** The shape that two broadcast to. */
export function broadcast(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const size = (shape: Shape, axis: number): number => shape[axis - rank + shape.length] ?? 1;
  return Array.from({ length: rank }, (_, axis) => Math.max(size(a, axis), size(b, axis)));
}

/** The element of a tensor at an index into what it broadcasts to. */
export function broadcastAt(x: Reference, index: readonly number[]): number {
  return at(x, ...x.shape.map((n, axis) => (n === 1 ? 0 : index[axis + index.length - x.shape.length])));
}

/** Small whole numbers, of which many are equal. */
function whole(shape: Shape, dtype: Input["dtype"] = "i32", from = 0): Input {
  const size = shape.reduce((product, n) => product * n, 1);
  return { shape, dtype, values: Array.from({ length: size }, (_, i) => ((i * 7 + from) % 5) - (dtype === "u32" ? 0 : 2)) };
}

const EXTREMES = [NaN, Infinity, -Infinity, 0, -0, 1, -1, 3e38] as const;

const samples: readonly Sample<Nothing>[] = [
  { name: "f32, odd", inputs: [whole([3, 5], "f32"), whole([3, 5], "f32", 3)], attrs: {} },
  { name: "f32, packed", inputs: [whole([4, 6], "f32"), whole([4, 6], "f32", 3)], attrs: {} },
  { name: "i32, stretched", inputs: [whole([4, 1, 6]), whole([1, 5, 1], "i32", 3)], attrs: {} },
  { name: "u32, one row", inputs: [whole([3, 8], "u32"), whole([8], "u32", 3)], attrs: {} },
  { name: "scalars", inputs: [whole([], "f32"), whole([], "f32", 3)], attrs: {} },
  { name: "one against all", inputs: [whole([1, 1]), whole([11, 5], "i32", 3)], attrs: {} },
  { name: "NaN, Inf and zeros of both signs", inputs: [{ shape: [8, 1], values: EXTREMES }, { shape: [8], values: EXTREMES }], attrs: {} },
];

function fuzz(random: Generator): Sample<Nothing> {
  const shape = randomShape(random, random.integer(4));
  const stretched = randomStretched(random, shape);
  const dtype = random.pick(["f32", "i32", "u32"] as const);
  return { name: `${dtype} [${shape}] and [${stretched}]`, inputs: [whole(shape, dtype), whole(stretched, dtype, random.integer(5))], attrs: {} };
}

function caseOf(name: string, apply: (a: Tensor, b: Tensor) => Tensor, holds: (a: number, b: number) => boolean, refused: readonly Refusal<Nothing>[]): OpCase<Nothing> {
  return {
    name,
    apply: ([a, b]) => [apply(a, b)],
    reference: ([a, b]) => [referenceOf(broadcast(a.shape, b.shape), (index) => Number(holds(broadcastAt(a, index), broadcastAt(b, index))))],
    tolerance: { forward: 0, gradient: 0, reason: "no arithmetic" },
    differentiable: [],
    constantOutputs: [0],
    samples,
    refused: [{ name: "shapes that do not broadcast", inputs: [whole([2, 3]), whole([2, 4])], attrs: {}, message: new RegExp(`${name}: shapes must broadcast; got \\[2,3\\] and \\[2,4\\]`) }, ...refused],
    fuzz,
  };
}

export const compareCases: readonly OpCase<Nothing>[] = Object.entries(COMPARISONS).map(([name, { fn, holds }]) =>
  caseOf(name, fn, holds, [{ name: "two types", inputs: [whole([2]), whole([2], "f32")], attrs: {}, message: new RegExp(`${name}: both tensors must be of one type; got i32 and f32`) }]),
);

export const logicalCases: readonly OpCase<Nothing>[] = Object.entries(LOGICAL).map(([name, { fn, holds }]) => caseOf(name, fn, holds, []));

/** A number on the right side. */
export const compareNumberCases: readonly OpCase<{ b: number }>[] = Object.entries(COMPARISONS).map(([name, { fn, holds }]) => ({
  name: `${name} of a number`,
  apply: ([a], { b }) => [fn(a, b)],
  reference: ([a], { b }) => [{ shape: a.shape, data: a.data.map((value) => Number(holds(value, b))) }],
  tolerance: { forward: 0, gradient: 0, reason: "no arithmetic" },
  differentiable: [],
  constantOutputs: [0],
  samples: [
    { name: "f32", inputs: [{ shape: [8], values: EXTREMES }], attrs: { b: 0 } },
    { name: "f32 and Inf", inputs: [{ shape: [8], values: EXTREMES }], attrs: { b: Infinity } },
    { name: "i32", inputs: [whole([3, 7])], attrs: { b: 1 } },
    { name: "u32", inputs: [whole([3, 7], "u32")], attrs: { b: 2 } },
  ],
  refused: [
    { name: "a fraction beside i32", inputs: [whole([2])], attrs: { b: 0.5 }, message: new RegExp(`${name}: beside i32 there must be a whole number in -2147483648..2147483647; got 0.5`) },
    { name: "a negative number beside u32", inputs: [whole([2], "u32")], attrs: { b: -1 }, message: /got -1/ },
  ],
}));

export const logicalNotCase: OpCase<Nothing> = {
  name: "logicalNot",
  apply: ([x]) => [ops.logicalNot(x)],
  reference: ([x]) => [{ shape: x.shape, data: x.data.map((value) => Number(value === 0)) }],
  tolerance: { forward: 0, gradient: 0, reason: "no arithmetic" },
  differentiable: [],
  constantOutputs: [0],
  samples: [
    { name: "f32", inputs: [{ shape: [8], values: EXTREMES }], attrs: {} },
    { name: "i32", inputs: [whole([3, 7])], attrs: {} },
    { name: "u32", inputs: [whole([3, 8], "u32")], attrs: {} },
  ],
  fuzz: (random) => {
    const shape = randomShape(random, random.integer(4));
    return { name: `[${shape}]`, inputs: [whole(shape, random.pick(["f32", "i32", "u32"]))], attrs: {} };
  },
};
