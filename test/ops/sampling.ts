import { DeviceGenerator } from "../../src/autograd/random.ts";
import { filterLogits, sampleFrom, type SamplingSettings } from "../../src/autograd/ops/sampling.ts";
import { Generator, threefry } from "../../src/core/rng.ts";
import { randomInteger, valuesOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

const MARGIN = 1e-4; // by which a fuzzed sample's choices are clear, where f32 gives sums and logarithms to 1e-6

/** Attributes of a sample; its inputs are logits and, where the attributes say so, words said before, lengths, and bans. */
export interface FilterAttrs {
  readonly settings: SamplingSettings;
  readonly others?: readonly ("said" | "lengths" | "banned")[];
}

/** Row `row` of a matrix. */
export function rowOf(data: ArrayLike<number>, row: number, columns: number): number[] {
  return Array.from({ length: columns }, (_, column) => data[row * columns + column]);
}

/** What Hugging Face's processors leave of one row of logits, from their definitions, in float64. */
export function filteredRow(logits: readonly number[], settings: SamplingSettings, said: readonly number[], banned: readonly boolean[]): number[] {
  const { temperature = 1, topK = 0, topP = 1, repetitionPenalty = 1 } = settings;
  const row = [...logits];
  // RepetitionPenaltyLogitsProcessor
  for (const id of new Set(said)) if (id in row) row[id] = row[id] < 0 ? row[id] * repetitionPenalty : row[id] / repetitionPenalty;
  banned.forEach((isBanned, id) => {
    if (isBanned) row[id] = -Infinity;
  });
  // TemperatureLogitsWarper
  row.forEach((logit, id) => (row[id] = logit / temperature));
  // TopKLogitsWarper: what is less than the k-th greatest goes
  if (topK > 0) {
    const kth = [...row].sort((a, b) => b - a)[Math.min(topK, row.length) - 1];
    row.forEach((logit, id) => logit < kth && (row[id] = -Infinity));
  }
  // TopPLogitsWarper: sorted from the least, all goes whose cumulative probability is at most 1 − p, but never the last
  if (topP < 1) {
    const ascending = [...row.keys()].sort((a, b) => row[a] - row[b] || a - b);
    const weights = ascending.map((id) => Math.exp(row[id] - row[ascending[ascending.length - 1]]));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let cumulative = 0;
    const gone = ascending.filter((_, i) => (cumulative += weights[i] / total) <= 1 - topP && i < ascending.length - 1);
    for (const id of gone) row[id] = -Infinity;
  }
  return row;
}

/** Inputs of a sample by name. */
function byName<T>(inputs: readonly T[], { others = [] }: FilterAttrs): Partial<Record<"said" | "lengths" | "banned", T>> {
  return Object.fromEntries(others.map((name, i) => [name, inputs[i + 1]]));
}

function sample(name: string, rows: number, words: number, settings: SamplingSettings, given: Partial<Record<"said" | "lengths" | "banned", Input>> = {}, logits: Partial<Input> = {}): Sample<FilterAttrs> {
  const others = (["said", "lengths", "banned"] as const).filter((other) => given[other] !== undefined);
  return { name: `${name} [${rows},${words}]`, inputs: [{ shape: [rows, words], low: -6, high: 6, ...logits }, ...others.map((other) => given[other]!)], attrs: { settings, others } };
}

function said(rows: number, length: number, words: number): Input {
  return { shape: [rows, length], dtype: "i32", low: -1, high: words + 1 };
}

function lengths(rows: number, length: number): Input {
  return { shape: [rows], dtype: "i32", low: 0, high: length + 1 };
}

function bans(rows: number, words: number): Input {
  return { shape: [rows, words], dtype: "u32", low: 0, high: 2 };
}

/** Whether p could be a little more or less, and the same words would be left. */
function isClear({ inputs, attrs }: Sample<FilterAttrs>): boolean {
  const values = inputs.map((input, i) => ({ shape: input.shape, data: valuesOf(input, i) }));
  const [less, more] = [1 - MARGIN, 1 + MARGIN].map((factor) => {
    const topP = attrs.settings.topP === 1 ? 1 : attrs.settings.topP! * factor;
    return filterLogitsCase.reference(values, { ...attrs, settings: { ...attrs.settings, topP } })[0].data;
  });
  return less.every((logit, i) => logit === more[i]);
}

function fuzz(random: Generator): Sample<FilterAttrs> {
  for (;;) {
    const found = randomSample(random);
    if (isClear(found)) return found;
  }
}

function randomSample(random: Generator): Sample<FilterAttrs> {
  const [rows, words, length] = [randomInteger(random, 1, 5), randomInteger(random, 2, 300), randomInteger(random, 1, 20)];
  const maybe = <T>(value: T): T | undefined => (random.integer(2) === 0 ? undefined : value);
  const settings = { temperature: 0.3 + 2 * random.uniform(), topK: random.integer(2) * random.integer(words + 5), topP: random.integer(2) === 0 ? 1 : 0.05 + 0.9 * random.uniform(), repetitionPenalty: 0.7 + random.uniform() };
  const before = maybe(said(rows, length, words));
  return sample("random", rows, words, settings, { said: before, lengths: before && maybe(lengths(rows, length)), banned: maybe(random.pick([bans(rows, words), { ...bans(1, words), shape: [words] }])) });
}

/** Equal probabilities at the border: the later words stay. */
const TIES = [1, 3, 3, 0, 3, -2, 3, 1, 1, 3] as const;

export const filterLogitsCase: OpCase<FilterAttrs> = {
  name: "filterLogits",
  apply: ([logits, ...others], attrs) => [filterLogits(logits, { settings: attrs.settings, ...byName([logits, ...others], attrs) })],
  reference: (inputs, attrs): Reference[] => {
    const [logits] = inputs;
    const [rows, words] = logits.shape;
    const given = byName(inputs, attrs);
    const data = Array.from({ length: rows }, (_, row) => {
      const ids = given.said === undefined ? [] : rowOf(given.said.data, row, given.said.shape[1]).slice(0, given.lengths?.data[row]);
      const mask = given.banned === undefined ? [] : rowOf(given.banned.data, given.banned.shape.length === 1 ? 0 : row, words);
      return filteredRow(rowOf(logits.data, row, words), attrs.settings, ids, mask.map((value) => value !== 0));
    });
    return [{ shape: logits.shape, data: Float64Array.from(data.flat()) }];
  },
  tolerance: { forward: 1e-6, gradient: 0, reason: "a product and a quotient in f32; a word too many or too few is an infinity in another place" },
  differentiable: [],
  constantOutputs: [0],
  samples: [
    sample("nothing", 2, 7, {}),
    sample("temperature", 3, 33, { temperature: 0.7 }),
    sample("top-k", 3, 130, { topK: 5 }),
    sample("top-k of one", 2, 50, { topK: 1 }),
    sample("top-k beyond the vocabulary", 2, 7, { topK: 9 }),
    sample("top-k with equals", 1, 10, { topK: 3 }, {}, { values: TIES }),
    sample("top-p", 4, 130, { topP: 0.8 }),
    sample("a small top-p", 3, 65, { topP: 0.001 }),
    sample("a large top-p", 3, 300, { topP: 0.999 }),
    ...[0.1, 0.3, 0.5, 0.6, 0.95].map((topP) => sample(`top-p ${topP} with equals`, 1, 10, { topP }, {}, { values: TIES })),
    sample("equal words", 1, 12, { topP: 0.45 }, {}, { values: Array<number>(12).fill(-3) }),
    sample("one word", 2, 1, { topP: 0.5, topK: 1 }),
    sample("large logits", 2, 40, { topP: 0.9, topK: 20 }, {}, { low: -1e4, high: 1e4 }),
    sample("repetition penalty", 3, 40, { repetitionPenalty: 1.3 }, { said: said(3, 9, 40) }),
    sample("penalty below 1, lengths", 4, 30, { repetitionPenalty: 0.6 }, { said: said(4, 12, 30), lengths: lengths(4, 12) }),
    sample("bans", 3, 30, {}, { banned: bans(3, 30) }),
    sample("bans for all rows", 3, 31, { temperature: 2 }, { banned: { shape: [31], low: -1, high: 1 } }),
    sample("all together", 4, 257, { temperature: 0.8, topK: 40, topP: 0.9, repetitionPenalty: 1.2 }, { said: said(4, 20, 257), lengths: lengths(4, 20), banned: bans(4, 257) }),
    sample("a long row", 1, 5003, { topK: 200, topP: 0.7 }, {}, { low: -4, high: 4 }),
  ],
  refused: [
    { name: "a vector", inputs: [{ shape: [5] }], attrs: { settings: {} }, message: /filterLogits: logits must have shape \[B,V\]; got \[5\]/ },
    { ...sample("", 1, 5, { temperature: 0 }), name: "temperature 0", message: /sampling: the temperature must be above 0; got 0 \(for the likeliest word, use argmax\)/ },
    { ...sample("", 1, 5, { topK: -1 }), name: "a negative k", message: /topK must be a whole number, 0 for all words; got -1/ },
    { ...sample("", 1, 5, { topP: 0 }), name: "p = 0", message: /topP must be in 0 < p ≤ 1; got 0/ },
    { ...sample("", 1, 5, { topP: 1.1 }), name: "p > 1", message: /got 1\.1/ },
    { ...sample("", 1, 5, { repetitionPenalty: NaN }), name: "a penalty of NaN", message: /penalty must be above 0; got NaN/ },
    { ...sample("", 2, 5, { repetitionPenalty: 2 }, { said: said(3, 4, 5) }), name: "words said of another batch", message: /ids said before must be i32 \[2,T\]; got i32 \[3,4\]/ },
    { ...sample("", 2, 5, { repetitionPenalty: 2 }, { said: said(2, 4, 5), lengths: lengths(3, 4) }), name: "lengths of another batch", message: /lengths must be i32 \[2\]; got i32 \[3\]/ },
    { ...sample("", 2, 5, {}, { banned: bans(3, 5) }), name: "bans of another batch", message: /mask of banned words must be \[2,5\] or \[5\]; got \[3,5\]/ },
  ],
  fuzz,
  bench: [sample("top-k and top-p", 8, 50_257, { topK: 50, topP: 0.95 }), sample("top-p", 1, 50_257, { topP: 0.95 })],
};

interface DrawAttrs {
  readonly seed: number;
  readonly draw: number;
}

/** The logits of a row with Gumbel's noise of the host's generator, in float64. */
function perturb(logits: readonly number[], row: number, { seed, draw }: DrawAttrs): number[] {
  return logits.map((logit, word) => {
    const [random] = threefry(seed, 0, row * logits.length + word, draw);
    return logit - Math.log(-Math.log1p(-(random + 0.5) / 2 ** 32));
  });
}

/** The word that is drawn from a row by Gumbel's trick. */
export function drawnWord(logits: readonly number[], row: number, attrs: DrawAttrs): number {
  if (logits.some(Number.isNaN)) return -1;
  const perturbed = perturb(logits, row, attrs);
  const best = perturbed.reduce((a, b) => Math.max(a, b));
  return best === -Infinity ? -1 : perturbed.indexOf(best);
}

function drawSample(rows: number, words: number, attrs: DrawAttrs, logits: Partial<Input> = {}): Sample<DrawAttrs> {
  return { name: `[${rows},${words}], seed ${attrs.seed}, draw ${attrs.draw}`, inputs: [{ shape: [rows, words], low: -4, high: 4, ...logits }], attrs };
}

/** A sample of which no two words are nearly level at the top. */
function fuzzDraw(random: Generator): Sample<DrawAttrs> {
  for (;;) {
    const [rows, words] = [randomInteger(random, 1, 30), randomInteger(random, 1, 100)];
    const found = drawSample(rows, words, { seed: random.nextU32(), draw: random.integer(1000) });
    const logits = valuesOf(found.inputs[0], 0);
    const isLevel = (row: number): boolean => {
      const [first, second = -Infinity] = perturb(rowOf(logits, row, words), row, found.attrs).sort((a, b) => b - a);
      return first - second < MARGIN;
    };
    if (!Array.from({ length: rows }, (_, row) => isLevel(row)).includes(true)) return found;
  }
}

export const sampleFromCase: OpCase<DrawAttrs> = {
  name: "sampleFrom",
  apply: ([logits], { seed, draw }) => {
    const generator = new DeviceGenerator(logits.device, seed);
    generator.state = { seed, stream: 0, counter: draw };
    return [sampleFrom(logits, generator)];
  },
  reference: ([{ shape: [rows, words], data }], attrs) => [
    { shape: [rows], data: Float64Array.from({ length: rows }, (_, row) => drawnWord(rowOf(data, row, words), row, attrs)) },
  ],
  tolerance: { forward: 0, gradient: 0, reason: "words are drawn, not computed" },
  differentiable: [],
  constantOutputs: [0],
  samples: [
    drawSample(50, 7, { seed: 1, draw: 0 }),
    drawSample(9, 300, { seed: 0xdeadbeef, draw: 12_345 }),
    drawSample(1, 1, { seed: 3, draw: 2 }),
    drawSample(2, 5003, { seed: 4, draw: 1 }),
    drawSample(20, 5, { seed: 5, draw: 0 }, { low: -1e4, high: 1e4 }),
    drawSample(4, 3, { seed: 6, draw: 0 }, { values: [-Infinity, 2, -Infinity, NaN, 1, 2, -Infinity, -Infinity, -Infinity, -Infinity, NaN, 3] }),
  ],
  refused: [{ name: "a vector", inputs: [{ shape: [5] }], attrs: { seed: 1, draw: 0 }, message: /sampleFrom: logits must have shape \[B,V\]; got \[5\]/ }],
  fuzz: fuzzDraw,
  bench: [drawSample(8, 50_257, { seed: 1, draw: 0 })],
};
