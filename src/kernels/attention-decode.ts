/**
 * Attention while a text is made, a word (or a few) at a time: keys and values of the positions so far stay in a cache
 * [B,H,Tmax,D], and only the new queries attend to them.
 *
 * How many positions there are is read from a tensor, so that one recording serves every word, and decides how much work
 * is done: a query's keys are cut into parts, those that lie beyond the position end at once, and
 * {@link cachedAttentionTotal} puts the others together.
 */

import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import { finishRow, keepKey, keyMaskBinding, MASKED, START, toExponent } from "./attention.ts";
import { bindingsOf, headElement, headShape, headsOf, inputHeads, loadFunctions, loadQuad, locateHeads, outputShape, quadsOf, requireHeadSize, requireKeyMask, rowStart, storeQuad, type AttentionSize, type HeadLayout, type Heads } from "./attention-layout.ts";
import { requireFloat } from "./elementwise.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { laneReduction, layThreads, rowEntry } from "./row-reduce.ts";
import { bindings, bytesOf, commonFloat, ENTRY_PARAMETERS, f32, foldGrid, spec, wgslType, workgroupNumber, upTo, type Binding } from "./wgsl.ts";

const PART = 64; // keys of a part: one for each thread of a workgroup, and few enough to fill a GPU with a single query
const SHARE = 4; // threads that share a key, so that neighbours read neighbouring vectors

export interface CachedAttentionAttrs {
  /** Axes of q and y; `packed`: q is the first third of [B,T,3·H·D]. */
  readonly layout: HeadLayout;
  /** Whether the last input is a key mask [B,Tmax]. */
  readonly masked: boolean;
  readonly scale: number;
}

/** Sizes of new positions x beside a cache [B,H,Tmax,D]. @throws ShapeError if they don't fit each other. */
function cacheSize(what: string, x: TensorSpec, cache: Shape, layout: HeadLayout): AttentionSize {
  if (cache.length !== 4) throw new ShapeError(`${what}: the cache must be [B,H,Tmax,D]; got ${showShape(cache)}`);
  const [batch, heads, keys, headSize] = cache;
  requireHeadSize(what, headSize);
  const width = heads * headSize * (layout === "packed" ? 3 : 1);
  const size = { batch, heads, keys, headSize, queries: sizeOf(x.shape) / (batch * width) };
  const fits = layout === "packed" ? x.shape.length >= 3 && sizeOf(x.shape.slice(2)) === width && x.shape[0] === batch : sameShape(x.shape, headShape(layout, size, size.queries));
  const wanted = { bhtd: "[B,H,T,D]", bthd: "[B,T,H,D]", packed: "[B,T,3·H·D]" }[layout];
  if (!fits) throw new ShapeError(`${what}: new positions must be ${wanted} for a cache [B,H,Tmax,D] = ${showShape(cache)}; got ${showShape(x.shape)}`);
  return size;
}

/** @throws ShapeError unless there is one position, or one for each row of the batch. */
function requirePosition(what: string, position: TensorSpec, batch: number): void {
  const count = sizeOf(position.shape);
  if (position.dtype !== "u32" && position.dtype !== "i32") throw new ShapeError(`${what}: position must be u32 or i32; got ${position.dtype}`);
  if (position.shape.length > 1 || (count !== 1 && count !== batch)) throw new ShapeError(`${what}: position must be [1] or [B] = [${batch}]; got ${showShape(position.shape)}`);
}

/** Declares `at`, the position of the first new one in this row of the batch. */
function readPosition(position: TensorSpec): string {
  return `let at = u32(position[${sizeOf(position.shape) === 1 ? "0" : "batch"}]);`;
}

/** Declares `count`, how many keys the new query `t` sees: 0 where it lies beyond the cache. */
function countKeys({ keys }: AttentionSize): string {
  return `let count = select(at + t + 1u, 0u, at >= ${keys}u || t >= ${keys}u - at);`;
}

