/**
 * Choosing the next word from logits, without reading anything back: temperature, repetition penalty, top-k, top-p, and a draw.
 *
 * What the logits are changed by stands in a tensor `settings`, f32 [4]: temperature, k (0: all), p (1: all), repetition
 * penalty. A decoder that replays one recorded step can change them without a new one.
 */

import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { RANDOM_PAIR } from "./dropout.ts";
import { requireFloat } from "./elementwise.ts";
import type { Kernel, KernelLimits, TensorSpec } from "./kernel.ts";
import { laneReduction, layRows, powerOfTwoAbove, rowEntry, rowsOf, type RowLayout } from "./row-reduce.ts";
import { keyFunction } from "./sort.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, wgslType, workgroupNumber } from "./wgsl.ts";

const LANES = 64; // as for elementwise functions
const MOST_SHARING = 512; // threads of a row where the adapter allows them: a row is read dozens of times, and batches are small
const BLOCK = 64; // weights added up before they go into a thread's total
const DIGIT = 2; // bits of a key that one pass over a row finds: more compare more often, fewer read more often

/** The least finite number. */
const LOWEST = "const LOWEST = -3.4028234663852886e38f;";

/** A float that WGSL refuses as a literal, in a variable. */
const NEGATIVE_INFINITY = `var infiniteBits = 0xff800000u; // a variable, as WGSL refuses an infinity that it can see
  let removed = bitcast<f32>(infiniteBits);`;

/** @throws ShapeError unless logits are floats [B,V], and settings f32 [4]. */
export function requireLogits(what: string, logits: TensorSpec, settings?: TensorSpec): void {
  requireFloat(what, logits);
  if (logits.shape.length !== 2) throw new ShapeError(`${what}: logits must have shape [B,V]; got ${showShape(logits.shape)}`);
  if (settings !== undefined && !(settings.dtype === "f32" && sameShape(settings.shape, [4]))) {
    throw new ShapeError(`${what}: settings must be f32 [4]; got ${settings.dtype} ${showShape(settings.shape)}`);
  }
}

/**
 * Logits over the temperature, and −Inf for words that are banned (whose mask is not 0).
 *
 * logits [B,V], settings [4], banned [B,V] or [V] of any type (or none) → [B,V] f32.
 * @throws ShapeError if the shapes do not fit.
 */
export const scaleLogits: Kernel = {
  name: "scaleLogits",
  infer([logits, settings, banned]) {
    requireLogits("filterLogits", logits, settings);
    const [rows, words] = logits.shape;
    if (banned !== undefined && !sameShape(banned.shape, [rows, words]) && !sameShape(banned.shape, [words])) {
      throw new ShapeError(`filterLogits: the mask of banned words must be [${rows},${words}] or [${words}]; got ${showShape(banned.shape)}`);
    }
    return [spec(logits.shape)];
  },
  cost([logits, ...others]) {
    return { flops: sizeOf(logits.shape), bytes: bytesOf(logits, ...others, spec(logits.shape)) };
  },
  program([logits, , banned], _attrs, limits) {
    const size = sizeOf(logits.shape);
    const mask = banned === undefined ? [] : [["banned", wgslType(banned.dtype)] as const];
    const ban = banned === undefined ? "" : `if (banned[i${sizeOf(banned.shape) === size ? "" : ` % ${logits.shape[1]}u`}] != ${wgslType(banned.dtype)}()) { value = removed; }`;
    return {
      wgsl: `${bindings([["logits", "f32"], ["settings", "f32"], ...mask], [["out", "f32"]])}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  ${NEGATIVE_INFINITY}
  var value = logits[i] / settings[0];
  ${ban}
  out[i] = value;
}`,
      grid: foldGrid(Math.ceil(size / LANES), limits),
    };
  },
};

/** Threads that share a row: more than a sum over it would take, as it is read again for every digit of a threshold. */
function layWords({ shape }: TensorSpec, limits: KernelLimits): RowLayout {
  const { rows, columns } = rowsOf(shape);
  const layout = layRows(rows, columns, limits);
  if (layout.lanes === 1) return layout;
  const lanes = Math.min(MOST_SHARING, limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX, Math.max(layout.lanes, powerOfTwoAbove(columns / 4)));
  return { ...layout, lanes, size: lanes };
}

/**
 * WGSL function `find<Name>(base, first, count, limit, …) -> Threshold` over values that each thread of a row has put into its
 * own slots of `out`, the first `count` of them: the greatest key that values of `limit` or more together have at least (0
 * where there is none), and what those with greater keys weigh.
 *
 * A key is found by two bits at a time, from the top. Each time a thread keeps only those of its values whose key begins with
 * the bits that are known; what those with greater keys weigh is known as well.
 *
 * @param parameters More parameters, after a comma, which the expressions may use.
 * @param key WGSL of the u32 key of `value`. @param weight WGSL of its f32 weight. @param bits Of a key; an even number.
 */
