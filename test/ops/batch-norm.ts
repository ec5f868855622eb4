import { batchNorm } from "../../src/autograd/ops/batch-norm.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, once, randomShape, randomSize, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

interface BatchNormCaseAttrs {
  readonly training: boolean;
  readonly activation: "none" | "relu";
  readonly momentum?: number;
  readonly eps?: number;
}

/** Mean, sum of squared deviations and number of values of every channel in the batch. */
function momentsOf(x: Reference): { mean: number; squares: number; count: number }[] {
  const values = Array.from({ length: x.shape[1] }, (): number[] => []);
  referenceOf(x.shape, (index) => values[index[1]].push(at(x, ...index)));
  return values.map((channel) => {
    const mean = channel.reduce((sum, value) => sum + value, 0) / channel.length;
    return { mean, squares: channel.reduce((sum, value) => sum + (value - mean) ** 2, 0), count: channel.length };
  });
}

function reference([x, weight, bias, runningMean, runningVar, residual]: readonly Reference[], attrs: BatchNormCaseAttrs): readonly Reference[] {
  const { training, activation, momentum = 0.1, eps = 1e-5 } = attrs;
  const channels = weight.shape[0];
  const batch = momentsOf(x);
  const y = referenceOf(x.shape, (index) => {
    const c = index[1];
    const mean = training ? batch[c].mean : runningMean.data[c];
    const variance = training ? batch[c].squares / batch[c].count : runningVar.data[c];
    const normal = ((at(x, ...index) - mean) / Math.sqrt(variance + eps)) * weight.data[c] + bias.data[c];
    const sum = normal + (residual === undefined ? 0 : at(residual, ...index));
    return activation === "relu" ? Math.max(0, sum) : sum;
  });
  const running = (before: Reference, of: (c: number) => number): Reference =>
    referenceOf([channels], ([c]) => (training ? (1 - momentum) * before.data[c] + momentum * of(c) : before.data[c]));
  return [y, running(runningMean, (c) => batch[c].mean), running(runningVar, (c) => batch[c].squares / (batch[c].count - 1))];
}

function inputs(shape: Shape, residual: boolean, x: Partial<Input> = {}): Input[] {
  const channel = [shape[1]];
  return [
    { shape, ...x },
    { shape: channel, low: 0.5, high: 1.5 },
    { shape: channel },
    { shape: channel },
    { shape: channel, low: 0.5, high: 2 },
    ...(residual ? [{ shape }] : []),
  ];
}

/** Values whose mean is far above their spread, and of which the first of a channel is an outlier. */
function hardValues(shape: Shape): number[] {
  return [...referenceOf(shape, (index) => {
    const [n, c, h, w] = index;
    if (n === 0 && h === 0 && w === 0) return 3000;
    return Math.fround(1000 + Math.sin(n * 7 + c * 3 + h * 1.3 + w * 0.7));
  }).data];
}

const tolerance = {
  forward: 2e-6,
  gradient: 2e-5,
  reason: "f32 sums of up to a few thousand values; the gradient is a difference of nearly equal sums",
} as const;

function samplesOf(residual: boolean): Sample<BatchNormCaseAttrs>[] {
  const sample = (name: string, shape: Shape, attrs: Partial<BatchNormCaseAttrs> = {}, x?: Partial<Input>): Sample<BatchNormCaseAttrs> => ({
    name: `${name} ${shape.join("×")}`,
    inputs: inputs(shape, residual, x),
    attrs: { training: true, activation: "none", ...attrs },
  });
  return [
    sample("packed planes", [4, 6, 4, 6]),
    sample("odd planes", [3, 5, 7, 3]),
    sample("planes of more than one block", [2, 3, 20, 19], { activation: "relu" }),
    sample("packed planes of more than one block", [2, 1, 36, 16]),
    sample("ReLU", [5, 4, 4, 4], { activation: "relu" }),
    sample("rows", [9, 12], { activation: "relu", momentum: 0.3, eps: 1e-3 }),
    sample("slices of several images", [13, 100, 1, 2]),
    sample("one channel, one image", [1, 1, 1, 9]),
    sample("evaluation", [3, 5, 2, 6], { training: false }),
    sample("evaluation with ReLU", [2, 7, 3, 3], { training: false, activation: "relu" }),
    sample("evaluation of one value", [1, 1], { training: false }),
  ];
}

/** Values about ±1, so that a ReLU after the normalisation has its kink where none is. */
function halves(random: Generator, shape: Shape): number[] {
  return [...referenceOf(shape, () => Math.fround((once(random, 2) ? 1 : -1) * (0.8 + 0.4 * random.uniform()))).data];
}

