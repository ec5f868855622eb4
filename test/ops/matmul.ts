import { matmul, type MatmulOptions } from "../../src/autograd/ops/matmul.ts";
import type { Generator } from "../../src/core/rng.ts";
import { once, randomShape, randomSize, randomStretched, type OpCase, type Reference, type Sample } from "./op-case.ts";

/** Offsets of the matrices that belong to each matrix of the output, with axes of size 1 stretched. */
function matrixOffsets(batch: readonly number[], of: Reference): number[] {
  const own = of.shape.slice(0, -2);
  const matrix = of.shape.at(-2)! * of.shape.at(-1)!;
  let offsets = [0];
  batch.forEach((n, axis) => {
    const size = own[axis - batch.length + own.length] ?? 1;
    offsets = offsets.flatMap((offset) => Array.from({ length: n }, (_, i) => offset * size + (size === 1 ? 0 : i)));
  });
  return offsets.map((offset) => offset * matrix);
}

export function matmulReference([a, b]: readonly Reference[], { transposeA, transposeB }: MatmulOptions): readonly Reference[] {
  const [m, k] = transposeA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const n = transposeB ? b.shape.at(-2)! : b.shape.at(-1)!;
  const rank = Math.max(a.shape.length, b.shape.length) - 2;
  const batch = Array.from({ length: rank }, (_, axis) => Math.max(a.shape[axis - rank - 2 + a.shape.length] ?? 1, b.shape[axis - rank - 2 + b.shape.length] ?? 1));
  const firstA = matrixOffsets(batch, a);
  const firstB = matrixOffsets(batch, b);
  const data = new Float64Array(firstA.length * m * n);
  for (let z = 0; z < firstA.length; z++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let q = 0; q < k; q++) {
          sum += a.data[firstA[z] + (transposeA ? q * m + i : i * k + q)] * b.data[firstB[z] + (transposeB ? j * k + q : q * n + j)];
        }
        data[(z * m + i) * n + j] = sum;
      }
    }
  }
  return [{ shape: [...batch, m, n], data }];
}

function sample(a: readonly number[], b: readonly number[], attrs: MatmulOptions = {}): Sample<MatmulOptions> {
  const marks = `${attrs.transposeA ? "ᵀ" : ""} · ${b.join("×")}${attrs.transposeB ? "ᵀ" : ""}`;
  return { name: `${a.join("×")}${marks}`, inputs: [{ shape: a }, { shape: b }], attrs };
}

function fuzz(random: Generator): Sample<MatmulOptions> {
  const [m, k, n] = [randomSize(random), once(random, 8) ? 257 : randomSize(random), randomSize(random)];
  const batch = randomShape(random, random.integer(3), 6);
  const [transposeA, transposeB] = [once(random, 2), once(random, 2)];
  const a = [...randomStretched(random, batch), ...(transposeA ? [k, m] : [m, k])];
  const b = [...randomStretched(random, batch), ...(transposeB ? [n, k] : [k, n])];
  return sample(a, b, { transposeA, transposeB });
}

export const matmulCase: OpCase<MatmulOptions> = {
  name: "matmul",
  apply: ([a, b], attrs) => [matmul(a, b, attrs)],
  reference: matmulReference,
  tolerance: { forward: 2e-6, gradient: 2e-6, reason: "f32 sums of up to 3000 products" },
  samples: [
    sample([1, 7], [7, 3]),
    sample([17, 33], [33, 65]),
    sample([5, 257], [257, 1]),
    sample([3, 1], [1, 5]),
    sample([64, 40], [40, 64]),
    sample([33, 17], [33, 20], { transposeA: true }),
    sample([17, 33], [65, 33], { transposeB: true }),
    sample([12, 30], [21, 12], { transposeA: true, transposeB: true }),
    sample([2, 3, 9, 7], [2, 3, 7, 4]),
    sample([2, 1, 9, 7], [3, 7, 4]),
    sample([4, 5, 7], [7, 6]),
    sample([4, 5, 7], [6, 7], { transposeB: true }),
    sample([5, 7], [3, 7, 4]),
    sample([3, 7, 5], [7, 4], { transposeA: true }),
    sample([2, 3000], [3000, 3]),
  ],
  refused: [
    { name: "a vector", inputs: [{ shape: [4] }, { shape: [4, 2] }], attrs: {}, message: /at least two axes/ },
    { name: "inner sizes that differ", inputs: [{ shape: [3, 4] }, { shape: [3, 4] }], attrs: {}, message: /inner sizes must be equal; got 4 .* and 3/ },
    { name: "batches that do not broadcast", inputs: [{ shape: [2, 3, 4] }, { shape: [3, 4, 5] }], attrs: {}, message: /broadcast/ },
  ],
  fuzz,
  bench: [sample([512, 512], [512, 512]), sample([1024, 1024], [1024, 1024]), sample([640, 128], [512, 128], { transposeB: true })],
};
