import { QUAD, tileOf, type Activation, type Product, type ProductSize, type RegisterVariant, type SharedVariant, type Variant } from "./gemm-product.ts";
import { registerBody } from "./gemm-register.ts";
import { sharedBody, SHARED_PADDING } from "./gemm-shared.ts";
import type { KernelLimits, Program } from "./kernel.ts";
import { bindings, foldGrid, workgroupNumber } from "./wgsl.ts";

/**
 * Costs of a thread's operations in the register family, in nanoseconds: one load from storage, one product added to
 * a sum, and the update of a sum in memory, which several products share. Each is for the four threads of a quad.
 * Fitted to the times of matmul 256³ with eight variants on SwiftShader 5.0.
 */
const LOAD_COST = 12;
const MULTIPLY_COST = 1.8;
const UPDATE_COST = 2;

/**
 * Unrolled further, or with larger blocks, they are slower: the loop's code seems to outgrow the processor's caches.
 * Measured: SwiftShader 5.0, one core of a busy Xeon, matmul 256³, median GFLOP/s: 16×4 by 4 in quads 2.1, 16×4 by 8
 * 1.5, 16×8 by 2 1.8, 32×4 by 4 1.4, 8×8 by 1 without quads 1.2.
 */
const REGISTER_VARIANTS: readonly RegisterVariant[] = [
  ...registerVariants(true, [
    [16, 4, 4],
    [16, 8, 2],
    [32, 4, 2],
    [8, 8, 2],
    [8, 4, 4],
    [16, 2, 4],
    [16, 1, 4],
    [4, 8, 4],
    [4, 4, 4],
    [4, 1, 4],
  ]),
  ...registerVariants(false, [
    [8, 8, 1],
    [8, 4, 2],
    [4, 4, 4],
    [4, 1, 4],
    [1, 8, 4],
    [1, 1, 4],
  ]),
];

function registerVariants(quad: boolean, blocks: readonly (readonly [rows: number, columns: number, unroll: number])[]): RegisterVariant[] {
  return blocks.map(([rows, columns, unroll]) => ({ family: "register", rows, columns, unroll, quad }));
}

const SHARED_VARIANTS: readonly SharedVariant[] = [
  { family: "shared", rows: 8, columns: 8, groupRows: 16, groupColumns: 16, depth: 16 },
  { family: "shared", rows: 8, columns: 8, groupRows: 8, groupColumns: 8, depth: 16 },
  { family: "shared", rows: 4, columns: 8, groupRows: 16, groupColumns: 8, depth: 16 },
  { family: "shared", rows: 4, columns: 4, groupRows: 16, groupColumns: 16, depth: 16 },
  { family: "shared", rows: 4, columns: 4, groupRows: 8, groupColumns: 8, depth: 16 },
  { family: "shared", rows: 4, columns: 4, groupRows: 4, groupColumns: 8, depth: 16 },
];

/** Multiprocessors of a middling GPU: with fewer workgroups than this, smaller tiles are faster. */
const GPU_UNITS = 64;

/**
 * All variants that an adapter can run on a product, the best guess first.
 *
 * Register family: the least estimated time. Shared family: the most reuse of loaded elements in a tile, less what
 * hangs over the product's edge and what leaves the GPU idle.
 */
export function gemmVariants(size: ProductSize, limits: KernelLimits): Variant[] {
  if (!limits.cooperativeWorkgroups) {
    const possible = REGISTER_VARIANTS.filter(({ quad }) => !quad || limits.features.has("subgroups"));
    return sortBy(possible, (variant) => registerCost(size, variant));
  }
  const possible = SHARED_VARIANTS.filter(
    (variant) =>
      sharedBytes(variant) <= limits.maxComputeWorkgroupStorageSize &&
      variant.groupRows * variant.groupColumns <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
  );
  return sortBy(possible, (variant) => sharedCost(size, variant));
}

function sortBy<T>(items: readonly T[], cost: (item: T) => number): T[] {
  return items.map((item) => ({ item, cost: cost(item) })).sort((x, y) => x.cost - y.cost).map(({ item }) => item);
}

function registerCost(size: ProductSize, { rows, columns, unroll, quad }: RegisterVariant): number {
  const loads = (quad ? rows / QUAD : rows) + columns;
  const step = loads * LOAD_COST + rows * columns * (MULTIPLY_COST + UPDATE_COST / unroll);
  return tilesOf(size, rows, columns * QUAD) * step;
}

