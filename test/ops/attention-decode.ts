import { appendToCache, cachedAttention, packedCachedAttention } from "../../src/autograd/ops/attention-decode.ts";
import type { Generator } from "../../src/core/rng.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { attend, fill, headReader, maskInput, type AttentionSizes, type HeadReader } from "./attention.ts";
import { once, randomInteger, randomSize, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

interface CachedCaseAttrs {
  readonly layout: "bhtd" | "bthd";
  readonly scale?: number;
}

type None = Record<never, never>;

/** Sizes of new positions and of their cache; `positions` are one, or one for each batch row. */
interface CacheSizes {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly length: number;
  readonly headSize: number;
  readonly positions: readonly number[];
}

/** A cache that holds numbers below `known[b]`, and NaN after them: what nobody may look at. */
function cacheInput({ batch, heads, length, headSize }: CacheSizes, known: readonly number[], seed: number): Input {
  const shape = [batch, heads, length, headSize];
  const value = (b: number, h: number, t: number, d: number): number => (t < known[b] ? Math.fround(1.4 * Math.sin(seed + b * 7.1 + h * 3.3 + t * 1.7 + d * 0.9)) : NaN);
  // Computed when they are used: those of the bench are millions.
  return { shape, get values() { return [...fill(shape, value).data]; } };
}

function positionOf(sizes: CacheSizes, b: number): number {
  return sizes.positions[sizes.positions.length === 1 ? 0 : b];
}

function positionInput({ positions }: CacheSizes, dtype: "u32" | "i32" = "u32"): Input {
  return { shape: [positions.length], dtype, values: positions };
}

function nameOf({ batch, heads, queries, length, headSize, positions }: CacheSizes): string {
  return `${batch}×${heads} heads of ${headSize}, ${queries} new at ${positions.join(" and ")} of ${length}`;
}

/** Attention to a cache, in float64: y as [B,H,T,D]. */
function cachedReference(q: HeadReader, keys: Reference, values: Reference, position: Reference, mask: Reference | undefined, queries: number, scale: number): HeadReader {
  const [batch, heads, length, headSize] = keys.shape;
  const sizes: AttentionSizes = [batch, heads, queries, length, headSize];
  const at = (b: number): number => position.data[position.data.length === 1 ? 0 : b];
  const y = attend(sizes, [q, headReader(keys, "bhtd"), headReader(values, "bhtd")], scale, (b, i, j) => j <= at(b) + i && (mask === undefined || mask.data[b * length + j] !== 0));
  return (b, h, t, d) => (at(b) >= 0 && at(b) + t < length ? y(b, h, t, d) : NaN);
}

function sample(sizes: CacheSizes, attrs: Partial<CachedCaseAttrs> = {}, mask?: Input): Sample<CachedCaseAttrs> {
  const { batch, heads, queries, headSize } = sizes;
  const { layout = "bhtd" } = attrs;
  const known = Array.from({ length: batch }, (_, b) => positionOf(sizes, b) + queries);
  const q: Input = { shape: layout === "bhtd" ? [batch, heads, queries, headSize] : [batch, queries, heads, headSize], low: -1.5, high: 1.5 };
  const inputs = [q, cacheInput(sizes, known, 1), cacheInput(sizes, known, 2), positionInput(sizes), ...(mask === undefined ? [] : [mask])];
  return { name: `${nameOf(sizes)}${layout === "bthd" ? ", bthd" : ""}${mask === undefined ? "" : ", masked"}`, inputs, attrs: { ...attrs, layout } };
}

/** Zeros before `begin`, ones from it on: padding on the left. Only keys that are known are masked. */
function leftPadding(batch: number, length: number, begin: readonly number[]): Input {
  return { shape: [batch, length], dtype: "i32", values: Array.from({ length: batch * length }, (_, i) => (i % length < begin[Math.floor(i / length)] ? 0 : 1)) };
}

/** GPT-2's heads, and a cache that is full. */
function benchSample(batch: number, length: number): Sample<CachedCaseAttrs> {
  const sizes: CacheSizes = { batch, heads: 12, queries: 1, length, headSize: 64, positions: [length - 1] };
  const cache = { shape: [batch, 12, length, 64] };
  return { name: nameOf(sizes), inputs: [{ shape: [batch, 12, 1, 64] }, cache, cache, positionInput(sizes)], attrs: { layout: "bhtd" } };
}

function fuzz(random: Generator): Sample<CachedCaseAttrs> {
  const [batch, length] = [randomSize(random, 2), random.pick([1, 5, 20, 64, 65, 100, 150])];
  const queries = randomInteger(random, 1, Math.min(3, length));
  const positions = Array.from({ length: once(random, 2) ? 1 : batch }, () => randomInteger(random, 0, length - queries));
  const sizes: CacheSizes = { batch, heads: randomSize(random, 3), queries, length, headSize: random.pick([1, 3, 4, 8, 12, 20]), positions };
  return sample(sizes, { layout: random.pick(["bhtd", "bthd"] as const) }, once(random, 2) ? maskInput(batch, length) : undefined);
}

const tolerance = { forward: 2e-6, gradient: 0, reason: "f32 sums and exponentials of up to 200 keys" };

export const cachedAttentionCase: OpCase<CachedCaseAttrs> = {
  name: "cachedAttention",
  apply: ([q, keys, values, position, keyMask], options) => [cachedAttention(q, { keys, values }, position, { ...options, keyMask })],
  reference: ([q, keys, values, position, mask], { layout, scale }) => {
    const y = cachedReference(headReader(q, layout), keys, values, position, mask, q.shape[layout === "bhtd" ? 2 : 1], scale ?? 1 / Math.sqrt(keys.shape[3]));
    return [fill(q.shape, (b, m, n, d) => (layout === "bhtd" ? y(b, m, n, d) : y(b, n, m, d)))];
  },
  tolerance,
  differentiable: [],
  constantOutputs: [0],
  samples: [
    sample({ batch: 2, heads: 3, queries: 1, length: 20, headSize: 16, positions: [0] }),
    sample({ batch: 1, heads: 2, queries: 1, length: 200, headSize: 64, positions: [131] }),
    sample({ batch: 1, heads: 1, queries: 1, length: 128, headSize: 20, positions: [63] }),
    sample({ batch: 2, heads: 2, queries: 3, length: 70, headSize: 5, positions: [62, 7] }, { layout: "bthd" }),
    sample({ batch: 2, heads: 1, queries: 2, length: 150, headSize: 8, positions: [100, 3] }, { scale: 0.2 }, leftPadding(2, 150, [70, 2])),
    { ...sample({ batch: 1, heads: 2, queries: 1, length: 80, headSize: 4, positions: [70] }, {}, leftPadding(1, 80, [80])), name: "a query that sees no key" },
    { ...sample({ batch: 2, heads: 1, queries: 2, length: 80, headSize: 4, positions: [79, 4_000_000_000] }), name: "queries beyond the cache" },
    { ...sample({ batch: 1, heads: 1, queries: 1, length: 9, headSize: 4, positions: [9] }), name: "a query beyond a short cache" },
    sample({ batch: 1, heads: 1, queries: 1, length: 66, headSize: 128, positions: [65] }),
    sample({ batch: 1, heads: 3, queries: 1, length: 1, headSize: 1, positions: [0] }),
  ],
  refused: [
    { name: "another head size", inputs: [{ shape: [1, 2, 1, 4] }, { shape: [1, 2, 8, 5] }, { shape: [1, 2, 8, 5] }, { shape: [1], dtype: "u32" }], attrs: { layout: "bhtd" }, message: /^cachedAttention: new positions must be \[B,H,T,D\] for a cache \[B,H,Tmax,D\] = \[1,2,8,5\]; got \[1,2,1,4\]/ },
    { name: "a position in f32", inputs: [{ shape: [1, 2, 1, 4] }, { shape: [1, 2, 8, 4] }, { shape: [1, 2, 8, 4] }, { shape: [1] }], attrs: { layout: "bhtd" }, message: /^cachedAttention: position must be u32 or i32; got f32/ },
    { name: "three positions for two rows", inputs: [{ shape: [2, 2, 1, 4] }, { shape: [2, 2, 8, 4] }, { shape: [2, 2, 8, 4] }, { shape: [3], dtype: "u32" }], attrs: { layout: "bhtd" }, message: /^cachedAttention: position must be \[1\] or \[B\] = \[2\]; got \[3\]/ },
  ],
  fuzz,
  bench: [benchSample(1, 64), benchSample(5, 256), benchSample(1, 1024)],
};

/** What a cache holds after new positions were written. */
function appended(cache: Reference, x: HeadReader, position: Reference, queries: number): Reference {
  const [, , length] = cache.shape;
  const before = headReader(cache, "bhtd");
  return fill(cache.shape, (b, h, t, d) => {
    const at = position.data[position.data.length === 1 ? 0 : b];
    return at >= 0 && at < length && t >= at && t < at + queries ? x(b, h, t - at, d) : before(b, h, t, d);
  });
}

function appendSample(sizes: CacheSizes, layout: "bhtd" | "bthd" = "bhtd"): Sample<CachedCaseAttrs> {
  const { batch, heads, queries, headSize } = sizes;
  const shape = layout === "bhtd" ? [batch, heads, queries, headSize] : [batch, queries, heads, headSize];
  const known = Array.from({ length: batch }, (_, b) => positionOf(sizes, b));
  return { name: `${nameOf(sizes)}${layout === "bthd" ? ", bthd" : ""}`, inputs: [{ shape }, { shape }, positionInput(sizes, "i32"), cacheInput(sizes, known, 1), cacheInput(sizes, known, 2)], attrs: { layout } };
}

export const appendToCacheCase: OpCase<CachedCaseAttrs> = {
  name: "appendToCache",
  apply: ([k, v, position, keys, values], { layout }) => {
    appendToCache({ keys, values }, k, v, position, layout);
    return [keys, values];
  },
  reference: ([k, v, position, keys, values], { layout }) => {
    const queries = k.shape[layout === "bhtd" ? 2 : 1];
    return [appended(keys, headReader(k, layout), position, queries), appended(values, headReader(v, layout), position, queries)];
  },
  tolerance: { forward: 0, gradient: 0, reason: "copies" },
  differentiable: [],
  constantOutputs: [0, 1],
  samples: [
    appendSample({ batch: 2, heads: 3, queries: 1, length: 7, headSize: 8, positions: [0] }),
    appendSample({ batch: 2, heads: 2, queries: 3, length: 9, headSize: 5, positions: [6, 2] }, "bthd"),
    { ...appendSample({ batch: 2, heads: 1, queries: 3, length: 6, headSize: 4, positions: [5, -1] }), name: "beyond the end, and before the beginning" },
  ],
  refused: [
    { name: "a cache of other heads", inputs: [{ shape: [1, 2, 1, 4] }, { shape: [1, 2, 1, 4] }, { shape: [1], dtype: "u32" }, { shape: [1, 3, 8, 4] }, { shape: [1, 3, 8, 4] }], attrs: { layout: "bhtd" }, message: /^appendToCache: new positions must be \[B,H,T,D\] for a cache \[B,H,Tmax,D\] = \[1,3,8,4\]; got \[1,2,1,4\]/ },
    { name: "fewer values than keys", inputs: [{ shape: [1, 2, 2, 4] }, { shape: [1, 2, 1, 4] }, { shape: [1], dtype: "u32" }, { shape: [1, 2, 8, 4] }, { shape: [1, 2, 8, 4] }], attrs: { layout: "bhtd" }, message: /^appendToCache: k and v must have one shape; got \[1,2,2,4\] and \[1,2,1,4\]/ },
  ],
};

function packedSample(sizes: CacheSizes, mask?: Input): Sample<None> {
  const { batch, heads, queries, headSize } = sizes;
  const known = Array.from({ length: batch }, (_, b) => positionOf(sizes, b));
  const qkv: Input = { shape: [batch, queries, 3 * heads * headSize], low: -1.5, high: 1.5 };
  return { name: nameOf(sizes), inputs: [qkv, cacheInput(sizes, known, 1), cacheInput(sizes, known, 2), positionInput(sizes), ...(mask === undefined ? [] : [mask])], attrs: {} };
}

export const packedCachedAttentionCase: OpCase<None> = {
  name: "packedCachedAttention",
  apply: ([qkv, keys, values, position, keyMask]) => [packedCachedAttention(qkv, { keys, values }, position, { keyMask }), keys, values],
  reference: ([qkv, keys, values, position, mask]) => {
    const [batch, heads, , headSize] = keys.shape;
    const queries = qkv.shape[1];
    const part = (p: number): HeadReader => (b, h, t, d) => qkv.data[(((b * queries + t) * 3 + p) * heads + h) * headSize + d];
    const after = [appended(keys, part(1), position, queries), appended(values, part(2), position, queries)];
    const y = cachedReference(part(0), after[0], after[1], position, mask, queries, 1 / Math.sqrt(headSize));
    const shape: Shape = [batch, queries, heads, headSize];
    return [{ shape: [batch, queries, sizeOf(shape) / batch / queries], data: fill(shape, (b, t, h, d) => y(b, h, t, d)).data }, ...after];
  },
  tolerance,
  differentiable: [],
  constantOutputs: [0, 1, 2],
  samples: [
    packedSample({ batch: 2, heads: 3, queries: 1, length: 20, headSize: 16, positions: [11] }),
    packedSample({ batch: 2, heads: 2, queries: 4, length: 90, headSize: 5, positions: [70, 0] }),
    packedSample({ batch: 1, heads: 2, queries: 2, length: 12, headSize: 12, positions: [3] }, leftPadding(1, 12, [2])),
  ],
  refused: [{ name: "a width that is not three times the heads", inputs: [{ shape: [1, 1, 16] }, { shape: [1, 2, 8, 4] }, { shape: [1, 2, 8, 4] }, { shape: [1], dtype: "u32" }], attrs: {}, message: /^appendToCache: new positions must be \[B,T,3·H·D\] for a cache \[B,H,Tmax,D\] = \[1,2,8,4\]; got \[1,1,16\]/ }],
};
