import { bceWithLogitsLoss, huberLoss, klDivLoss, l1Loss, mseLoss, nllLoss, smoothL1Loss, type LossReduction } from "../../src/autograd/ops/losses.ts";
import type { Tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, once, randomInteger, randomShape, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

interface Attrs {
  readonly reduction?: LossReduction;
}

interface PairLoss {
  readonly fn: (x: Tensor, y: Tensor, reduction?: LossReduction) => Tensor;
  readonly value: (x: number, y: number) => number;
  readonly x?: Partial<Input>;
  readonly y?: Partial<Input>;
}

const huber = (d: number, delta: number): number => (Math.abs(d) < delta ? (d * d) / 2 : delta * (Math.abs(d) - delta / 2));

const PAIR_LOSSES: Readonly<Record<string, PairLoss>> = {
  mseLoss: { fn: mseLoss, value: (x, y) => (x - y) ** 2 },
  l1Loss: { fn: l1Loss, value: (x, y) => Math.abs(x - y) },
  huberLoss: { fn: (x, y, reduction) => huberLoss(x, y, 0.7, reduction), value: (x, y) => huber(x - y, 0.7) },
  smoothL1Loss: { fn: (x, y, reduction) => smoothL1Loss(x, y, 0.4, reduction), value: (x, y) => huber(x - y, 0.4) / 0.4 },
  bceWithLogits: { fn: bceWithLogitsLoss, value: (x, t) => Math.max(x, 0) - x * t + Math.log1p(Math.exp(-Math.abs(x))), x: { low: -9, high: 9 }, y: { low: 0, high: 1 } },
  klDiv: { fn: klDivLoss, value: (logQ, p) => p * (Math.log(p) - logQ), x: { low: -5, high: -0.5 }, y: { low: 0.7, high: 1 } },
};

function total(losses: Reference, reduction: LossReduction = "mean"): Reference {
  if (reduction === "none") return losses;
  const sum = losses.data.reduce((a, b) => a + b, 0);
  return referenceOf([], () => (reduction === "sum" ? sum : sum / losses.data.length));
}

export const pairLossCases: readonly OpCase<Attrs>[] = Object.entries(PAIR_LOSSES).map(([name, { fn, value, x, y }]) => {
  const sample = (a: Shape, b: Shape, reduction?: LossReduction): Sample<Attrs> => ({ name: `[${a}] and [${b}], ${reduction ?? "default"}`, inputs: [{ shape: a, ...x }, { shape: b, ...y }], attrs: { reduction } });
  return {
    name,
    apply: ([a, b], { reduction }) => [fn(a, b, reduction)],
    reference: ([a, b], { reduction }) => [total(referenceOf(a.shape, (index) => value(at(a, ...index), at(b, ...index))), reduction)],
    tolerance: { forward: 1e-6, gradient: 2e-6, reason: "a sum of f32, of terms of a few roundings" },
    samples: [sample([3, 5], [3, 5]), sample([1], [1]), sample([4, 4], [4, 4], "sum"), sample([2, 3, 4], [2, 3, 4], "none")],
    refused: [{ ...sample([3, 1], [3]), name: "shapes that differ", message: new RegExp(`${name}: both tensors must have one shape; got \\[3,1\\] and \\[3\\]`) }],
    fuzz: (random) => {
      const shape = randomShape(random, randomInteger(random, 0, 3), 300);
      return sample(shape, shape, random.pick(["mean", "sum", "none"]));
    },
    bench: name === "mseLoss" ? [sample([512, 1024], [512, 1024])] : [],
  };
});

interface NllAttrs extends Attrs {
  readonly ignoreIndex?: number;
}

function nllReference([logP, targets, weight]: readonly Reference[], { reduction = "mean", ignoreIndex = -100 }: NllAttrs): readonly Reference[] {
  let counted = 0;
  const losses = referenceOf(targets.shape, (index) => {
    const target = at(targets, ...index);
    if (target === ignoreIndex) return 0;
    const factor = weight === undefined ? 1 : weight.data[target];
    counted += factor;
    return -factor * at(logP, index[0], target, ...index.slice(1));
  });
  if (reduction !== "mean") return [total(losses, reduction)];
  return [referenceOf([], () => losses.data.reduce((a, b) => a + b, 0) / counted)];
}

/** The first target counts: a mean over nothing is NaN. */
function nllSample(random: Generator, shape: Shape, weighted: boolean, attrs: NllAttrs = {}): Sample<NllAttrs> {
  const [n, classes, ...rest] = shape;
  const places = rest.reduce((product, size) => product * size, n);
  const chosen = Array.from({ length: places }, (_, i) => (i > 0 && once(random, 4) ? (attrs.ignoreIndex ?? -100) : random.integer(classes))).with(0, attrs.ignoreIndex === 0 ? classes - 1 : 0);
  const inputs: Input[] = [{ shape, low: -5, high: -0.5 }, { shape: [n, ...rest], dtype: "i32", values: chosen }, ...(weighted ? [{ shape: [classes], low: 0.5, high: 2 }] : [])];
  return { name: `[${shape}]${weighted ? " weighted" : ""} ${JSON.stringify(attrs)}`, inputs, attrs };
}

export const nllLossCase: OpCase<NllAttrs> = {
  name: "nllLoss",
  apply: ([logP, targets, weight], attrs) => [nllLoss(logP, targets, { ...attrs, weight })],
  differentiable: [0], // weights are given, as in PyTorch
  reference: nllReference,
  tolerance: { forward: 1e-6, gradient: 2e-6, reason: "sums of f32" },
  samples: [
    nllSample(new Generator(1), [9, 5], false),
    nllSample(new Generator(2), [4, 7], true, { reduction: "sum" }),
    nllSample(new Generator(3), [2, 3, 4, 5], true, { ignoreIndex: 0 }),
    nllSample(new Generator(4), [2, 3, 4], false, { reduction: "none", ignoreIndex: 1 }),
  ],
  refused: [{ name: "targets of another shape", inputs: [{ shape: [2, 3] }, { shape: [2, 3], dtype: "i32" }], attrs: {}, message: /nllLoss: targets must be \[N,\.\.\.\] for \[N,C,\.\.\.\]; got \[2,3\] for \[2,3\]/ }],
  fuzz: (random) => nllSample(random, [randomInteger(random, 1, 9), randomInteger(random, 2, 12), ...randomShape(random, random.integer(3), 12)], once(random, 2), { reduction: random.pick(["mean", "sum", "none"]), ignoreIndex: random.pick([-100, 0, 1]) }),
};
