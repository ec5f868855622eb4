/**
 * Sums of all elements up to each one along an axis, in blocks: the sum of each block, the running sums of those (which is
 * the same task on a shorter axis), and the running sums within each block, which begin with what lies before it. A rounding
 * error grows with the length of a block and the number of blocks, not with the length of the axis.
 */

import { hostDType } from "../core/dtype.ts";
import { sizeOf, type Shape } from "../core/shape.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { independentThreads, laneReduction, powerOfTwoAbove } from "./row-reduce.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, wgslType, workgroupNumber } from "./wgsl.ts";

const MIN_SHARED = 128; // elements of an axis that a workgroup shares rather than leaves to one thread
const MIN_LANES = 64; // threads that share a block: two warps
const MAX_LANES = 256; // the most that every WebGPU adapter allows
const EACH = 4; // elements of a thread that shares a block
const ALONE_BLOCK = 256; // elements of a thread that has a block of its own
const ALONE_LANES = 64; // as for elementwise functions

export interface CumsumAttrs {
  /** Whether sums run from the end of the axis to its front. */
  readonly reverse: boolean;
  /** Elements of a block, from {@link blockLength}. */
  readonly length: number;
}

/** Whether a workgroup shares each block; otherwise threads side by side read neighbouring columns, or short rows. */
function isShared([, terms, inner]: Shape, limits: KernelLimits): boolean {
  return limits.cooperativeWorkgroups && inner === 1 && terms >= MIN_SHARED;
}

/** How many elements of the middle axis of [outer, R, inner] make a block. */
export function blockLength(shape: Shape, limits: KernelLimits): number {
  return isShared(shape, limits) ? EACH * Math.min(MAX_LANES, Math.max(MIN_LANES, powerOfTwoAbove(shape[1] / EACH))) : ALONE_BLOCK;
}

/** The spec of the sums of blocks. */
function sumsOf({ shape, dtype }: TensorSpec, length: number): TensorSpec {
  return spec(shape.with(1, Math.ceil(shape[1] / length)), hostDType(dtype));
}

/**
 * Entry point over the blocks of x: `own` becomes the sum of a thread's elements, which are those from `begin` to `end` in
 * the direction of the sums, and `at(t)` is where element t stands.
 */
function blockProgram(x: TensorSpec, { reverse, length }: CumsumAttrs, limits: KernelLimits, text: { bindings: string; functions: (lanes: number) => string; finish: string }): Program {
  const [outer, terms, inner] = x.shape;
  const blocks = Math.ceil(terms / length);
  const jobs = outer * blocks * inner;
  const shared = isShared(x.shape, limits);
  const lanes = shared ? length / EACH : limits.cooperativeWorkgroups ? ALONE_LANES : independentThreads(jobs);
  const groups = shared ? jobs : Math.ceil(jobs / lanes);
  return {
    wgsl: `alias T = ${wgslType(x.dtype)};
${text.bindings}
${text.functions(shared ? lanes : 1)}

fn at(t: u32) -> u32 { return ${reverse ? `(${terms - 1}u - t)` : "t"} * ${inner}u; }

@compute @workgroup_size(${lanes})
fn main(${ENTRY_PARAMETERS}) {
  let job = ${shared ? workgroupNumber() : `${workgroupNumber()} * ${lanes}u + lane`};
  if (job >= ${jobs}u) { return; }${shared ? ` // uniform` : ""}
  let column = job % ${inner}u;
  let block = job / ${inner}u % ${blocks}u;
  let row = job / ${inner * blocks}u;
  let base = row * ${terms * inner}u + column;
  let begin = block * ${length}u${shared ? ` + lane * ${EACH}u` : ""};
  let end = min(begin + ${shared ? EACH : length}u, ${terms}u);
  var own = T();
  for (var t = begin; t < end; t++) { own += x[base + at(t)]; }
  ${text.finish}
}`,
    grid: foldGrid(groups, limits),
  };
}

/**
 * The sum of each block of the middle axis, counted in the direction of the sums.
 *
 * x [outer, R, inner] of any type → [outer, ⌈R / length⌉, inner], f32 where x is f16.
 */
export const blockSums: Kernel<CumsumAttrs> = {
  name: "blockSums",
  infer([x], { length }) {
    return [sumsOf(x, length)];
  },
  cost([x], { length }) {
    return { flops: sizeOf(x.shape), bytes: bytesOf(x, sumsOf(x, length)) };
  },
  program([x], attrs, limits) {
    const type = wgslType(x.dtype);
    return blockProgram(x, attrs, limits, {
      bindings: bindings([["x", type]], [["sums", type]]),
      functions: (lanes) => laneReduction("sumOfLanes", "T", "a + b", lanes),
      finish: isShared(x.shape, limits) ? "let sum = sumOfLanes(own, lane);\n  if (lane == 0u) { sums[job] = sum; }" : "sums[job] = own;",
    });
  },
};

/** WGSL function that gives each lane the sum of the lanes before it. Source: Hillis and Steele 1986, "Data parallel algorithms". */
function sumBefore(lanes: number): string {
  if (lanes === 1) return "fn sumBefore(value: T, lane: u32) -> T { return T(); }";
  return `var<workgroup> laneSums: array<T, ${lanes}>;

fn sumBefore(value: T, lane: u32) -> T {
  var sum = value;
  laneSums[lane] = sum;
  for (var reach = 1u; reach < ${lanes}u; reach <<= 1u) {
    workgroupBarrier(); // uniform, as are those below
    if (lane >= reach) { sum += laneSums[lane - reach]; }
    workgroupBarrier();
    laneSums[lane] = sum;
  }
  workgroupBarrier();
  if (lane == 0u) { return T(); }
  return laneSums[lane - 1u];
}`;
}

/**
 * Running sums along the middle axis: y[o, r, i] = Σ x[o, s, i] over s ≤ r, or over s ≥ r in reverse.
 *
 * x [outer, R, inner] of any type, the running sums of its blocks [outer, blocks, inner] (or none where there is one) → the
 * shape of x.
 */
export const cumsum: Kernel<CumsumAttrs> = {
  name: "cumsum",
  infer([x]) {
    return [spec(x.shape, x.dtype)];
  },
  cost(inputs) {
    return { flops: 2 * sizeOf(inputs[0].shape), bytes: bytesOf(...inputs, inputs[0]) };
  },
  program([x, sums], attrs, limits) {
    const type = wgslType(x.dtype);
    const before = sums === undefined ? "" : `if (block > 0u) { sum += before[job - ${x.shape[2]}u]; }`;
    return blockProgram(x, attrs, limits, {
      bindings: bindings([["x", type], ...(sums === undefined ? [] : [["before", type] as const])], [["y", type]]),
      functions: sumBefore,
      finish: `var sum = sumBefore(own, lane);
  ${before}
  for (var t = begin; t < end; t++) {
    sum += x[base + at(t)];
    y[base + at(t)] = sum;
  }`,
    });
  },
};
