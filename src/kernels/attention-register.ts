import { loadQuad, quadsOf, rowStart, type Heads } from "./attention-layout.ts";
import { blockEntry, COLUMNS, eachRow, type Slot, type TileProblem, type Tiles } from "./attention-tiles.ts";
import type { Grid, KernelLimits } from "./kernel.ts";
import { foldGrid, upTo } from "./wgsl.ts";

/** Threads of a workgroup: one SIMD group of the CPU adapter, or one quad. */
const QUAD = 4;

/**
 * Rows of a thread, and vectors of a head up to which it has that many. Measured on SwiftShader 5.0 with heads of 64: two
 * rows are 1.3 to 1.5 times as fast as one; three are hardly faster and take half as long again to compile.
 */
const ROWS = 2;
const MAX_QUADS = 20;

/**
 * Attention's tiles without workgroup memory: a thread keeps its rows in registers and reads columns from storage.
 *
 * With the feature `subgroups` each thread of a quad, whose rows are of one head, loads another column and passes it
 * round, so that a thread's columns are those of the step in an order of its own. Three times as fast on SwiftShader.
 */
export class RegisterTiles implements Tiles {
  readonly rows: number;
  readonly rowsPerGroup: number;
  readonly columns = COLUMNS;
  readonly slots: readonly Slot[];
  readonly grid: Grid;
  readonly directives: string;
  readonly declarations = "";
  readonly entry: string;
  readonly leads = "true";
  private readonly quad: boolean;
  private readonly allRows: number;
  /** Operands whose columns this step has loaded. */
  private readonly loaded = new Set<string>();

  constructor(problem: TileProblem, limits: KernelLimits) {
    const quads = quadsOf(problem.headSize);
    this.rows = quads > MAX_QUADS || problem.rows <= QUAD ? 1 : ROWS;
    this.rowsPerGroup = this.rows * QUAD;
    this.allRows = problem.rows;
    this.slots = upTo(quads).map((c) => ({ quad: c }));
    this.quad = limits.features.has("subgroups");
    this.directives = this.quad ? "enable subgroups;\n" : "";
    const { entry, groups } = blockEntry(problem, { rows: this.rows, across: 1, down: QUAD }, this.quad ? ", @builtin(subgroup_invocation_id) subgroupLane: u32" : "");
    this.entry = entry;
    this.grid = foldGrid(groups, limits);
  }

  hold(operand: Heads): string {
    const { name } = operand;
    return eachRow(this, (i) => {
      const row = this.allRows % this.rowsPerGroup === 0 ? `row${i}` : `min(row${i}, ${this.allRows - 1}u)`;
      return `let ${name}Row${i} = ${rowStart(operand, row)};\n${this.slots.map((_, c) => `let ${name}${i}_${c} = ${loadQuad(operand, `${name}Row${i}`, c)};`).join("\n")}`;
    });
  }

  steps(from: string, to: string, body: () => string): string {
    this.loaded.clear();
    const order = this.quad ? "(vec4<u32>(0u, 1u, 2u, 3u) ^ vec4<u32>(subgroupLane & 3u))" : "vec4<u32>(0u, 1u, 2u, 3u)";
    return `let end = ${to};
for (var first = ${from}; first < end; first += ${COLUMNS}u) {
let columns = vec4<u32>(first) + ${order};
${body()}
}`;
  }

  product(scores: string, held: Heads, streamed: Heads): string {
    return `${this.load(streamed)}
${eachRow(this, (i) => {
  const sums = upTo(COLUMNS).map((n) => this.slots.map((_, c) => `dot(${held.name}${i}_${c}, ${streamed.name}Column${n}_${c})`).join(" + "));
  return `let ${scores}${i} = vec4<f32>(${sums.join(",\n  ")});`;
})}`;
  }

  accumulate(sums: string, weights: string, streamed: Heads): string {
    return `${this.load(streamed)}
${eachRow(this, (i) => this.slots.map((_, c) => `${sums}${i}_${c} += ${upTo(COLUMNS).map((n) => `${weights}${i}[${n}] * ${streamed.name}Column${n}_${c}`).join(" + ")};`).join("\n"))}`;
  }

  exchange(result: string, value: (i: number) => string): string {
    return eachRow(this, (i) => `let ${result}${i} = ${value(i)};`);
  }

  /** The step's columns of an operand, unless they are there: `<name>Column<n>_<vector>`, n as in `columns`. */
  private load(operand: Heads): string {
    const { name } = operand;
    if (this.loaded.has(name)) return "";
    this.loaded.add(name);
    const fromStorage = (n: number): string =>
      `let ${name}Column${n} = ${rowStart(operand, `min(columns[${n}], end - 1u)`)};\n${this.slots.map((_, c) => `let ${name}Column${n}_${c} = ${loadQuad(operand, `${name}Column${n}`, c)};`).join("\n")}`;
    if (!this.quad) return upTo(COLUMNS).map(fromStorage).join("\n");
    const fromNeighbours = ["quadSwapX", "quadSwapY", "quadSwapDiagonal"].map((swap, n) => this.slots.map((_, c) => `let ${name}Column${n + 1}_${c} = ${swap}(${name}Column0_${c});`).join("\n"));
    return [fromStorage(0), ...fromNeighbours].join("\n");
  }
}
