import { advanceBeams, reorderRows, takeWords } from "../../src/autograd/ops/beam.ts";
import { maximum } from "../../src/autograd/ops/binary.ts";
import { full } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { once, randomInteger, randomSize, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

const NOBODY = -1e30; // Σ log p of a place that no text has
const SHOWN = -100; // what stands for it where sums are compared, as all others would vanish beside it
const END = 2;

interface BeamCaseAttrs {
  readonly words: number;
  readonly end: number;
  readonly rule: "narrow" | "full";
}

interface BeamSizes {
  readonly batch: number;
  readonly width: number;
  /** Words of the vocabulary, and of the longest text. */
  readonly words: number;
  readonly longest: number;
  /** Words of the texts before the step. */
  readonly length: number;
  readonly rule: BeamCaseAttrs["rule"];
  readonly alpha?: number;
  readonly seed: number;
}

/** A step in the middle of a search. Sums are quarters, so that many are equal; the second picture's search is over. */
function beamSample({ batch, width, words, longest, length, rule, alpha = 1, seed }: BeamSizes, change: (values: number[]) => void = () => undefined): Sample<BeamCaseAttrs> {
  const random = new Generator(seed);
  const quarters = (most: number): number => -random.integer(most) / 4;
  const [rows, kept] = [batch * width, Math.min(2 * width, width * words)];
  const factors = Array.from({ length: longest }, (_, i) => Math.fround((i + 1) ** -alpha));
  const [values, places, sums, board] = [[], [], [], []] as [number[], number[], number[], number[]];
  for (let picture = 0; picture < batch; picture++) {
    const going = picture === 1 ? 0 : randomInteger(random, 1, width);
    const finished = Array.from({ length: random.integer((rule === "narrow" ? width - going : width) + 1) }, () => [quarters(20), randomInteger(random, 1, Math.max(length, 1)), random.integer(width), END]);
    const ordered = finished.toSorted(([a, m], [b, n]) => b * factors[n - 1] - a * factors[m - 1]);
    board.push(going, finished.length, length, 0, ...ordered.flat(), ...Array<number>(4 * (width - finished.length)).fill(0));
    sums.push(...Array.from({ length: width }, (_, slot) => (slot < going ? quarters(9) : NOBODY)));
    const possible = Math.min(kept, Math.max(going, 1) * words);
    const found = Array.from({ length: possible }, () => quarters(12)).toSorted((a, b) => b - a);
    values.push(...found, ...Array<number>(kept - possible).fill(NOBODY));
    places.push(...random.shuffle([...Array(Math.max(going, 1) * words).keys()]).slice(0, possible), ...Array<number>(kept - possible).fill(width * words - 1));
  }
  change(values);
  const whole = (shape: readonly number[], given: readonly number[]): Input => ({ shape, dtype: "i32", values: given });
  return {
    name: `${batch}×${width} of ${words} words after ${length} of ${longest}, ${rule}, alpha ${alpha}`,
    inputs: [
      { shape: [batch, kept], values },
      whole([batch, kept], places),
      { shape: [longest], values: factors },
      { shape: [rows], values: sums },
      whole([rows], Array.from({ length: rows }, () => random.integer(words))),
      whole([rows], Array.from({ length: rows }, (_, row) => row)),
      whole([longest, rows, 2], Array.from({ length: longest * rows * 2 }, () => random.integer(2))),
      { shape: [batch, width + 1, 4], values: board },
    ],
    attrs: { words, end: END, rule },
  };
}

/** One step of one picture's search, from what the rules say: the best first, and of equals the earlier. */
function stepReference(inputs: readonly Reference[], { words, end, rule }: BeamCaseAttrs): Reference[] {
  const [values, places, factors] = inputs;
  const [sums, last, parents, trellis, board] = inputs.slice(3).map(({ shape, data }) => ({ shape, data: data.slice() }));
  const [batch, lines] = board.shape;
  const [width, kept, longest] = [lines - 1, values.shape[1], factors.shape[0]];
  for (let picture = 0; picture < batch; picture++) {
    const [head, start] = [picture * lines * 4, picture * width];
    const [going, count, before] = board.data.subarray(head, head + 3);
    if (going <= 0) continue;
    if (Number.isNaN(values.data[picture * kept])) {
      board.data[head] = -1;
      continue;
    }
    const length = before + 1;
    const score = ([sum, n]: readonly number[]): number => Math.fround(sum * factors.data[Math.max(n, 1) - 1]);
    const possible = Array.from({ length: kept }, (_, i) => ({ sum: values.data[picture * kept + i], slot: Math.floor(places.data[picture * kept + i] / words), word: places.data[picture * kept + i] % words })).filter(({ sum }) => sum > NOBODY / 2);
    const open = rule === "full" ? width : width - count;
    const ends = ({ word }: { word: number }): boolean => word === end || length === longest;
    const ended = possible.slice(0, open).filter(ends).map(({ sum, slot, word }) => [sum, length, slot, word]);
    const stuck = possible.length > 0 ? [] : Array.from({ length: going }, (_, slot) => [sums.data[start + slot], before, slot, -1]);
    const old = Array.from({ length: count }, (_, i) => [...board.data.subarray(head + 4 * (i + 1), head + 4 * (i + 2))]);
    const finished = [...old, ...ended, ...stuck].toSorted((a, b) => score(b) - score(a)).slice(0, width);
    let on = (rule === "full" ? possible : possible.slice(0, open)).filter((candidate) => !ends(candidate)).slice(0, open);
    // As far as the texts that go on are noted, it is before the search turns out to be over.
    on.forEach(({ word, slot }, i) => trellis.data.set([word, slot], 2 * ((length - 1) * batch * width + start + i)));
    if (rule === "full" && finished.length === width && on.length > 0 && !(score([on[0].sum, length]) > score(finished.at(-1)!))) on = [];
    for (let slot = 0; slot < width; slot++) {
      sums.data[start + slot] = on[slot]?.sum ?? NOBODY;
      last.data[start + slot] = on[slot]?.word ?? 0;
      parents.data[start + slot] = start + (length === 1 ? slot : (on[slot]?.slot ?? slot));
    }
    board.data.set([on.length, finished.length, length, 0, ...finished.flat()], head);
  }
  return [{ ...sums, data: sums.data.map((sum) => Math.max(sum, SHOWN)) }, last, parents, trellis, board];
}

const copies = { forward: 0, gradient: 0, reason: "copies, and sums that f32 holds exactly" };

export const advanceBeamsCase: OpCase<BeamCaseAttrs> = {
  name: "advanceBeams",
  apply: ([values, places, factors, sums, words, parents, trellis, board], attrs) => {
    advanceBeams({ values, places }, { factors, sums, words, parents, trellis, board }, attrs);
    return [maximum(sums, full(sums.device, [1], SHOWN)), words, parents, trellis, board];
  },
  reference: stepReference,
  tolerance: copies,
  differentiable: [],
  constantOutputs: [0, 1, 2, 3, 4],
  samples: [
    ...([1, 2, 3, 4, 5, 6] as const).flatMap((seed) => (["full", "narrow"] as const).map((rule) => beamSample({ batch: 3, width: 4, words: 5, longest: 9, length: 3, rule, alpha: seed % 3, seed }))),
    beamSample({ batch: 3, width: 4, words: 6, longest: 9, length: 0, rule: "full", seed: 14 }), // the first word
    beamSample({ batch: 2, width: 3, words: 6, longest: 4, length: 3, rule: "full", seed: 7 }), // the last word
    beamSample({ batch: 1, width: 3, words: 6, longest: 4, length: 3, rule: "narrow", seed: 8 }),
    beamSample({ batch: 70, width: 1, words: 3, longest: 5, length: 2, rule: "full", seed: 9 }),
    beamSample({ batch: 1, width: 40, words: 3, longest: 5, length: 2, rule: "full", alpha: -1, seed: 10 }),
    { ...beamSample({ batch: 3, width: 3, words: 6, longest: 9, length: 4, rule: "full", seed: 11 }, (values) => values.fill(-Infinity, 0, 6)), name: "every word is forbidden" },
    { ...beamSample({ batch: 3, width: 3, words: 6, longest: 9, length: 0, rule: "narrow", seed: 12 }, (values) => values.fill(-Infinity, 0, 6)), name: "every first word is forbidden" },
    { ...beamSample({ batch: 3, width: 3, words: 6, longest: 9, length: 4, rule: "full", seed: 13 }, (values) => values.fill(NaN, 12, 13)), name: "NaN" },
  ],
  refused: [
    { ...replaced(7, { shape: [2, 4, 3] }), name: "a board of other lines", message: /^advanceBeams: board must be f32 \[2,4,4\] for a board \[2,4,3\]; got f32 \[2,4,3\]/ },
    { ...replaced(1, { shape: [2, 6] }), name: "places in f32", message: /^advanceBeams: places must be i32 \[2,6\] for a board \[2,4,4\]; got f32 \[2,6\]/ },
    { ...replaced(6, { shape: [5, 6, 2], dtype: "i32" }), name: "a trellis of other steps", message: /^advanceBeams: trellis must be i32 \[4,6,2\] .*; got i32 \[5,6,2\]/ },
  ],
  fuzz: (random) => {
    const longest = randomInteger(random, 2, 9);
    return beamSample({ batch: randomInteger(random, 1, 5), width: randomInteger(random, 1, 6), words: randomInteger(random, 3, 9), longest, length: randomInteger(random, 1, longest - 1), rule: random.pick(["full", "narrow"] as const), alpha: random.integer(3), seed: random.nextU32() });
  },
};

function replaced(number: number, given: Input): Sample<BeamCaseAttrs> {
  const sample = beamSample({ batch: 2, width: 3, words: 6, longest: 4, length: 3, rule: "full", seed: 7 });
  return { ...sample, inputs: sample.inputs.with(number, given) };
}

interface WidthAttrs {
  readonly width: number;
}

function reorderSample(width: number, parents: readonly number[], rest: readonly Input[]): Sample<WidthAttrs> {
  return { name: `groups of ${width} from ${parents.join(" ")}: ${rest.map(({ shape }) => shape.slice(1).join("×")).join(", ")}`, inputs: [{ shape: [parents.length], dtype: "i32", values: parents }, ...rest], attrs: { width } };
}

export const reorderRowsCase: OpCase<WidthAttrs> = {
  name: "reorderRows",
  apply: ([parents, ...tensors], { width }) => {
    reorderRows(tensors, parents, width);
    return tensors;
  },
  reference: ([parents, ...tensors], { width }) =>
    tensors.map(({ shape, data }) => {
      const [rows] = shape;
      const size = data.length / rows;
      const originOf = (row: number): number => (Math.floor(parents.data[row] / width) === Math.floor(row / width) ? parents.data[row] : row);
      return { shape, data: data.map((_, i) => data[originOf(Math.floor(i / size)) * size + (i % size)]) };
    }),
  tolerance: copies,
  differentiable: [],
  constantOutputs: Array.from({ length: 20 }, (_, i) => i),
  samples: [
    reorderSample(4, [2, 2, 0, 1], [{ shape: [4, 8] }, { shape: [4, 3, 5] }, { shape: [4], dtype: "i32", low: -9, high: 9 }]),
    reorderSample(3, [0, 1, 2, 4, 5, 3, 8, 8, 8], [{ shape: [9, 2, 6] }, { shape: [9, 7], dtype: "u32", low: 0, high: 9 }]),
    reorderSample(2, [1, 2, -1, 2, 9, 4], [{ shape: [6, 4] }]), // parents of other groups
    reorderSample(1, [0, 1, 2], [{ shape: [3, 5] }]),
    reorderSample(40, Array.from({ length: 40 }, (_, i) => (i * 7) % 40), [{ shape: [40, 12] }]),
    reorderSample(2, [1, 0], Array.from({ length: 20 }, (_, i) => ({ shape: [2, 3 + i] }))), // more than a dispatch binds
  ],
  refused: [
    { ...reorderSample(2, [0, 1, 2], [{ shape: [3, 5] }]), name: "groups that don't divide the rows", message: /^reorderRows: groups must divide the 3 rows; got groups of 2/ },
    { ...reorderSample(2, [0, 1], [{ shape: [3, 5] }]), name: "a tensor of other rows", message: /^reorderRows: tensors must have 2 rows, as many as parents; got \[3,5\]/ },
    { name: "parents in f32", inputs: [{ shape: [2] }, { shape: [2, 5] }], attrs: { width: 2 }, message: /^reorderRows: parents must be i32 \[R\]; got f32 \[2\]/ },
  ],
  fuzz: (random) => {
    const [width, groups] = [randomInteger(random, 1, 6), randomInteger(random, 1, 4)];
    const parents = Array.from({ length: width * groups }, (_, row) => (once(random, 3) ? row : row - (row % width) + random.integer(width)));
    return reorderSample(width, parents, Array.from({ length: randomInteger(random, 1, 9) }, () => ({ shape: [parents.length, randomSize(random)] })));
  },
  bench: [reorderSample(4, [1, 1, 0, 2], Array.from({ length: 24 }, () => ({ shape: [4, 12, 64, 64] })))],
};

interface EndAttrs {
  readonly end: number;
}

/** Texts of which each third one ended before, where there is an end. */
function sumSample(name: string, rows: number, words: number, end: number, logits: Partial<Input> = {}): Sample<EndAttrs> {
  const last = Array.from({ length: rows }, (_, row) => (row % 3 === 1 ? END : -1));
  return {
    name: `${name} [${rows},${words}]`,
    inputs: [{ shape: [rows, words], low: -6, high: 6, ...logits }, { shape: [rows], dtype: "i32", low: 0, high: words }, { shape: [rows], dtype: "i32", values: last }, { shape: [rows], low: -9, high: 0 }],
    attrs: { end },
  };
}

export const takeWordsCase: OpCase<EndAttrs> = {
  name: "takeWords",
  apply: ([logits, words, last, sums], { end }) => {
    takeWords({ last, sums }, logits, words, end);
    return [last, sums];
  },
  reference: ([logits, words, last, sums], { end }) => {
    const [, count] = logits.shape;
    const logProb = (row: number): number => {
      const all = logits.data.subarray(row * count, (row + 1) * count);
      const most = all.reduce((a, b) => Math.max(a, b));
      return (all[words.data[row]] ?? NaN) - most - Math.log(all.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
    };
    const ended = (row: number): boolean => end >= 0 && last.data[row] === end;
    return [
      { shape: last.shape, data: last.data.map((word, row) => (ended(row) ? word : words.data[row])) },
      { shape: sums.shape, data: sums.data.map((sum, row) => (ended(row) ? sum : sum + logProb(row))) },
    ];
  },
  tolerance: { forward: 2e-6, gradient: 0, reason: "f32 sums of up to 5,003 exponentials, and a logarithm" },
  differentiable: [],
  constantOutputs: [0, 1],
  samples: [
    sumSample("texts", 5, 7, END),
    sumSample("without an end", 4, 12, -1),
    sumSample("many words", 2, 5003, END, { low: -30, high: 30 }),
    sumSample("one word", 1, 1, END),
    sumSample("forbidden words", 3, 4, END, { values: [0, -Infinity, 1, -Infinity, 2, 2, 2, 2, -Infinity, -1, -1, -Infinity] }),
    { ...sumSample("", 4, 4, END, { values: [NaN, 1, 2, 3, NaN, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3] }), name: "NaN, an ended text, words outside", inputs: [{ shape: [4, 4], values: [NaN, 1, 2, 3, NaN, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3] }, { shape: [4], dtype: "i32", values: [1, 1, -1, 4] }, { shape: [4], dtype: "i32", values: [0, END, 0, 0] }, { shape: [4] }] },
  ],
  refused: [
    { name: "logits of other rows", inputs: [{ shape: [3, 4] }, { shape: [2], dtype: "i32" }, { shape: [2], dtype: "i32" }, { shape: [2] }], attrs: { end: END }, message: /^takeWords: words must be i32 \[3\]; got i32 \[2\]/ },
    { name: "a vector", inputs: [{ shape: [4] }, { shape: [4], dtype: "i32" }, { shape: [4], dtype: "i32" }, { shape: [4] }], attrs: { end: END }, message: /^takeWords: logits must be \[R,V\]; got \[4\]/ },
  ],
  fuzz: (random) => sumSample("random", randomInteger(random, 1, 9), randomInteger(random, 1, 200), random.pick([END, -1])),
  bench: [sumSample("texts", 8, 50_257, END)],
};
