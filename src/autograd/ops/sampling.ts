import { InputError } from "../../core/errors.ts";
import { appendWords as appendKernel, banWords, penalizeRepeats, type BanAttrs } from "../../kernels/said-words.ts";
import * as kernel from "../../kernels/sampling.ts";
import type { DeviceGenerator } from "../random.ts";
import { run } from "../run.ts";
import { Tensor, tensor } from "../tensor.ts";

/** How words are chosen; what is left out changes nothing. */
export interface SamplingSettings {
  /** Logits are divided by it: below 1, likely words become likelier. Above 0. */
  readonly temperature?: number;
  /** Only the k likeliest words; 0 for all, 1 for the likeliest alone. */
  readonly topK?: number;
  /** Only the fewest words, the likeliest first, whose probabilities reach p; 1 for all. */
  readonly topP?: number;
  /** Divides the logits of words said before (multiplies negative ones): above 1, fewer repetitions. */
  readonly repetitionPenalty?: number;
}

/** What the filters of one step work with. */
export interface SamplingInputs {
  /**
   * Numbers that become part of a recorded step, or a tensor f32 [4] of {@link samplingValues} that may change between replays:
   * an input of the step, say. With a tensor all filters run, whatever they are set to.
   */
  readonly settings?: SamplingSettings | Tensor;
  /** Words said before, i32 [B,T], for the repetition penalty and for bans. */
  readonly said?: Tensor;
  /** How many of each row of `said` count, i32 [B]; all where left out. */
  readonly lengths?: Tensor;
  /** Words that may not come, where the mask is not 0: [B,V] or [V] of any type. */
  readonly banned?: Tensor;
  /** What may not come because of what was said: needs `said` and `lengths`. */
  readonly bans?: BanSettings;
}

/** What what was said forbids. */
export interface BanSettings {
  /** No n words in a row come twice; 0, the default, for no such rule. */
  readonly noRepeatNgram?: number;
  /** The end word may not come before a text has so many words, with those that were given. Default 0. */
  readonly minLength?: number;
  /** The word that ends a text; needed for `minLength`. */
  readonly end?: number;
}

/**
 * The values of a settings tensor: temperature, k, p, repetition penalty.
 * @throws InputError for a number outside of its range.
 */
export function samplingValues({ temperature = 1, topK = 0, topP = 1, repetitionPenalty = 1 }: SamplingSettings): Float32Array {
  if (!(temperature > 0 && temperature < Infinity)) throw new InputError(`sampling: the temperature must be above 0; got ${temperature}`, "for the likeliest word, use argmax");
  if (!(Number.isInteger(topK) && topK >= 0)) throw new InputError(`sampling: topK must be a whole number, 0 for all words; got ${topK}`);
  if (!(topP > 0 && topP <= 1)) throw new InputError(`sampling: topP must be in 0 < p ≤ 1; got ${topP}`);
  if (!(repetitionPenalty > 0 && repetitionPenalty < Infinity)) throw new InputError(`sampling: the repetition penalty must be above 0; got ${repetitionPenalty}`);
  return Float32Array.of(temperature, topK, topP, repetitionPenalty);
}

/**
 * The logits that words are drawn from: penalised for repetition, without banned words, over the temperature, then the
 * likeliest k, and of those the fewest that reach p; −Inf for all other words. No gradient flows.
 *
 * logits [B,V] → [B,V] f32. The same words are left as with Hugging Face's processors in this order: repetition penalty,
 * bans, temperature, top-k (words as likely as the k-th stay), top-p (of words of equal probability the later ones stay).
 * @throws ShapeError if the tensors do not fit. @throws InputError for settings outside of their range.
 */
export function filterLogits(logits: Tensor, { settings = {}, said, lengths, banned, bans }: SamplingInputs = {}): Tensor {
  const { values, filters, penalizes } = settings instanceof Tensor ? { values: settings, filters: true, penalizes: true } : fixedSettings(logits, settings);
  const [scaled] = run(kernel.scaleLogits, banned === undefined ? [logits, values] : [logits, values, banned], {});
  if (said !== undefined && penalizes) run(penalizeRepeats, lengths === undefined ? [scaled, values, said] : [scaled, values, said, lengths], {});
  const attrs = bans && banAttrs(bans);
  if (attrs) {
    if (said === undefined || lengths === undefined) throw new InputError("sampling: bans need what was said, and its lengths");
    run(banWords, [scaled, said, lengths], attrs);
  }
  return filters ? run(kernel.filterLogits, [scaled, values], {})[0] : scaled;
}

/** Null where nothing is forbidden. @throws InputError for numbers that make no sense. */
function banAttrs({ noRepeatNgram = 0, minLength = 0, end = -1 }: BanSettings): BanAttrs | null {
  if (!(Number.isInteger(noRepeatNgram) && noRepeatNgram >= 0)) throw new InputError(`sampling: noRepeatNgram must be a whole number, 0 for no rule; got ${noRepeatNgram}`);
  if (!(Number.isInteger(minLength) && minLength >= 0)) throw new InputError(`sampling: minLength must be a whole number, 0 for no rule; got ${minLength}`);
  if (minLength > 0 && end < 0) throw new InputError(`sampling: minLength needs the id of the end word; got ${end}`);
  return noRepeatNgram === 0 && minLength === 0 ? null : { ngram: noRepeatNgram, minLength, end: Math.max(end, 0) };
}

/**
 * Puts the next words [B] i32 behind what was said, said [B,T] and lengths [B] i32, in place: decoders keep both beyond a step.
 * @throws ShapeError if the tensors do not fit.
 */
export function appendWords(said: Tensor, lengths: Tensor, words: Tensor): void {
  run(appendKernel, [said, lengths, words], {});
}

/** Settings that stay as they are, and which filters they need. */
function fixedSettings({ device }: Tensor, settings: SamplingSettings): { values: Tensor; filters: boolean; penalizes: boolean } {
  const values = samplingValues(settings);
  const [, topK, topP, repetitionPenalty] = values;
  return { values: tensor(device, values, [4]), filters: topK > 0 || topP < 1, penalizes: repetitionPenalty !== 1 };
}

/**
 * Draws a word from the softmax of each row; takes one draw of the generator. No gradient flows.
 *
 * logits [B,V] (or logarithms of probabilities) → [B] i32. Words of −Inf never come; −1 for a row that holds NaN, or −Inf
 * alone. The same seed gives the same words on every adapter, but where two are level to f32.
 * @throws ShapeError unless logits are [B,V].
 */
export function sampleFrom(logits: Tensor, generator: DeviceGenerator): Tensor {
  return run(kernel.drawWord, [logits, generator.draw()], {})[0];
}

/**
 * Chooses the next word of each row, without reading anything back: {@link filterLogits}, then {@link sampleFrom}.
 *
 * logits [B,V] → [B] i32.
 * @throws ShapeError if the tensors do not fit. @throws InputError for settings outside of their range.
 */
export function sample(logits: Tensor, generator: DeviceGenerator, inputs: SamplingInputs = {}): Tensor {
  return sampleFrom(filterLogits(logits, inputs), generator);
}
