/**
 * Scores of additive attention, e[b,q,k] = Σ_a v[a]·tanh(queries[b,q,a] + keys[b,k,a]), and their gradients.
 *
 * The hyperbolic tangents, [B,Q,K,A] of them, are never stored: each kernel computes them again.
 * Source: Bahdanau et al. 2014, arXiv:1409.0473; for captions Xu et al. 2015, arXiv:1502.03044.
 */

import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape } from "../core/shape.ts";
import { elementaryFunctions } from "./elementary.ts";
import { requireFloat } from "./elementwise.ts";
import type { Kernel, KernelLimits, TensorSpec } from "./kernel.ts";
import { independentThreads, packRow, powerOfTwoAbove, sumComponents } from "./row-reduce.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // threads of a workgroup where they cooperate
const SCORE_SHARES = 16; // threads that share a score: together they read 256 bytes of keys that lie side by side
const QUERIES = 4; // of a thread, for each of which it uses the key that it has loaded
const GRADIENT_SHARES = 4; // threads that share a gradient, so that 16 of them read 256 bytes side by side
const MIN_TERMS = 4; // of a thread: sharing fewer costs more than it saves
const FLOPS = 16; // of a hyperbolic tangent and its product, about

interface Sizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly features: number;
}

function sizesOf([queries, keys]: readonly TensorSpec[]): Sizes {
  return { batch: queries.shape[0], queries: queries.shape[1], keys: keys.shape[1], features: queries.shape[2] };
}

function checkSizes([queries, keys, v]: readonly TensorSpec[]): void {
  requireFloat("additiveScores", queries, keys, v);
  if (queries.shape.length !== 3) throw new ShapeError(`additiveScores: queries must be [B, Q, A]; got ${showShape(queries.shape)}`);
  const [batch, , features] = queries.shape;
  if (keys.shape.length !== 3 || keys.shape[0] !== batch || keys.shape[2] !== features) {
    throw new ShapeError(`additiveScores: keys must be [${batch},K,${features}] for queries ${showShape(queries.shape)}; got ${showShape(keys.shape)}`);
  }
  if (!sameShape(v.shape, [features])) throw new ShapeError(`additiveScores: v must be [${features}] for queries ${showShape(queries.shape)}; got ${showShape(v.shape)}`);
}

/** The type of storage, and of the computation, over features: vectors where threads cooperate. */
function packFeatures(features: number, limits: KernelLimits): ReturnType<typeof packRow> {
  return limits.cooperativeWorkgroups ? packRow(features) : { packed: false, element: "f32", items: features };
}

/** Threads of a workgroup, and how many of them share one sum. */
interface Deal {
  readonly threads: number;
  readonly shares: number;
}

/** WGSL that adds up `own0` … of all shares of a sum, in order, and finishes with the statements for `sum0` … in the first of them. */
function addShares({ threads, shares }: Deal, type: string, sums: number, stride: number, finish: string): { memory: string; statements: string } {
  const all = Array.from({ length: sums }, (_, n) => n);
  if (shares === 1) return { memory: "", statements: `${all.map((n) => `let sum${n} = own${n};`).join("\n  ")}\n  ${finish}` };
  return {
    memory: `var<workgroup> partial: array<${type}, ${sums * threads}>;`,
    statements: `${all.map((n) => `partial[${n * threads}u + lane] = own${n};`).join("\n  ")}
  workgroupBarrier(); // uniform
  if (share != 0u) { return; }
  ${all.map((n) => `var sum${n} = own${n};`).join("\n  ")}
  for (var other = 1u; other < ${shares}u; other++) {
    ${all.map((n) => `sum${n} += partial[${n * threads}u + lane + other * ${stride}u];`).join("\n    ")}
  }
  ${finish}`,
  };
}

/**
 * queries [B,Q,A], keys [B,K,A], v [A] → scores [B,Q,K], f32 always: a softmax makes of what is lost of them a share of the weights.
 *
 * A thread takes one key and up to four queries; where threads cooperate, 16 of them share the sum over A.
 * @throws ShapeError if the sizes don't fit.
 */
export const additiveScores: Kernel = {
  name: "additiveScores",
  infer(inputs) {
    checkSizes(inputs);
    const { batch, queries, keys } = sizesOf(inputs);
    return [spec([batch, queries, keys])];
  },
  cost(inputs) {
    const { batch, queries, keys, features } = sizesOf(inputs);
    return { flops: FLOPS * batch * queries * keys * features, bytes: bytesOf(...inputs, spec([batch, queries, keys])) };
  },
  program(inputs, _attrs, limits) {
    const { batch, queries, keys, features } = sizesOf(inputs);
    const { packed, element, items } = packFeatures(features, limits);
    const own = Array.from({ length: Math.min(queries, QUERIES) }, (_, n) => n);
    const tiles = batch * Math.ceil(queries / own.length);
    const shares = limits.cooperativeWorkgroups ? Math.min(SCORE_SHARES, powerOfTwoAbove(items)) : 1;
    const threads = limits.cooperativeWorkgroups ? LANES : independentThreads(tiles * keys);
    const side = threads / shares; // keys of a workgroup
    const across = Math.ceil(keys / side);
    const terms = own.map((n) => `part${n} += weight * hyperbolic(queries[start${n} + a] + k);`).join("\n    ");
    const finish = own.map((n) => `if (query + ${n}u < QUERIES) { scores[(batch * QUERIES + query + ${n}u) * KEYS + key] = sum${n}; }`).join("\n    ");
    const { memory, statements } = addShares({ threads, shares }, "f32", own.length, 1, `if (key < KEYS) {\n    ${finish}\n  }`);
    return {
      wgsl: `alias T = ${element};
${bindings([["queries", element], ["keys", element], ["v", element]], [["scores", "f32"]])}
const QUERIES = ${queries}u;
const KEYS = ${keys}u;
const ITEMS = ${items}u; // features, in ${element}
${memory}
${elementaryFunctions(terms)}
@compute @workgroup_size(${threads})
fn main(${ENTRY_PARAMETERS}) {
  let tile = ${workgroupNumber()};
  if (tile >= ${tiles * across}u) { return; } // uniform
  let share = lane % ${shares}u;
  let key = tile % ${across}u * ${side}u + lane / ${shares}u;
  let batch = tile / ${across}u / ${tiles / batch}u;
  let query = tile / ${across}u % ${tiles / batch}u * ${own.length}u;
  let keyStart = (batch * KEYS + min(key, KEYS - 1u)) * ITEMS;
  ${own.map((n) => `let start${n} = (batch * QUERIES + min(query + ${n}u, QUERIES - 1u)) * ITEMS;\n  var part${n} = T();`).join("\n  ")}
  for (var a = share; a < ITEMS; a += ${shares}u) {
    let k = keys[keyStart + a];
    let weight = v[a];
    ${terms}
  }
  ${own.map((n) => `let own${n} = ${sumComponents(`part${n}`, packed)};`).join("\n  ")}
  ${statements}
}`,
      grid: foldGrid(tiles * across, limits),
    };
  },
};

