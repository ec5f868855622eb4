import { loadQuad, quadsOf, rowStart, type Heads } from "./attention-layout.ts";
import { blockEntry, COLUMNS, eachRow, type Block, type Slot, type TileProblem, type Tiles } from "./attention-tiles.ts";
import type { Grid, KernelLimits } from "./kernel.ts";
import { foldGrid, upTo } from "./wgsl.ts";

/** Threads of a workgroup: two warps, so that barriers are cheap. */
const THREADS = 64;

/** Workgroup memory that a kernel takes at most: several workgroups share a multiprocessor's 64 to 228 KiB. */
const MAX_MEMORY = 24_576;

/** Rows a thread may have: the more, the more of them share what is read from workgroup memory. */
const ROWS = [4, 2, 1] as const;

/** Vectors of the output that a thread may hold: with the scores they fill about half of 255 registers. */
const MAX_ACCUMULATORS = 16;

/** Multiprocessors of a middling GPU: with fewer workgroups than this, fewer rows a thread are faster. */
const GPU_UNITS = 64;

/** Time of what a step does once for all rows of a thread (copies, reads, barriers), in times of what it does for one. */
const STEP_OVERHEAD = 1.5;

type WorkgroupMemory = Readonly<Record<string, { readonly element: string; readonly width: number; readonly length: number }>>;

/**
 * Attention's tiles in workgroup memory: a workgroup copies the rows and columns of a step there, and scores pass from the
 * thread that has them to those that need them as weights. Where a head would not fit, it is cut into chunks of some
 * vectors, which take turns.
 *
 * Sets the barriers itself: it knows which arrays were read and written since the last one.
 */
export class SharedTiles implements Tiles {
  readonly rows: number;
  readonly rowsPerGroup: number;
  readonly columns: number;
  readonly slots: readonly Slot[];
  readonly grid: Grid;
  readonly directives = "";
  readonly declarations: string;
  readonly entry: string;
  readonly leads = "across == 0u";
  private readonly block: Block;
  /** Vectors of a head, of a chunk, and from one row in workgroup memory to the next. */
  private readonly quads: number;
  private readonly chunkQuads: number;
  private readonly pitch: number;
  /** First vectors of the chunks. */
  private readonly chunks: readonly number[];
  private readonly arrays: readonly string[];
  /** Arrays that were read, and written, since the last barrier. */
  private readonly wereRead = new Set<string>();
  private readonly wereWritten = new Set<string>();
  /** Which operand's chunk the array of columns holds. */
  private loaded = "";

  constructor(problem: TileProblem, limits: KernelLimits) {
    const { block, chunkQuads, memory } = cut(problem, limits);
    const quads = quadsOf(problem.headSize);
    this.block = block;
    this.rows = block.rows;
    this.rowsPerGroup = block.rows * block.down;
    this.columns = block.across * COLUMNS;
    this.quads = quads;
    this.chunkQuads = chunkQuads;
    this.pitch = pitchOf(chunkQuads, block);
    this.chunks = upTo(Math.ceil(quads / chunkQuads)).map((number) => number * chunkQuads);
    this.slots = this.chunks.flatMap((first) =>
      upTo(Math.ceil(chunkQuads / block.across)).map((j) => {
        const begin = j * block.across;
        const width = Math.min(chunkQuads, quads - first);
        return { quad: `(across + ${first + begin}u)`, condition: begin + block.across <= width ? undefined : `across + ${begin}u < ${width}u` };
      }),
    );
    this.arrays = Object.keys(memory);
    this.declarations = Object.entries(memory).map(([name, { element, length }]) => `var<workgroup> ${name}: array<${element}, ${length}>;`).join("\n");
    const { entry, groups } = blockEntry(problem, block);
    this.entry = entry;
    this.grid = foldGrid(groups, limits);
  }

  hold(operand: Heads): string {
    return this.chunks.length > 1 ? "" : this.copyRows(operand, "0u");
  }

  steps(from: string, to: string, body: () => string): string {
    this.forget(); // a step comes after another
    const text = `for (var first = ${from}; first < ${to}; first += ${this.columns}u) {
let columns = vec4<u32>(first + across * ${COLUMNS}u) + vec4<u32>(0u, 1u, 2u, 3u);
${body()}
}`;
    this.forget();
    return text;
  }

  product(scores: string, held: Heads, streamed: Heads): string {
    const product = this.chunks.length === 1 ? `${this.copyColumns(streamed, 0)}${this.multiply(scores, held)}` : this.multiplyChunks(scores, held, streamed);
    return `${eachRow(this, (i) => upTo(COLUMNS).map((n) => `var ${scores}${i}_${n} = 0.0;`).join(" "))}
${product}
${eachRow(this, (i) => `let ${scores}${i} = vec4<f32>(${upTo(COLUMNS).map((n) => `${scores}${i}_${n}`).join(", ")});`)}`;
  }

