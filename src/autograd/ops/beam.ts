import { advanceBeams as advanceKernel, type BeamAttrs } from "../../kernels/beam.ts";
import { MOST_REORDERED, reorderRows as reorderKernel } from "../../kernels/reorder-rows.ts";
import { takeWords as takeWordsKernel } from "../../kernels/take-words.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

/** What a beam search for B pictures with W places each keeps on the device. */
export interface Beams {
  /** What Σ log p of 1 … T words is multiplied by for the score: f32 [T]. */
  readonly factors: Tensor;
  /** Σ log p of the texts that go on, f32 [B·W]. */
  readonly sums: Tensor;
  /** Their last words, i32 [B·W]. */
  readonly words: Tensor;
  /** The rows whose states they go on from, i32 [B·W]. */
  readonly parents: Tensor;
  /** For each step and row the word, and the place of the text before it: i32 [T,B·W,2]. */
  readonly trellis: Tensor;
  /**
   * How far each search is, f32 [B,W+1,4]. First: places that go on (0: it is over; −1: a log-probability was NaN), finished texts,
   * words of those that go on. Then the finished texts, the best first: Σ log p, words, place before the last word, last word.
   */
  readonly board: Tensor;
}

/**
 * Moves the texts of a beam search on by a word, in place: the best ways to go on, values f32 [B,K] (Σ log p, the best first) at
 * places i32 [B,K] of [W·V]. K of 2 · W leaves enough where half of them end.
 * @throws ShapeError if the tensors do not fit.
 */
export function advanceBeams({ values, places }: { readonly values: Tensor; readonly places: Tensor }, { factors, sums, words, parents, trellis, board }: Beams, attrs: BeamAttrs): void {
  run(advanceKernel, [values, places, factors, sums, words, parents, trellis, board], attrs);
}

/**
 * x[r] ← x[parents[r]] for some tensors [R, ...], in place, within groups of `width` rows: the states of texts follow them. Rows
 * that are their own parents, or whose parents lie in another group, stay and cost nothing.
 *
 * As many tensors as the adapter binds move in one dispatch. No gradient flows.
 * @throws ShapeError unless parents are i32 [R], and the groups divide R.
 */
export function reorderRows(tensors: readonly Tensor[], parents: Tensor, width: number): void {
  const most = Math.min(MOST_REORDERED, parents.device.limits.maxStorageBuffersPerShaderStage - 1);
  for (let first = 0; first < tensors.length; first += most) run(reorderKernel, [parents, ...tensors.slice(first, first + most)], { width });
}

/**
 * Texts take their next words, in place: last = word, and log softmax(logits)[word] joins the sum. A text whose last word is the
 * end stays as it is, whatever is computed after it.
 *
 * logits [R,V], words i32 [R]; changed: last i32 [R], sums f32 [R]. No gradient flows.
 * @param end The word that ends a text; negative where there is none.
 * @throws ShapeError if the tensors do not fit.
 */
export function takeWords({ last, sums }: { readonly last: Tensor; readonly sums: Tensor }, logits: Tensor, words: Tensor, end: number): void {
  run(takeWordsKernel, [logits, words, last, sums], { end });
}
