import { normalizeAxis, sameShape, sizeOf, type Shape } from "../../core/shape.ts";
import { expand as expandKernel } from "../../kernels/binary.ts";
import { argmax as argmaxKernel, partLength, reduce, type ReduceFunction } from "../../kernels/reduce.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

interface SumAttrs {
  /** Sorted, from the front. */
  readonly axes: readonly number[];
  /** Whether each axis that is summed stays as one of size 1. */
  readonly keepDims: boolean;
  readonly divisor: number;
}

const applySum = defineOp<SumAttrs>({
  name: "sum",
  forward([x], { axes, keepDims, divisor }) {
    const summed = reduceAxes(x, "sum", axes, divisor);
    return { outputs: [keepDims ? summed : withoutAxes(summed, axes)] };
  },
  backward([dy], { inputs: [x], attrs: { axes, divisor } }) {
    return [expandTo(dy!.view(keptShape(x, axes)), x.shape, 1 / divisor)];
  },
});

const applyExpand = defineOp<{ shape: Shape }>({
  name: "expand",
  forward([x], { shape }) {
    return { outputs: [expandTo(x, shape, 1)] };
  },
  backward([dy], { inputs: [x] }) {
    return [sumTo(dy!, x.shape)];
  },
});

/**
 * Sum over axes.
 * @param axes All where left out; negative ones count from the end.
 * @param keepDims Leaves each axis that is summed as one of size 1.
 * @throws ShapeError if an axis lies outside the rank.
 */
export function sum(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  return applySum([x], { axes: normalizeAxes(axes, x.shape.length, "sum"), keepDims, divisor: 1 })[0];
}

/** Mean over axes; parameters as {@link sum}. @throws ShapeError if an axis lies outside the rank. */
export function mean(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  const normal = normalizeAxes(axes, x.shape.length, "mean");
  return applySum([x], { axes: normal, keepDims, divisor: sizeOf(normal.map((axis) => x.shape[axis])) })[0];
}

/**
 * The greatest element along an axis, which is left out of the result; NaN where there is one. No gradient flows.
 * @throws ShapeError if the axis lies outside the rank.
 */
export function max(x: Tensor, axis: number): Tensor {
  const axes = normalizeAxes([axis], x.shape.length, "max");
  return withoutAxes(reduceAxes(x, "max", axes, 1), axes);
}

/**
 * Indices (i32) of the greatest elements along the last axis, which is left out of the result: the first of equals.
 * @throws ShapeError for a scalar.
 */
export function argmax(x: Tensor): Tensor {
  return run(argmaxKernel, [x], {})[0];
}

/**
 * Repeats a tensor along axes of size 1, and along new ones in front.
 * @throws ShapeError if x does not broadcast to the shape.
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  return applyExpand([x], { shape })[0];
}

/** The sum over whatever axes broadcasting stretched: turns a gradient back to the shape of what was stretched. */
export function sumTo(dy: Tensor, shape: Shape): Tensor {
  const added = dy.shape.length - shape.length;
  const axes = dy.shape.flatMap((n, axis) => (n !== 1 && (shape[axis - added] ?? 1) === 1 ? [axis] : []));
  const summed = axes.length === 0 ? dy : reduceAxes(dy, "sum", axes, 1);
  return sameShape(summed.shape, shape) ? summed : summed.view(shape);
}

function expandTo(x: Tensor, shape: Shape, scale: number): Tensor {
  return run(expandKernel, [x], { shape, scale })[0];
}

/** Axes from the front, sorted, each once; all where none are given. */
function normalizeAxes(axes: readonly number[] | undefined, rank: number, what: string): number[] {
  const normal = axes?.map((axis) => normalizeAxis(axis, rank, what)) ?? Array(rank).keys();
  return [...new Set(normal)].sort((a, b) => a - b);
}

function keptShape(x: Tensor, axes: readonly number[]): number[] {
  return x.shape.map((n, axis) => (axes.includes(axis) ? 1 : n));
}

function withoutAxes(x: Tensor, axes: readonly number[]): Tensor {
  return x.view(x.shape.filter((_, axis) => !axes.includes(axis)));
}

/** The reduction over sorted axes, which stay as axes of size 1; nothing is noted on the tape. */
function reduceAxes(x: Tensor, fn: ReduceFunction, axes: readonly number[], divisor: number): Tensor {
  const runs: { first: number; end: number; terms: number }[] = []; // neighbouring axes count as one
  for (const axis of axes) {
    const before = runs.at(-1);
    if (before?.end !== axis) runs.push({ first: axis, end: axis + 1, terms: x.shape[axis] });
    else Object.assign(before, { end: axis + 1, terms: before.terms * x.shape[axis] });
  }
  runs.sort((a, b) => b.terms - a.terms); // the longest first: it leaves least for the others
  const shape = [...x.shape];
  let rest = x;
  runs.forEach(({ first, end, terms }, i) => {
    const outer = sizeOf(shape.slice(0, first));
    const inner = sizeOf(shape.slice(end));
    rest = reduceMiddle(rest.view([outer, terms, inner]), fn, i === runs.length - 1 ? divisor : 1);
    shape.fill(1, first, end);
  });
  return rest.view(shape);
}

/** [outer, R, inner] → [outer, 1, inner], in two dispatches where one would leave the adapter idle. */
function reduceMiddle(x: Tensor, fn: ReduceFunction, divisor: number): Tensor {
  const length = partLength(x.shape, x.device.limits);
  if (length === x.shape[1]) return run(reduce, [x], { fn, length, divisor })[0];
  const [parts] = run(reduce, [x], { fn, length, divisor: 1 });
  return run(reduce, [parts], { fn, length: parts.shape[1], divisor })[0];
}
