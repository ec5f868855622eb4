import { crossEntropy, type CrossEntropyOptions } from "../../src/autograd/ops/cross-entropy.ts";
import type { Generator } from "../../src/core/rng.ts";
import { once, randomSize, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

function reference([logits, targets]: readonly Reference[], { ignoreIndex = -100, labelSmoothing = 0, reduction = "mean" }: CrossEntropyOptions): readonly Reference[] {
  const [n, v] = logits.shape;
  let total = 0;
  let count = 0;
  for (let row = 0; row < n; row++) {
    const target = targets.data[row];
    if (target === ignoreIndex) continue;
    count++;
    if (!(target >= 0 && target < v)) total = NaN;
    const values = logits.data.subarray(row * v, row * v + v);
    let maximum = -Infinity;
    for (const value of values) maximum = Math.max(maximum, value);
    let sum = 0;
    for (const value of values) sum += Math.exp(value - maximum);
    for (let j = 0; j < v; j++) {
      const q = labelSmoothing / v + (j === target ? 1 - labelSmoothing : 0);
      if (q > 0) total -= q * (values[j] - maximum - Math.log(sum));
    }
  }
  return [referenceOf([], () => (reduction === "mean" ? total / count : total))];
}

/** Targets that run through the classes, every fifth one ignored. */
function targetsOf(n: number, v: number, ignoreIndex: number): Input {
  return { shape: [n], dtype: "i32", values: Array.from({ length: n }, (_, i) => (i % 5 === 3 ? ignoreIndex : (i * 7 + v - 1) % v)) };
}

function sample(n: number, v: number, attrs: CrossEntropyOptions = {}, logits: Partial<Input> = {}): Sample<CrossEntropyOptions> {
  const options = Object.entries(attrs).map(([key, value]) => `, ${key} ${value}`).join("");
  return { name: `${n}×${v}${options}`, inputs: [{ shape: [n, v], low: -5, high: 5, ...logits }, targetsOf(n, v, attrs.ignoreIndex ?? -100)], attrs };
}

function fuzz(random: Generator): Sample<CrossEntropyOptions> {
  const classes = 1 + randomSize(random) * random.pick([1, 1, 7]);
  const options = { ignoreIndex: random.pick([-100, 0, 1]), labelSmoothing: random.pick([0, 0.1, 0.5]), reduction: random.pick(["mean", "sum"] as const) };
  const rows = 1 + randomSize(random);
  // Nothing at all to learn from makes the mean NaN, which has a test of its own.
  const targets = Array.from({ length: rows }, (_, i) => (i > 0 && once(random, 6) ? options.ignoreIndex : random.integer(classes))).with(0, options.ignoreIndex === 0 ? 1 : 0);
  return { ...sample(rows, classes, options), inputs: [{ shape: [rows, classes], low: -5, high: 5 }, { shape: [rows], dtype: "i32", values: targets }] };
}

const smoothed = { labelSmoothing: 0.1 };

export const crossEntropyCase: OpCase<CrossEntropyOptions> = {
  name: "crossEntropy",
  apply: ([logits, targets], attrs) => [crossEntropy(logits, targets, attrs)],
  reference,
  tolerance: { forward: 2e-6, gradient: 5e-6, reason: "f32 exponentials, summed over a row" },
  samples: [
    sample(12, 50),
    sample(9, 257, smoothed),
    sample(7, 64, { ...smoothed, reduction: "sum" }),
    sample(10, 31, { ignoreIndex: 0 }),
    sample(6, 12, { reduction: "sum" }),
    sample(3, 1),
    sample(1, 2),
    sample(130, 5),
    sample(2, 1031),
    { ...sample(2, 3, {}, { values: [-1e4, 0, 1e4, 1e4, -1e4, 0] }), name: "logits of ±10⁴" },
  ],
  refused: [
    { name: "logits of rank 3", inputs: [{ shape: [2, 3, 4] }, { shape: [2], dtype: "i32" }], attrs: {}, message: /crossEntropy: logits must be \[N,V\]; got \[2,3,4\]/ },
    { name: "too few targets", inputs: [{ shape: [3, 4] }, { shape: [2], dtype: "i32" }], attrs: {}, message: /targets must be \[3\] for logits \[3,4\]; got \[2\]/ },
    { name: "f32 targets", inputs: [{ shape: [3, 4] }, { shape: [3] }], attrs: {}, message: /targets must be i32; got f32/ },
    { name: "a smoothing above 1", inputs: [{ shape: [3, 4] }, { shape: [3], dtype: "i32" }], attrs: { labelSmoothing: 1.5 }, message: /labelSmoothing must lie in 0\.\.1; got 1\.5/ },
  ],
  fuzz,
  bench: [sample(640, 512), sample(640, 2048), sample(640, 2048, smoothed), sample(64, 50_257)],
};

/** Losses where finite differences say nothing: NaN, or logits so far from 0 that a step is coarse. */
export const crossEntropyValuesCase: OpCase<CrossEntropyOptions> = {
  ...crossEntropyCase,
  name: "crossEntropy, values alone",
  constantOutputs: [0],
  differentiable: [],
  samples: [
    { ...sample(4, 8, smoothed, { low: 9999, high: 10_001 }), name: "logits about 10⁴" },
    { name: "a row of -Inf", inputs: [{ shape: [1, 3], values: [-Infinity, -Infinity, -Infinity] }, { shape: [1], dtype: "i32", values: [1] }], attrs: {} },
    { name: "masked classes", inputs: [{ shape: [1, 8], values: [-Infinity, -Infinity, -Infinity, -Infinity, -Infinity, 1, 2, 3] }, { shape: [1], dtype: "i32", values: [6] }], attrs: {} },
    { name: "all rows ignored", inputs: [{ shape: [2, 4] }, { shape: [2], dtype: "i32", values: [-100, -100] }], attrs: {} },
    { name: "a target that is too large", inputs: [{ shape: [2, 4] }, { shape: [2], dtype: "i32", values: [4, 1] }], attrs: {} },
    { name: "a target below 0", inputs: [{ shape: [2, 5] }, { shape: [2], dtype: "i32", values: [1, -2_000_000_000] }], attrs: {} },
  ],
  refused: [],
  fuzz: undefined,
  bench: [],
};