/** Declares batch, head and t of `row`, one of B·H·T. */
function splitRow({ heads, queries }: AttentionSize): string {
  return `let matrix = row / ${queries}u;
  let t = row % ${queries}u;
  let batch = matrix / ${heads}u;
  let head = matrix % ${heads}u;`;
}

/**
 * Writes keys and values of new positions into a cache; run it into the cache's two tensors, of which the rest stays.
 *
 * k, v [B,H,T,D] (or [B,T,H,D], or both in a packed [B,T,3·H·D]), position [1] or [B] → keys, values [B,H,Tmax,D] from
 * `position` on. What would lie beyond the cache is dropped.
 * @throws ShapeError if shapes or types don't fit.
 */
export const appendToCache: Kernel<{ readonly layout: HeadLayout; readonly cache: Shape }> = {
  name: "appendToCache",
  infer(inputs, { layout, cache }) {
    const position = inputs.at(-1)!;
    for (const x of inputs.slice(0, -1)) {
      requireFloat("appendToCache", x);
      cacheSize("appendToCache", x, cache, layout);
    }
    requirePosition("appendToCache", position, cache[0]);
    if (layout !== "packed" && !sameShape(inputs[0].shape, inputs[1].shape)) throw new ShapeError(`appendToCache: k and v must have one shape; got ${showShape(inputs[0].shape)} and ${showShape(inputs[1].shape)}`);
    return [spec(cache, inputs[0].dtype), spec(cache, inputs.at(-2)!.dtype)];
  },
  cost(inputs, { layout }) {
    const moved = layout === "packed" ? (bytesOf(inputs[0]) * 2) / 3 : bytesOf(inputs[0], inputs[1]);
    return { flops: 0, bytes: 2 * moved };
  },
  program(inputs, { layout, cache }, limits) {
    const position = inputs.at(-1)!;
    const size = cacheSize("appendToCache", inputs[0], cache, layout);
    const { batch, heads, queries, keys, headSize } = size;
    const { k, v } = inputHeads(layout, { ...size, keys: queries });
    const pairs = [[k, headsOf("keys", "bhtd", size, keys)], [v, headsOf("values", "bhtd", size, keys)]] as const;
    const element = headElement(headSize);
    const quads = quadsOf(headSize);
    const threads = layThreads(batch * heads * queries * quads, limits);
    return {
      wgsl: `${bindings([...bindingsOf(k, v).map((name): Binding => [name, element]), ["position", wgslType(position.dtype)]], pairs.map(([, to]): Binding => [to.binding, element]))}
${loadFunctions(k, v)}

${rowEntry(threads, "vector")}
  let c = vector % ${quads}u;
  let row = vector / ${quads}u;
  ${splitRow(size)}
  ${readPosition(position)}
  if (at >= ${keys}u || t >= ${keys}u - at) { return; }
${pairs
  .map(([from, to]) => `  ${locateHeads(from)}
  ${locateHeads(to)}
  let ${from.name}Value = ${loadQuad(from, rowStart(from, "t"), "c")};
  ${storeQuad(to, rowStart(to, "(at + t)"), "c", `${from.name}Value`)}`)
  .join("\n")}
}`,
      grid: threads.grid,
    };
  },
};

/** What a part of the keys comes to: the largest score, and Σ 2^(score − maximum). */
const PEAK = { size: 2, wgsl: "struct Peak { maximum: f32, sum: f32 }" };

interface CachedProblem {
  readonly size: AttentionSize;
  readonly q: Heads;
  readonly keys: Heads;
  readonly values: Heads;
  readonly y: Heads;
  /** Queries, of all heads and the whole batch. */
  readonly rows: number;
  readonly parts: number;
}

