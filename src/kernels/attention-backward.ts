/**
 * The backward pass of attention, without stored probabilities and without atomics: they are computed again from the
 * scores and logSum, once for the rows of dq (sums over keys) and once for those of dk and dv (sums over queries).
 *
 *   p = 2^(score − logSum);  ds = p·(dy·v − dot) with dot = Σ_d dy·y;
 *   dq = scale·Σ_key ds·k;  dk = scale·Σ_query ds·q;  dv = Σ_query p·dy.
 *
 * Source: Dao 2023, "FlashAttention-2", arXiv:2307.08691.
 */

import { sizeOf } from "../core/shape.ts";
import { attentionFlops, keepKey, keyMaskBinding, makeTiles, maskScores, seeKeys, toExponent } from "./attention.ts";
import { attentionSize, bindingsOf, headElement, headInputs, headsOf, inputHeads, loadFunctions, loadQuad, locateHeads, quadsOf, rowStart, type AttentionAttrs, type AttentionSize, type HeadLayout } from "./attention-layout.ts";
import { declareSums, eachRow, storeSums } from "./attention-tiles.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { EXPONENTIALS, layThreads, rowEntry } from "./row-reduce.ts";
import { bindings, bytesOf, f32, spec, upTo, type Binding } from "./wgsl.ts";

/** What the gradients need of a query beside its rows of q and dy. */
const QUERY = { size: 2, wgsl: "struct Query { logSum: f32, dot: f32 }" };

/**
 * What the gradients need of each query: logSum, and dot = Σ_d dy·y.
 *
 * y, dy in the attention's layout, logSum [B,H,Tq] → [B,H,Tq,2].
 */
export const attentionBackwardDots: Kernel<{ readonly layout: HeadLayout }> = {
  name: "attentionBackwardDots",
  infer([, , logSum]) {
    return [spec([...logSum.shape, QUERY.size])];
  },
  cost([y, dy, logSum]) {
    return { flops: 2 * sizeOf(y.shape), bytes: bytesOf(y, dy, logSum, logSum, logSum) };
  },
  program([y, , logSum], { layout }, limits) {
    const [batch, heads, queries] = logSum.shape;
    const size: AttentionSize = { batch, heads, queries, keys: queries, headSize: sizeOf(y.shape) / sizeOf(logSum.shape) };
    const sides = ["dy", "y"].map((name) => headsOf(name, layout, size, queries));
    const element = headElement(size.headSize);
    const threads = layThreads(batch * heads * queries, limits);
    // In the order in which Tiles.product sums: where a query sees a single key, ds is exactly 0 then.
    const add = limits.cooperativeWorkgroups ? ["x", "y", "z", "w"].map((e) => `sum += a.${e} * b.${e};`).join(" ") : "sum += dot(a, b);";
    return {
      wgsl: `${QUERY.wgsl}
${bindings([["y", element], ["dy", element], ["logSum", "f32"]], [["queries", "Query"]])}
${loadFunctions(...sides)}

${rowEntry(threads)}
  let matrix = row / ${queries}u;
  let batch = matrix / ${heads}u;
  let head = matrix % ${heads}u;
  ${sides.map(locateHeads).join("\n  ")}
  ${sides.map((side) => `let ${side.name}Row = ${rowStart(side, `(row % ${queries}u)`)};`).join("\n  ")}
  var sum = 0.0;
  for (var c = 0u; c < ${quadsOf(size.headSize)}u; c++) {
    ${sides.map((side, n) => `let ${["a", "b"][n]} = ${loadQuad(side, `${side.name}Row`, "c")};`).join("\n    ")}
    ${add}
  }
  queries[row] = Query(logSum[row], sum);
}`,
      grid: threads.grid,
    };
  },
};

/** Names and elements of the bindings that both gradients read. */
function readBindings(inputs: readonly TensorSpec[], { masked }: AttentionAttrs, names: readonly string[], element: string): Binding[] {
  return [...names.map((name): Binding => [name, element]), ["dy", element], ["queries", "Query"], ...keyMaskBinding(inputs, masked)];
}

/**
 * Gradient of the queries.
 *
 * q, k, v (or qkv), dy, queries [B,H,Tq,2] of {@link attentionBackwardDots}, keyMask [B,Tk] if masked → dq; in the packed
 * layout dqkv, of which {@link attentionBackwardKeys} writes the rest.
 */
