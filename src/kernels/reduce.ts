import { ShapeError } from "../core/errors.ts";
import { showShape, sizeOf, type Shape } from "../core/shape.ts";
import { requireFloat } from "./elementwise.ts";
import type { Kernel, KernelLimits } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, f32, foldGrid, spec, workgroupNumber } from "./wgsl.ts";
import { asMatrix, cutFirstAxis, cutRows, isBindable, rowStep } from "./windows.ts";

const LANES = 128; // threads of a workgroup; a power of two for the tree
const FEW_LANES = 8; // where there is less work than threads on a CPU adapter: workgroups are what its cores share
const BLOCK = 32; // terms added up before they go into a thread's total: rounding errors grow with each count, not with all
const MIN_TERMS = 4; // a thread: sharing fewer costs more than it saves
const MIN_PART = 1024; // terms: a shorter sum is not worth a second dispatch
const BUSY_THREADS = { cooperative: 65_536, plain: 1_024 } as const; // that keep an adapter of each kind busy

export type ReduceFunction = "sum" | "prod" | "max" | "min";

/** What a test for NaN must be: x != x may be optimised away. */
const IS_NAN = "fn isNan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }";

function extremum(operator: ">" | "<"): string {
  return `${IS_NAN}
fn combine(a: T, b: T) -> T { return select(a, b, (b ${operator} a || isNan(b)) && !isNan(a)); }`;
}

const COMBINE: Record<ReduceFunction, string> = {
  sum: "fn combine(a: T, b: T) -> T { return a + b; }",
  prod: "fn combine(a: T, b: T) -> T { return a * b; }",
  max: extremum(">"),
  min: extremum("<"),
};

/** What nothing at all amounts to; the extremes, which are over something, begin with any term. */
const NOTHING: Partial<Record<ReduceFunction, string>> = { sum: "T()", prod: "T(1.0)" };

/** How the terms of each output are dealt to threads. */
interface Deal {
  /** Threads that share one output; 1 needs no workgroup memory. */
  readonly shares: number;
  readonly lanes: number;
  /** WGSL of a thread's output in its workgroup and of its share of that output. */
  readonly column: string;
  readonly share: string;
}

/** Threads side by side read what lies side by side: adjacent outputs, or else the terms of one output. */
function mostShares(adjacent: boolean): number {
  return adjacent ? 8 : LANES;
}

function deal(outputs: number, terms: number, adjacent: boolean, limits: KernelLimits): Deal {
  if (!limits.cooperativeWorkgroups) return { shares: 1, lanes: outputs < BUSY_THREADS.plain ? FEW_LANES : LANES, column: "lane", share: "0u" };
  const shares = Math.max(1, Math.min(mostShares(adjacent), 2 ** Math.floor(Math.log2(terms / MIN_TERMS))));
  const columns = LANES / shares;
  return adjacent
    ? { shares, lanes: LANES, column: `lane % ${columns}u`, share: `lane / ${columns}u` }
    : { shares, lanes: LANES, column: `lane / ${shares}u`, share: `lane % ${shares}u` };
}

/** WGSL that leaves in `value` of the first share what all shares of an output hold together. */
function combineShares({ shares, lanes, column }: Deal, type: string, combine: string): { declaration: string; statements: string } {
  if (shares === 1) return { declaration: "", statements: "" };
  return {
    declaration: `var<workgroup> partial: array<${type}, ${lanes}>;`,
    statements: `let slot = (${column}) * ${shares}u + share;
  partial[slot] = value;
  for (var reach = ${shares / 2}u; reach > 0u; reach /= 2u) {
    workgroupBarrier(); // uniform: every thread makes each round
    if (share < reach) {
      value = ${combine}(value, partial[slot + reach]);
      partial[slot] = value;
    }
  }`,
  };
}

/**
 * How many terms of the middle axis of [outer, R, inner] go into one output, so that a reduction to few outputs keeps
 * the adapter busy: the whole axis, or a part of it, after which a second reduction joins the parts.
 */