function findKey(name: string, { parameters = "", key, weight, bits }: { parameters?: string; key: string; weight: string; bits: number }): string {
  return `fn find${name}(base: u32, first: u32, count: u32, limit: f32${parameters}) -> Threshold {
  var found = Threshold(0u, 0.0);
  var known = 0u; // mask of the bits of the key
  var kept = count;
  for (var shift = ${bits}u; shift > 0u; shift -= ${DIGIT}u) { // uniform
    let step = 1u << (shift - ${DIGIT}u);
    let keys = vec3<u32>(found.key) + vec3<u32>(step, 2u * step, 3u * step);
    var own = vec3<f32>();
    var block = vec3<f32>();
    var next = 0u;
    for (var i = 0u; i < kept; i++) {
      let value = out[base + first + i * LANES];
      let key = ${key};
      if (((key ^ found.key) & known) == 0u) {
        out[base + first + next * LANES] = value;
        next++;
        block += vec3<f32>(vec3<u32>(key) >= keys) * ${weight};
      }
      if (i % ${BLOCK}u == ${BLOCK - 1}u) {
        own += block;
        block = vec3<f32>();
      }
    }
    kept = next;
    let weights = sumLanes(own + block, first) + vec3<f32>(found.above);
    if (weights.x >= limit) { found.key = keys.x; } else { found.above = weights.x; }
    if (weights.y >= limit) { found.key = keys.y; } else if (weights.x >= limit) { found.above = weights.y; }
    if (weights.z >= limit) { found.key = keys.z; } else if (weights.y >= limit) { found.above = weights.z; }
    known |= 3u * step;
  }
  return found;
}`;
}

/**
 * Logits with −Inf in place of all words but the k likeliest (and those as likely as the last of them), and of those all but
 * the fewest, the likeliest first, whose probabilities reach p together; at least one word is left. Words of equal
 * probability are taken from the last to the first, as a stable ascending sort leaves them.
 *
 * logits [B,V] f32, settings [4] → [B,V] f32. Where a row has no softmax (NaN, +Inf, −Inf alone), p is not applied.
 *
 * No sort: each threshold is found from its top bits down, every thread of a row looking at its own words each time.
 * Source: Fan et al. 2018, arXiv:1805.04833 (top-k); Holtzman et al. 2019, arXiv:1904.09751 (top-p); the same words as Hugging
 * Face's TopKLogitsWarper and TopPLogitsWarper.
 */
export const filterLogits: Kernel = {
  name: "filterLogits",
  infer([logits]) {
    return [spec(logits.shape)];
  },
  cost([logits]) {
    return { flops: 100 * sizeOf(logits.shape), bytes: 2 * bytesOf(logits) };
  },
  program([logits], _attrs, limits) {
    const words = logits.shape[1];
    const layout = layWords(logits, limits);
    const columnBits = 2 * Math.ceil(Math.log2(words + 1) / 2);
    return {
      wgsl: `${bindings([["logits", "f32"], ["settings", "f32"]], [["out", "f32"]])}
const WORDS = ${words}u;
const INFINITE = 0xff800000u; // key of +Inf; that of NaN is greater
${LOWEST}
struct Threshold { key: u32, above: f32 }
${keyFunction("f32", false)}
fn valueOf(key: u32) -> f32 { return bitcast<f32>(select(~key, key ^ 0x80000000u, key >= 0x80000000u)); }
${laneReduction("sumLanes", "vec3<f32>", "a + b", layout.lanes)}
${laneReduction("maxLanes", "f32", "max(a, b)", layout.lanes)}
${findKey("Count", { key: "keyOf(value)", weight: "1.0", bits: 32 })}
${findKey("Mass", { parameters: ", maximum: f32", key: "keyOf(value)", weight: "exp(value - maximum)", bits: 32 })}
${findKey("Column", { key: "u32(value)", weight: "1.0", bits: columnBits })}

${rowEntry(layout)}
  let base = row * WORDS;
  let k = settings[1];
  let p = settings[2];
  var lowest = 0u; // key of the least likely words that are left
  var firstTie = 0u; // of the words with that key, those from here on are left
  if (k >= 1.0 && k < f32(WORDS)) { // uniform, as settings are the same for all
    var count = 0u;
    for (var column = first; column < WORDS; column += LANES) {
      out[base + column] = logits[base + column];
      count++;
    }
    lowest = findCount(base, first, count, k).key;
  }
  if (p < 1.0) { // uniform
    var own = LOWEST;
    for (var column = first; column < WORDS; column += LANES) { own = max(own, logits[base + column]); }
    let maximum = maxLanes(own, first);
    // What is left by k, and what it weighs.
    var count = 0u;
    var mass = 0.0;
    var block = 0.0;
    for (var column = first; column < WORDS; column += LANES) {
      let logit = logits[base + column];
      let key = keyOf(logit);
      if (key >= lowest) {
        out[base + first + count * LANES] = logit;
        count++;
        block += select(exp(logit - maximum), LOWEST, key >= INFINITE);
      }
      if (count % ${BLOCK}u == 0u) {
        mass += block;
        block = 0.0;
      }
    }
    let total = sumLanes(vec3<f32>(mass + block), first).x;
    let usable = total > 0.0; // otherwise nothing is looked for, but all threads meet at the barriers
    let limit = max(p * total, 1e-30); // above 0, so that one word is left where p is 0
    let last = findMass(base, first, select(0u, count, usable), limit, maximum);
    // The words that weigh as much as the last one, of which those at the end stay.
    var ties = 0u;
    for (var column = first; column < WORDS; column += LANES) {
      if (keyOf(logits[base + column]) == last.key) {
        out[base + first + ties * LANES] = f32(column);
        ties++;
      }
    }
    let equals = sumLanes(vec3<f32>(f32(ties)), first).x;
    let left = max(ceil((limit - last.above) / exp(valueOf(last.key) - maximum)), 1.0);
    let tie = findColumn(base, first, select(0u, ties, usable && left < equals), left).key;
    if (usable) {
      lowest = last.key;
      firstTie = tie;
    }
  }
  ${NEGATIVE_INFINITY}
  for (var column = first; column < WORDS; column += LANES) {
    let logit = logits[base + column];
    let key = keyOf(logit);
    out[base + column] = select(removed, logit, key > lowest || (key == lowest && column >= firstTie));
  }
}`,
      grid: layout.grid,
    };
  },
};