function cachedProblem([x, keys, values, position, mask]: readonly TensorSpec[], { layout, masked }: CachedAttentionAttrs): CachedProblem {
  const what = "cachedAttention";
  requireFloat(what, x, keys, values);
  const size = cacheSize(what, x, keys.shape, layout);
  if (!sameShape(values.shape, keys.shape)) throw new ShapeError(`${what}: both tensors of the cache must have one shape; got ${showShape(keys.shape)} and ${showShape(values.shape)}`);
  requirePosition(what, position, size.batch);
  if (masked) requireKeyMask(what, mask, [size.batch, size.keys]);
  return {
    size,
    q: inputHeads(layout, size).q,
    keys: headsOf("keys", "bhtd", size, size.keys),
    values: headsOf("values", "bhtd", size, size.keys),
    y: headsOf("y", layout, size, size.queries),
    rows: size.batch * size.heads * size.queries,
    parts: Math.ceil(size.keys / PART),
  };
}

/**
 * Attention of new queries to a cache, for each part of the keys.
 *
 * q [B,H,T,D] (or as the layout says), keys, values [B,H,Tmax,D], position [1] or [B], keyMask [B,Tmax] if masked →
 * sums [B·H·T,parts,4·⌈D/4⌉], peaks [B·H·T,parts,2]; where there is one part, y in the layout instead. Query t sees the
 * keys 0 … position + t; parts without such keys stay undefined.
 * @throws ShapeError if shapes or types don't fit.
 * Source: Dao et al. 2023, "Flash-Decoding for long-context inference".
 */
export const cachedAttentionParts: Kernel<CachedAttentionAttrs> = {
  name: "cachedAttentionParts",
  infer(inputs, attrs) {
    const { size, rows, parts } = cachedProblem(inputs, attrs);
    if (parts === 1) return [spec(outputShape(size, attrs.layout), commonFloat(...inputs.slice(0, 3)))];
    return [spec([rows, parts, 4 * quadsOf(size.headSize)]), spec([rows, parts, PEAK.size])];
  },
  /** As if the cache were full: nobody knows the position here. */
  cost(inputs, attrs) {
    const { size, rows } = cachedProblem(inputs, attrs);
    return { flops: 4 * rows * size.keys * size.headSize, bytes: bytesOf(...inputs, ...cachedAttentionParts.infer(inputs, attrs)) };
  },
  program(inputs, attrs, limits) {
    const problem = cachedProblem(inputs, attrs);
    const element = headElement(problem.size.headSize);
    const read: Binding[] = [[problem.q.binding, element], ["keys", element], ["values", element], ["position", wgslType(inputs[3].dtype)], ...keyMaskBinding(inputs, attrs.masked)];
    const write: Binding[] = problem.parts === 1 ? [["y", element]] : [["sums", "vec4<f32>"], ["peaks", "Peak"]];
    const head = `${PEAK.wgsl}
${bindings(read, write)}
${loadFunctions(problem.q, problem.keys, problem.values)}
${finishRow(attrs.masked)}
`;
    return limits.cooperativeWorkgroups ? sharedParts(head, problem, inputs, attrs, limits) : threadParts(head, problem, inputs, attrs, limits);
  },
};