export const attentionBackwardQueries: Kernel<AttentionAttrs> = {
  name: "attentionBackwardQueries",
  infer([q]) {
    return [spec(q.shape, q.dtype)];
  },
  cost(inputs, attrs) {
    const size = attentionSize("attention", inputs, attrs);
    return { flops: attentionFlops(size, attrs.causal, 3), bytes: bytesOf(...inputs) + bytesOf(inputs[0]) / (attrs.layout === "packed" ? 3 : 1) };
  },
  program(inputs, attrs, limits) {
    const { layout, causal, scale } = attrs;
    const size = attentionSize("attention", inputs, attrs);
    const { batch, heads, queries, headSize } = size;
    const { q, k, v } = inputHeads(layout, size);
    const dy = headsOf("dy", layout, size, queries);
    const { q: dq } = inputHeads(layout, size, "d");
    const tiles = makeTiles({ batch, heads, rows: queries, headSize, held: ["q", "dy"], accumulated: 1, exchange: false, lastFirst: causal }, limits);
    const element = headElement(headSize);
    const { prepare, visible, to } = seeKeys(tiles, size, inputs, attrs);
    return {
      wgsl: `${tiles.directives}${QUERY.wgsl}
${bindings(readBindings(inputs, attrs, bindingsOf(q, k, v), element), [[dq.binding, element]])}
${tiles.declarations}
${loadFunctions(q, k, v, dy)}

${tiles.entry}
${[q, k, v, dy, dq].map(locateHeads).join("\n")}
${tiles.hold(q)}
${tiles.hold(dy)}
${eachRow(tiles, (i) => `let query${i} = queries[matrix * ${queries}u + min(row${i}, ${queries - 1}u)];`)}
${declareSums(tiles, "sum")}
${tiles.steps("0u", to, () => `${tiles.product("dp", dy, v)}
${tiles.product("product", q, k)}
${prepare}
${eachRow(tiles, (i) => `let score${i} = ${maskScores(`product${i} * ${toExponent(scale)}`, visible(i))};
let ds${i} = exp2(score${i} - query${i}.logSum) * (dp${i} - query${i}.dot);`)}
${tiles.accumulate("sum", "ds", k)}`)}
${storeSums(tiles, dq, "sum", () => f32(scale))}
}`,
      grid: tiles.grid,
    };
  },
};

/**
 * Gradients of keys and values.
 *
 * q, k, v (or qkv), dy, queries [B,H,Tq,2] of {@link attentionBackwardDots}, keyMask [B,Tk] if masked → dk, dv; in the
 * packed layout the same dqkv of which {@link attentionBackwardQueries} writes the rest.
 */
export const attentionBackwardKeys: Kernel<AttentionAttrs> = {
  name: "attentionBackwardKeys",
  infer(inputs, { layout }) {
    const [first, k, v] = inputs;
    return layout === "packed" ? [spec(first.shape, first.dtype)] : [spec(k.shape, k.dtype), spec(v.shape, v.dtype)];
  },
  cost(inputs, attrs) {
    const written = attrs.layout === "packed" ? (bytesOf(inputs[0]) * 2) / 3 : bytesOf(...headInputs(inputs, attrs).slice(1));
    return { flops: attentionFlops(attentionSize("attention", inputs, attrs), attrs.causal, 4), bytes: bytesOf(...inputs) + written };
  },
  program(inputs, attrs, limits) {
    const { layout, causal, masked, scale } = attrs;
    const size = attentionSize("attention", inputs, attrs);
    const { batch, heads, queries, keys, headSize } = size;
    const { q, k, v } = inputHeads(layout, size);
    const dy = headsOf("dy", layout, size, queries);
    const { k: dk, v: dv } = inputHeads(layout, size, "d");
    const tiles = makeTiles({ batch, heads, rows: keys, headSize, held: ["k", "v"], accumulated: 2, exchange: false, lastFirst: false }, limits);
    const element = headElement(headSize);
    const column = (part: string): string => `vec4<f32>(${upTo(4).map((n) => `query${n}.${part}`).join(", ")})`;
    const visible = (i: number): string[] => [
      ...(causal ? [`(columns >= vec4<u32>(row${i}))`] : []),
      ...(queries % tiles.columns === 0 ? [] : [`(columns < vec4<u32>(${queries}u))`]),
      ...(masked ? [`vec4<bool>(keep${i})`] : []),
    ];
    return {
      wgsl: `${tiles.directives}${QUERY.wgsl}
${bindings(readBindings(inputs, attrs, bindingsOf(q, k, v), element), bindingsOf(dk, dv).map((name) => [name, element]))}
${tiles.declarations}
${loadFunctions(q, k, v, dy)}
${EXPONENTIALS}

${tiles.entry}
${[q, k, v, dy, dk, dv].map(locateHeads).join("\n")}
${tiles.hold(k)}
${tiles.hold(v)}
${masked ? eachRow(tiles, (i) => `let keep${i} = ${keepKey(inputs, size, `row${i}`)};`) : ""}
${declareSums(tiles, "sumK")}
${declareSums(tiles, "sumV")}
${tiles.steps(causal ? `firstRow / ${tiles.columns}u * ${tiles.columns}u` : "0u", `${queries}u`, () => `${tiles.product("product", k, q)}
${tiles.product("dp", v, dy)}
${upTo(4).map((n) => `let query${n} = queries[matrix * ${queries}u + min(columns[${n}], ${queries - 1}u)];`).join("\n")}
let logSums = ${column("logSum")};
let dots = ${column("dot")};
let ones = select(vec4<f32>(nan()), vec4<f32>(1.0), logSums < vec4<f32>(3.0e38)); // some adapters have 2^NaN = Inf
${eachRow(tiles, (i) => `let score${i} = ${maskScores(`product${i} * ${toExponent(scale)}`, visible(i))};
let p${i} = exp2(score${i} - logSums) * ones;
let ds${i} = p${i} * (dp${i} - dots);`)}
${tiles.accumulate("sumV", "p", dy)}
${tiles.accumulate("sumK", "ds", q)}`)}
${storeSums(tiles, dk, "sumK", () => f32(scale))}
${storeSums(tiles, dv, "sumV", () => "1.0")}
}`,
      grid: tiles.grid,
    };
  },
};
