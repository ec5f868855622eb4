import { embedding } from "../../src/autograd/ops/embedding.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, randomShape, randomSize, referenceOf, type OpCase, type Sample } from "./op-case.ts";

type Nothing = Record<never, never>;

function sample(words: number, width: number, idShape: Shape): Sample<Nothing> {
  return { name: `${words}×${width}, ids [${idShape}]`, inputs: [{ shape: [words, width] }, { shape: idShape, dtype: "i32", low: 0, high: words }], attrs: {} };
}

function fuzz(random: Generator): Sample<Nothing> {
  return sample(randomSize(random), randomSize(random), randomShape(random, random.integer(3), 150));
}

export const embeddingCase: OpCase<Nothing> = {
  name: "embedding",
  apply: ([weight, ids]) => [embedding(weight, ids)],
  reference: ([weight, ids]) => {
    const [words, width] = weight.shape;
    return [
      referenceOf([...ids.shape, width], (index) => {
        const id = at(ids, ...index.slice(0, -1));
        return id >= 0 && id < words ? at(weight, id, index[index.length - 1]) : NaN;
      }),
    ];
  },
  tolerance: { forward: 0, gradient: 1e-6, reason: "sums of f32 over the places of a word" },
  samples: [
    sample(7, 8, [3, 5]),
    sample(7, 5, [16]),
    sample(1, 3, [37]),
    sample(100, 12, [5]),
    sample(5, 1, [1]),
    sample(3, 4, []),
    sample(11, 36, [10, 13]),
  ],
  refused: [
    { ...sample(3, 2, [4]), name: "ids that are not i32", inputs: [{ shape: [3, 2] }, { shape: [4] }], message: /embedding: ids must be i32; got f32/ },
    { ...sample(3, 2, [4]), name: "a weight that is no matrix", inputs: [{ shape: [3] }, { shape: [4], dtype: "i32" }], message: /embedding: the weight must have shape \[V,D\]; got \[3\]/ },
  ],
  fuzz,
  bench: [sample(64, 128, [32, 20]), sample(8000, 256, [128, 20]), sample(50_257, 768, [8, 64])],
};
