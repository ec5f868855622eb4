/**
 * The generator of recurrent kernels: products of one row of a sequence with a weight, for every batch row and hidden
 * unit, and what is done with the sums at the end; for one time step, or for all of them.
 */

import type { KernelLimits, Program } from "./kernel.ts";
import { powerOfTwoAbove } from "./row-reduce.ts";
import { ENTRY_PARAMETERS, foldGrid, workgroupNumber, upTo } from "./wgsl.ts";

const LANES = 64; // threads of a workgroup where they cooperate
const MOST_LANES = 256; // of one that does all steps of a batch row: the most that every adapter allows
const SPLIT = 16; // threads that share one sum where they cooperate: a step's sums are few and long
const SPLIT_ROWS = 4; // batch rows of such a thread: with four gates of four units, 64 sums fill its registers
const QUAD = 4; // neighbours that can exchange values without memory
const QUAD_ROWS = 32; // batch rows of a thread on a CPU adapter, where a load costs as much as a dozen products
const QUAD_SUMS = 4; // sums of such a thread in each row, whose weights it loads

/**
 * One workgroup reads all weights at every step, some 100 GB/s of them, so up to 256 KiB in less time than the next dispatch takes
 * to begin; and all workgroups should run at once. Estimated, not measured.
 */
const WHOLE_WEIGHTS = 65_536;
const WHOLE_BATCH = 64;

/** How sums are dealt to threads: each takes `rows` batch rows × `columns` elements of `width` hidden units. */
interface Tile {
  /** Vectors pay where a load brings in all their components at once, not on a CPU adapter. */
  readonly width: 1 | 4;
  readonly rows: number;
  readonly columns: number;
  /** Threads that share one sum. */
  readonly split: number;
  /** Each thread of a quad loads every fourth batch row and gets the others from its neighbours. */
  readonly quad: boolean;
  readonly threads: number;
}

/** Sizes of a layer. */
export interface LayerSize {
  readonly batch: number;
  readonly steps: number;
  readonly hidden: number;
}

/** A run of time steps that are done alike. */
export interface Pass {
  /** How many; and as WGSL, the number of the `n`-th. */
  readonly times: number;
  readonly number: string;
  /** The sequence whose rows are multiplied; as WGSL of `t`, the number of the time step, where the row of a batch row starts. */
  readonly sequence: string;
  readonly start: (row: string) => string;
  /** WGSL of how many elements of that row step `t` takes. */
  readonly count: string;
  /** Name of a function (t: u32, row: u32, unit: u32, sum0: T, sum1: T, …) of {@link Recurrence.functions}. */
  readonly finish: string;
}

/** What distinguishes one kernel from another. WGSL is over the type `T`, of which `UNITS` hold a row's hidden units. */
export interface Recurrence extends LayerSize {
  /** Sums for each batch row and hidden unit. */
  readonly sums: number;
  /** Declarations of the storage bindings, given their WGSL element type; among them `weight` and `position` (step, layer). */
  readonly bindings: (element: string) => string;
  /** How many hidden units' worth of terms a sum has. */
  readonly terms: number;
  /** What a row of `weight` belongs to: an output [sums·H, terms·H], or a term of the sum [terms·H, H]. */
  readonly weightRows: "outputs" | "terms";
  readonly functions: string;
  /** Whether a workgroup does all steps of a batch row, pass by pass; otherwise one step is done, that which `position` names. */
  readonly whole: boolean;
  readonly passes: readonly Pass[];
}

/** Whether one workgroup a batch row shall do all steps of a layer, which saves a dispatch a step. */
export function inOneDispatch(gates: number, { batch, steps, hidden }: LayerSize, limits: KernelLimits): boolean {
  return limits.cooperativeWorkgroups && steps > 1 && batch <= WHOLE_BATCH && gates * hidden ** 2 <= WHOLE_WEIGHTS;
}

