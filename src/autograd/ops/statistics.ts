import { ShapeError } from "../../core/errors.ts";
import { showShape, sizeOf } from "../../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, sub } from "./binary.ts";
import { max, mean, normalizeAxes, sum, type Axes } from "./reduce.ts";
import { reshape } from "./reshape.ts";
import { affine, clamp, exp, log, square, unaryOf } from "./unary.ts";

const FLOAT32_MAX = 3.4028234663852886e38;

export interface VarianceOptions {
  /** What is taken off the number of values that the sum of squares is divided by. Default 1, which makes the estimate unbiased. */
  readonly correction?: number;
  /** Leaves each axis that is reduced as one of size 1. */
  readonly keepDims?: boolean;
}

/**
 * Variance over axes (all where left out), in two passes: first the mean, then the squares of what is left without it.
 * @throws ShapeError if an axis lies outside the rank, or there are no more values than the correction takes off.
 */
export function variance(x: Tensor, axes?: Axes, { correction = 1, keepDims = false }: VarianceOptions = {}): Tensor {
  const count = sizeOf(normalizeAxes(axes, x.shape.length, "variance").map((axis) => x.shape[axis]));
  if (count <= correction) throw new ShapeError(`variance: there must be more than ${correction} values; got ${count} of ${showShape(x.shape)}`);
  // The mean is a constant to the gradient: a shift of it changes the sum of squares by nothing.
  const centred = (values: Tensor): Tensor => sub(values, mean(values.detach(), axes, true));
  const deviations = centred(centred(x)); // once more, since a mean far above the spread is rounded
  return affine(sum(square(deviations), axes, keepDims), 1 / (count - correction), 0);
}

/** Standard deviation; as {@link variance}. Where it is 0, so is its gradient. @throws ShapeError as there. */
export function std(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  return unaryOf("root", variance(x, axes, options));
}

/**
 * Length of a vector, √(Σ x²), over axes (all where left out). Where it is 0, so is its gradient.
 * @throws ShapeError if an axis lies outside the rank.
 */
export function norm(x: Tensor, axes?: Axes, keepDims = false): Tensor {
  return unaryOf("root", sum(square(x), axes, keepDims));
}

/**
 * log Σ exp(x) over axes (all where left out), computed with the maximum taken off.
 * @throws ShapeError if an axis lies outside the rank.
 */
export function logSumExp(x: Tensor, axes?: Axes, keepDims = false): Tensor {
  const pivot = clamp(max(x.detach(), axes, true), -FLOAT32_MAX, FLOAT32_MAX); // ±Inf − ±Inf would be NaN
  const sums = sum(exp(sub(x, pivot)), axes, keepDims);
  return add(log(sums), reshape(pivot, sums.shape));
}
