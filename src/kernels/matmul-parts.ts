/**
 * Cutting a matrix product whose tensors are larger than what an adapter binds into blocks of rows, of columns and of
 * terms of the sum. A tensor that is too large is bound in windows along its first axis; the others are bound whole, and
 * a block begins somewhere in them.
 */

import type { Shape } from "../core/shape.ts";
import type { KernelLimits, Part, TensorSpec, Window } from "./kernel.ts";
import { alignedWindows, cutRows, isBindable, rowWindow, whole, type Range } from "./windows.ts";

/** The part of a product that one dispatch computes. */
export interface Block {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Elements before the block in what is bound of a, b, bias and the output. */
  readonly a: number;
  readonly b: number;
  readonly bias: number;
  readonly out: number;
  /** Elements from one row of the output to the next. */
  readonly outStride: number;
  /** Whether terms are still to come: bias and activation wait for the last ones. */
  readonly partial: boolean;
}

interface MatrixAttrs {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly accumulate?: boolean;
}

/**
 * The blocks of a product [M,K] · [K,N] → [M,N], one after the other; blocks of the same outputs add up.
 * Null where a single row of a tensor is too large, or a sum would have to be cut whose result is f16.
 */
export function matrixParts<Attrs extends MatrixAttrs>(inputs: readonly TensorSpec[], out: TensorSpec, attrs: Attrs, limits: KernelLimits): Part<Attrs & { block: Block }>[] | null {
  const [a, b] = inputs;
  const { transposeA = false, transposeB = false } = attrs;
  const [rows, columns] = out.shape;
  const depth = a.shape[transposeA ? 0 : 1];
  const large = (tensor: TensorSpec, isFirstAxis: boolean): TensorSpec[] => (isFirstAxis && !isBindable(tensor, limits) ? [tensor] : []);
  const cut = (end: number, tensors: readonly TensorSpec[]): Range[] | null => (tensors.length === 0 ? [{ begin: 0, end }] : cutRows(tensors, limits));
  const rowRanges = cut(rows, [...large(a, !transposeA), ...large(out, true)]);
  const columnRanges = cut(columns, large(b, transposeB));
  const termRanges = cut(depth, [...large(a, transposeA), ...large(b, !transposeB)]);
  if (out.dtype === "f16" && (termRanges?.length ?? 0) > 1) return null; // parts of a sum would be kept in f16
  if (rowRanges === null || columnRanges === null || termRanges === null || !inputs.slice(2).every((bias) => isBindable(bias, limits))) return null;

  /** What is bound of a matrix, and where in it the block begins. */
  const place = (matrix: TensorSpec, first: Range, second: Range): { window: Window; begin: number } => {
    const isCut = !isBindable(matrix, limits);
    return { window: isCut ? rowWindow(matrix, first) : whole(matrix), begin: (isCut ? 0 : first.begin * matrix.shape[1]) + second.begin };
  };
  const swap = (swapped: boolean, first: Range, second: Range): [Range, Range] => (swapped ? [second, first] : [first, second]);
  return rowRanges.flatMap((m) =>
    columnRanges.flatMap((n) =>
      termRanges.map((k) => {
        const [placeA, placeB, placeOut] = [place(a, ...swap(transposeA, m, k)), place(b, ...swap(transposeB, k, n)), place(out, m, n)];
        const size = { rows: m.end - m.begin, columns: n.end - n.begin, depth: k.end - k.begin };
        const block: Block = { ...size, a: placeA.begin, b: placeB.begin, bias: n.begin, out: placeOut.begin, outStride: columns, partial: k.end < depth };
        const windows = [placeA.window, placeB.window, ...inputs.slice(2).map(whole), placeOut.window];
        return { windows, attrs: { ...attrs, block, accumulate: attrs.accumulate === true || k.begin > 0 } };
      }),
    ),
  );
}

/** A batch of products in several, along the first axis of the batch; null where one product is too large. */
export function batchParts<Attrs>(inputs: readonly TensorSpec[], out: TensorSpec, attrs: Attrs, limits: KernelLimits): Part<Attrs>[] | null {
  const axes: Shape = out.shape.slice(out.shape.findIndex((n, axis) => n !== 1 || axis === out.shape.length - 3));
  return alignedWindows([...inputs, out], axes, limits)?.map((windows) => ({ windows, attrs })) ?? null;
}