function tileOf({ batch, hidden, sums, whole }: Recurrence, limits: KernelLimits): Tile {
  if (limits.cooperativeWorkgroups) {
    const width = hidden % 4 === 0 ? 4 : 1;
    const shared = { width, columns: 1, split: SPLIT, quad: false } as const;
    if (!whole) return { ...shared, rows: Math.min(batch, SPLIT_ROWS), threads: LANES };
    return { ...shared, rows: 1, threads: Math.min(MOST_LANES, SPLIT * powerOfTwoAbove(hidden / width)) };
  }
  const quad = batch > 2 && limits.features.has("subgroups");
  const rows = Math.ceil(batch / Math.ceil(batch / QUAD_ROWS)); // even shares
  const columns = Math.round(QUAD_SUMS / sums);
  return { width: 1, rows: quad ? Math.ceil(rows / QUAD) * QUAD : Math.min(batch, QUAD), columns: hidden % columns === 0 ? columns : 1, split: 1, quad, threads: QUAD };
}

/** The weights that a thread loads for elements `k` … of the terms, and the products with the values of one row. */
function weigh({ hidden, sums, weightRows }: Recurrence, { width, columns }: Tile, unroll: number): { loads: string[]; products: (values: readonly string[]) => string[] } {
  const wide = width === 4;
  const each = wide ? width : unroll; // weights of a sum
  const place = (column: number, gate: number, q: number): string => {
    if (weightRows === "terms") return wide ? `(k * 4u + ${q}u) * UNITS + u` : `(k + ${q}u) * UNITS + u + ${column}u`;
    return wide ? `(${gate * hidden}u + u * 4u + ${q}u) * UNITS + k` : `(${gate * hidden}u + u + ${column}u) * UNITS + k + ${q}u`;
  };
  const own = upTo(columns * sums);
  const product = (n: number, values: readonly string[]): string => {
    if (!wide) return values.map((value, q) => `${value} * w${n}_${q}`).join(" + ");
    if (weightRows === "terms") return upTo(each).map((q) => `${values[0]}[${q}] * w${n}_${q}`).join(" + ");
    return `T(${upTo(each).map((q) => `dot(w${n}_${q}, ${values[0]})`).join(", ")})`;
  };
  return {
    loads: own.flatMap((n) => upTo(each).map((q) => `let w${n}_${q} = weight[${place(Math.floor(n / sums), n % sums, q)}];`)),
    products: (values) => own.map((n) => product(n, values)),
  };
}

/** The sums of a thread in step `t`, of its rows from `firstRow` and its units from `unit`, and what is made of them. */
function sumsOf(recurrence: Recurrence, tile: Tile, { sequence, start, count, finish: name }: Pass): string {
  const { hidden, sums, terms } = recurrence;
  const { width, rows, columns, split, quad, threads } = tile;
  const unroll = width === 1 && split === 1 && (terms * hidden) % 2 === 0 ? 2 : 1;
  const slots = quad ? rows / QUAD : rows; // rows that a thread loads
  const load = (r: number, q: number): string => {
    if (!quad) return `${sequence}[from${r} + k + ${q}u]`;
    const own = `v${r - (r % QUAD)}_${q}`;
    return [`${sequence}[from${r / QUAD} + k + ${q}u]`, `quadSwapX(${own})`, `quadSwapY(${own})`, `quadSwapDiagonal(${own})`][r % QUAD];
  };
  const weights = weigh(recurrence, tile, unroll);
  const products = upTo(rows).flatMap((r) => [
    ...upTo(unroll).map((q) => `let v${r}_${q} = ${load(r, q)};`),
    ...weights.products(upTo(unroll).map((q) => `v${r}_${q}`)).map((product, n) => `sum${r}_${n} += ${product};`),
  ]);
  const finish = (row: string, unit: string, sum: (n: number) => string): string => `if (${row} < BATCH && ${unit} < UNITS) { ${name}(t, ${row}, ${unit}, ${upTo(sums).map(sum).join(", ")}); }`;
  // In the loop each sum is a variable of its own: an array that is indexed by a variable stays in memory.
  const all = upTo(rows).flatMap((r) => upTo(columns * sums).map((n) => `sum${r}_${n}`));
  const alone = `var sums = array<T, ${all.length}>(${all.join(", ")});
  for (var i = 0u; i < ${rows * columns}u; i++) {
    let r = i / ${columns}u;
    let row = firstRow + ${quad ? "(r ^ (subgroupLane & 3u))" : "r"};
    let column = unit + i % ${columns}u;
    ${finish("row", "column", (n) => `sums[i * ${sums}u + ${n}u]`)}
  }`;
  const together = `${all.map((sum, n) => `partial[${n * threads}u + lane] = ${sum};`).join("\n  ")}
  workgroupBarrier(); // uniform
  for (var r = share; r < ${rows}u; r += ${split}u) {
    ${upTo(sums).map((n) => `var sum${n} = T();`).join(" ")}
    for (var other = lane - share; other < lane - share + ${split}u; other++) {
      ${upTo(sums).map((n) => `sum${n} += partial[(r * ${sums}u + ${n}u) * ${threads}u + other];`).join("\n      ")}
    }
    ${finish("firstRow + r", "unit", (n) => `sum${n}`)}
  }`;
  return `let u = min(unit, UNITS - ${columns}u);
  ${upTo(slots).map((slot) => `let from${slot} = ${start(`min(firstRow + ${quad ? `${slot * QUAD}u + (subgroupLane & 3u)` : `${slot}u`}, BATCH - 1u)`)};`).join("\n  ")}
  let terms = ${count};
  ${all.map((sum) => `var ${sum} = T();`).join(" ")}
  for (var k = share * ${unroll}u; k < terms; k += ${split * unroll}u) {
    ${[...weights.loads, ...products].join("\n    ")}
  }
  ${split > 1 ? together : alone}`;
}

