import { clampIndex, QUAD, range, storeColumn, tileOf, times, type Axis, type Product, type RegisterVariant } from "./gemm-product.ts";

/** Body of the register family: loops over the axes of the sum, the innermost unrolled. */
export function registerBody(product: Product, variant: RegisterVariant): string {
  const { rows, columns, quad } = variant;
  const tile = tileOf(variant);
  const { a, b } = product;
  const rowLoads = quad ? rows / QUAD : rows;
  const column = (j: number): string => `column${j}`;
  const lines: string[] = [];
  if (quad) lines.push("let quadLane = subgroupLane & 3u;");
  for (const j of range(columns)) {
    lines.push(`let ${column(j)} = firstColumn + ${j * QUAD}u + lane;`, b.locate(clampIndex(column(j), product.columns, tile.tileColumns), `B${j}`));
  }
  for (const i of range(rowLoads)) {
    const row = quad ? `firstRow + ${i * QUAD}u + quadLane` : `firstRow + ${i}u`;
    lines.push(a.locate(clampIndex(row, product.rows, tile.tileRows), `A${i}`));
  }
  for (const i of range(rows)) for (const j of range(columns)) lines.push(`var sum${i}_${j} = 0.0;`);

  const outer = product.axes.slice(0, -1);
  const inner = product.axes[product.axes.length - 1];
  for (const { index, extent } of outer) lines.push(`for (var ${index} = 0u; ${index} < ${extent}; ${index}++) {`);
  for (const j of range(columns)) lines.push(b.advance(`B${j}`));
  for (const i of range(rowLoads)) lines.push(a.advance(`A${i}`));
  lines.push(innerLoop(inner, variant.unroll, (indices) => registerStep(product, variant, indices)));
  for (const _ of outer) lines.push("}");

  for (const i of range(rows)) {
    lines.push(`let row${i} = firstRow + ${quad ? `${i - (i % QUAD)}u + (quadLane ^ ${i % QUAD}u)` : `${i}u`};`);
  }
  for (const j of range(columns)) lines.push(storeColumn(product, tile, column(j), `C${j}`, range(rows).map((i) => `row${i}`), (i) => `sum${i}_${j}`));
  return lines.join("\n");
}

/** A loop over an axis, unrolled, with a remainder: written out where the length is known, a loop of its own if not. */
function innerLoop({ index, extent }: Axis, unroll: number, step: (indices: readonly string[]) => string): string {
  const known = /^\d+u$/.test(extent) ? Number.parseInt(extent, 10) : undefined;
  const steps = known === undefined ? unroll : Math.min(unroll, known);
  const body = step(range(steps).map((q) => (q === 0 ? index : `(${index} + ${q}u)`)));
  if (known !== undefined) {
    const whole = known - (known % steps);
    const loop = whole === steps ? `{ let ${index} = 0u;\n${body}\n}` : `for (var ${index} = 0u; ${index} < ${whole}u; ${index} += ${steps}u) {\n${body}\n}`;
    return whole === known ? loop : `${loop}\n{\n${step(range(known - whole).map((q) => `${whole + q}u`))}\n}`;
  }
  if (steps === 1) return `for (var ${index} = 0u; ${index} < ${extent}; ${index}++) {\n${body}\n}`;
  return `{
var ${index} = 0u;
for (; ${index} + ${steps}u <= ${extent}; ${index} += ${steps}u) {\n${body}\n}
for (; ${index} < ${extent}; ${index}++) {\n${step([index])}\n}
}`;
}

/** Loads of one unrolled step, and the products: row by row, so that few values live at once. */
function registerStep({ a, b }: Product, { rows, columns, quad }: RegisterVariant, indices: readonly string[]): string {
  // Adapters of this family don't hoist: a multiplication that all loads share is written once.
  const lines = indices.flatMap((k, q) => [`let offsetA${q} = ${times(k, a.stride)};`, `let offsetB${q} = ${times(k, b.stride)};`]);
  for (const j of range(columns)) indices.forEach((_, q) => lines.push(`let b${j}_${q} = ${b.load(`B${j}`, `offsetB${q}`)};`));
  for (const i of range(rows)) {
    indices.forEach((_, q) => lines.push(`let a${i}_${q} = ${quad ? quadRow(i, q, (n) => a.load(`A${n}`, `offsetA${q}`)) : a.load(`A${i}`, `offsetA${q}`)};`));
    for (const j of range(columns)) lines.push(`sum${i}_${j} += ${indices.map((_, q) => `a${i}_${q} * b${j}_${q}`).join(" + ")};`);
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
