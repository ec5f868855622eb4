import { linearCrossEntropy, type LinearCrossEntropyOptions } from "../../src/autograd/ops/linear-cross-entropy.ts";
import type { Generator } from "../../src/core/rng.ts";
import { once, randomSize, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

function reference([x, weight, targets, bias]: readonly Reference[], { ignoreIndex = -100, labelSmoothing = 0, reduction = "mean" }: LinearCrossEntropyOptions): readonly Reference[] {
  const [n, d] = x.shape;
  const [v] = weight.shape;
  let total = 0;
  let count = 0;
  for (let row = 0; row < n; row++) {
    const target = targets.data[row];
    if (target === ignoreIndex) continue;
    count++;
    if (!(target >= 0 && target < v)) total = NaN;
    const logits = new Float64Array(v);
    for (let j = 0; j < v; j++) {
      logits[j] = bias === undefined ? 0 : bias.data[j];
      for (let i = 0; i < d; i++) logits[j] += x.data[row * d + i] * weight.data[j * d + i];
    }
    const maximum = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const logSum = maximum + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - maximum), 0));
    for (let j = 0; j < v; j++) {
      const q = labelSmoothing / v + (j === target ? 1 - labelSmoothing : 0);
      if (q > 0) total -= q * (logits[j] - logSum);
    }
  }
  return [referenceOf([], () => (reduction === "mean" ? total / count : total))];
}

/** Targets that run through the classes, every fifth one ignored. */
function targetsOf(n: number, v: number, ignoreIndex: number): Input {
  return { shape: [n], dtype: "i32", values: Array.from({ length: n }, (_, i) => (i % 5 === 3 ? ignoreIndex : (i * 71 + v - 1) % v)) };
}

interface Inputs {
  readonly bias?: boolean;
  readonly x?: Partial<Input>;
  readonly weight?: Partial<Input>;
  readonly targets?: readonly number[];
}

function sample([n, d, v]: readonly [number, number, number], attrs: LinearCrossEntropyOptions = {}, { bias = false, x, weight, targets }: Inputs = {}): Sample<LinearCrossEntropyOptions> {
  const options = Object.entries(attrs).map(([key, value]) => `, ${key} ${value}`).join("");
  const target: Input = targets === undefined ? targetsOf(n, v, attrs.ignoreIndex ?? -100) : { shape: [n], dtype: "i32", values: targets };
  const inputs = [{ shape: [n, d], ...x }, { shape: [v, d], ...weight }, target, ...(bias ? [{ shape: [v] }] : [])];
  return { name: `${n}×${d} to ${v}${bias ? " with bias" : ""}${options}`, inputs, attrs };
}

function fuzz(random: Generator): Sample<LinearCrossEntropyOptions> {
  const classes = 1 + randomSize(random) * random.pick([1, 1, 9]);
  const options = { ignoreIndex: random.pick([-100, 0, 1]), labelSmoothing: random.pick([0, 0.1, 0.5]), reduction: random.pick(["mean", "sum"] as const), chunk: random.pick([1, 256]) };
  const rows = 1 + randomSize(random, 13);
  return sample([rows, randomSize(random, 17), classes], options, { bias: once(random, 2), targets: Array.from({ length: rows }, (_, i) => (i === 0 ? classes - 1 : random.integer(classes))) });
}

export const linearCrossEntropyCase: OpCase<LinearCrossEntropyOptions> = {
  name: "linearCrossEntropy",
  apply: ([x, weight, targets, bias], attrs) => [linearCrossEntropy(x, weight, targets, { ...attrs, bias })],
  reference,
  tolerance: { forward: 3e-6, gradient: 1e-5, reason: "f32 products, exponentials and sums of chunks" },
  samples: [
    sample([6, 9, 300], { chunk: 100 }), // three chunks, the last of them odd
    sample([9, 8, 261], { chunk: 128, labelSmoothing: 0.2, reduction: "sum", ignoreIndex: 0 }, { bias: true }),
    sample([7, 12, 50], { labelSmoothing: 0.1 }), // one chunk
    sample([1, 3, 1]),
    { ...sample([2, 2, 3], { chunk: 1 }, { x: { values: [100, 0, 0, 100] }, weight: { values: [-100, 100, 0, 1, 100, -100] } }), name: "logits of ±10⁴" },
  ],
  refused: [
    { ...sample([2, 3, 4]), name: "x and weight of other widths", inputs: [{ shape: [2, 3] }, { shape: [4, 5] }, { shape: [2], dtype: "i32" }], message: /linearCrossEntropy: x must be \[N,D\] and weight \[V,D\]; got \[2,3\] and \[4,5\]/ },
    { ...sample([2, 3, 4]), name: "too few targets", inputs: [{ shape: [2, 3] }, { shape: [4, 3] }, { shape: [1], dtype: "i32" }], message: /targets must be i32 \[2\]; got i32 \[1\]/ },
    { ...sample([2, 3, 4]), name: "f32 targets", inputs: [{ shape: [2, 3] }, { shape: [4, 3] }, { shape: [2] }], message: /targets must be i32 \[2\]; got f32 \[2\]/ },
    { ...sample([2, 3, 4]), name: "a bias of another size", inputs: [{ shape: [2, 3] }, { shape: [4, 3] }, { shape: [2], dtype: "i32" }, { shape: [3] }], message: /bias must be \[4\]; got \[3\]/ },
    { ...sample([2, 3, 4], { labelSmoothing: -1 }), name: "a smoothing below 0", message: /labelSmoothing must lie in 0\.\.1; got -1/ },
    { ...sample([2, 3, 4], { chunk: 0 }), name: "a chunk of nothing", message: /chunk must be above 0; got 0/ },
  ],
  fuzz,
  bench: [sample([640, 256, 8000], {}, { bias: true }), sample([64, 768, 50_257])],
};

/** Losses where finite differences say nothing. */
export const linearCrossEntropyValuesCase: OpCase<LinearCrossEntropyOptions> = {
  ...linearCrossEntropyCase,
  name: "linearCrossEntropy, values alone",
  constantOutputs: [0],
  differentiable: [],
  samples: [
    { ...sample([1, 1, 200], { chunk: 1, labelSmoothing: 0.1 }, { x: { values: [8192] }, weight: { values: Array.from({ length: 200 }, (_, i) => 1 + (i % 4) / 8192) } }), name: "logits about 10⁴, exact in f32" },
    { ...sample([2, 2, 150], { chunk: 1 }, { targets: [-100, -100] }), name: "all rows ignored" },
    { ...sample([2, 2, 150], { chunk: 1, reduction: "sum" }, { targets: [-100, -100] }), name: "all rows ignored, summed" },
    { ...sample([2, 2, 150], { chunk: 1 }, { targets: [150, 1] }), name: "a target that is too large" },
    { ...sample([2, 2, 150], { chunk: 1 }, { targets: [1, -2_000_000_000] }), name: "a target below 0" },
    { ...sample([2, 1, 130], { chunk: 1 }, { x: { values: [NaN, 1] }, targets: [1, -100] }), name: "NaN" },
  ],
  refused: [],
  fuzz: undefined,
  bench: [],
};