/**
 * WGSL and grid of a recurrence.
 *
 * Where threads cooperate, 16 of them share each sum; otherwise a thread keeps a tile of sums in registers.
 */
export function recurrentProgram(recurrence: Recurrence, limits: KernelLimits): Program {
  const { batch, steps, hidden, sums, whole, passes } = recurrence;
  const tile = tileOf(recurrence, limits);
  const { width, rows, columns, split, quad, threads } = tile;
  const units = hidden / width;
  const side = threads / split; // threads side by side in a workgroup
  const across = Math.ceil(units / columns / side);
  const rowTiles = Math.ceil(batch / rows);
  const place = (within: string): string => `let unit = (${within} * ${side}u + lane / ${split}u) * ${columns}u;`;
  const oneStep = (pass: Pass): string => `let t = position[0];
  let firstRow = tile / ${across}u * ${rows}u;
  ${place(`tile % ${across}u`)}
  ${sumsOf(recurrence, tile, pass)}`;
  const allSteps = (pass: Pass): string => `for (var n = 0u; n < ${pass.times}u; n++) { // uniform, as the loop inside
  let t = ${pass.number};
  let firstRow = tile;
  for (var part = 0u; part < ${across}u; part++) {
  ${place("part")}
  ${sumsOf(recurrence, tile, pass)}
  workgroupBarrier(); // before partial is written again
  }
  storageBarrier(); // the next step reads what all threads have written
  }`;
  const total = whole ? rowTiles : rowTiles * across;
  const value = width === 4 ? "vec4<f32>" : "f32";
  return {
    wgsl: `${quad ? "enable subgroups;\n" : ""}alias T = ${value};
const BATCH = ${batch}u;
const STEPS = ${steps}u;
const UNITS = ${units}u; // hidden units, in ${value}
${recurrence.bindings(value)}
${split > 1 ? `var<workgroup> partial: array<T, ${threads * rows * columns * sums}>;` : ""}
${recurrence.functions}

@compute @workgroup_size(${threads})
fn main(${ENTRY_PARAMETERS}${quad ? ", @builtin(subgroup_invocation_id) subgroupLane: u32" : ""}) {
  let tile = ${workgroupNumber()};
  if (tile >= ${total}u) { return; } // uniform
  let share = ${split > 1 ? `lane % ${split}u` : "0u"};
  ${passes.map(whole ? allSteps : oneStep).join("\n  ")}
}`,
    grid: foldGrid(total, limits),
  };
}
