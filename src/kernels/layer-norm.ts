import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { Kernel } from "./kernel.ts";
import { laneReduction, layRows, layThreads, packRow, rowEntry, rowsOf, sumComponents } from "./row-reduce.ts";
import { bindings, bytesOf, f32, spec } from "./wgsl.ts";

const ROWS_PER_SLICE = 32; // rows that a column's thread sums at least, so that partial sums stay few
const THREADS = 16_384; // column threads that fill a large GPU: more slices than that only cost

/** A row's normalisation: normal = (x − mean)·rstd + shift. The shift undoes the rounding of a mean far from 0. */
const ROW = { size: 3, wgsl: "struct Row { mean: f32, shift: f32, rstd: f32 }" };

/**
 * Layer normalisation over the last axis: y = (x − mean)·rstd·weight + bias.
 *
 * x [...,C], weight [C], bias [C] → y [...,C], moments [rows,3] (kept for the backward pass).
 * Biased variance, in a second pass over x minus the mean; the mean is summed about the row's first element.
 * @throws ShapeError if weight or bias is not [C].
 * Source: Ba et al. 2016, arXiv:1607.06450; the same result as torch.nn.functional.layer_norm.
 */
export const layerNorm: Kernel<{ eps: number }> = {
  name: "layerNorm",
  infer([x, weight, bias]) {
    if (x.shape.length === 0) throw new ShapeError("layerNorm: x must have an axis; got a scalar");
    const { rows, columns } = rowsOf(x.shape);
    for (const { shape } of [weight, bias]) {
      if (!sameShape(shape, [columns])) throw new ShapeError(`layerNorm: weight and bias must be [${columns}] for x ${showShape(x.shape)}; got ${showShape(shape)}`);
    }
    return [spec(x.shape, x.dtype), spec([rows, ROW.size])];
  },
  cost([x, weight, bias]) {
    return { flops: 8 * sizeOf(x.shape), bytes: bytesOf(x, x, weight, bias) };
  },
  program([x], { eps }, limits) {
    const { rows, columns } = rowsOf(x.shape);
    const { packed, element, items } = packRow(columns);
    const layout = layRows(rows, items, limits);
    return {
      wgsl: `${ROW.wgsl}
${bindings([["x", element], ["weight", element], ["bias", element]], [["y", element], ["moments", "Row"]])}
const ITEMS = ${items}u;

${laneReduction("sumLanes", "f32", "a + b", layout.lanes)}

${rowEntry(layout)}
  let start = row * ITEMS;
  let pivot = x[start]${packed ? ".x" : ""};
  var sum = ${element}();
  for (var i = first; i < ITEMS; i += LANES) { sum += x[start + i] - pivot; }
  let offset = sumLanes(${sumComponents("sum", packed)}, lane) / ${f32(columns)};
  let mean = pivot + offset;
  let remainder = (pivot - mean) + offset;
  var squares = ${element}();
  for (var i = first; i < ITEMS; i += LANES) {
    let deviation = (x[start + i] - mean) - remainder;
    squares += deviation * deviation;
  }
  let rstd = inverseSqrt(sumLanes(${sumComponents("squares", packed)}, lane) / ${f32(columns)} + ${f32(eps)});
  let shift = -remainder * rstd;
  for (var i = first; i < ITEMS; i += LANES) {
    y[start + i] = ((x[start + i] - mean) * rstd + shift) * weight[i] + bias[i];
  }
  if (first == 0u) { moments[row] = Row(mean, shift, rstd); }
}`,
      grid: layout.grid,
    };
  },
};

/**
 * Gradient of x: dx = rstd·(g − mean(g) − normal·mean(g·normal)), with g = dy·weight.
 *
 * dy [...,C], x [...,C], weight [C], moments [rows,3] → dx [...,C].
 */
