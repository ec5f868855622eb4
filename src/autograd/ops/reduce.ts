import { normalizeAxis, sameShape, sizeOf, type Shape } from "../../core/shape.ts";
import { binary, expand as expandKernel, productBackward } from "../../kernels/binary.ts";
import { permute } from "../../kernels/permute.ts";
import { argExtremum, partLength, reduce, type ReduceFunction } from "../../kernels/reduce.ts";
import { unary } from "../../kernels/unary.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

/** One axis or several. */
export type Axes = number | readonly number[];

interface ReductionAttrs {
  /** Sorted, from the front. */
  readonly axes: readonly number[];
  /** Whether each axis that is reduced stays as one of size 1. */
  readonly keepDims: boolean;
}

interface SumAttrs extends ReductionAttrs {
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

const applyExtremum = defineOp<ReductionAttrs & { readonly fn: "max" | "min" }>({
  name: "extremum",
  forward([x], { fn, axes, keepDims }) {
    const kept = reduceAxes(x, fn, axes, 1);
    return { outputs: [keepDims ? kept : withoutAxes(kept, axes)] };
  },
  backward([dy], { inputs: [x], outputs: [y], attrs: { axes } }) {
    const [chosen] = run(binary, [x, y.view(keptShape(x, axes))], { fn: "same" });
    const [share] = run(binary, [dy!.view(keptShape(x, axes)), reduceAxes(chosen, "sum", axes, 1)], { fn: "div" });
    return run(binary, [chosen, share], { fn: "mul" });
  },
});

const applyProduct = defineOp<ReductionAttrs>({
  name: "prod",
  forward([x], { axes, keepDims }) {
    const kept = reduceAxes(x, "prod", axes, 1);
    return { outputs: [keepDims ? kept : withoutAxes(kept, axes)] };
  },
  backward([dy], { inputs: [x], attrs: { axes } }) {
    const [zeros] = run(unary, [x], { fn: "isZero" });
    const others = reduceAxes(run(unary, [x], { fn: "nonZero" })[0], "prod", axes, 1);
    return run(productBackward, [dy!.view(keptShape(x, axes)), x, others, reduceAxes(zeros, "sum", axes, 1)], {});
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
export function sum(x: Tensor, axes?: Axes, keepDims = false): Tensor {
  return applySum([x], { axes: normalizeAxes(axes, x.shape.length, "sum"), keepDims, divisor: 1 })[0];
}

/** Mean over axes; parameters as {@link sum}. @throws ShapeError if an axis lies outside the rank. */
export function mean(x: Tensor, axes?: Axes, keepDims = false): Tensor {
  const normal = normalizeAxes(axes, x.shape.length, "mean");
  return applySum([x], { axes: normal, keepDims, divisor: sizeOf(normal.map((axis) => x.shape[axis])) })[0];
}

/**
 * The greatest element over axes, NaN where there is one; equal ones share the gradient, as in torch's `amax`.
 * Parameters as {@link sum}. @throws ShapeError if an axis lies outside the rank.
 */
export function max(x: Tensor, axes?: Axes, keepDims = false): Tensor {
  return applyExtremum([x], { fn: "max", axes: normalizeAxes(axes, x.shape.length, "max"), keepDims })[0];
}

/** The least element over axes; as {@link max}. @throws ShapeError if an axis lies outside the rank. */
export function min(x: Tensor, axes?: Axes, keepDims = false): Tensor {
  return applyExtremum([x], { fn: "min", axes: normalizeAxes(axes, x.shape.length, "min"), keepDims })[0];
}

/** Product over axes; parameters as {@link sum}. @throws ShapeError if an axis lies outside the rank. */
export function prod(x: Tensor, axes?: Axes, keepDims = false): Tensor {
  return applyProduct([x], { axes: normalizeAxes(axes, x.shape.length, "prod"), keepDims })[0];
}

/**
 * Index (i32) of the greatest element along an axis: the first of equals, and the first NaN before all numbers.
 * @throws ShapeError for a scalar, or if the axis lies outside the rank.
 */
export function argmax(x: Tensor, axis = -1, keepDims = false): Tensor {
  return indexOf("max", x, axis, keepDims);
}

/** Index (i32) of the least element along an axis; as {@link argmax}. @throws ShapeError for a scalar, or if the axis lies outside the rank. */
export function argmin(x: Tensor, axis = -1, keepDims = false): Tensor {
  return indexOf("min", x, axis, keepDims);
}

function indexOf(fn: "max" | "min", x: Tensor, axis: number, keepDims: boolean): Tensor {
  const rank = x.shape.length;
  const normal = rank === 0 ? 0 : normalizeAxis(axis, rank, `arg${fn}`);
  const order = [...x.shape.keys()].filter((other) => other !== normal).concat(normal);
  const last = normal === rank - 1 || rank === 0 ? x : run(permute, [x], { permutation: order })[0];
  const [indices] = run(argExtremum, [last], { fn });
  return keepDims ? indices.view(x.shape.with(normal, 1)) : indices;
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
export function normalizeAxes(axes: Axes | undefined, rank: number, what: string): number[] {
  const normal = axes === undefined ? Array(rank).keys() : [axes].flat().map((axis) => normalizeAxis(axis, rank, what));
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
