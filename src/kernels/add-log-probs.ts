import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { requireFloat } from "./elementwise.ts";
import type { Kernel } from "./kernel.ts";
import { EXPONENTIALS, exponentialsOfRow, laneReduction, layRows, packRow, rowEntry } from "./row-reduce.ts";
import { bindings, bytesOf } from "./wgsl.ts";

/**
 * Adds log softmax(logits)[word] to the sum of each text, in place, but for texts whose last word was the end.
 *
 * logits [R,V], words i32 [R] (the next ones), last i32 [R] (those before), sums f32 [R] (changed). A word outside the
 * vocabulary, and a row without a softmax, give NaN.
 * @param attrs.end The word that ends a text; negative where there is none.
 * @throws ShapeError if shapes or types do not fit.
 */
export const addLogProbs: Kernel<{ readonly end: number }> = {
  name: "addLogProbs",
  updates: [3],
  infer([logits, words, last, sums]) {
    requireFloat("addLogProbs", logits);
    if (logits.shape.length !== 2) throw new ShapeError(`addLogProbs: logits must be [R,V]; got ${showShape(logits.shape)}`);
    const [rows] = logits.shape;
    for (const [name, { shape, dtype }, type] of [["words", words, "i32"], ["last", last, "i32"], ["sums", sums, "f32"]] as const) {
      if (dtype !== type || !sameShape(shape, [rows])) throw new ShapeError(`addLogProbs: ${name} must be ${type} [${rows}]; got ${dtype} ${showShape(shape)}`);
    }
    return [];
  },
  cost([logits, words, last, sums]) {
    return { flops: 4 * sizeOf(logits.shape), bytes: bytesOf(logits, words, last) + 2 * bytesOf(sums) };
  },
  program([{ shape: [rows, vocabulary] }], { end }, limits) {
    const { packed, element, items } = packRow(vocabulary);
    const layout = layRows(rows, items, limits);
    const logit = packed ? "logits[start + column / 4u][column % 4u]" : "logits[start + column]";
    return {
      wgsl: `${bindings([["logits", element], ["words", "i32"], ["last", "i32"]], [["sums", "f32"]])}
const ITEMS = ${items}u;

${EXPONENTIALS}

${laneReduction("mergeLanes", "Exponentials", "merge(a, b)", layout.lanes)}
${rowEntry(layout)}
  let start = row * ITEMS;
  ${exponentialsOfRow((i) => `logits[start + ${i}]`, packed)}
  let all = mergeLanes(own, lane);
  if (first != 0u${end < 0 ? "" : ` || last[row] == ${end}`}) { return; }
  let column = u32(words[row]); // a negative one becomes a great one
  if (column >= ${vocabulary}u || !usable(all.sum)) {
    sums[row] = nan();
    return;
  }
  sums[row] += ${logit} - all.maximum - log(all.sum);
}`,
      grid: layout.grid,
    };
  },
};
