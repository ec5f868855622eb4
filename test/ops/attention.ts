import { attention, packedSelfAttention } from "../../src/autograd/ops/attention.ts";
import type { DType } from "../../src/core/dtype.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { once, randomSize, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

/** Batch, heads, queries, keys, elements of a head. */
export type AttentionSizes = readonly [batch: number, heads: number, queries: number, keys: number, headSize: number];

interface AttentionCaseAttrs {
  readonly layout: "bhtd" | "bthd";
  readonly causal: boolean;
  readonly scale?: number;
}

interface PackedCaseAttrs {
  readonly heads: number;
  readonly causal: boolean;
  readonly scale?: number;
}

/** Element (b, h, t, d) of one tensor of heads. */
export type HeadReader = (b: number, h: number, t: number, d: number) => number;

/** Reads a tensor with four axes. */
export function headReader({ shape, data }: Reference, layout: "bhtd" | "bthd"): HeadReader {
  const [, second, third, headSize] = shape;
  return (b, h, t, d) => data[((b * second + (layout === "bhtd" ? h : t)) * third + (layout === "bhtd" ? t : h)) * headSize + d];
}

/** Attention by plain loops; `sees` says whether query i of batch row b sees key j. */
export function attend([batch, heads, queries, keys, headSize]: AttentionSizes, [q, k, v]: readonly HeadReader[], scale: number, sees: (b: number, i: number, j: number) => boolean): HeadReader {
  const y = new Float64Array(batch * heads * queries * headSize);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < queries; i++) {
        const seen: number[] = [];
        for (let j = 0; j < keys; j++) if (sees(b, i, j)) seen.push(j);
        const scores = seen.map((j) => {
          let product = 0;
          for (let d = 0; d < headSize; d++) product += q(b, h, i, d) * k(b, h, j, d);
          return product * scale;
        });
        const maximum = scores.reduce((a, score) => Math.max(a, score), -Infinity);
        const exponentials = scores.map((score) => Math.exp(score - maximum));
        const sum = exponentials.reduce((a, e) => a + e, 0);
        seen.forEach((j, n) => {
          for (let d = 0; d < headSize; d++) y[((b * heads + h) * queries + i) * headSize + d] += (exponentials[n] / sum) * v(b, h, j, d);
        });
      }
    }
  }
  return (b, h, t, d) => y[((b * heads + h) * queries + t) * headSize + d];
}

function visible(causal: boolean, keys: number, mask: Reference | undefined): (b: number, i: number, j: number) => boolean {
  return (b, i, j) => (!causal || j <= i) && (mask === undefined || mask.data[b * keys + j] !== 0);
}

function reference([q, k, v, mask]: readonly Reference[], { layout, causal, scale }: AttentionCaseAttrs): readonly Reference[] {
  const [time, head] = layout === "bhtd" ? [2, 1] : [1, 2];
  const sizes: AttentionSizes = [q.shape[0], q.shape[head], q.shape[time], k.shape[time], q.shape[3]];
  const y = attend(sizes, [q, k, v].map((x) => headReader(x, layout)), scale ?? 1 / Math.sqrt(sizes[4]), visible(causal, sizes[3], mask));
  return [fill(q.shape, (b, m, n, d) => (layout === "bhtd" ? y(b, m, n, d) : y(b, n, m, d)))];
}

function packedReference([qkv, mask]: readonly Reference[], { heads, causal, scale }: PackedCaseAttrs): readonly Reference[] {
  const [batch, length] = qkv.shape;
  const headSize = qkv.data.length / batch / length / 3 / heads;
  const part = (p: number): HeadReader => (b, h, t, d) => qkv.data[(((b * length + t) * 3 + p) * heads + h) * headSize + d];
  const y = attend([batch, heads, length, length, headSize], [part(0), part(1), part(2)], scale ?? 1 / Math.sqrt(headSize), visible(causal, length, mask));
  const { data } = fill([batch, length, heads, headSize], (b, t, h, d) => y(b, h, t, d));
  return [{ shape: [batch, length, heads * headSize], data }];
}

/** A tensor with four axes from its elements. */
export function fill(shape: Shape, element: (i: number, j: number, k: number, l: number) => number): Reference {
  const [, second, third, fourth] = shape;
  const at = (n: number): number => element(Math.floor(n / (second * third * fourth)), Math.floor(n / (third * fourth)) % second, Math.floor(n / fourth) % third, n % fourth);
  return { shape, data: Float64Array.from({ length: shape.reduce((a, n) => a * n, 1) }, (_, n) => at(n)) };
}

/** A key mask that hides about a third of the keys, of any dtype: what is not 0 counts. */
export function maskInput(batch: number, keys: number, dtype: DType = "i32"): Input {
  const values = Array.from({ length: batch * keys }, (_, i) => ((i * 7 + Math.floor(i / keys)) % 3 === 0 ? 0 : 1 + (i % 2)));
  return { shape: [batch, keys], dtype, values };
}

