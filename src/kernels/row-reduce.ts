import { sizeOf, type Shape } from "../core/shape.ts";
import type { Grid, KernelLimits } from "./kernel.ts";
import { ENTRY_PARAMETERS, foldGrid, workgroupNumber } from "./wgsl.ts";

const MIN_LANES = 64; // two warps: below, the tree reduction leaves most of a compute unit idle
const MAX_LANES = 256; // the most that every WebGPU adapter allows in a workgroup
const BUSY_GROUPS = 64; // workgroups that keep the cores of a CPU adapter evenly loaded
const SIMD_WIDTH = 4; // threads that a CPU adapter runs in one vector register

/** A tensor [...,C] as rows along its last axis. */
export function rowsOf(shape: Shape): { readonly rows: number; readonly columns: number } {
  const columns = shape.at(-1)!;
  return { rows: sizeOf(shape) / columns, columns };
}

/** How threads are laid over independent rows that are each reduced. */
export interface RowLayout {
  /** Threads that share a row: the whole workgroup, or 1. */
  readonly lanes: number;
  /** Threads of a workgroup. */
  readonly size: number;
  readonly rows: number;
  readonly grid: Grid;
}

/**
 * One workgroup per row of `items` where workgroups cooperate, otherwise one thread per row.
 * @param items What a thread takes at a time counts as one: elements, or vectors of four.
 */
export function layRows(rows: number, items: number, limits: KernelLimits): RowLayout {
  if (limits.cooperativeWorkgroups) {
    const lanes = Math.min(MAX_LANES, Math.max(MIN_LANES, powerOfTwoAbove(items / 2)));
    return { lanes, size: lanes, rows, grid: foldGrid(rows, limits) };
  }
  return layThreads(rows, limits);
}

/** One thread per row on every adapter, for rows whose neighbours read neighbouring memory. */
export function layThreads(rows: number, limits: KernelLimits): RowLayout {
  const size = limits.cooperativeWorkgroups ? MIN_LANES : independentThreads(rows);
  return { lanes: 1, size, rows, grid: foldGrid(Math.ceil(rows / size), limits) };
}

/** Workgroup size for threads that each do a job of their own on a CPU adapter: many small groups balance, few cost less. */
export function independentThreads(threads: number): number {
  return Math.min(MIN_LANES, Math.max(SIMD_WIDTH, powerOfTwoAbove(threads / BUSY_GROUPS)));
}

/** The smallest power of two that is at least `n`, and at least 1. */
export function powerOfTwoAbove(n: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(n)));
}

/**
 * Entry point over a layout, up to the body: `row` (or `name`) is the thread's row, `first` its first item in it and `LANES`
 * the step to the next.
 */
export function rowEntry({ lanes, size, rows }: RowLayout, name = "row"): string {
  const [row, first] = lanes === 1 ? [`${workgroupNumber()} * ${size}u + lane`, "0u"] : [workgroupNumber(), "lane"];
  return `const LANES = ${lanes}u;

@compute @workgroup_size(${size})
fn main(${ENTRY_PARAMETERS}) {
  let ${name} = ${row};
  if (${name} >= ${rows}u) { return; } // uniform where lanes share a row
  let first = ${first};`;
}

/**
 * WGSL function `name(value: type, lane: u32) -> type` that combines the values of all lanes and gives each the
 * result. A fixed tree in workgroup memory, so the same bits at every run; with one lane, the value itself.
 * @param combine Expression of `a` and `b`.
 */
export function laneReduction(name: string, type: string, combine: string, lanes: number): string {
  if (lanes === 1) return `fn ${name}(value: ${type}, lane: u32) -> ${type} { return value; }`;
  return `var<workgroup> ${name}_values: array<${type}, ${lanes}>;

fn ${name}(value: ${type}, lane: u32) -> ${type} {
  ${name}_values[lane] = value;
  workgroupBarrier(); // uniform: every lane of the workgroup comes here, as to those below
  for (var step = ${lanes / 2}u; step > 0u; step >>= 1u) {
    if (lane < step) {
      let a = ${name}_values[lane];
      let b = ${name}_values[lane + step];
      ${name}_values[lane] = ${combine};
    }
    workgroupBarrier();
  }
  let result = ${name}_values[0];
  workgroupBarrier(); // the values may be written again by the next call
  return result;
}`;
}

/** WGSL element type of a row of `length`, read four at a time where that divides; `items` is how many a row has. */
export function packRow(length: number): { readonly packed: boolean; readonly element: string; readonly items: number } {
  const packed = length % 4 === 0;
  return { packed, element: packed ? "vec4<f32>" : "f32", items: packed ? length / 4 : length };
}

/** WGSL expression for the sum of a packed value's components, or the value itself. */
export function sumComponents(value: string, packed: boolean): string {
  return packed ? `dot(${value}, vec4<f32>(1.0))` : value;
}

/**
 * WGSL for Σ exp(x − maximum) over parts of a row, with the maximum taken off.
 *
 * The maximum starts at the lowest finite number: −Inf − (−Inf) would be NaN where only the first part of a row is
 * masked with −Inf. What has no softmax (NaN, +Inf, −Inf alone) ends with a sum that is not `usable`: some adapters
 * have exp(NaN) = Inf and log(0) finite, so what follows must become `nan()` by choice.
 */
export const EXPONENTIALS = `struct Exponentials { maximum: f32, sum: f32 }
const LOWEST = -3.4028234663852886e38f;

fn merge(a: Exponentials, b: Exponentials) -> Exponentials {
  let maximum = max(a.maximum, b.maximum);
  return Exponentials(maximum, a.sum * exp(a.maximum - maximum) + b.sum * exp(b.maximum - maximum));
}

fn usable(sum: f32) -> bool { return sum > 0.0 && sum < 3.0e38; }

fn nan() -> f32 {
  var bits = 0x7fc00000u; // a variable: constant NaNs are refused
  return bitcast<f32>(bits);
}`;

/**
 * WGSL statements that make `own`, the {@link EXPONENTIALS} of a thread's items of one row, in one pass over them: of
 * the items `first`, `first + LANES` … below `ITEMS`, four at a time, so that a maximum that grows costs one more
 * exponential in four.
 * @param item Expression of the item number `i`.
 * @param each A statement for the name of every value.
 */
export function exponentialsOfRow(item: (i: string) => string, packed: boolean, each?: (value: string) => string): string {
  const element = packed ? "vec4<f32>" : "f32";
  const loop = (count: number): string => {
    const values = Array.from({ length: count }, (_, k) => `value${k}`);
    return `for (; i + ${count - 1}u * LANES < ITEMS; i += ${count}u * LANES) {
${values.map((value, k) => `    let ${value} = ${item(`i + ${k}u * LANES`)};`).join("\n")}
    let next = ${values.reduce((all, value) => `max(${all}, ${value})`, "maximum")};
    sum = sum * exp(maximum - next)${values.map((value) => ` + exp(${value} - next)`).join("")};
    maximum = next;${each === undefined ? "" : values.map((value) => `\n    ${each(value)}`).join("")}
  }`;
  };
  const parts = packed ? ["x", "y", "z", "w"].map((part) => `Exponentials(maximum.${part}, sum.${part})`) : ["Exponentials(maximum, sum)"];
  return `var maximum = ${element}(LOWEST);
  var sum = ${element}();
  var i = first;
  ${loop(4)}
  ${loop(1)}
  let own = ${parts.reduce((all, part) => `merge(${all}, ${part})`)};`;
}