/** Declares where a part's keys begin and end, after `row` and `part`; a part without keys ends. */
function boundPart({ size, parts, q, keys, values, y }: CachedProblem, position: TensorSpec): string {
  return `${splitRow(size)}
  ${readPosition(position)}
  ${countKeys(size)}
  let begin = part * ${PART}u;
  ${parts === 1 ? "" : `if (begin >= count) { return; } // uniform: a workgroup has one part of one row`}
  let end = min(begin + ${PART}u, count);
  ${[q, keys, values, ...(parts === 1 ? [y] : [])].map(locateHeads).join("\n  ")}`;
}

/** Stores a vector of a part's sum, or of y where there is one part; `factor` is only for the latter. */
function storePart({ parts, size, y }: CachedProblem, quad: number | string, value: string): string {
  if (parts === 1) return `{ let value = ${value} * factor; ${storeQuad(y, rowStart(y, "t"), quad, "value")} }`;
  return `sums[(row * ${parts}u + part) * ${quadsOf(size.headSize)}u + ${typeof quad === "number" ? `${quad}u` : quad}] = ${value};`;
}

/** Declares `factor` of y from a row's maximum and sum, or stores those of a part where `leads`. */
function endPart({ parts }: CachedProblem, maximum: string, sum: string, leads: string): string {
  if (parts === 1) return `var factor = finish(${maximum}, ${sum}).x;\n  if (count == 0u) { factor = nan(); }`;
  return `if (${leads}) { peaks[row * ${parts}u + part] = Peak(${maximum}, ${sum}); }`;
}

/** One thread for each part of a row, a key at a time; neighbours have the same part of other rows, so that they end together. */
function threadParts(head: string, problem: CachedProblem, inputs: readonly TensorSpec[], { masked, scale }: CachedAttentionAttrs, limits: KernelLimits): Program {
  const { size, q, keys, values, rows, parts } = problem;
  const vectors = upTo(quadsOf(size.headSize));
  const threads = layThreads(rows * parts, limits);
  return {
    wgsl: `${head}
${rowEntry(threads, "job")}
  let part = job / ${rows}u;
  let row = job % ${rows}u;
  ${boundPart(problem, inputs[3])}
  let query = ${rowStart(q, "t")};
  ${vectors.map((c) => `let q${c} = ${loadQuad(q, "query", c)};
  var y${c} = vec4<f32>();`).join("\n  ")}
  var maximum = ${f32(START)};
  var sum = 0.0;
  for (var key = begin; key < end; key++) {
    ${masked ? `if (!(${keepKey(inputs, size, "key")})) { continue; }` : ""}
    let keyStart = ${rowStart(keys, "key")};
    let valueStart = ${rowStart(values, "key")};
    let score = (${vectors.map((c) => `dot(q${c}, ${loadQuad(keys, "keyStart", c)})`).join(" + ")}) * ${toExponent(scale)};
    let next = max(maximum, score);
    let fade = exp2(maximum - next);
    let weight = exp2(score - next);
    maximum = next;
    sum = sum * fade + weight;
    ${vectors.map((c) => `y${c} = y${c} * fade + weight * ${loadQuad(values, "valueStart", c)};`).join("\n    ")}
  }
  ${endPart(problem, "maximum", "sum", "true")}
  ${vectors.map((c) => storePart(problem, c, `y${c}`)).join("\n  ")}
}`,
    grid: threads.grid,
  };
}

/**
 * One workgroup for each part of a row. First each key belongs to {@link SHARE} threads, each with some vectors of it;
 * then each score to one thread; then each vector of the values to several threads, each with some keys.
 */
function sharedParts(head: string, problem: CachedProblem, inputs: readonly TensorSpec[], { masked, scale }: CachedAttentionAttrs, limits: KernelLimits): Program {
  const { size, q, keys, values, rows, parts } = problem;
  const quads = quadsOf(size.headSize);
  const groups = Math.floor(PART / quads);
  const groupsTotal = rows * parts;
  return {
    wgsl: `${head}
var<workgroup> products: array<f32, ${PART * SHARE}>;
var<workgroup> weights: array<f32, ${PART}>;
var<workgroup> shares: array<vec4<f32>, ${PART}>;

${laneReduction("largest", "f32", "max(a, b)", PART)}

${laneReduction("total", "f32", "a + b", PART)}