function sample([batch, heads, queries, keys, headSize]: AttentionSizes, attrs: Partial<AttentionCaseAttrs> = {}, mask?: Input): Sample<AttentionCaseAttrs> {
  const { layout = "bhtd", causal = false } = attrs;
  const shape = (length: number): Shape => (layout === "bhtd" ? [batch, heads, length, headSize] : [batch, length, heads, headSize]);
  const inputs = [shape(queries), shape(keys), shape(keys)].map((each): Input => ({ shape: each, low: -1.5, high: 1.5 }));
  const words = [layout === "bthd" ? "bthd" : "", causal ? "causal" : "", mask === undefined ? "" : `masked in ${mask.dtype}`, attrs.scale === undefined ? "" : `scale ${attrs.scale}`];
  return { name: [`${batch}×${heads} heads, ${queries} queries, ${keys} keys of ${headSize}`, ...words.filter((word) => word !== "")].join(", "), inputs: mask === undefined ? inputs : [...inputs, mask], attrs: { ...attrs, layout, causal } };
}

function packedSample(batch: number, heads: number, length: number, headSize: number, attrs: Partial<PackedCaseAttrs> = {}, mask?: Input): Sample<PackedCaseAttrs> {
  const inputs = [{ shape: [batch, length, 3 * heads * headSize], low: -1.5, high: 1.5 }, ...(mask === undefined ? [] : [mask])];
  const { causal = false } = attrs;
  return { name: `${batch}×${heads} heads, ${length} positions of ${headSize}${causal ? ", causal" : ""}${mask === undefined ? "" : ", masked"}`, inputs, attrs: { ...attrs, heads, causal } };
}

/** Batch row 0 sees nothing, row 1 its last key only: where causal, only the last query sees anything. */
function nothing(keys: number): Input {
  return { shape: [2, keys], dtype: "i32", values: Array.from({ length: 2 * keys }, (_, i) => (i === 2 * keys - 1 ? 1 : 0)) };
}

function fuzz(random: Generator): Sample<AttentionCaseAttrs> {
  const sizes: AttentionSizes = [randomSize(random, 2), randomSize(random, 3), randomSize(random), randomSize(random), random.pick([1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 24])];
  const mask = once(random, 2) ? maskInput(sizes[0], sizes[3], random.pick(["f32", "i32", "u32"] as const)) : undefined;
  return sample(sizes, { layout: random.pick(["bhtd", "bthd"] as const), causal: once(random, 2), ...(once(random, 3) ? { scale: 0.3 } : {}) }, mask);
}

function packedFuzz(random: Generator): Sample<PackedCaseAttrs> {
  const [batch, length] = [randomSize(random, 2), randomSize(random)];
  const mask = once(random, 2) ? maskInput(batch, length) : undefined;
  return packedSample(batch, randomSize(random, 4), length, random.pick([1, 3, 4, 5, 8, 12, 16, 20]), { causal: once(random, 2) }, mask);
}

const tolerance = { forward: 2e-6, gradient: 1e-5, reason: "f32 sums and exponentials of up to 70 keys; the gradient is a sum of differences of nearly equal numbers" };

const twoHeads = { shape: [1, 2, 4, 8] };

export const attentionCase: OpCase<AttentionCaseAttrs> = {
  name: "attention",
  apply: ([q, k, v, keyMask], attrs) => [attention(q, k, v, { ...attrs, keyMask })],
  reference,
  tolerance,
  differentiable: [0, 1, 2],
  samples: [
    sample([2, 3, 17, 17, 16]),
    sample([1, 2, 9, 21, 5], {}, maskInput(1, 21)),
    sample([1, 2, 33, 33, 20], { causal: true }),
    sample([2, 2, 13, 13, 64], { causal: true }, maskInput(2, 13, "u32")),
    sample([1, 2, 1, 40, 24]),
    sample([1, 2, 7, 1, 16], { causal: true }),
    sample([1, 1, 70, 9, 1], { causal: true }),
    sample([1, 1, 5, 37, 80], { causal: true, scale: 0.2 }),
    sample([1, 1, 18, 35, 128], {}, maskInput(1, 35, "f32")),
    sample([1, 1, 70, 67, 8], { causal: true }, maskInput(1, 67)),
    sample([2, 3, 10, 14, 12], { layout: "bthd" }, maskInput(2, 14)),
    sample([1, 2, 40, 40, 7], { layout: "bthd", causal: true }),
    { ...sample([2, 2, 6, 6, 8], {}, nothing(6)), name: "queries that see no key" },
    { ...sample([2, 2, 6, 6, 8], { causal: true }, nothing(6)), name: "queries that see no key, causal" },
  ],
  refused: [
    { name: "a q of three axes", inputs: [{ shape: [2, 4, 8] }, twoHeads, twoHeads], attrs: { layout: "bhtd", causal: false }, message: /^attention: q must be \[B,H,Tq,D\]; got \[2,4,8\]/ },
    { name: "keys of another size", inputs: [twoHeads, { shape: [1, 2, 4, 6] }, twoHeads], attrs: { layout: "bhtd", causal: false }, message: /^attention: k and v must both be \[B,H,Tk,D\] for q \[1,2,4,8\]; got \[1,2,4,6\] and \[1,2,4,8\]/ },
    { name: "a mask of another size", inputs: [twoHeads, twoHeads, twoHeads, { shape: [1, 5] }], attrs: { layout: "bhtd", causal: false }, message: /^attention: keyMask must be \[B,Tk\] = \[1,4\]; got \[1,5\]/ },
    { name: "heads of 257", inputs: [0, 1, 2].map(() => ({ shape: [1, 1, 1, 257] })), attrs: { layout: "bhtd", causal: false }, message: /^attention: a head must have at most 256 elements; got 257/ },
    { name: "integers", inputs: [{ ...twoHeads, dtype: "i32" }, twoHeads, twoHeads], attrs: { layout: "bhtd", causal: false }, message: /^attention: needs f32 or f16 tensors; got i32/ },
  ],
  fuzz,
  bench: [
    sample([1, 12, 64, 64, 64], { causal: true }),
    sample([1, 12, 197, 197, 64]),
    sample([8, 12, 77, 77, 64], { causal: true }, maskInput(8, 77)),
    sample([8, 12, 32, 197, 64]),
    sample([32, 4, 65, 65, 16]),
  ],
};

