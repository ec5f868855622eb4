import { clampIndex, QUAD, storeColumn, tileOf, times, unflatten, type Axis, type Product, type RegisterVariant } from "./gemm-product.ts";
import { upTo } from "./wgsl.ts";

/** WGSL of the register family: what a thread needs of its rows and columns, the loops, and the stores. */
export function registerBody(product: Product, variant: RegisterVariant): string {
  const { rows, columns, quad } = variant;
  const tile = tileOf(variant);
  const { a, b } = product;
  const rowLoads = quad ? rows / QUAD : rows;
  const column = (j: number): string => `column${j}`;
  const lines: string[] = [];
  if (quad) lines.push("let quadLane = subgroupLane & 3u;");
  for (const j of upTo(columns)) {
    lines.push(`let ${column(j)} = firstColumn + ${j * QUAD}u + lane;`, b.locate(clampIndex(column(j), product.columns, tile.tileColumns), `B${j}`));
  }
  for (const i of upTo(rowLoads)) {
    const row = quad ? `firstRow + ${i * QUAD}u + quadLane` : `firstRow + ${i}u`;
    lines.push(a.locate(clampIndex(row, product.rows, tile.tileRows), `A${i}`));
  }
  for (const i of upTo(rows)) for (const j of upTo(columns)) lines.push(`var sum${i}_${j} = 0.0;`);

  const advances = [product.advance ?? "", ...upTo(columns).map((j) => b.advance(`B${j}`)), ...upTo(rowLoads).map((i) => a.advance(`A${i}`))].filter((text) => text !== "").join("\n");
  lines.push(flatLoops(product.axes, variant.unroll, (indices) => `${advances}\n${registerStep(product, variant, indices)}`));

  for (const i of upTo(rows)) {
    lines.push(`let row${i} = firstRow + ${quad ? `${i - (i % QUAD)}u + (quadLane ^ ${i % QUAD}u)` : `${i}u`};`);
  }
  for (const j of upTo(columns)) lines.push(storeColumn(product, tile, column(j), `C${j}`, upTo(rows).map((i) => `row${i}`), (i) => `sum${i}_${j}`));
  return lines.join("\n");
}

/**
 * One loop over all axes of the sum together, the innermost in chunks of `unroll`, and a second one for what is left of
 * it. Nested loops would be the natural way, but on SwiftShader each entry into an inner loop costs several steps.
 * Measured: a 3×3 convolution from 16 to 16 channels in three nested loops 50 µs a tile of 16×16, in one loop 34 µs.
 */
function flatLoops(axes: readonly Axis[], unroll: number, step: (indices: readonly string[]) => string): string {
  const outer = axes.slice(0, -1);
  const inner = axes[axes.length - 1];
  const length = knownLength(inner);
  const chunk = Math.min(unroll, length ?? unroll);
  const chunks = length === undefined ? `(${inner.extent} / ${chunk}u)` : `${Math.floor(length / chunk)}u`;
  const main = flatLoop([...outer, { index: "chunk", extent: chunks }], `let ${inner.index} = ${times("chunk", chunk)};`, step(upTo(chunk).map((q) => sum(inner.index, q))));
  if (length !== undefined) {
    const rest = length % chunk;
    return rest === 0 ? main : `${main}\n${flatLoop(outer, "", step(upTo(rest).map((q) => `${length - rest + q}u`)))}`;
  }
  const single = flatLoop([...outer, { index: "single", extent: `(${inner.extent} % ${chunk}u)` }], `let ${inner.index} = ${inner.extent} / ${chunk}u * ${chunk}u + single;`, step([inner.index]));
  return chunk === 1 ? main : `${main}\n${single}`;
}

function flatLoop(axes: readonly Axis[], first: string, body: string): string {
  const long = axes.filter((axis) => knownLength(axis) !== 1);
  const declared = [...axes.filter((axis) => !long.includes(axis)).map(({ index }) => `let ${index} = 0u;`), ...unflatten("flat", long)];
  const inside = `${declared.join("\n")}\n${first}\n${body}`;
  if (long.length === 0) return `{\n${inside}\n}`;
  return `for (var flat = 0u; flat < ${long.map(({ extent }) => extent).join(" * ")}; flat++) {\n${inside}\n}`;
}

function knownLength({ extent }: Axis): number | undefined {
  return /^\d+u$/.test(extent) ? Number.parseInt(extent, 10) : undefined;
}

function sum(index: string, added: number): string {
  return added === 0 ? index : `(${index} + ${added}u)`;
}

/** Loads of one unrolled step, and the products: row by row, so that few values live at once. */
function registerStep({ a, b }: Product, { rows, columns, quad }: RegisterVariant, indices: readonly string[]): string {
  // Adapters of this family don't hoist: a multiplication that all loads share is written once.
  const lines = indices.flatMap((k, q) => [`let offsetA${q} = ${times(k, a.stride)};`, `let offsetB${q} = ${times(k, b.stride)};`]);
  for (const j of upTo(columns)) indices.forEach((_, q) => lines.push(`let b${j}_${q} = ${b.load(`B${j}`, `offsetB${q}`)};`));
  for (const i of upTo(rows)) {
    indices.forEach((_, q) => lines.push(`let a${i}_${q} = ${quad ? quadRow(i, q, (n) => a.load(`A${n}`, `offsetA${q}`)) : a.load(`A${i}`, `offsetA${q}`)};`));
    for (const j of upTo(columns)) lines.push(`sum${i}_${j} += ${indices.map((_, q) => `a${i}_${q} * b${j}_${q}`).join(" + ")};`);
  }
  return lines.join("\n");
}

/**
 * A thread's row `i`. Of each four rows it loads the one of its own number in the quad; the other three come from its
 * neighbours, so that row i of thread l is row i ^ l of the tile.
 */
function quadRow(i: number, q: number, load: (n: number) => string): string {
  const own = `a${i - (i % QUAD)}_${q}`;
  switch (i % QUAD) {
    case 0:
      return load(i / QUAD);
    case 1:
      return `quadSwapX(${own})`;
    case 2:
      return `quadSwapY(${own})`;
    default:
      return `quadSwapDiagonal(${own})`;
  }
}
