/**
 * Beam search, whose bookkeeping stays on the device: which texts go on, with which word and from which state, and which are
 * finished. Texts themselves are never moved: each step notes the word and the place before it, and who wants a text goes back
 * from its last word.
 *
 * A board f32 [B,W+1,4] says how far each picture's search is. Its first line: places that go on (0: the search is over, −1: a
 * log-probability was NaN), finished texts, words of those that go on. Then the finished texts, the best first: Σ log p,
 * words, the place before the last word, and that word (−1 where the rules left none to say).
 */

import { isFloat } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape } from "../core/shape.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { layThreads, rowEntry } from "./row-reduce.ts";
import { bindings, bytesOf, f32 } from "./wgsl.ts";

/** Σ log p of a place that no text has; finite, as WGSL promises little about infinities. */
export const UNUSED = -1e30;

export interface BeamAttrs {
  /** Words of the vocabulary. */
  readonly words: number;
  readonly end: number;
  /** Whether a text that ends leaves its place for good, or another one takes it. */
  readonly rule: "narrow" | "full";
}

/** What {@link advanceBeams} works with, in the order of its inputs. */
const INPUTS = ["values", "places", "factors", "sums", "words", "parents", "trellis", "board"] as const;
const FLOATS: ReadonlySet<string> = new Set(["values", "factors", "sums", "board"]); // in f16, too, though only f32 holds every word

/** @throws ShapeError that names the input at fault. */
function requireBeams(inputs: readonly TensorSpec[], { words }: BeamAttrs): { batch: number; width: number; kept: number; longest: number } {
  const [values, , factors, , , , , board] = inputs;
  const [batch, lines] = board.shape;
  const [longest] = factors.shape;
  const width = lines - 1;
  const kept = values.shape[1];
  const rows = batch * width;
  const shapes = [[batch, kept], [batch, kept], [longest], [rows], [rows], [rows], [longest, rows, 2], [batch, lines, 4]];
  inputs.forEach(({ shape, dtype }, i) => {
    const floats = FLOATS.has(INPUTS[i]);
    if (!(floats ? isFloat(dtype) : dtype === "i32") || !sameShape(shape, shapes[i])) throw new ShapeError(`advanceBeams: ${INPUTS[i]} must be ${floats ? "f32" : "i32"} ${showShape(shapes[i])} for a board ${showShape(board.shape)}; got ${dtype} ${showShape(shape)}`);
  });
  if (!(Number.isInteger(words) && words >= 1 && words < 2 ** 24)) throw new ShapeError(`advanceBeams: words must be a whole number from 1 to ${2 ** 24 - 1}, which f32 holds exactly; got ${words}`);
  return { batch, width, kept, longest };
}

/**
 * Takes the best ways to go on for each picture, the best first, and moves its W texts on by a word.
 *
 * values f32 [B,K] (Σ log p) and places i32 [B,K] (slot · V + word), factors f32 [T] (what Σ log p of 1 … T words is multiplied
 * by for the score); changed: sums f32 [B·W], words i32 [B·W] and parents i32 [B·W] (the row whose state goes on) of the texts
 * that go on, trellis i32 [T,B·W,2] (word and slot before it), and the board [B,W+1,4]. A row that no text has goes on from
 * itself with word 0 and a sum of {@link UNUSED}. A search that is over changes no more.
 * @throws ShapeError if shapes or types do not fit.
 */
export const advanceBeams: Kernel<BeamAttrs> = {
  name: "advanceBeams",
  updates: [3, 4, 5, 6, 7],
  infer(inputs, attrs) {
    requireBeams(inputs, attrs);
    return [];
  },
  cost([values, places, , sums, words, parents, , board]) {
    return { flops: 0, bytes: bytesOf(values, places, board, board) + 5 * bytesOf(sums, words, parents) / 3 };
  },
  program(inputs, attrs, limits) {
    const { batch, width, kept, longest } = requireBeams(inputs, attrs);
    const { words, end, rule } = attrs;
    const narrow = rule === "narrow";
    const threads = layThreads(batch, limits);
    return {
      wgsl: `${bindings([["values", "f32"], ["places", "i32"], ["factors", "f32"]], [["sums", "f32"], ["words", "i32"], ["parents", "i32"], ["trellis", "vec2<i32>"], ["board", "vec4<f32>"]])}
const WIDTH = ${width}u;
const LONGEST = ${longest}u;
const UNUSED = ${f32(UNUSED)};

fn scoreOf(sum: f32, length: u32) -> f32 { return sum * factors[max(length, 1u) - 1u]; }

// Puts a text among the finished ones, behind those that are as good; returns how many there are.
fn finish(head: u32, finished: u32, text: vec4<f32>) -> u32 {
  let score = scoreOf(text.x, u32(text.y));
  var place = finished;
  for (; place > 0u; place--) {
    let other = board[head + place];
    if (!(score > scoreOf(other.x, u32(other.y)))) { break; }
    if (place < WIDTH) { board[head + place + 1u] = other; }
  }
  if (place < WIDTH) { board[head + place + 1u] = text; }
  return min(finished + 1u, WIDTH);
}

${rowEntry(threads, "picture")}
  let head = picture * (WIDTH + 1u);
  let start = picture * WIDTH;
  let status = board[head];
  let length = u32(status.z) + 1u; // of the texts with their next word
  if (!(status.x > 0.0) || length > LONGEST) { return; }
  if ((bitcast<u32>(values[picture * ${kept}u]) & 0x7fffffffu) > 0x7f800000u) { // NaN comes before all numbers
    board[head] = vec4<f32>(-1.0, status.yzw);
    return;
  }
  var finished = u32(status.y);
  let open = ${narrow ? "WIDTH - min(finished, WIDTH)" : "WIDTH"};
  var possible = 0u;
  var going = 0u;
  var best = 0.0;
  for (; possible < ${kept}u; possible++) {
    let sum = values[picture * ${kept}u + possible];
    if (!(sum > UNUSED / 2.0)) { break; }
    let place = u32(places[picture * ${kept}u + possible]);
    let word = i32(place % ${words}u);
    let slot = min(place / ${words}u, WIDTH - 1u);
    if (word == ${end} || length == LONGEST) {
      if (possible < open) { finished = finish(head, finished, vec4<f32>(sum, f32(length), f32(slot), f32(word))); }
    } else if (going < open${narrow ? " && possible < open" : ""}) {
      let row = start + going;
      if (going == 0u) { best = sum; }
      sums[row] = sum;
      words[row] = word;
      parents[row] = i32(select(start + slot, row, length == 1u)); // before the first word all rows are the same
      trellis[(length - 1u) * ${batch * width}u + row] = vec2<i32>(word, i32(slot));
      going++;
    }
  }
  if (possible == 0u) { // every word is forbidden: these texts end as they are
    for (var slot = 0u; slot < min(u32(status.x), WIDTH); slot++) { finished = finish(head, finished, vec4<f32>(sums[start + slot], status.z, f32(slot), -1.0)); }
  }
  ${narrow ? "" : `if (finished == WIDTH && going > 0u) { // may what goes on still be among the best?
    let worst = board[head + WIDTH];
    if (!(scoreOf(best, length) > scoreOf(worst.x, u32(worst.y)))) { going = 0u; }
  }`}
  for (var slot = going; slot < WIDTH; slot++) {
    sums[start + slot] = UNUSED;
    words[start + slot] = 0; // any word of the vocabulary
    parents[start + slot] = i32(start + slot);
  }
  board[head] = vec4<f32>(f32(going), f32(finished), f32(length), 0.0);
}`,
      grid: threads.grid,
    };
  },
};