export const packedSelfAttentionCase: OpCase<PackedCaseAttrs> = {
  name: "packedSelfAttention",
  apply: ([qkv, keyMask], { heads, ...options }) => [packedSelfAttention(qkv, heads, { ...options, keyMask })],
  reference: packedReference,
  tolerance,
  differentiable: [0],
  samples: [
    packedSample(2, 3, 17, 16, { causal: true }),
    packedSample(1, 2, 35, 20, {}, maskInput(1, 35)),
    packedSample(2, 2, 11, 5, { causal: true, scale: 0.4 }, maskInput(2, 11, "f32")),
    packedSample(1, 2, 1, 16),
    { ...packedSample(1, 2, 9, 8), name: "[B,T,3,H,D]", inputs: [{ shape: [1, 9, 3, 2, 8] }] },
  ],
  refused: [
    { name: "heads that don't divide", inputs: [{ shape: [1, 4, 24] }], attrs: { heads: 3, causal: false }, message: /^attention: qkv must be \[B,T,3·H·D\] for H = 3 heads; got \[1,4,24\]/ },
    { name: "a matrix", inputs: [{ shape: [4, 24] }], attrs: { heads: 2, causal: false }, message: /^attention: qkv must be \[B,T,3·H·D\] for H = 2 heads; got \[4,24\]/ },
  ],
  fuzz: packedFuzz,
  bench: [packedSample(1, 12, 64, 64, { causal: true }), packedSample(1, 12, 197, 64), packedSample(8, 12, 64, 64, { causal: true })],
};

/** Large scores, and what is not finite: finite differences say nothing there. */
export const attentionExtremesCase: OpCase<AttentionCaseAttrs> = {
  ...attentionCase,
  name: "attention of extremes",
  tolerance: { forward: 1e-3, gradient: 0, reason: "scores of ±10⁴ hold three digits behind the point in f32" },
  samples: [
    { name: "scores of ±10⁴", inputs: [{ shape: [1, 1, 3, 1], values: [100, -100, 99] }, { shape: [1, 1, 5, 1], values: [100, -100, 0, 99.99, 1] }, { shape: [1, 1, 5, 1], low: 1, high: 2 }], attrs: { layout: "bhtd", causal: false, scale: 1 } },
    { name: "a query with NaN", inputs: [{ shape: [1, 1, 2, 2], values: [1, NaN, 1, 2] }, { shape: [1, 1, 3, 2] }, { shape: [1, 1, 3, 2] }], attrs: { layout: "bhtd", causal: false } },
    { name: "a key with NaN, behind a causal query", inputs: [{ shape: [1, 1, 3, 2] }, { shape: [1, 1, 3, 2], values: [1, 2, NaN, 1, 2, 3] }, { shape: [1, 1, 3, 2] }], attrs: { layout: "bhtd", causal: true } },
    { name: "a value with NaN", inputs: [{ shape: [1, 1, 2, 2] }, { shape: [1, 1, 3, 2] }, { shape: [1, 1, 3, 2], values: [1, 2, 3, NaN, 5, 6] }], attrs: { layout: "bhtd", causal: false } },
    { name: "a score of Inf", inputs: [{ shape: [1, 1, 2, 1], values: [1, -1] }, { shape: [1, 1, 3, 1], values: [1, Infinity, 2] }, { shape: [1, 1, 3, 1] }], attrs: { layout: "bhtd", causal: false } },
  ],
  differentiable: [],
  constantOutputs: [0],
  refused: [],
  fuzz: undefined,
  bench: [],
};