  /** The product of chunk after chunk, of both sides. */
  private multiplyChunks(scores: string, held: Heads, streamed: Heads): string {
    this.forget(); // a chunk comes after another
    const last = this.chunks[this.chunks.length - 1]; // which the array of columns holds in the end
    return `for (var chunk = 0u; chunk < ${this.quads}u; chunk += ${this.chunkQuads}u) {
${this.copyRows(held, "chunk")}${this.copyColumns(streamed, last, "chunk")}${this.multiply(scores, held)}
}`;
  }

  /** The product of the rows and columns in workgroup memory. One sum at a time, so that each term is one fused operation. */
  private multiply(scores: string, held: Heads): string {
    const { across, down } = this.block;
    const rowTile = this.rowTile(held);
    return `${this.reads(rowTile, "columnTile")}for (var c = 0u; c < ${this.chunkQuads}u; c++) {
${eachRow(this, (i) => `let a${i} = ${rowTile}[(down + ${i * down}u) * ${this.pitch}u + c];`)}
${upTo(COLUMNS).map((n) => `let b${n} = columnTile[(across + ${n * across}u) * ${this.pitch}u + c];`).join("\n")}
${eachRow(this, (i) => upTo(COLUMNS).map((n) => ["x", "y", "z", "w"].map((e) => `${scores}${i}_${n} += a${i}.${e} * b${n}.${e};`).join(" ")).join("\n"))}
}`;
  }

  accumulate(sums: string, weights: string, streamed: Heads): string {
    const { across, down } = this.block;
    const share = `${this.writes("weightTile")}${eachRow(this, (i) => `weightTile[(down + ${i * down}u) * ${across}u + across] = ${weights}${i};`)}`;
    const slotsPerChunk = this.slots.length / this.chunks.length;
    const parts = this.chunks
      .map((first, number) => ({ first, slots: upTo(slotsPerChunk).map((j) => ({ j, slot: number * slotsPerChunk + j })) }))
      .sort((x, y) => Number(this.holds(streamed, y.first)) - Number(this.holds(streamed, x.first))) // what is there comes first
      .map(({ first, slots }) => `${this.copyColumns(streamed, first)}${this.reads("weightTile", "columnTile")}for (var g = 0u; g < ${across}u; g++) {
${eachRow(this, (i) => `let w${i} = weightTile[(down + ${i * down}u) * ${across}u + g];`)}
${slots
  .map(({ j, slot }) => `${upTo(COLUMNS).map((n) => `let b${j}_${n} = columnTile[(g + ${n * across}u) * ${this.pitch}u + across + ${j * across}u];`).join("\n")}
${eachRow(this, (i) => upTo(COLUMNS).map((n) => `${sums}${i}_${slot} += w${i}[${n}] * b${j}_${n};`).join(" "))}`)
  .join("\n")}
}`);
    return `${share}\n${parts.join("\n")}`;
  }

  /** A thread's values of all its rows go together, as one vector. */
  exchange(result: string, value: (i: number) => string, combine: (a: string, b: string) => string): string {
    const { across } = this.block;
    const others = upTo(across).map((n) => `exchanged[down * ${across}u + ${n}u]`);
    return `${this.writes("exchanged")}exchanged[lane] = ${rowVector(this.block)}(${upTo(this.rows).map(value).join(", ")});
${this.reads("exchanged")}let ${result} = ${others.reduce(combine)};
${eachRow(this, (i) => `let ${result}${i} = ${result}${this.rows === 1 ? "" : `[${i}]`};`)}`;
  }

  /** Held rows have an array for each operand; where chunks take turns, so do the operands. */
  private rowTile({ name }: Heads): string {
    return this.chunks.length > 1 ? "rowTile" : `${name}Rows`;
  }

  private holds(operand: Heads, first: number): boolean {
    return this.loaded === `${operand.name} ${first}`;
  }

  private copyRows(operand: Heads, first: string): string {
    const tile = this.rowTile(operand);
    return `${this.writes(tile)}${this.copy(tile, operand, first, "firstRow", this.rowsPerGroup, "t")}\n`;
  }

  /** Four neighbouring columns are one thread's: they lie apart, so that neighbouring threads read neighbouring rows of the array. */
  private copyColumns(operand: Heads, first: number, index = `${first}u`): string {
    if (this.holds(operand, first)) return "";
    this.loaded = `${operand.name} ${first}`;
    return `${this.writes("columnTile")}${this.copy("columnTile", operand, index, "first", this.columns, `(t / ${COLUMNS}u + t % ${COLUMNS}u * ${this.block.across}u)`)}\n`;
  }

