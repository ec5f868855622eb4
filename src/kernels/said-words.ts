/**
 * The words that were said so far, ids i32 [B,T] of which `lengths` i32 [B] count: what they forbid or make less likely to come
 * next, and how the next one joins them. All in place, so that one recorded step serves every word.
 */

import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { requireLogits } from "./sampling.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions

/** @throws ShapeError unless ids are i32 [rows,T], and lengths i32 [rows]. */
function requireSaid(what: string, rows: number, ids: TensorSpec, lengths?: TensorSpec): void {
  if (ids.dtype !== "i32" || ids.shape.length !== 2 || ids.shape[0] !== rows) throw new ShapeError(`${what}: ids said before must be i32 [${rows},T]; got ${ids.dtype} ${showShape(ids.shape)}`);
  if (lengths !== undefined && !(lengths.dtype === "i32" && sameShape(lengths.shape, [rows]))) {
    throw new ShapeError(`${what}: lengths must be i32 [${rows}]; got ${lengths.dtype} ${showShape(lengths.shape)}`);
  }
}

/**
 * Makes words that were said before less likely, in place: a logit is multiplied by the penalty where it is negative, and
 * divided by it elsewhere; once for each word, however often it was said.
 *
 * logits [B,V] f32 (changed), settings [4], ids [B,T] i32 and how many of each row count, [B] i32 (or none: all). Ids outside
 * the vocabulary are left out.
 * @throws ShapeError if the shapes do not fit.
 * Source: Keskar et al. 2019, "CTRL", arXiv:1909.05858; for negative logits as Hugging Face's RepetitionPenaltyLogitsProcessor.
 */
export const penalizeRepeats: Kernel = {
  name: "penalizeRepeats",
  updates: [0],
  infer([logits, settings, ids, lengths]) {
    requireLogits("filterLogits", logits, settings);
    requireSaid("filterLogits", logits.shape[0], ids, lengths);
    return [];
  },
  cost([, , ids]) {
    return { flops: (sizeOf(ids.shape) * ids.shape[1]) / 2, bytes: bytesOf(ids) + 8 * sizeOf(ids.shape) };
  },
  program([logits, , ids, lengths], _attrs, limits) {
    const [, words] = logits.shape;
    const [, said] = ids.shape;
    const size = sizeOf(ids.shape);
    return {
      wgsl: `${bindings([], [["logits", "f32"]])}
@group(0) @binding(1) var<storage, read> settings: array<f32>;
@group(0) @binding(2) var<storage, read> ids: array<i32>;
${lengths === undefined ? "" : "@group(0) @binding(3) var<storage, read> lengths: array<i32>;"}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  let row = i / ${said}u;
  let id = ids[i];
  if (id < 0 || id >= ${words}${lengths === undefined ? "" : ` || i32(i - row * ${said}u) >= lengths[row]`}) { return; }
  for (var before = row * ${said}u; before < i; before++) {
    if (ids[before] == id) { return; } // the first place of a word changes it, and no other
  }
  let place = row * ${words}u + u32(id);
  let logit = logits[place];
  logits[place] = select(logit / settings[3], logit * settings[3], logit < 0.0);
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};

export interface BanAttrs {
  /** No n words in a row come twice; 0 for no such rule. */
  readonly ngram: number;
  /** A text of fewer words must go on: `end` may not come. */
  readonly minLength: number;
  readonly end: number;
}

/**
 * −Inf, in place, for the words that would say some n words in a row again, and for the end while a text is short.
 *
 * logits [B,V] f32 (changed), ids [B,T] i32, lengths [B] i32.
 * @throws ShapeError if the shapes do not fit.
 * Source: Paulus et al. 2017, arXiv:1705.04304; as Hugging Face's NoRepeatNGramLogitsProcessor.
 */
export const banWords: Kernel<BanAttrs> = {
  name: "banWords",
  updates: [0],
  infer([logits, ids, lengths], { end }) {
    requireLogits("filterLogits", logits);
    requireSaid("filterLogits", logits.shape[0], ids, lengths);
    if (!(end >= 0 && end < logits.shape[1])) throw new ShapeError(`filterLogits: end must lie in 0..${logits.shape[1] - 1}; got ${end}`);
    return [];
  },
  cost([, ids, lengths], { ngram }) {
    return { flops: ngram * sizeOf(ids.shape), bytes: bytesOf(ids, lengths) };
  },
  program([logits, ids], { ngram, minLength, end }, limits) {
    const [, words] = logits.shape;
    const [, said] = ids.shape;
    const size = sizeOf(ids.shape);
    const repeats = `if (i32(place) + ${ngram - 1} >= length) { return; }
  for (var k = 0u; k < ${ngram - 1}u; k++) {
    if (ids[i + k] != ids[row * ${said}u + u32(length) - ${ngram - 1}u + k]) { return; }
  }
  let id = ids[i + ${ngram - 1}u];
  if (id >= 0 && id < ${words}) { logits[row * ${words}u + u32(id)] = removed; }`;
    return {
      wgsl: `${bindings([], [["logits", "f32"]])}
@group(0) @binding(1) var<storage, read> ids: array<i32>;
@group(0) @binding(2) var<storage, read> lengths: array<i32>;

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  var infiniteBits = 0xff800000u; // a variable, as WGSL refuses an infinity that it can see
  let removed = bitcast<f32>(infiniteBits);
  let row = i / ${said}u;
  let place = i - row * ${said}u;
  let length = lengths[row];
  if (place == 0u && length < ${minLength}) { logits[row * ${words}u + ${end}u] = removed; }
  ${ngram > 0 ? repeats : ""}
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};

/**
 * Puts the next word of each text behind what was said, in place; a text that fills its row stays as it is.
 *
 * ids [B,T] i32 and lengths [B] i32 (both changed), words [B] i32.
 * @throws ShapeError if the shapes do not fit.
 */
export const appendWords: Kernel = {
  name: "appendWords",
  updates: [0, 1],
  infer([ids, lengths, words]) {
    requireSaid("appendWords", words.shape[0], ids, lengths);
    if (words.dtype !== "i32" || words.shape.length !== 1) throw new ShapeError(`appendWords: words must be i32 [B]; got ${words.dtype} ${showShape(words.shape)}`);
    return [];
  },
  cost([, lengths, words]) {
    return { flops: 0, bytes: 3 * bytesOf(lengths) + bytesOf(words) };
  },
  program([ids], _attrs, limits) {
    const [rows, said] = ids.shape;
    return {
      wgsl: `${bindings([], [["ids", "i32"], ["lengths", "i32"]])}
@group(0) @binding(2) var<storage, read> words: array<i32>;

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let row = ${workgroupNumber()} * ${LANES}u + lane;
  if (row >= ${rows}u) { return; }
  let length = lengths[row];
  if (length < 0 || length >= ${said}) { return; }
  ids[row * ${said}u + u32(length)] = words[row];
  lengths[row] = length + 1;
}`,
      grid: foldGrid(Math.ceil(rows / LANES), limits),
    };
  },
};
