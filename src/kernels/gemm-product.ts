/**
 * The engine behind every matrix product: matmul, linear, and the three products of a convolution.
 *
 * A {@link Product} says with WGSL snippets where the elements of its operands lie; a {@link Variant} says how the
 * work is cut into tiles; gemmProgram (gemm.ts) makes the shader. Two families of variants:
 * - `shared`: a workgroup copies tiles of both operands into workgroup memory, and each thread multiplies a block in
 *   registers. For GPUs.
 * - `register`: no workgroup memory and no barriers, each thread reads storage directly. For adapters that run on the
 *   CPU, where a load costs four multiplications and a barrier far more. With the feature `subgroups`, the four
 *   threads of a quad load different rows of A and pass them round.
 */

/** A function of each element of a product, applied after the bias. */
export type Activation = "none" | "relu" | "gelu" | "gelu_tanh";

/** One axis of the sum: the WGSL name of its index, and its length as a u32 expression that is uniform. */
export interface Axis {
  readonly index: string;
  readonly extent: string;
}

/**
 * Where one operand's elements lie. Snippets are WGSL; all names that they declare end in the suffix `s`, and indices
 * of reduction axes and everything in the product's prelude can be used.
 */
export interface Operand {
  /** Name of the storage binding. */
  readonly binding: string;
  /** Statements for one row (of A) or column (of B), outside of all loops; `index` is in range. */
  locate(index: string, s: string): string;
  /** Statements that need only the outer axes of the sum, run when one of them advances. */
  advance(s: string): string;
  /** Elements of storage from one index of the innermost axis to the next. */
  readonly stride: number;
  /** The element that lies `offset` elements after index 0 of the innermost axis, as f32; zero where the operand is padded. */
  load(s: string, offset: string): string;
  /**
   * The same for four neighbouring rows (columns) from this one on, as vec4<f32> from a binding of vec4<f32>.
   * Given only where they are contiguous and aligned. The row (column) is a multiple of four.
   */
  readonly load4?: (s: string, offset: string) => string;
}

/** A batch of products out[row, column] = Σ a[row, k] · b[k, column], with an epilogue. */
export interface Product {
  readonly rows: number;
  readonly columns: number;
  /** Independent products of this size. */
  readonly batch: number;
  /** Length of the sum, for choosing a variant. */
  readonly depth: number;
  /** Axes of the sum, outermost first. */
  readonly axes: readonly Axis[];
  /** Statements that compute what depends on `batch` (a u32) only. */
  readonly prelude: string;
  /** Statements that need only the outer axes of the sum, before the operands' own. */
  readonly advance?: string;
  readonly a: Operand;
  readonly b: Operand;
  /** Names of the input bindings in order: the operands', then `bias` where there is one. */
  readonly inputs: readonly string[];
  /** WGSL element types of the bindings that do not hold f32. */
  readonly elements?: Readonly<Record<string, string>>;
  /** Declares where a column of the output lies, in names that end in `s`. */
  locateOutput(column: string, s: string): string;
  /** Index into `out` of a row and a located column. */
  output(row: string, s: string): string;
  /** A condition for a column to be stored. */
  readonly stores?: (s: string) => string;
  /** The value of binding `bias` that is added, for a row and a column. */
  readonly bias?: { readonly along: "row" | "column"; load(index: string): string };
  readonly activation: Activation;
  /** Adds to what `out` holds. */
  readonly accumulate?: boolean;
}

/** A cut of a product into tiles without workgroup memory. */
export interface RegisterVariant {
  readonly family: "register";
  /** Rows and columns of the block that one thread computes. */
  readonly rows: number;
  readonly columns: number;
  /** Steps of the innermost axis that are unrolled, so that a sum is stored once for several products. */
  readonly unroll: number;
  /** Whether the threads of a quad share their loads of A; rows must be a multiple of four. */
  readonly quad: boolean;
}

/** A cut of a product into tiles in workgroup memory. */
export interface SharedVariant {
  readonly family: "shared";
  /** Rows and columns of the block that one thread computes; multiples of four. */
  readonly rows: number;
  readonly columns: number;
  /** Threads of a workgroup along rows and columns. */
  readonly groupRows: number;
  readonly groupColumns: number;
  /** Length of the sum that is held in workgroup memory at once. */
  readonly depth: number;
}

export type Variant = RegisterVariant | SharedVariant;

/** What the choice of a variant depends on. */
export type ProductSize = Pick<Product, "rows" | "columns" | "batch" | "depth">;

/** Threads of a workgroup of the register family: one SIMD group of the CPU adapter, or one quad. */
export const QUAD = 4;

/** Rows and columns of the output that one workgroup computes. */
export function tileOf(variant: Variant): { tileRows: number; tileColumns: number } {
  if (variant.family === "register") return { tileRows: variant.rows, tileColumns: variant.columns * QUAD };
  return { tileRows: variant.rows * variant.groupRows, tileColumns: variant.columns * variant.groupColumns };
}

/** WGSL of an index times a number of elements. */
export function times(index: string, stride: number): string {
  return stride === 1 ? index : `${index} * ${stride}u`;
}

/** Declares the index of each axis from an index into all of them. */
export function unflatten(flat: string, axes: readonly Axis[]): string[] {
  return axes.map(({ index, extent }, axis) => {
    const inner = axes.slice(axis + 1).map((other) => other.extent);
    const along = inner.length === 0 ? flat : `${flat} / ${inner.length === 1 ? inner[0] : `(${inner.join(" * ")})`}`;
    return `let ${index} = ${axis === 0 ? along : `${along} % ${extent}`};`;
  });
}

/** An index kept inside `0..size-1`; a tile that fits needs no check. */
export function clampIndex(index: string, size: number, tile: number): string {
  return size % tile === 0 ? index : `min(${index}, ${size - 1}u)`;
}

/** Stores of the element `value(i)` of each row of a column, with bias, activation and the checks that are needed. */
export function storeColumn(product: Product, tile: { tileRows: number; tileColumns: number }, column: string, s: string, rows: readonly string[], value: (i: number) => string): string {
  const { bias } = product;
  const conditions = [
    ...(product.columns % tile.tileColumns === 0 ? [] : [`${column} < ${product.columns}u`]),
    ...(product.stores === undefined ? [] : [product.stores(s)]),
  ];
  const checkRows = product.rows % tile.tileRows !== 0;
  const lines = rows.map((row, i) => {
    const place = `out[${product.output(row, s)}]`;
    const sum = product.accumulate === true ? `${place} + ${value(i)}` : value(i);
    const added = bias === undefined ? sum : `${sum} + ${bias.along === "row" ? bias.load(row) : `bias${s}`}`;
    const line = `${place} = ${product.activation === "none" ? added : `activate(${added})`};`;
    return checkRows ? `if (${row} < ${product.rows}u) { ${line} }` : line;
  });
  const columnBias = bias?.along === "column" ? `let bias${s} = ${bias.load(column)};\n` : "";
  const text = `${columnBias}${lines.join("\n")}`;
  return `${product.locateOutput(column, s)}\n${conditions.length === 0 ? `{ ${text} }` : `if (${conditions.join(" && ")}) {\n${text}\n}`}`;
}

