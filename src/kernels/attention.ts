import { attentionSize, bindingsOf, headElement, headInputs, headsOf, inputHeads, loadFunctions, locateHeads, outputShape, type AttentionAttrs, type AttentionSize } from "./attention-layout.ts";
import { RegisterTiles } from "./attention-register.ts";
import { SharedTiles } from "./attention-shared.ts";
import { declareSums, eachRow, storeSums, type TileProblem, type Tiles } from "./attention-tiles.ts";
import type { Kernel, KernelLimits, TensorSpec } from "./kernel.ts";
import { EXPONENTIALS } from "./row-reduce.ts";
import { bindings, bytesOf, commonFloat, f32, spec, wgslType, upTo, type Binding } from "./wgsl.ts";

/** A tiling that suits the adapter. */
export function makeTiles(problem: TileProblem, limits: KernelLimits): Tiles {
  return limits.cooperativeWorkgroups ? new SharedTiles(problem, limits) : new RegisterTiles(problem, limits);
}

/** WGSL of the factor that makes a product q·k a score: scores are exponents of 2, which is what GPUs raise to powers. */
export function toExponent(scale: number): string {
  return f32(scale * Math.LOG2E);
}

/** Score of what is not attended to, and where a running maximum starts: 2^(MASKED − START) is 0, and no difference overflows. */
export const MASKED = -3e38;
export const START = -1e30;

/**
 * WGSL `finish(maximum, sum)` of a row of scores: the factor of its output, and log2 Σ 2^score. A row without any key is
 * zero; where scores are NaN or +Inf everything becomes NaN, whatever the adapter's exp2 makes of it.
 */
export function finishRow(canBeEmpty: boolean): string {
  return `${EXPONENTIALS}

fn finish(maximum: f32, sum: f32) -> vec2<f32> {
  if (usable(sum)) { return vec2<f32>(1.0 / sum, maximum + log2(sum)); }
  ${canBeEmpty ? "if (sum == 0.0) { return vec2<f32>(); }\n  " : ""}return vec2<f32>(nan());
}`;
}

/** WGSL for scores where all conditions hold, {@link MASKED} elsewhere. */
export function maskScores(scores: string, conditions: readonly string[]): string {
  return conditions.length === 0 ? scores : `select(vec4<f32>(${f32(MASKED)}), ${scores}, ${conditions.join(" & ")})`;
}

/** The binding of the key mask, where there is one: the last input. */
export function keyMaskBinding(inputs: readonly TensorSpec[], masked: boolean): Binding[] {
  return masked ? [["keyMask", wgslType(inputs.at(-1)!.dtype)]] : [];
}

/** WGSL for whether the key mask lets a key be seen; one beyond the last counts as the last. */
export function keepKey(inputs: readonly TensorSpec[], { keys }: AttentionSize, key: string): string {
  return `keyMask[batch * ${keys}u + min(${key}, ${keys - 1}u)] != ${wgslType(inputs.at(-1)!.dtype)}(0)`;
}

/** Which keys the queries that are a thread's rows can see. */
export interface SeenKeys {
  /** WGSL of where a workgroup's keys end. */
  readonly to: string;
  /** Statements of a step before the conditions, and the conditions (vectors of bool) for row i to see the thread's columns. */
  readonly prepare: string;
  readonly visible: (i: number) => readonly string[];
}

export function seeKeys(tiles: Tiles, size: AttentionSize, inputs: readonly TensorSpec[], { causal, masked }: AttentionAttrs): SeenKeys {
  const { keys } = size;
  return {
    to: causal ? `min(firstRow + ${tiles.rowsPerGroup}u, ${keys}u)` : `${keys}u`,
    prepare: masked ? `let keep = vec4<bool>(${upTo(4).map((n) => keepKey(inputs, size, `columns[${n}]`)).join(", ")});` : "",
    visible: (i) => [
      ...(causal ? [`(columns <= vec4<u32>(row${i}))`] : []),
      ...(keys % tiles.columns === 0 ? [] : [`(columns < vec4<u32>(${keys}u))`]),
      ...(masked ? ["keep"] : []),
    ],
  };
}

