/**
 * Cross entropy of logits that are never stored whole: class by class in chunks. Over the chunks of a forward pass, a
 * state [N, 5] gathers of each row the maximum, the sum of exponentials below it, the logit of the target, the first
 * logit, and the sum of all about that one (which smoothing needs; about 0 it would lose digits).
 */

import { sizeOf } from "../core/shape.ts";
import { storeGradient, storeLoss, type Classes, type CrossEntropyAttrs } from "./cross-entropy.ts";
import type { Kernel } from "./kernel.ts";
import { EXPONENTIALS, exponentialsOfRow, laneReduction, layRows, layThreads, packRow, rowEntry, sumComponents } from "./row-reduce.ts";
import { bindings, bytesOf, f32, spec } from "./wgsl.ts";
import { cutFirstAxis } from "./windows.ts";

/** Numbers that the state holds of a row. */
export const STATE_SIZE = 5;

/**
 * Adds the logits of some classes to the state; those of the first class begin it.
 *
 * state [N,5] (changed in place), logits [N,C], targets i32 [N] → no output.
 */
export const addClasses: Kernel<{ firstClass: number }> = {
  name: "addClasses",
  updates: [0],
  infer: () => [],
  cost([state, logits, targets]) {
    return { flops: 6 * sizeOf(logits.shape), bytes: 2 * bytesOf(state) + bytesOf(logits, targets) };
  },
  program([, { shape: [n, columns] }], { firstClass }, limits) {
    const { packed, element, items } = packRow(columns);
    const layout = layRows(n, items, limits);
    const begins = firstClass === 0;
    return {
      wgsl: `${bindings([], [["state", "f32"]])}
@group(0) @binding(1) var<storage, read> logits: array<${element}>;
@group(0) @binding(2) var<storage, read> targets: array<i32>;
const ITEMS = ${items}u;

${EXPONENTIALS}

${laneReduction("mergeLanes", "Exponentials", "merge(a, b)", layout.lanes)}

${laneReduction("sumLanes", "f32", "a + b", layout.lanes)}

${rowEntry(layout)}
  let start = row * ITEMS;
  let at = row * ${STATE_SIZE}u;
  let origin = ${begins ? `logits[start]${packed ? ".x" : ""}` : "state[at + 3u]"};
  var deviations = ${element}();
  ${exponentialsOfRow((i) => `logits[start + ${i}]`, packed, (value) => `deviations += ${value} - origin;`)}
  let all = mergeLanes(own, lane);
  let deviation = sumLanes(${sumComponents("deviations", packed)}, lane);
  if (first != 0u) { return; }
  let merged = ${begins ? "all" : "merge(Exponentials(state[at], state[at + 1u]), all)"};
  state[at] = merged.maximum;
  state[at + 1u] = merged.sum;
  ${begins ? "state[at + 3u] = origin;" : ""}
  state[at + 4u] = ${begins ? "deviation" : "state[at + 4u] + deviation"};
  let column = u32(targets[row]${begins ? "" : ` - ${firstClass}`}); // a class before these becomes a great number
  if (column < ${columns}u) { state[at + 2u] = logits[${packed ? "start + column / 4u][column % 4u]" : "start + column]"}; }
}`,
      grid: layout.grid,
    };
  },
  parts(inputs, attrs, limits) {
    return cutFirstAxis(inputs, attrs, limits);
  },
};

/**
 * Losses of the rows, from the state after the last chunk; as those of crossEntropyRows.
 *
 * state [N,5], targets i32 [N] → losses [N], rows [N,2].
 */
export const lossesOfState: Kernel<CrossEntropyAttrs & { classes: number }> = {
  name: "lossesOfState",
  infer([{ shape: [n] }]) {
    return [spec([n]), spec([n, 2])];
  },
  cost([state, targets]) {
    return { flops: 10 * state.shape[0], bytes: bytesOf(state, targets) + 12 * state.shape[0] };
  },
  program([{ shape: [n] }], attrs, limits) {
    const layout = layThreads(n, limits);
    const smooth = `let origin = state[at + 3u];
  let mean = state[at + 4u] / ${f32(attrs.classes)};`;
    return {
      wgsl: `${bindings([["state", "f32"], ["targets", "i32"]], [["losses", "f32"], ["rows", "vec2<f32>"]])}

${EXPONENTIALS}

${rowEntry(layout)}
  let at = row * ${STATE_SIZE}u;
  let all = Exponentials(state[at], state[at + 1u]);
  ${attrs.labelSmoothing > 0 ? smooth : ""}
  ${storeLoss(attrs.classes, attrs, "state[at + 2u]")}
}`,
      grid: layout.grid,
    };
  },
};

/**
 * Turns the logits of some classes into their gradient, in place; as crossEntropyBackward.
 *
 * logits [N,C] (changed in place), dy [], targets i32 [N], rows [N,2], weight [] → no output.
 */
export const classGradients: Kernel<CrossEntropyAttrs & Classes> = {
  name: "classGradients",
  updates: [0],
  infer: () => [],
  cost(inputs) {
    return { flops: 4 * sizeOf(inputs[0].shape), bytes: bytesOf(...inputs, inputs[0]) };
  },
  program([{ shape: [n, columns] }], attrs, limits) {
    const { element, items } = packRow(columns);
    const layout = layRows(n, items, limits);
    return {
      wgsl: `${bindings([], [["logits", element]])}
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<i32>;
@group(0) @binding(3) var<storage, read> rows: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
const ITEMS = ${items}u;

${rowEntry(layout)}
  ${storeGradient("logits", "logits", columns, attrs)}
}`,
      grid: layout.grid,
    };
  },
  parts(inputs, attrs, limits) {
    return cutFirstAxis(inputs, attrs, limits);
  },
};