function sharedCost(size: ProductSize, variant: SharedVariant): number {
  const { tileRows, tileColumns } = tileOf(variant);
  const tiles = tilesOf(size, tileRows, tileColumns);
  const loads = 1 / tileRows + 1 / tileColumns;
  const reads = 1 / variant.rows + 1 / variant.columns;
  const idle = Math.max(1, GPU_UNITS / tiles);
  return tiles * tileRows * tileColumns * (1 + 4 * reads + 16 * loads) * idle;
}

function tilesOf(size: ProductSize, tileRows: number, tileColumns: number): number {
  return Math.ceil(size.rows / tileRows) * Math.ceil(size.columns / tileColumns) * size.batch;
}

/** Bytes of workgroup memory of a variant. */
function sharedBytes(variant: SharedVariant): number {
  const { tileRows, tileColumns } = tileOf(variant);
  return (tileRows + tileColumns + 2 * SHARED_PADDING) * variant.depth * 4;
}

/**
 * Into how many parts the sum of a product is best cut, each part being a product of its own: enough to fill the
 * adapter where the output is small and the sum is long.
 */
export function gemmSplits(size: ProductSize, limits: KernelLimits): number {
  const { tileRows, tileColumns } = tileOf(gemmVariants(size, limits)[0]);
  const tiles = tilesOf(size, tileRows, tileColumns);
  const wanted = limits.cooperativeWorkgroups ? 2 * GPU_UNITS : 8;
  const shortest = limits.cooperativeWorkgroups ? 256 : 1024;
  return Math.max(1, Math.min(Math.ceil(wanted / tiles), Math.floor(size.depth / shortest)));
}

/** WGSL of `activate(x)`. gelu's erf is Abramowitz and Stegun 7.1.26, within 1.5e-7; tanh is kept from overflowing. */
export const ACTIVATIONS: Readonly<Record<Activation, string>> = {
  none: "",
  relu: "fn activate(x: f32) -> f32 { return max(x, 0.0); }",
  gelu: `fn activate(x: f32) -> f32 {
  let z = abs(x) * 0.70710678;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-z * z);
  return 0.5 * x * (1.0 + sign(x) * (1.0 - tail));
}`,
  gelu_tanh: `fn activate(x: f32) -> f32 {
  return 0.5 * x * (1.0 + tanh(clamp(0.7978845608 * (x + 0.044715 * x * x * x), -15.0, 15.0)));
}`,
};

/** The shader of a product, cut as the variant says. Bindings: the product's inputs, then out. */
export function gemmProgram(product: Product, limits: KernelLimits, variant: Variant = gemmVariants(product, limits)[0]): Program {
  const { tileRows, tileColumns } = tileOf(variant);
  const rowTiles = Math.ceil(product.rows / tileRows);
  const columnTiles = Math.ceil(product.columns / tileColumns);
  const tiles = rowTiles * columnTiles * product.batch;
  const shared = variant.family === "shared";
  const packed = shared ? [product.a, product.b].filter(({ load4 }) => load4 !== undefined).map(({ binding }) => binding) : [];
  const element = (name: string): string => product.elements?.[name] ?? (packed.includes(name) ? "vec4<f32>" : "f32");
  const quad = variant.family === "register" && variant.quad;
  const threads = shared ? variant.groupRows * variant.groupColumns : QUAD;
  const { declarations, body } = shared ? sharedBody(product, variant) : { declarations: "", body: registerBody(product, variant) };
  const wgsl = `${quad ? "enable subgroups;\n" : ""}${bindings(product.inputs.map((name) => [name, element(name)]), [["out", "f32"]])}
${declarations}${ACTIVATIONS[product.activation]}
@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,${quad ? " @builtin(subgroup_invocation_id) subgroupLane: u32," : ""}
) {
  let tile = ${workgroupNumber()};
  if (tile >= ${tiles}u) { return; } // uniform: the whole workgroup returns
  let firstColumn = tile % ${columnTiles}u * ${tileColumns}u;
  let firstRow = tile / ${columnTiles}u % ${rowTiles}u * ${tileRows}u;
  let batch = tile / ${rowTiles * columnTiles}u;
  ${product.prelude}
${body}
}`;
  return { wgsl, grid: foldGrid(tiles, limits) };
}