export function partLength([outer, terms, inner]: Shape, limits: KernelLimits): number {
  const units = outer * (inner % 4 === 0 ? inner / 4 : inner);
  const threads = units * (limits.cooperativeWorkgroups ? mostShares(inner > 4) : 1);
  const busy = limits.cooperativeWorkgroups ? BUSY_THREADS.cooperative : BUSY_THREADS.plain;
  const parts = Math.min(Math.floor(busy / threads), Math.floor(terms / MIN_PART));
  const length = parts < 2 ? terms : Math.ceil(terms / parts / LANES) * LANES;
  return isBindable(spec([outer, terms, inner]), limits) ? length : Math.min(length, bindableTerms(inner, limits));
}

/** How long a part of the terms may be so that one can bind as many of them as lie between two places where bindings may begin. */
function bindableTerms(inner: number, limits: KernelLimits): number {
  const rowBytes = 4 * inner;
  const terms = Math.floor(limits.maxStorageBufferBindingSize / (rowBytes * rowStep(rowBytes)));
  return terms < 4 ? Math.max(1, terms) : terms - (terms % 4);
}

/**
 * Reduces the middle axis, whole or in parts: out[o, p, i] = Σ x[o, r, i] / divisor over r in p·length … (p+1)·length − 1,
 * or the product, the maximum or the minimum.
 *
 * x [outer, R, inner] → [outer, ⌈R / length⌉, inner], f32 even where x is f16. Terms are added in blocks, and blocks in a tree, so that the
 * error stays near that of one rounding. A NaN wins a maximum and a minimum.
 */
export const reduce: Kernel<{ fn: ReduceFunction; length: number; divisor: number }> = {
  name: "reduce",
  infer([x], { length }) {
    requireFloat("reduce", x);
    const [outer, terms, inner] = x.shape;
    return [spec([outer, Math.ceil(terms / length), inner])];
  },
  cost([x], { length }) {
    const [outer, terms, inner] = x.shape;
    return { flops: sizeOf(x.shape), bytes: bytesOf(x, spec([outer, Math.ceil(terms / length), inner])) };
  },
  program([x], { fn, length, divisor }, limits) {
    const [outer, terms] = x.shape;
    const parts = Math.ceil(terms / length);
    // Four at once: neighbouring outputs, or neighbouring terms of one output. The others read single numbers.
    const wideOutputs = fn === "sum" && x.shape[2] % 4 === 0;
    const wideTerms = fn === "sum" && x.shape[2] === 1 && terms % 4 === 0 && length % 4 === 0;
    const inner = wideOutputs ? x.shape[2] / 4 : x.shape[2];
    const [count, partCount] = wideTerms ? [terms / 4, length / 4] : [terms, length];
    const outputs = outer * parts * inner;
    const dealt = deal(outputs, partCount, inner > 1, limits);
    const { shares, lanes, column, share } = dealt;
    const { declaration, statements } = combineShares(dealt, "T", "combine");
    const groups = Math.ceil((outputs * shares) / lanes);
    const element = wideOutputs || wideTerms ? "vec4<f32>" : "f32";
    const result = wideTerms ? "(value.x + value.y) + (value.z + value.w)" : "value";
    return {
      wgsl: `alias T = ${element};
${bindings([["x", element]], [["out", wideTerms ? "f32" : element]])}
${declaration}
const TERMS = ${count}u;
const PART = ${partCount}u;
const INNER = ${inner}u;
const OUTPUTS = ${outputs}u;
const SHARES = ${shares}u;
${COMBINE[fn]}

@compute @workgroup_size(${lanes})
fn main(${ENTRY_PARAMETERS}) {
  let tile = ${workgroupNumber()};
  if (tile >= ${groups}u) { return; } // uniform
  let output = tile * ${lanes / shares}u + ${column};
  let share = ${share};
  let safe = min(output, OUTPUTS - 1u);
  let row = safe / INNER;
  let base = row / ${parts}u * TERMS * INNER + safe % INNER;
  let begin = row % ${parts}u * PART;
  let end = min(begin + PART, TERMS);
  var value = ${NOTHING[fn] ?? "x[base + begin * INNER]"};
  for (var start = begin + share; start < end; start += ${BLOCK * shares}u) {
    let stop = min(start + ${BLOCK * shares}u, end);
    var block = x[base + start * INNER];
    for (var r = start + SHARES; r < stop; r += SHARES) { block = combine(block, x[base + r * INNER]); }
    value = combine(value, block);
  }
  ${statements}
  if (share == 0u && output < OUTPUTS) { out[output] = ${divisor === 1 ? result : `(${result}) / ${f32(divisor)}`}; }
}`,
      grid: foldGrid(groups, limits),
    };
  },
  parts([x], attrs, limits) {
    const [outer, terms, inner] = x.shape;
    const [out] = reduce.infer([x], attrs);
    if (outer > 1) return cutFirstAxis([x, out], attrs, limits);
    // Whole parts of the terms; the last may be shorter.
    const counts = spec(out.shape.slice(1), out.dtype);
    const ranges = cutRows([spec([out.shape[1], attrs.length * inner], x.dtype), counts], limits);
    return ranges && ranges.map(({ begin, end }) => {
      const first = begin * attrs.length;
      const window = { shape: [1, Math.min(end * attrs.length, terms) - first, inner], dtype: x.dtype, begin: first * inner };
      return { windows: [window, { ...out, shape: [1, end - begin, inner], begin: begin * inner }], attrs };
    });
  },
};

