import { groupNorm, instanceNorm, rmsNorm } from "../../src/autograd/ops/group-norm.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, once, randomInteger, randomShape, randomSize, referenceOf, type OpCase, type Reference, type Sample } from "./op-case.ts";

interface Attrs {
  readonly groups: number;
  readonly eps?: number;
}

function reference([x, weight, bias]: readonly Reference[], { groups, eps = 1e-5 }: Attrs): readonly Reference[] {
  const size = x.shape[1] / groups;
  const values = new Map<string, number[]>();
  const keyOf = (index: readonly number[]): string => `${index[0]} ${Math.floor(index[1] / size)}`;
  referenceOf(x.shape, (index) => {
    const key = keyOf(index);
    if (!values.has(key)) values.set(key, []);
    return values.get(key)!.push(at(x, ...index));
  });
  const moments = new Map([...values].map(([key, all]) => {
    const mean = all.reduce((a, b) => a + b, 0) / all.length;
    return [key, { mean, deviation: Math.sqrt(all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / all.length + eps) }];
  }));
  return [
    referenceOf(x.shape, (index) => {
      const { mean, deviation } = moments.get(keyOf(index))!;
      return ((at(x, ...index) - mean) / deviation) * (weight?.data[index[1]] ?? 1) + (bias?.data[index[1]] ?? 0);
    }),
  ];
}

function sample(shape: Shape, groups: number, affine = true, eps?: number): Sample<Attrs> {
  const channels = [shape[1]];
  return { name: `[${shape}] in ${groups}${affine ? "" : ", plain"}`, inputs: [{ shape, low: -1, high: 3 }, ...(affine ? [{ shape: channels, low: 0.5, high: 1.5 }, { shape: channels }] : [])], attrs: { groups, eps } };
}

/** At least six values a group: of few, what is left after mean and spread are taken off is but rounding. */
function fuzz(random: Generator): Sample<Attrs> {
  const groups = randomInteger(random, 1, 4);
  const plane = randomShape(random, random.integer(3), 60);
  const least = Math.ceil(6 / plane.reduce((product, n) => product * n, 1));
  return sample([randomInteger(random, 1, 3), groups * Math.max(least, randomInteger(random, 1, 4)), ...plane], groups, once(random, 2), random.pick([1e-5, 1e-2]));
}

const tolerance = { forward: 2e-6, gradient: 2e-5, reason: "f32 sums over a group; the gradient is a difference of nearly equal numbers" } as const;

export const groupNormCase: OpCase<Attrs> = {
  name: "groupNorm",
  apply: ([x, weight, bias], { groups, eps }) => [groupNorm(x, groups, { weight, bias }, eps)],
  reference,
  tolerance,
  samples: [sample([2, 6, 4, 4], 3), sample([3, 4, 5], 2, false), sample([2, 8], 2, true, 1e-2), sample([1, 6, 3, 3], 1)],
  refused: [
    { ...sample([2, 6, 4, 4], 4), name: "groups that do not divide the channels", message: /groupNorm: x must be \[N,C,\.\.\.\] and the groups divide C; got \[2,6,4,4\] and 4 groups/ },
    { ...sample([2, 6, 4, 4], 3), name: "a weight of another size", inputs: [{ shape: [2, 6, 4, 4] }, { shape: [3] }], message: /weight and bias must be \[6\]; got \[3\]/ },
  ],
  fuzz,
  bench: [sample([8, 64, 32, 32], 8)],
};

export const instanceNormCase: OpCase<Attrs> = {
  ...groupNormCase,
  name: "instanceNorm",
  apply: ([x, weight, bias], { eps }) => [instanceNorm(x, { weight, bias }, eps)],
  samples: [sample([2, 3, 4, 5], 3), sample([1, 2, 9], 2, false)],
  refused: [],
  fuzz: (random) => {
    const channels = randomInteger(random, 1, 5);
    return sample([randomInteger(random, 1, 3), channels, 6 + randomSize(random)], channels, once(random, 2));
  },
  bench: [],
};

function rmsSample(shape: Shape, weighted = true): Sample<{ readonly eps?: number }> {
  return { name: `[${shape}]${weighted ? "" : ", plain"}`, inputs: [{ shape }, ...(weighted ? [{ shape: shape.slice(-1), low: 0.5, high: 1.5 }] : [])], attrs: { eps: 1e-5 } };
}

export const rmsNormCase: OpCase<{ readonly eps?: number }> = {
  name: "rmsNorm",
  apply: ([x, weight], { eps }) => [rmsNorm(x, weight, eps)],
  reference: ([x, weight], { eps = 1e-5 }) => {
    const columns = x.shape.at(-1)!;
    return [
      referenceOf(x.shape, (index) => {
        const row = Array.from({ length: columns }, (_, j) => at(x, ...index.slice(0, -1), j));
        return (at(x, ...index) / Math.sqrt(row.reduce((sum, value) => sum + value ** 2, 0) / columns + eps)) * (weight?.data[index.at(-1)!] ?? 1);
      }),
    ];
  },
  tolerance,
  samples: [rmsSample([3, 8]), rmsSample([2, 3, 5], false), rmsSample([7])],
  fuzz: (random) => rmsSample([...randomShape(random, random.integer(3), 20), 3 + randomSize(random)], once(random, 2)),
};
