import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { EXPONENTIALS, exponentialsOfRow, laneReduction, layRows, packRow, rowEntry, rowsOf, sumComponents } from "./row-reduce.ts";
import { bindings, bytesOf, spec, wgslType } from "./wgsl.ts";
import { asMatrix, cutFirstAxis } from "./windows.ts";

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
  program([x], attrs, limits) {
    return softmaxProgram(x, null, attrs, limits);
  },
  parts([x], attrs, limits) {
    return cutFirstAxis([asMatrix(x), asMatrix(x)], attrs, limits);
  },
};

/**
 * Softmax over those elements of the last axis where a mask is not 0; the others are 0, also where the whole row is.
 *
 * x [...,C], mask [...,C] of any type, with as many of x's first axes as differ → y [...,C].
 * @throws ShapeError if x is a scalar, or the mask has not the first axes of x and its last one.
 */
export const maskedSoftmax: Kernel = {
  name: "maskedSoftmax",
  infer([x, mask]) {
    const axes = mask.shape.length - 1;
    if (x.shape.length === 0) throw new ShapeError("maskedSoftmax: x must have an axis; got a scalar");
    if (axes < 0 || axes >= x.shape.length || !sameShape(mask.shape, [...x.shape.slice(0, axes), x.shape.at(-1)!])) {
      throw new ShapeError(`maskedSoftmax: mask must have the first axes of x and its last one, ${showShape(x.shape)}; got ${showShape(mask.shape)}`);
    }
    return [spec(x.shape, x.dtype)];
  },
  cost([x, mask]) {
    return { flops: 7 * sizeOf(x.shape), bytes: bytesOf(x, mask, x) };
  },
  program([x, mask], _attrs, limits) {
    return softmaxProgram(x, mask, { log: false }, limits);
  },
};

function softmaxProgram(x: TensorSpec, mask: TensorSpec | null, { log }: SoftmaxAttrs, limits: KernelLimits): Program {
  const { rows, columns } = rowsOf(x.shape);
  const { packed, element, items } = packRow(columns);
  const layout = layRows(rows, items, limits);
  const flag = mask === null ? "" : packed ? `vec4<${wgslType(mask.dtype)}>` : wgslType(mask.dtype);
  const masked = (value: string, other: string, i: string): string => (mask === null ? value : `select(${element}(${other}), ${value}, mask[flags + ${i}] != ${flag}())`);
  return {
    wgsl: `${bindings([["x", element], ...(mask === null ? [] : [["mask", flag] as const])], [["y", element]])}
const ITEMS = ${items}u;

${EXPONENTIALS}

${laneReduction("mergeLanes", "Exponentials", "merge(a, b)", layout.lanes)}

${rowEntry(layout)}
  let start = row * ITEMS;
  ${mask === null ? "" : `let flags = row / ${rows / rowsOf(mask.shape).rows}u * ITEMS;`}
  ${exponentialsOfRow((item) => masked(`x[start + ${item}]`, "LOWEST", item), packed)}
  let all = mergeLanes(own, lane);
  var scale = nan();
  if (usable(all.sum)${mask === null ? "" : " && all.maximum > LOWEST"}) { scale = ${log ? "log(all.sum)" : "1.0 / all.sum"}; }
  for (var i = first; i < ITEMS; i += LANES) {
    y[start + i] = ${masked(log ? "(x[start + i] - all.maximum) - scale" : "exp(x[start + i] - all.maximum) * scale", "0.0", "i")};
  }
}`,
    grid: layout.grid,
  };
}

/** A NaN stays one: some adapters have exp(NaN) = Inf. */
const LOG_GRADIENT = "select(dy[i] - exp(y[i]) * sum, y[i], (bitcast<Bits>(y[i]) & Bits(0x7fffffffu)) > Bits(0x7f800000u))";

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
      wgsl: `alias Bits = ${packed ? "vec4<u32>" : "u32"};
${bindings([["dy", element], ["y", element]], [["dx", element]])}

${laneReduction("sumLanes", "f32", "a + b", layout.lanes)}

${rowEntry(layout)}
  let end = (row + 1u) * ${items}u;
  let begin = row * ${items}u + first;
  var own = ${element}();
  for (var i = begin; i < end; i += LANES) { own += dy[i]${log ? "" : " * y[i]"}; }
  let sum = sumLanes(${sumComponents("own", packed)}, lane);
  for (var i = begin; i < end; i += LANES) { dx[i] = ${log ? LOG_GRADIENT : "y[i] * (dy[i] - sum)"}; }
}`,
      grid: layout.grid,
    };
  },
  parts([dy, y], attrs, limits) {
    return cutFirstAxis([dy, y, y].map(asMatrix), attrs, limits);
  },
};