/** At least six values a channel in training: of two, what is left after mean and spread are taken off is but rounding. */
function fuzzOf(residual: boolean): (random: Generator) => Sample<BatchNormCaseAttrs> {
  return (random) => {
    const training = !once(random, 4);
    const plane = randomShape(random, random.pick([0, 1, 2, 2, 2]), 160);
    const least = training ? Math.ceil(6 / plane.reduce((product, size) => product * size, 1)) : 1;
    const shape = [Math.max(least, randomSize(random, 9)), randomSize(random, 20), ...plane];
    const attrs = { training, activation: once(random, 2) ? "relu" : "none", momentum: random.pick([0.1, 0.3]), eps: random.pick([1e-5, 1e-3]) } as const;
    const drawn = inputs(shape, residual, attrs.activation === "relu" ? { values: halves(random, shape) } : {});
    const narrow = drawn.map((input, i) => (attrs.activation === "relu" && [2, 3, 5].includes(i) ? { ...input, low: -0.1, high: 0.1 } : input));
    return { name: `${shape.join("×")} ${JSON.stringify(attrs)}`, inputs: narrow, attrs };
  };
}

const bench: Sample<BatchNormCaseAttrs>[] = [[32, 16, 48, 48], [32, 32, 24, 24], [32, 64, 12, 12]].flatMap((shape) =>
  [false, true].map((residual) => ({ name: `${residual ? "residual, " : ""}ReLU ${shape.join("×")}`, inputs: inputs(shape, residual), attrs: { training: true, activation: "relu" as const } })),
);

/** Outputs: y, and the running statistics as they are afterwards. */
export const batchNormCase: OpCase<BatchNormCaseAttrs> = {
  name: "batchNorm",
  apply: ([x, weight, bias, runningMean, runningVar], attrs) => [batchNorm(x, weight, bias, runningMean, runningVar, attrs), runningMean, runningVar],
  reference,
  tolerance,
  differentiable: [0, 1, 2],
  constantOutputs: [1, 2],
  samples: samplesOf(false),
  refused: [
    { name: "a vector", inputs: [{ shape: [4] }, ...inputs([2, 4], false).slice(1)], attrs: { training: true, activation: "none" }, message: /batchNorm: x must be \[N,C,\.\.\.\]; got \[4\]/ },
    { name: "weights of another size", inputs: [{ shape: [2, 3, 4, 4] }, ...inputs([2, 4], false).slice(1)], attrs: { training: true, activation: "none" }, message: /must be \[3\] for x \[2,3,4,4\]; got \[4\]/ },
    { name: "training on one value per channel", inputs: inputs([1, 4, 1, 1], false), attrs: { training: true, activation: "none" }, message: /more than one value per channel; got x \[1,4,1,1\]/ },
  ],
  fuzz: fuzzOf(false),
  bench: bench.filter(({ inputs: { length } }) => length === 5),
};

/** With a residual, whose shape must be that of x. */
export const batchNormResidualCase: OpCase<BatchNormCaseAttrs> = {
  name: "batchNorm with a residual",
  apply: ([x, weight, bias, runningMean, runningVar, residual], attrs) => [batchNorm(x, weight, bias, runningMean, runningVar, { ...attrs, residual }), runningMean, runningVar],
  reference,
  tolerance,
  differentiable: [0, 1, 2, 5],
  constantOutputs: [1, 2],
  samples: samplesOf(true),
  refused: [
    { name: "a residual of another shape", inputs: [...inputs([2, 4, 3, 3], false), { shape: [2, 4, 3, 1] }], attrs: { training: true, activation: "relu" }, message: /the residual must have the shape of x, \[2,4,3,3\]; got \[2,4,3,1\]/ },
  ],
  fuzz: fuzzOf(true),
  bench: bench.filter(({ inputs: { length } }) => length === 6),
};

/** Means 1000 times the spread after an outlier: only what a one-pass variance gets wrong, so no gradient is asked. */
export const batchNormHardCase: OpCase<BatchNormCaseAttrs> = {
  name: "batchNorm far from 0",
  apply: ([x, weight, bias, runningMean, runningVar], attrs) => [batchNorm(x, weight, bias, runningMean, runningVar, attrs), runningMean, runningVar],
  reference,
  tolerance: { forward: 1e-5, gradient: 1e-4, reason: "the outlier takes two digits from the sums about it" },
  differentiable: [0, 1, 2],
  constantOutputs: [1, 2],
  samples: ([[3, 2, 12, 12], [3, 2, 11, 11], [64, 2, 2, 2]] as const).map((shape) => ({
    name: shape.join("×"),
    inputs: inputs(shape, false, { values: hardValues(shape) }),
    attrs: { training: true, activation: "none" },
  })),
};