  /** Copies the chunk from vector `first` on of `count` rows of an operand; what lies beyond the operand becomes 0. */
  private copy(tile: string, operand: Heads, first: string, from: string, count: number, place: string): string {
    const { quads, chunkQuads } = this;
    const load = `value = ${loadQuad(operand, rowStart(operand, `(${from} + t)`), `(${first} + c)`)};`;
    const inside = [...(operand.length % count === 0 ? [] : [`${from} + t < ${operand.length}u`]), ...(quads % chunkQuads === 0 ? [] : [`${first} + c < ${quads}u`])];
    return `for (var i = lane; i < ${count * chunkQuads}u; i += ${THREADS}u) {
  let t = i / ${chunkQuads}u;
  let c = i % ${chunkQuads}u;
  var value = vec4<f32>();
  ${inside.length === 0 ? load : `if (${inside.join(" && ")}) { ${load} }`}
  ${tile}[${place} * ${this.pitch}u + c] = value;
}`;
  }

  /** The beginning of a loop's body, or the end of a loop: anything may have been read, written and loaded. */
  private forget(): void {
    for (const name of this.arrays) {
      this.wereRead.add(name);
      this.wereWritten.add(name);
    }
    this.loaded = "";
  }

  /** A barrier where an array is about to be written that other threads may still use. */
  private writes(array: string): string {
    const text = this.wereRead.has(array) || this.wereWritten.has(array) ? this.barrier(`nobody uses ${array} any more`) : "";
    this.wereWritten.add(array);
    return text;
  }

  /** A barrier where one of some arrays is about to be read that other threads may still write. */
  private reads(...arrays: readonly string[]): string {
    const pending = arrays.filter((array) => this.wereWritten.has(array));
    const text = pending.length > 0 ? this.barrier(`${pending.join(" and ")} complete`) : "";
    for (const array of arrays) this.wereRead.add(array);
    return text;
  }

  private barrier(why: string): string {
    this.wereRead.clear();
    this.wereWritten.clear();
    return `workgroupBarrier(); // uniform: ${why}\n`;
  }
}

/**
 * Vectors from one row in workgroup memory to the next: odd, so that neighbouring rows lie in different banks, and so
 * many that threads with no vector of their own read inside of the row.
 */
function pitchOf(chunkQuads: number, { across }: Block): number {
  return (Math.ceil(chunkQuads / across) * across) | 1;
}

/** WGSL type of one number for each row of a thread. */
function rowVector({ rows }: Block): string {
  return rows === 1 ? "f32" : `vec${rows}<f32>`;
}

function memoryOf({ held, exchange }: TileProblem, block: Block, chunkQuads: number, whole: boolean): WorkgroupMemory {
  const pitch = pitchOf(chunkQuads, block);
  const rows = block.rows * block.down;
  const vectors = (length: number): WorkgroupMemory[string] => ({ element: "vec4<f32>", width: 4, length });
  const rowTiles = whole ? held.map((name) => `${name}Rows`) : ["rowTile"];
  return {
    ...Object.fromEntries(rowTiles.map((name) => [name, vectors(rows * pitch)])),
    columnTile: vectors(block.across * COLUMNS * pitch),
    weightTile: vectors(rows * block.across),
    ...(exchange ? { exchanged: { element: rowVector(block), width: block.rows, length: THREADS } } : {}),
  };
}

function bytesOfMemory(memory: WorkgroupMemory): number {
  return Object.values(memory).reduce((sum, { width, length }) => sum + 4 * width * length, 0);
}

/** The rows a thread that take the least time, and the fewest chunks for which workgroup memory suffices. */
function cut(problem: TileProblem, limits: KernelLimits): { block: Block; chunkQuads: number; memory: WorkgroupMemory } {
  const quads = quadsOf(problem.headSize);
  const across = quads > 4 ? 8 : 4; // of eight threads, small heads would leave half without a vector
  const down = THREADS / across;
  const time = (rows: number): number => Math.max(1, (problem.batch * problem.heads * Math.ceil(problem.rows / rows / down)) / GPU_UNITS) * (rows + STEP_OVERHEAD);
  const fits = (rows: number): boolean => rows === 1 || rows * Math.ceil(quads / across) * problem.accumulated <= MAX_ACCUMULATORS;
  const rows = ROWS.filter(fits).reduce((best, n) => (time(n) < time(best) ? n : best));
  const block = { rows, across, down };
  const limit = Math.min(MAX_MEMORY, limits.maxComputeWorkgroupStorageSize);
  for (let count = 1; ; count++) {
    const chunkQuads = Math.ceil(quads / count);
    const memory = memoryOf(problem, block, chunkQuads, count === 1);
    if (chunkQuads === 1 || bytesOfMemory(memory) <= limit) return { block, chunkQuads, memory };
  }
}