export const layerNormBackwardInput: Kernel = {
  name: "layerNormBackwardInput",
  infer([, x]) {
    return [spec(x.shape, x.dtype)];
  },
  cost([dy, x, weight, moments]) {
    return { flops: 12 * sizeOf(x.shape), bytes: bytesOf(dy, x, weight, moments, x) };
  },
  program([, x], _attrs, limits) {
    const { rows, columns } = rowsOf(x.shape);
    const { packed, element, items } = packRow(columns);
    const layout = layRows(rows, items, limits);
    return {
      wgsl: `${ROW.wgsl}
${bindings([["dy", element], ["x", element], ["weight", element], ["moments", "Row"]], [["dx", element]])}
const ITEMS = ${items}u;

${laneReduction("sumLanes", "vec2<f32>", "a + b", layout.lanes)}

${rowEntry(layout)}
  let start = row * ITEMS;
  let own = moments[row];
  var sum = ${element}();
  var product = ${element}();
  for (var i = first; i < ITEMS; i += LANES) {
    let g = dy[start + i] * weight[i];
    sum += g;
    product += g * ((x[start + i] - own.mean) * own.rstd + own.shift);
  }
  let means = sumLanes(vec2<f32>(${sumComponents("sum", packed)}, ${sumComponents("product", packed)}), lane) / ${f32(columns)};
  for (var i = first; i < ITEMS; i += LANES) {
    let normal = (x[start + i] - own.mean) * own.rstd + own.shift;
    dx[start + i] = own.rstd * (dy[start + i] * weight[i] - means.x - normal * means.y);
  }
}`,
      grid: layout.grid,
    };
  },
};

/** Slices that the rows are cut into where columns are summed. */
function slicesOf(rows: number, items: number): { slices: number; rowsPerSlice: number } {
  const wanted = Math.min(Math.ceil(rows / ROWS_PER_SLICE), Math.ceil(THREADS / items));
  const rowsPerSlice = Math.ceil(rows / wanted);
  return { slices: Math.ceil(rows / rowsPerSlice), rowsPerSlice };
}

/**
 * Sums behind the gradients of weight and bias, over slices of the rows.
 *
 * dy [...,C], x [...,C], moments [rows,3] → sums [slices,2,C] of dy·normal and of dy. A thread sums a column, so
 * neighbours read neighbours.
 */
export const layerNormBackwardSums: Kernel = {
  name: "layerNormBackwardSums",
  infer([, x]) {
    const { rows, columns } = rowsOf(x.shape);
    return [spec([slicesOf(rows, packRow(columns).items).slices, 2, columns])];
  },
  cost([dy, x, moments]) {
    return { flops: 5 * sizeOf(x.shape), bytes: bytesOf(dy, x, moments) };
  },
  program([, x], _attrs, limits) {
    const { rows, columns } = rowsOf(x.shape);
    const { element, items } = packRow(columns);
    const { slices, rowsPerSlice } = slicesOf(rows, items);
    const layout = layThreads(slices * items, limits);
    return {
      wgsl: `${ROW.wgsl}
${bindings([["dy", element], ["x", element], ["moments", "Row"]], [["sums", element]])}

${rowEntry(layout, "job")}
  let slice = job / ${items}u;
  let column = job % ${items}u;
  var dweight = ${element}();
  var dbias = ${element}();
  for (var row = slice * ${rowsPerSlice}u; row < min((slice + 1u) * ${rowsPerSlice}u, ${rows}u); row++) {
    let own = moments[row];
    let g = dy[row * ${items}u + column];
    dweight += g * ((x[row * ${items}u + column] - own.mean) * own.rstd + own.shift);
    dbias += g;
  }
  sums[slice * ${2 * items}u + column] = dweight;
  sums[slice * ${2 * items}u + ${items}u + column] = dbias;
}`,
      grid: layout.grid,
    };
  },
};

/** Gradients of weight and bias: sums [slices,2,C] → dweight [C], dbias [C]. */
export const layerNormBackwardWeights: Kernel = {
  name: "layerNormBackwardWeights",
  infer([{ shape: [, , columns] }]) {
    return [spec([columns]), spec([columns])];
  },
  cost([sums]) {
    return { flops: sizeOf(sums.shape), bytes: bytesOf(sums) + 8 * sums.shape[2] };
  },
  program([{ shape: [slices, , columns] }], _attrs, limits) {
    const { element, items } = packRow(columns);
    const layout = layThreads(items, limits);
    return {
      wgsl: `${bindings([["sums", element]], [["dweight", element], ["dbias", element]])}

${rowEntry(layout, "column")}
  var sum = ${element}();
  var product = ${element}();
  for (var i = column; i < ${slices * 2 * items}u; i += ${2 * items}u) {
    product += sums[i];
    sum += sums[i + ${items}u];
  }
  dweight[column] = product;
  dbias[column] = sum;
}`,
      grid: layout.grid,
    };
  },
};
