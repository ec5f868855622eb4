import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { requireFloat } from "./elementwise.ts";
import type { Kernel } from "./kernel.ts";
import { EXPONENTIALS, exponentialsOfRow, laneReduction, layRows, packRow, rowEntry } from "./row-reduce.ts";
import { bindings, bytesOf } from "./wgsl.ts";

/**
 * Texts take their next words, in place: last = word, and log softmax(logits)[word] joins the sum. A text whose last word is
 * the end stays as it is.
 *
 * logits [R,V], words i32 [R]; changed: last i32 [R], sums [R]. A word outside the vocabulary, and a row without a softmax, make
 * the sum NaN.
 * @param attrs.end The word that ends a text; negative where there is none.
 * @throws ShapeError if shapes or types do not fit.
 */
export const takeWords: Kernel<{ readonly end: number }> = {
  name: "takeWords",
  updates: [2, 3],
  infer([logits, words, last, sums]) {
    requireFloat("takeWords", logits, sums);
    if (logits.shape.length !== 2) throw new ShapeError(`takeWords: logits must be [R,V]; got ${showShape(logits.shape)}`);
    const [rows] = logits.shape;
    for (const [name, { shape, dtype }] of [["words", words], ["last", last], ["sums", sums]] as const) {
      if ((name !== "sums" && dtype !== "i32") || !sameShape(shape, [rows])) throw new ShapeError(`takeWords: ${name} must be ${name === "sums" ? "f32" : "i32"} [${rows}]; got ${dtype} ${showShape(shape)}`);
    }
    return [];
  },
  cost([logits, words, last, sums]) {
    return { flops: 4 * sizeOf(logits.shape), bytes: bytesOf(logits, words) + 2 * bytesOf(last, sums) };
  },
  program([{ shape: [rows, vocabulary] }], { end }, limits) {
    const { packed, element, items } = packRow(vocabulary);
    const layout = layRows(rows, items, limits);
    const logit = packed ? "logits[start + column / 4u][column % 4u]" : "logits[start + column]";
    return {
      wgsl: `${bindings([["logits", element], ["words", "i32"]], [["last", "i32"], ["sums", "f32"]])}
const ITEMS = ${items}u;

${EXPONENTIALS}

${laneReduction("mergeLanes", "Exponentials", "merge(a, b)", layout.lanes)}
${rowEntry(layout)}
  let start = row * ITEMS;
  ${exponentialsOfRow((i) => `logits[start + ${i}]`, packed)}
  let all = mergeLanes(own, lane);
  if (first != 0u${end < 0 ? "" : ` || last[row] == ${end}`}) { return; }
  let word = words[row];
  let column = u32(word); // a negative one becomes a great one
  last[row] = word;
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
