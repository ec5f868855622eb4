/**
 * The engine behind the attention kernels: products of rows of a head with each other, of which nothing is stored.
 *
 * A kernel computes some rows of its output at once, each from all columns of a score matrix (a row is a query and a
 * column a key, or the other way round), in steps of a few columns:
 *   score[row, column] = Σ_d a[row, d] · b[column, d]            ({@link Tiles.product})
 *   out[row, d] += Σ_column weight[row, column] · b[column, d]   ({@link Tiles.accumulate})
 * A thread holds four columns of the scores of each of its rows, and some vectors of four of the output's rows, in
 * registers. Two families:
 * - shared (attention-shared.ts), for GPUs: a workgroup copies the rows and columns of a step into workgroup memory.
 * - register (attention-register.ts), for adapters that compute on the CPU: a thread has its rows to itself.
 */

import { rowStart, storeQuad, type Heads } from "./attention-layout.ts";
import type { Grid } from "./kernel.ts";
import { ENTRY_PARAMETERS, workgroupNumber, upTo } from "./wgsl.ts";

/** Columns of the scores that a thread holds of each of its rows: a vector. */
export const COLUMNS = 4;

/** What a tiling depends on. */
export interface TileProblem {
  readonly batch: number;
  readonly heads: number;
  /** Rows of a score matrix; there is one for each head of each row of the batch. */
  readonly rows: number;
  readonly headSize: number;
  /** Names of the operands whose rows stay for all steps. */
  readonly held: readonly string[];
  /** Matrices of the output's size that are accumulated. */
  readonly accumulated: number;
  /** Whether threads exchange values of their rows (maxima and sums). */
  readonly exchange: boolean;
  /** Whether the last rows take longest: they start first then. */
  readonly lastFirst: boolean;
}

/** One vector of an output's row that a thread holds. */
export interface Slot {
  /** Which vector of the row. */
  readonly quad: number | string;
  /** When there is such a vector. */
  readonly condition?: string;
}

/** The text of one kernel in the making: the order of the calls is the order of the statements. */
export interface Tiles {
  /** Rows of a thread; their numbers are `row0`, `row1` …, and may lie beyond the last row. */
  readonly rows: number;
  /** Rows of a workgroup, from `firstRow` on. */
  readonly rowsPerGroup: number;
  /** Columns of a step. */
  readonly columns: number;
  readonly slots: readonly Slot[];
  readonly grid: Grid;
  /** Directives, in front of everything. */
  readonly directives: string;
  readonly declarations: string;
  /** Entry point; declares `batch`, `head`, `matrix` (both in one), `firstRow` and the row numbers. */
  readonly entry: string;
  /** Condition for the thread to be the one that stores a row's single values. */
  readonly leads: string;
  /** Reads the rows of an operand that all steps need. */
  hold(operand: Heads): string;
  /** The steps from column `from` on, below `to`; a step's columns are `first` …, the thread's own the vector `columns`. */
  steps(from: string, to: string, body: () => string): string;
  /** Declares `<scores><i>`, the thread's scores of row i: vectors of its four columns. */
  product(scores: string, held: Heads, streamed: Heads): string;
  /** Adds to the variables `<sums><i>_<slot>`; the weights are `<weights><i>`, the thread's four. */
  accumulate(sums: string, weights: string, streamed: Heads): string;
  /** Declares `<result><i>`, the values of all threads of row i combined. */
  exchange(result: string, value: (i: number) => string, combine: (a: string, b: string) => string): string;
}

/** Repeats a line of WGSL for each row of a thread. */
export function eachRow({ rows }: Pick<Tiles, "rows">, line: (i: number) => string): string {
  return upTo(rows).map(line).join("\n");
}

/** Declares the accumulators of an output. */
export function declareSums(tiles: Tiles, sums: string): string {
  return eachRow(tiles, (i) => tiles.slots.map((_, j) => `var ${sums}${i}_${j} = vec4<f32>();`).join(" "));
}

/** Stores the accumulators, times a factor of each row, into the rows that there are. */
export function storeSums(tiles: Tiles, heads: Heads, sums: string, factor: (i: number) => string): string {
  return eachRow(tiles, (i) => {
    const stores = tiles.slots.map(({ quad, condition }, j) => {
      const store = `let value${j} = ${sums}${i}_${j} * ${factor(i)}; ${storeQuad(heads, "start", quad, `value${j}`)}`;
      return condition === undefined ? store : `if (${condition}) { ${store} }`;
    });
    return `if (row${i} < ${heads.length}u) {\n  let start = ${rowStart(heads, `row${i}`)};\n  ${stores.join("\n  ")}\n}`;
  });
}

/** How the threads of a workgroup lie over a block of rows and columns. */
export interface Block {
  /** Rows of a thread. */
  readonly rows: number;
  /** Threads along the columns, and along the rows. */
  readonly across: number;
  readonly down: number;
}

/** Entry point of one workgroup for each block of rows, and how many there are. */
export function blockEntry({ batch, heads, rows, lastFirst }: TileProblem, block: Block, moreParameters = ""): { readonly entry: string; readonly groups: number } {
  const size = block.rows * block.down;
  const tiles = Math.ceil(rows / size);
  const groups = tiles * batch * heads;
  const number = lastFirst ? `(${tiles - 1}u - tile % ${tiles}u)` : `tile % ${tiles}u`;
  const entry = `@compute @workgroup_size(${block.across * block.down})
fn main(${ENTRY_PARAMETERS}${moreParameters}) {
  let tile = ${workgroupNumber()};
  if (tile >= ${groups}u) { return; } // uniform: the whole workgroup returns
  let firstRow = ${number} * ${size}u;
  let matrix = tile / ${tiles}u;
  let batch = matrix / ${heads}u;
  let head = matrix % ${heads}u;
  let across = lane % ${block.across}u;
  let down = lane / ${block.across}u;
  ${upTo(block.rows).map((i) => `let row${i} = firstRow + ${i * block.down}u + down;`).join("\n  ")}`;
  return { entry, groups };
}