/**
 * Draws a word from each row's softmax: the greatest of logit − log E, with E an exponential random number of its own for
 * each word (Gumbel's trick), the first of equals. −1 where a row holds NaN, or −Inf alone.
 *
 * logits [B,V], draw [4] u32 (seed, stream, counter low and high) → [B] i32. Word v of row b takes the first number of
 * Threefry-2x32 of key (seed, stream) and counter + b·V + v, so the same words come out on every adapter but where two of
 * them are nearly level.
 * @throws ShapeError unless logits are floats [B,V].
 * Source: Maddison et al. 2014, "A* Sampling", arXiv:1411.0030.
 */
export const drawWord: Kernel = {
  name: "drawWord",
  infer([logits]) {
    requireLogits("sampleFrom", logits);
    return [spec([logits.shape[0]], "i32")];
  },
  cost([logits]) {
    return { flops: 10 * sizeOf(logits.shape), bytes: bytesOf(logits, spec([logits.shape[0]])) };
  },
  program([logits], _attrs, limits) {
    const layout = layWords(logits, limits);
    return {
      wgsl: `${bindings([["logits", "f32"], ["draw", "u32"]], [["ids", "i32"]])}
const WORDS = ${logits.shape[1]}u;
${LOWEST}
const NONE = 0x7fffffff;
const INVALID = -1;
struct Best { value: f32, word: i32 }
${RANDOM_PAIR}

fn better(a: Best, b: Best) -> Best {
  if (b.value > a.value || (b.value == a.value && b.word < a.word)) { return b; }
  return a;
}

// −log(1 − u) with u = (random + ½) / 2³², exact to f32 at both ends.
fn exponential(random: u32) -> f32 {
  let u = (f32(random) + 0.5) * ${2 ** -32}f;
  let rest = (f32(~random) + 0.5) * ${2 ** -32}f; // 1 − u
  if (u < 0.005) { return u * (1.0 + u * (0.5 + u / 3.0)); }
  return -log(rest);
}
${laneReduction("bestOfLanes", "Best", "better(a, b)", layout.lanes)}
${rowEntry(layout)}
  let base = row * WORDS;
  var own = Best(LOWEST, NONE);
  for (var column = first; column < WORDS; column += LANES) {
    // A loop, as some adapters run what follows for words without a chance too, and only then forget it.
    while (column < WORDS && bitcast<u32>(logits[base + column]) == 0xff800000u) { column += LANES; } // −Inf
    if (column >= WORDS) { break; }
    let logit = logits[base + column];
    let bits = bitcast<u32>(logit);
    if ((bits & 0x7fffffffu) > 0x7f800000u) { // NaN: nothing is greater, and nothing before it
      own = Best(-LOWEST, INVALID);
      break;
    }
    own = better(own, Best(clamp(logit - log(exponential(randomPair(base + column).x)), LOWEST, -LOWEST), i32(column)));
  }
  let best = bestOfLanes(own, first);
  if (first == 0u) { ids[row] = select(best.word, INVALID, best.word == NONE); }
}`,
      grid: layout.grid,
    };
  },
};