/** Whose gradient is wanted, and whether that of v is made beside that of the queries. */
export interface AdditiveScoresBackwardAttrs {
  readonly of: "queries" | "keys";
  readonly v: boolean;
}

/**
 * dqueries[b,q,a] = v[a]·Σ_k dscores[b,q,k]·(1 − tanh²), or dkeys with the sum over q; and the part of dv that each
 * query has, Σ_k dscores[b,q,k]·tanh.
 *
 * dscores [B,Q,K], queries [B,Q,A], keys [B,K,A], v [A] → dqueries [B,Q,A] (and dv [B,Q,A], to be summed), or dkeys [B,K,A].
 */
export const additiveScoresBackward: Kernel<AdditiveScoresBackwardAttrs> = {
  name: "additiveScoresBackward",
  infer([, queries, keys], { of, v }) {
    const own = of === "queries" ? queries : keys;
    return [spec(own.shape, own.dtype), ...(v ? [spec(own.shape)] : [])];
  },
  cost([dscores, queries, keys, v], attrs) {
    const { batch, queries: rows, keys: columns, features } = sizesOf([queries, keys]);
    return { flops: 2 * FLOPS * batch * rows * columns * features, bytes: bytesOf(dscores, queries, keys, v, ...additiveScoresBackward.infer([dscores, queries, keys, v], attrs)) };
  },
  program([, queries, keys], { of, v }, limits) {
    const sizes = sizesOf([queries, keys]);
    const { element, items } = packFeatures(sizes.features, limits);
    const [own, other] = of === "queries" ? [sizes.queries, sizes.keys] : [sizes.keys, sizes.queries];
    const [ownName, otherName] = of === "queries" ? ["queries", "keys"] : ["keys", "queries"];
    const rows = sizes.batch * own;
    const mostShares = Math.max(GRADIENT_SHARES, LANES / powerOfTwoAbove(items));
    const shares = limits.cooperativeWorkgroups ? Math.max(1, Math.min(mostShares, powerOfTwoAbove(other / MIN_TERMS))) : 1;
    const threads = limits.cooperativeWorkgroups ? LANES : independentThreads(rows * items);
    const side = threads / shares; // features of a workgroup, in elements
    const across = Math.ceil(items / side);
    const terms = `own0 += dscore * hyperbolicSlope(x);${v ? "\n    own1 += dscore * hyperbolic(x);" : ""}`;
    const dscore = of === "queries" ? "dscores[row * OTHERS + n]" : "dscores[(batch * OTHERS + n) * OWN + row % OWN]";
    const finish = `if (item < ITEMS) {
    gradient[row * ITEMS + item] = v[item] * sum0;
    ${v ? "dv[row * ITEMS + item] = sum1;" : ""}
  }`;
    const { memory, statements } = addShares({ threads, shares }, "T", v ? 2 : 1, side, finish);
    return {
      wgsl: `alias T = ${element};
${bindings([["dscores", "f32"], ["queries", element], ["keys", element], ["v", element]], [["gradient", element], ...(v ? [["dv", element] as const] : [])])}
const OWN = ${own}u;
const OTHERS = ${other}u;
const ITEMS = ${items}u; // features, in ${element}
${memory}
${elementaryFunctions(terms)}
@compute @workgroup_size(${threads})
fn main(${ENTRY_PARAMETERS}) {
  let tile = ${workgroupNumber()};
  if (tile >= ${rows * across}u) { return; } // uniform
  let share = lane / ${side}u;
  let item = tile % ${across}u * ${side}u + lane % ${side}u;
  let row = tile / ${across}u;
  let batch = row / OWN;
  let a = min(item, ITEMS - 1u);
  let mine = ${ownName}[row * ITEMS + a];
  var own0 = T();
  ${v ? "var own1 = T();" : ""}
  for (var n = share; n < OTHERS; n += ${shares}u) {
    let x = mine + ${otherName}[(batch * OTHERS + n) * ITEMS + a];
    let dscore = ${dscore};
    ${terms}
  }
  ${statements}
}`,
      grid: foldGrid(rows * across, limits),
    };
  },
};