@compute @workgroup_size(${PART})
fn main(${ENTRY_PARAMETERS}) {
  let job = ${workgroupNumber()};
  if (job >= ${groupsTotal}u) { return; } // uniform: the whole workgroup returns
  let part = job / ${rows}u;
  let row = job % ${rows}u;
  ${boundPart(problem, inputs[3])}
  let share = lane % ${SHARE}u;
  for (var key = begin + lane / ${SHARE}u; key < end; key += ${PART / SHARE}u) {
    var product = 0.0;
    for (var c = share; c < ${quads}u; c += ${SHARE}u) { product += dot(${loadQuad(q, rowStart(q, "t"), "c")}, ${loadQuad(keys, rowStart(keys, "key"), "c")}); }
    products[(key - begin) * ${SHARE}u + share] = product;
  }
  workgroupBarrier(); // uniform: the products are complete

  var score = ${f32(MASKED)};
  let own = begin + lane;
  if (own < end${masked ? ` && ${keepKey(inputs, size, "own")}` : ""}) {
    score = (${upTo(SHARE).map((n) => `products[lane * ${SHARE}u + ${n}u]`).join(" + ")}) * ${toExponent(scale)};
  }
  let maximum = max(largest(score, lane), ${f32(START)});
  let weight = exp2(score - maximum);
  weights[lane] = weight;
  let sum = total(weight, lane); // its barriers complete the weights, too

  let c = lane % ${quads}u;
  let first = lane / ${quads}u;
  var vector = vec4<f32>();
  if (first < ${groups}u) {
    for (var key = begin + first; key < end; key += ${groups}u) { vector += weights[key - begin] * ${loadQuad(values, rowStart(values, "key"), "c")}; }
  }
  shares[lane] = vector;
  workgroupBarrier(); // uniform: the shares are complete
  ${endPart(problem, "maximum", "sum", "lane == 0u")}
  if (lane < ${quads}u) {
    for (var group = 1u; group < ${groups}u; group++) { vector += shares[group * ${quads}u + lane]; }
    ${storePart(problem, "lane", "vector")}
  }
}`,
    grid: foldGrid(groupsTotal, limits),
  };
}

/** What {@link cachedAttentionTotal} needs to know beside its inputs. */
export type CachedTotalAttrs = CachedAttentionAttrs & {
  /** What {@link cachedAttentionParts} had as its inputs. */
  readonly inputs: readonly TensorSpec[];
};

/**
 * The parts of {@link cachedAttentionParts} put together.
 *
 * sums [B·H·T,parts,4·⌈D/4⌉], peaks [B·H·T,parts,2], position → y in the attention's layout. A query that sees no key gives
 * zeros; one beyond the cache, NaN.
 */
export const cachedAttentionTotal: Kernel<CachedTotalAttrs> = {
  name: "cachedAttentionTotal",
  infer(_, { inputs, ...attrs }) {
    return [spec(outputShape(cachedProblem(inputs, attrs).size, attrs.layout), commonFloat(...inputs.slice(0, 3)))];
  },
  cost([sums, peaks], attrs) {
    return { flops: 2 * sizeOf(sums.shape), bytes: bytesOf(sums, peaks, ...cachedAttentionTotal.infer([], attrs)) };
  },
  program([, , position], { inputs, ...attrs }, limits) {
    const { size, y, rows, parts } = cachedProblem(inputs, attrs);
    const quads = quadsOf(size.headSize);
    const threads = layThreads(rows * quads, limits);
    return {
      wgsl: `${PEAK.wgsl}
${bindings([["sums", "vec4<f32>"], ["peaks", "Peak"], ["position", wgslType(position.dtype)]], [["y", headElement(size.headSize)]])}
${finishRow(attrs.masked)}

${rowEntry(threads, "vector")}
  let c = vector % ${quads}u;
  let row = vector / ${quads}u;
  ${splitRow(size)}
  ${readPosition(position)}
  ${countKeys(size)}
  let begin = row * ${parts}u;
  let end = begin + (count + ${PART - 1}u) / ${PART}u;
  var maximum = ${f32(START)};
  for (var part = begin; part < end; part++) { maximum = max(maximum, peaks[part].maximum); }
  var sum = 0.0;
  var result = vec4<f32>();
  for (var part = begin; part < end; part++) {
    let weight = exp2(peaks[part].maximum - maximum);
    sum += peaks[part].sum * weight;
    result += sums[part * ${quads}u + c] * weight;
  }
  var factor = finish(maximum, sum).x;
  if (count == 0u) { factor = nan(); }
  result *= factor;
  ${locateHeads(y)}
  ${storeQuad(y, rowStart(y, "t"), "c", "result")}
}`,
      grid: threads.grid,
    };
  },
};
