import { ShapeError } from "./errors.ts";

/** Sizes of the axes, outermost first; `[]` is a scalar. Tensors are dense and row-major. */
export type Shape = readonly number[];

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Elements to step over to advance by one along each axis. */
export function stridesOf(shape: Shape): number[] {
  const strides: number[] = shape.map(() => 1);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, axis) => n === b[axis]);
}

/** `[2,3]`, as it stands in error messages. */
export function showShape(shape: Shape): string {
  return `[${shape.join(",")}]`;
}

/** @throws ShapeError unless every size is a whole number of at least 1 (empty tensors are refused). */
export function checkShape(shape: Shape, what: string): void {
  if (!shape.every((n) => Number.isInteger(n) && n >= 1)) {
    throw new ShapeError(`${what}: every size must be a whole number of at least 1; got ${showShape(shape)}`, "empty tensors are not supported");
  }
}

/**
 * Counts a negative axis from the end.
 * @throws ShapeError if the axis lies outside the rank.
 */
export function normalizeAxis(axis: number, rank: number, what: string): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank) {
    throw new ShapeError(`${what}: axis must be in ${-rank}..${rank - 1} for rank ${rank}; got ${axis}`);
  }
  return normal;
}

/**
 * The shape that two shapes broadcast to, by NumPy's rules: aligned at the last axis, a size of 1 stretches.
 * @throws ShapeError if two sizes differ and neither is 1.
 */
export function broadcastShapes(a: Shape, b: Shape, what: string): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const m = a[axis - rank + a.length] ?? 1;
    const n = b[axis - rank + b.length] ?? 1;
    if (m !== n && m !== 1 && n !== 1) {
      throw new ShapeError(`${what}: shapes must broadcast; got ${showShape(a)} and ${showShape(b)}, which differ at axis ${axis - rank}`);
    }
    return m === 1 ? n : m;
  });
}