/** Operations of `products` matrix products over the queries and keys that meet. */
export function attentionFlops({ batch, heads, queries, keys, headSize }: AttentionSize, causal: boolean, products: number): number {
  const square = Math.min(queries, keys);
  const met = causal ? (square * (square + 1)) / 2 + (queries - square) * keys : queries * keys;
  return products * 2 * batch * heads * met * headSize;
}

/**
 * Scaled dot-product attention: y = softmax(scale · q·kᵀ + mask) · v, of which the probabilities are never stored.
 *
 * q [B,H,Tq,D], k, v [B,H,Tk,D] (or another {@link AttentionAttrs.layout}), keyMask [B,Tk] → y like q,
 * logSum [B,H,Tq] = log2 Σ 2^(score·log2 e), kept for the backward pass.
 * A key is attended to where keyMask is not 0 and, if causal, where it is no later than the query. A query without any
 * key gives zeros.
 * @throws ShapeError if the inputs don't fit each other.
 * Source: Dao 2023, "FlashAttention-2", arXiv:2307.08691; the same result as torch's scaled_dot_product_attention.
 */
export const attention: Kernel<AttentionAttrs> = {
  name: "attention",
  infer(inputs, attrs) {
    const size = attentionSize("attention", inputs, attrs);
    return [spec(outputShape(size, attrs.layout), commonFloat(...headInputs(inputs, attrs))), spec([size.batch, size.heads, size.queries])];
  },
  cost(inputs, attrs) {
    return { flops: attentionFlops(attentionSize("attention", inputs, attrs), attrs.causal, 2), bytes: bytesOf(...inputs, ...attention.infer(inputs, attrs)) };
  },
  program(inputs, attrs, limits) {
    const { layout, causal, masked, scale } = attrs;
    const size = attentionSize("attention", inputs, attrs);
    const { batch, heads, queries, headSize } = size;
    const { q, k, v } = inputHeads(layout, size);
    const y = headsOf("y", layout, size, queries);
    const tiles = makeTiles({ batch, heads, rows: queries, headSize, held: ["q"], accumulated: 1, exchange: true, lastFirst: causal }, limits);
    const element = headElement(headSize);
    const { to, prepare, visible } = seeKeys(tiles, size, inputs, attrs);
    const read = bindingsOf(q, k, v).map((name): Binding => [name, element]);
    return {
      wgsl: `${tiles.directives}${bindings([...read, ...keyMaskBinding(inputs, masked)], [["y", element], ["logSum", "f32"]])}
${tiles.declarations}
${loadFunctions(q, k, v)}
${finishRow(masked)}

${tiles.entry}
${[q, k, v, y].map(locateHeads).join("\n")}
${tiles.hold(q)}
${declareSums(tiles, "output")}
${eachRow(tiles, (i) => `var maximum${i} = ${f32(START)}; var sum${i} = 0.0;`)}
${tiles.steps("0u", to, () => `${tiles.product("product", q, k)}
${prepare}
${eachRow(tiles, (i) => `let score${i} = ${maskScores(`product${i} * ${toExponent(scale)}`, visible(i))};`)}
${tiles.exchange("largest", (i) => `max(max(score${i}.x, score${i}.y), max(score${i}.z, score${i}.w))`, (a, b) => `max(${a}, ${b})`)}
${eachRow(tiles, (i) => `let next${i} = max(maximum${i}, largest${i});
let weight${i} = exp2(score${i} - next${i});
let fade${i} = exp2(maximum${i} - next${i});
sum${i} = sum${i} * fade${i} + dot(weight${i}, vec4<f32>(1.0));
maximum${i} = next${i};
${tiles.slots.map((_, j) => `output${i}_${j} *= fade${i};`).join(" ")}`)}
${tiles.accumulate("output", "weight", v)}`)}
${tiles.exchange("total", (i) => `sum${i}`, (a, b) => `${a} + ${b}`)}
${eachRow(tiles, (i) => `let result${i} = finish(maximum${i}, total${i});
if (row${i} < ${queries}u && ${tiles.leads}) { logSum[matrix * ${queries}u + row${i}] = result${i}.y; }`)}
${storeSums(tiles, y, "output", (i) => `result${i}.x`)}
}`,
      grid: tiles.grid,
    };
  },
};
