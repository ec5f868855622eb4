import { ShapeError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import type { Kernel } from "./kernel.ts";
import { EXPONENTIALS, exponentialsOfRow, laneReduction, layRows, packRow, rowEntry, rowsOf, sumComponents } from "./row-reduce.ts";
import { bindings, bytesOf, spec } from "./wgsl.ts";

/** Whether the logarithm of the softmax is meant. */
export interface SoftmaxAttrs {
  readonly log: boolean;
}

/**
 * Softmax over the last axis, with the maximum taken off: y = exp(x − max) / Σ exp(x − max), or its logarithm
 * y = (x − max) − log Σ exp(x − max).
 *
 * x [...,C] → y [...,C]. Maximum and sum in one pass over the row. A row with NaN or +Inf, or of −Inf alone, is NaN.
 * @throws ShapeError if x is a scalar.
 * Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax", arXiv:1805.02867.
 */
export const softmax: Kernel<SoftmaxAttrs> = {
  name: "softmax",
  infer([x], { log }) {
    if (x.shape.length === 0) throw new ShapeError(`${log ? "logSoftmax" : "softmax"}: x must have an axis; got a scalar`);
    return [spec(x.shape, x.dtype)];
  },
  cost([x]) {
    return { flops: 7 * sizeOf(x.shape), bytes: bytesOf(x, x) };
  },
  program([x], { log }, limits) {
    const { rows, columns } = rowsOf(x.shape);
    const { packed, element, items } = packRow(columns);
    const layout = layRows(rows, items, limits);
    return {
      wgsl: `${bindings([["x", element]], [["y", element]])}
const ITEMS = ${items}u;

${EXPONENTIALS}

${laneReduction("mergeLanes", "Exponentials", "merge(a, b)", layout.lanes)}

${rowEntry(layout)}
  let start = row * ITEMS;
  ${exponentialsOfRow((item) => `x[start + ${item}]`, packed)}
  let all = mergeLanes(own, lane);
  var scale = nan();
  if (usable(all.sum)) { scale = ${log ? "log(all.sum)" : "1.0 / all.sum"}; }
  for (var i = first; i < ITEMS; i += LANES) {
    y[start + i] = ${log ? "(x[start + i] - all.maximum) - scale" : "exp(x[start + i] - all.maximum) * scale"};
  }
}`,
      grid: layout.grid,
    };
  },
};

/**
 * dx = y·(dy − Σ dy·y) for the softmax, dx = dy − exp(y)·Σ dy for its logarithm.
 *
 * dy [...,C], y [...,C] → dx [...,C].
 */
export const softmaxBackward: Kernel<SoftmaxAttrs> = {
  name: "softmaxBackward",
  infer([, y]) {
    return [spec(y.shape, y.dtype)];
  },
  cost([, y]) {
    return { flops: 4 * sizeOf(y.shape), bytes: bytesOf(y, y, y) };
  },
  program([, y], { log }, limits) {
    const { rows, columns } = rowsOf(y.shape);
    const { packed, element, items } = packRow(columns);
    const layout = layRows(rows, items, limits);
    return {
      wgsl: `${bindings([["dy", element], ["y", element]], [["dx", element]])}

${laneReduction("sumLanes", "f32", "a + b", layout.lanes)}

${rowEntry(layout)}
  let end = (row + 1u) * ${items}u;
  let begin = row * ${items}u + first;
  var own = ${element}();
  for (var i = begin; i < end; i += LANES) { own += dy[i]${log ? "" : " * y[i]"}; }
  let sum = sumLanes(${sumComponents("own", packed)}, lane);
  for (var i = begin; i < end; i += LANES) { dx[i] = ${log ? "dy[i] - exp(y[i]) * sum" : "y[i] * (dy[i] - sum)"}; }
}`,
      grid: layout.grid,
    };
  },
};
