import { clampIndex, storeColumn, tileOf, times, unflatten, type Operand, type Product, type SharedVariant } from "./gemm-product.ts";
import { upTo } from "./wgsl.ts";

/** Elements that are loaded and stored together in workgroup memory. */
const PACK = 4;

/**
 * Rows (columns) that a tile is longer in workgroup memory than in the product: threads that store neighbouring steps
 * of the sum then meet different memory banks.
 */
export const SHARED_PADDING = PACK;

/**
 * The shared family. For each stretch of the sum, the workgroup copies a tile of A and one of B into workgroup memory
 * (both with the sum's axis outermost, packed by four rows or columns), and each thread adds the outer products of
 * its rows and columns. A thread's rows and columns lie in packs of four, spread over the tile, so that neighbouring
 * threads read neighbouring packs.
 */
export function sharedBody(product: Product, variant: SharedVariant): { declarations: string; body: string } {
  const { groupRows, groupColumns, depth } = variant;
  const tile = tileOf(variant);
  const rowPacks = tile.tileRows / PACK;
  const columnPacks = tile.tileColumns / PACK;
  const threads = groupRows * groupColumns;
  const sides = [
    loadSide(product.a, "A", { packs: rowPacks, tile: tile.tileRows, size: product.rows, first: "firstRow", depth, threads }, product),
    loadSide(product.b, "B", { packs: columnPacks, tile: tile.tileColumns, size: product.columns, first: "firstColumn", depth, threads }, product),
  ];
  const rowBlocks = upTo(variant.rows / PACK);
  const columnBlocks = upTo(variant.columns / PACK);
  const rows = upTo(variant.rows);
  const body = `
let threadColumn = lane % ${groupColumns}u;
let threadRow = lane / ${groupColumns}u;
let depth = ${product.axes.map(({ extent }) => extent).join(" * ")};
${sides.map(({ locate }) => locate).join("\n")}
${rows.flatMap((i) => columnBlocks.map((j) => `var sum${i}_${j} = vec4<f32>();`)).join("\n")}
for (var start = 0u; start < depth; start += ${depth}u) {
${sides.map(({ copy }) => copy).join("\n")}
workgroupBarrier(); // the tiles are complete
for (var step = 0u; step < ${depth}u; step++) {
${rowBlocks.map((i) => `let a${i} = tileA[step * ${rowPacks + 1}u + threadRow + ${i * groupRows}u];`).join("\n")}
${columnBlocks.map((j) => `let b${j} = tileB[step * ${columnPacks + 1}u + threadColumn + ${j * groupColumns}u];`).join("\n")}
${rows.flatMap((i) => columnBlocks.map((j) => `sum${i}_${j} += a${Math.floor(i / PACK)}[${i % PACK}] * b${j};`)).join("\n")}
}
workgroupBarrier(); // nobody reads the tiles any more
}
${rows.map((i) => `let row${i} = firstRow + (threadRow + ${Math.floor(i / PACK) * groupRows}u) * ${PACK}u + ${i % PACK}u;`).join("\n")}
${upTo(variant.columns)
  .map((j) => {
    const block = Math.floor(j / PACK);
    const column = `let column${j} = firstColumn + (threadColumn + ${block * groupColumns}u) * ${PACK}u + ${j % PACK}u;`;
    return `${column}\n${storeColumn(product, tile, `column${j}`, `C${j}`, rows.map((i) => `row${i}`), (i) => `sum${i}_${block}[${j % PACK}]`)}`;
  })
  .join("\n")}`;
  const declarations = `var<workgroup> tileA: array<vec4<f32>, ${depth * (rowPacks + 1)}>;
var<workgroup> tileB: array<vec4<f32>, ${depth * (columnPacks + 1)}>;
`;
  return { declarations, body };
}

interface Side {
  /** Packs along the rows (columns) of the tile, and rows (columns) of the tile and of the whole operand. */
  readonly packs: number;
  readonly tile: number;
  readonly size: number;
  readonly first: string;
  readonly depth: number;
  readonly threads: number;
}

/** WGSL that finds, and WGSL that copies, the packs of one operand's tile that a thread is responsible for. */
function loadSide(operand: Operand, name: string, { packs, tile, size, first, depth, threads }: Side, { axes, advance = "" }: Product): { locate: string; copy: string } {
  const total = packs * depth;
  const { load4 } = operand;
  const suffixes = (u: number): string[] => upTo(load4 === undefined ? PACK : 1).map((p) => `${name}${u}_${p}`);
  const locate: string[] = [];
  const copy: string[] = [];
  for (const u of upTo(Math.ceil(total / threads))) {
    const pack = `pack${name}${u}`;
    // Neighbouring threads take packs that are neighbours in storage.
    const [line, step] = operand.stride === 1 ? [`${pack} / ${depth}u`, `${pack} % ${depth}u`] : [`${pack} % ${packs}u`, `${pack} / ${packs}u`];
    locate.push(`let ${pack} = lane + ${u * threads}u;`, `let line${name}${u} = ${line};`, `let step${name}${u} = ${step};`);
    suffixes(u).forEach((s, p) => {
      const index = `${first} + line${name}${u} * ${PACK}u + ${p}u`;
      locate.push(operand.locate(load4 === undefined || size % tile === 0 ? clampIndex(index, size, tile) : `min(${index}, ${size - PACK}u)`, s));
    });
    const values = load4 === undefined ? `vec4<f32>(${suffixes(u).map((s) => operand.load(s, "offset")).join(", ")})` : load4(`${name}${u}_0`, "offset");
    const guard = (u + 1) * threads <= total ? "" : `if (${pack} < ${total}u) `;
    copy.push(`${guard}{
var value = vec4<f32>();
let flat = start + step${name}${u};
if (flat < depth) {
${unflatten("flat", axes).join("\n")}
${advance}
let offset = ${times(axes[axes.length - 1].index, operand.stride)};
${suffixes(u).map((s) => operand.advance(s)).join("\n")}
value = ${values};
}
tile${name}[step${name}${u} * ${packs + 1}u + line${name}${u}] = value;
}`);
  }
  return { locate: locate.join("\n"), copy: copy.join("\n") };
}
