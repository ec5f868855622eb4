import { additiveAttention, additiveScores } from "../../src/autograd/ops/additive-attention.ts";
import type { Tensor } from "../../src/autograd/tensor.ts";
import type { Generator } from "../../src/core/rng.ts";
import { at, once, randomInteger, randomSize, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

type None = Record<never, never>;

/** Scores in plain loops, as they are written. */
function scores([queries, keys, v]: readonly Reference[]): Reference {
  const [batch, count, features] = queries.shape;
  return referenceOf([batch, count, keys.shape[1]], ([b, q, k]) => {
    let sum = 0;
    for (let a = 0; a < features; a++) sum += at(v, a) * Math.tanh(at(queries, b, q, a) + at(keys, b, k, a));
    return sum;
  });
}

interface Sizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly features: number;
  /** Greatest magnitude of queries and keys. */
  readonly scale?: number;
}

function inputs({ batch, queries, keys, features, scale = 1 }: Sizes): Input[] {
  const range = { low: -scale, high: scale };
  return [{ shape: [batch, queries, features], ...range }, { shape: [batch, keys, features], ...range }, { shape: [features] }];
}

function sample(sizes: Sizes): Sample<None> {
  const { batch, queries, keys, features, scale = 1 } = sizes;
  return { name: `B${batch} Q${queries} K${keys} A${features}${scale === 1 ? "" : ` up to ±${scale}`}`, inputs: inputs(sizes), attrs: {} };
}

function randomSizes(random: Generator): Sizes {
  return { batch: randomInteger(random, 1, 3), queries: randomSize(random, 9), keys: randomSize(random, 33), features: randomSize(random), scale: random.pick([0.001, 1, 4]) };
}

const shapes = (...all: readonly (readonly number[])[]): Input[] => all.map((shape) => ({ shape }));

// A word at 14 × 14 regions, a whole caption, one picture.
const models: Sizes[] = [
  { batch: 32, queries: 1, keys: 196, features: 512 },
  { batch: 32, queries: 20, keys: 49, features: 512 },
  { batch: 1, queries: 1, keys: 196, features: 512 },
];

export const additiveScoresCase: OpCase<None> = {
  name: "additiveScores",
  apply: ([queries, keys, v]) => [additiveScores(queries, keys, v)],
  reference: (given) => [scores(given)],
  tolerance: { forward: 2e-6, gradient: 1e-5, reason: "f32 sums of A terms, which may cancel" },
  samples: [
    sample({ batch: 1, queries: 1, keys: 1, features: 1 }),
    sample({ batch: 2, queries: 5, keys: 7, features: 13 }), // two tiles of queries, odd sizes
    sample({ batch: 2, queries: 2, keys: 9, features: 80 }), // vectors, more of them than threads share
    sample({ batch: 1, queries: 3, keys: 33, features: 2 }),
    sample({ batch: 1, queries: 2, keys: 5, features: 8, scale: 0.001 }), // where tanh by exponentials cancels
    sample({ batch: 1, queries: 2, keys: 5, features: 8, scale: 6 }), // near its ends
  ],
  fuzz: (random) => sample(randomSizes(random)),
  refused: [
    { name: "queries without batch", inputs: shapes([3, 4], [2, 5, 4], [4]), attrs: {}, message: /^additiveScores: queries must be \[B, Q, A\].*got \[3,4\]/ },
    { name: "keys of another batch", inputs: shapes([2, 3, 4], [1, 5, 4], [4]), attrs: {}, message: /^additiveScores: keys must be \[2,K,4\].*got \[1,5,4\]/ },
    { name: "keys of other features", inputs: shapes([2, 3, 4], [2, 5, 3], [4]), attrs: {}, message: /^additiveScores: keys must be \[2,K,4\].*got \[2,5,3\]/ },
    { name: "v of other features", inputs: shapes([2, 3, 4], [2, 5, 4], [3]), attrs: {}, message: /^additiveScores: v must be \[4\].*got \[3\]/ },
  ],
  bench: models.map(sample),
};

/** As the op takes them: queries, keys, values, v and perhaps a mask. */
function attentionInputs(sizes: Sizes, width: number, mask?: readonly number[]): Input[] {
  const [queries, keys, v] = inputs(sizes);
  return [queries, keys, { shape: [sizes.batch, sizes.keys, width] }, v, ...(mask === undefined ? [] : [{ shape: [sizes.batch, sizes.keys], dtype: "i32" as const, values: mask }])];
}

function attentionSample(sizes: Sizes, width: number, mask?: readonly number[]): Sample<None> {
  return { name: `${sample(sizes).name} D${width}${mask === undefined ? "" : ", masked"}`, inputs: attentionInputs(sizes, width, mask), attrs: {} };
}

export const additiveAttentionCase: OpCase<None> = {
  name: "additiveAttention",
  apply([queries, keys, values, v, keyMask]: readonly (Tensor | undefined)[]) {
    const { context, weights } = additiveAttention(queries!, keys!, values!, v!, { keyMask });
    return [context, weights];
  },
  reference([queries, keys, values, v, mask]) {
    const all = scores([queries, keys, v]);
    const attends = (b: number, k: number): boolean => mask === undefined || at(mask, b, k) !== 0;
    const [batch, count, keyCount] = all.shape;
    const weights = referenceOf(all.shape, () => 0);
    for (let row = 0; row < batch * count; row++) {
      const b = Math.floor(row / count);
      let sum = 0;
      for (let k = 0; k < keyCount; k++) if (attends(b, k)) sum += Math.exp(all.data[row * keyCount + k]);
      for (let k = 0; k < keyCount; k++) if (attends(b, k)) weights.data[row * keyCount + k] = Math.exp(all.data[row * keyCount + k]) / sum;
    }
    const context = referenceOf([batch, count, values.shape[2]], ([b, q, d]) => {
      let sum = 0;
      for (let k = 0; k < keyCount; k++) sum += at(weights, b, q, k) * at(values, b, k, d);
      return sum;
    });
    return [context, weights];
  },
  tolerance: { forward: 2e-6, gradient: 1e-5, reason: "f32 sums and exponentials; the softmax's gradient is a difference of nearly equal numbers" },
  samples: [
    attentionSample({ batch: 2, queries: 3, keys: 10, features: 12 }, 5),
    attentionSample({ batch: 3, queries: 2, keys: 4, features: 5 }, 8, [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 2, 0]), // nothing to attend in the second
  ],
  differentiable: [0, 1, 2, 3],
  fuzz(random) {
    // With few keys that differ little, the gradients of the scores cancel.
    const sizes = { ...randomSizes(random), keys: randomInteger(random, 6, 33), features: randomInteger(random, 4, 40), scale: random.pick([1, 4]) };
    const mask = once(random, 2) ? Array.from({ length: sizes.batch * sizes.keys }, () => (once(random, 4) ? 0 : 1)) : undefined;
    return attentionSample(sizes, randomSize(random, 12), mask);
  },
  refused: [
    { name: "values for other keys", inputs: shapes([2, 3, 4], [2, 5, 4], [2, 4, 6], [4]), attrs: {}, message: /^additiveAttention: values must be \[2,5,D\].*got \[2,4,6\]/ },
    { name: "a mask of queries", inputs: shapes([2, 3, 4], [2, 5, 4], [2, 5, 6], [4], [2, 3]), attrs: {}, message: /^additiveAttention: keyMask must be \[2,5\].*got \[2,3\]/ },
  ],
  bench: models.map((sizes) => attentionSample(sizes, 512)),
};