/**
 * Index of the greatest or least element along the last axis; the first of equals, and the first NaN before all numbers.
 *
 * x [..., R] f32 → [...] i32.
 * @throws ShapeError for a scalar.
 */
export const argExtremum: Kernel<{ fn: "max" | "min" }> = {
  name: "argExtremum",
  infer([x], { fn }) {
    requireFloat(`arg${fn}`, x);
    if (x.shape.length === 0) throw new ShapeError(`arg${fn}: the tensor must have at least one axis; got shape ${showShape(x.shape)}`);
    return [spec(x.shape.slice(0, -1), "i32")];
  },
  cost([x]) {
    return { flops: sizeOf(x.shape), bytes: bytesOf(x, spec(x.shape.slice(0, -1), "i32")) };
  },
  program([x], { fn }, limits) {
    const ahead = fn === "max" ? ">" : "<";
    const terms = x.shape[x.shape.length - 1];
    const outputs = sizeOf(x.shape) / terms;
    const dealt = deal(outputs, terms, false, limits);
    const { shares, lanes, column, share } = dealt;
    const { declaration, statements } = combineShares(dealt, "Best", "better");
    const better = `fn better(a: Best, b: Best) -> Best {
  let earlier = b.index < a.index;
  if (isNan(a.value)) { if (earlier && isNan(b.value)) { return b; } return a; }
  if (isNan(b.value) || b.value ${ahead} a.value || (b.value == a.value && earlier)) { return b; }
  return a;
}`;
    const groups = Math.ceil((outputs * shares) / lanes);
    return {
      wgsl: `${bindings([["x", "f32"]], [["out", "i32"]])}
struct Best { value: f32, index: u32 }
${IS_NAN}
${shares === 1 ? "" : `${declaration}\n${better}`}

@compute @workgroup_size(${lanes})
fn main(${ENTRY_PARAMETERS}) {
  let tile = ${workgroupNumber()};
  if (tile >= ${groups}u) { return; } // uniform
  let output = tile * ${lanes / shares}u + ${column};
  let share = ${share};
  let base = min(output, ${outputs - 1}u) * ${terms}u;
  var value = Best(x[base + share], share); // there are at least as many terms as shares
  for (var r = share + ${shares}u; r < ${terms}u; r += ${shares}u) {
    let next = x[base + r];
    if ((next ${ahead} value.value || isNan(next)) && !isNan(value.value)) { value = Best(next, r); }
  }
  ${statements}
  if (share == 0u && output < ${outputs}u) { out[output] = i32(value.index); }
}`,
      grid: foldGrid(groups, limits),
    };
  },
  parts([x], attrs, limits) {
    const rows = asMatrix(x);
    return cutFirstAxis([rows, spec([rows.shape[0]], "i32")], attrs, limits);
  },
};
