/** Layouts that are made of reshape, slice, concat and expand, and their gradients with them. */

import { ShapeError } from "../../core/errors.ts";
import { normalizeAxis, showShape, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { concat } from "./concat.ts";
import { expand, normalizeAxes, type Axes } from "./reduce.ts";
import { reshape } from "./reshape.ts";
import { slice } from "./slice.ts";

/**
 * The same values without axes of size 1.
 * @param axes Which, if they have size 1; all where left out.
 * @throws ShapeError if an axis lies outside the rank.
 */
export function squeeze(x: Tensor, axes?: Axes): Tensor {
  const chosen = normalizeAxes(axes, x.shape.length, "squeeze");
  return reshape(x, x.shape.filter((n, axis) => n !== 1 || !chosen.includes(axis)));
}

/** The same values with a new axis of size 1, which stands at `axis` of the result. @throws ShapeError if it cannot stand there. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  return reshape(x, x.shape.toSpliced(normalizeAxis(axis, x.shape.length + 1, "unsqueeze"), 0, 1));
}

/** The same values with the axes from `first` to `last` as one. @throws ShapeError if one lies outside the rank or `last` before `first`. */
export function flatten(x: Tensor, first = 0, last = -1): Tensor {
  if (x.shape.length === 0) return reshape(x, [1]);
  const [from, to] = [first, last].map((axis) => normalizeAxis(axis, x.shape.length, "flatten"));
  if (from > to) throw new ShapeError(`flatten: the first axis must not lie behind the last; got ${first} and ${last} for ${showShape(x.shape)}`);
  return reshape(x, x.shape.toSpliced(from, to - from + 1, -1));
}

/** Joins tensors of one shape along a new axis. @throws ShapeError if there are none, or their shapes differ. */
export function stack(xs: readonly Tensor[], axis = 0): Tensor {
  return concat(xs.map((x) => unsqueeze(x, axis)), axis);
}

/**
 * Cuts an axis into parts.
 * @param sizes Of the parts, which add up to the axis; or one size for all, of which the last part may fall short.
 * @throws ShapeError if the sizes don't fit.
 */
export function split(x: Tensor, sizes: number | readonly number[], axis = 0): Tensor[] {
  const normal = normalizeAxis(axis, x.shape.length, "split");
  const n = x.shape[normal];
  const parts = typeof sizes === "number" ? Array.from({ length: Math.ceil(n / sizes) }, (_, i) => Math.min(sizes, n - i * sizes)) : sizes;
  const total = parts.reduce((sum, part) => sum + part, 0);
  if (total !== n) throw new ShapeError(`split: the parts must add up to ${n}, the size of axis ${axis} of ${showShape(x.shape)}; got ${showShape(parts)}`);
  let end = 0;
  return parts.map((part) => slice(x, normal, end, (end += part)));
}

/** Moves the places of an axis by `shift`; those that leave it at one end enter at the other. @throws ShapeError if the axis lies outside the rank. */
export function roll(x: Tensor, shift: number, axis: number): Tensor {
  const normal = normalizeAxis(axis, x.shape.length, "roll");
  const n = x.shape[normal];
  const moved = ((shift % n) + n) % n;
  return moved === 0 ? x : concat([slice(x, normal, n - moved, n), slice(x, normal, 0, n - moved)], normal);
}

/**
 * Lays a tensor side by side with itself.
 * @param times For each axis; where there are more than axes, the first ones are for new axes in front.
 * @throws ShapeError if a number is below 1, or there are fewer than axes.
 */
export function repeat(x: Tensor, times: Shape): Tensor {
  const added = times.length - x.shape.length;
  if (added < 0 || !times.every((n) => Number.isInteger(n) && n >= 1)) {
    throw new ShapeError(`repeat: there must be a whole number of at least 1 for each axis of ${showShape(x.shape)}; got ${showShape(times)}`);
  }
  const shape = [...Array<number>(added).fill(1), ...x.shape];
  const apart = expand(reshape(x, shape.flatMap((n) => [1, n])), shape.flatMap((n, axis) => [times[axis], n]));
  return reshape(apart, shape.map((n, axis) => n * times[axis]));
}
