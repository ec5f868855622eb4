import { afterEach, describe, expect, test, vi } from "vitest";
import { add, affine, embedding, matmul } from "../src/autograd/ops/index.ts";
import { DeviceGenerator } from "../src/autograd/random.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { full, tensor, type Tensor } from "../src/autograd/tensor.ts";
import type { BeamOptions } from "../src/caption/beam.ts";
import { beamDecoder, wordByWordDecoder, type SequenceDecoder } from "../src/caption/decode.ts";
import { gpt2Text } from "../src/caption/gpt2-text.ts";
import type { TextModel } from "../src/caption/text-model.ts";
import type { HostInput } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { GPT2LMHeadModel } from "../src/models/gpt2.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });

const START = 1;
const END = 2;
const WIDTH = 4; // of the state
const NEAR = 4; // decimals of a score: a dozen sums of f32 logarithms

let decoder: SequenceDecoder | undefined;
afterEach(() => {
  decoder?.dispose();
  decoder = undefined;
});

/** A language in which every word depends on all before: h = h/2 + E[word], logits = h · W + what the picture adds. */
class Language {
  readonly words: number;
  private readonly embeddings: Float32Array;
  private readonly weights: Float32Array;

  constructor(words: number, seed: number) {
    const random = new Generator(seed);
    const draw = (length: number): Float32Array => Float32Array.from({ length }, () => random.normal());
    this.words = words;
    this.embeddings = draw(words * WIDTH);
    this.weights = draw(WIDTH * words);
  }

  /** Its inputs are what the picture adds to the logits [B, V]. */
  model(): TextModel {
    const [table, weights] = [tensor(device(), this.embeddings, [this.words, WIDTH]), tensor(device(), this.weights, [WIDTH, this.words])].map((part) => part.keep());
    const say = (h: Tensor, picture: Tensor): ReturnType<TextModel["next"]> => ({ logits: add(matmul(h, weights), picture), state: { own: [h], shared: [picture] } });
    return {
      begin: (picture) => {
        const said = full(device(), [picture.shape[0], 1], START, "i32");
        return { ...say(embedding(table, said).view([picture.shape[0], WIDTH]), picture), said };
      },
      next: (words, { own: [h], shared: [picture] }) => say(add(affine(h, 0.5, 0), embedding(table, words)), picture),
    };
  }

  /** Logits after a text, in float64. */
  after(said: readonly number[], picture: readonly number[]): number[] {
    let h: number[] = Array.from({ length: WIDTH }, () => 0);
    for (const word of said) h = h.map((value, d) => value / 2 + this.embeddings[word * WIDTH + d]);
    return picture.map((bias, v) => h.reduce((sum, value, d) => sum + value * this.weights[d * this.words + v], bias));
  }
}

function logProbs(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return logits.map((logit) => logit - most - total);
}

interface HostRules {
  readonly repetitionPenalty?: number;
  readonly noRepeatNgram?: number;
  readonly minLength?: number;
}

/** What Hugging Face's processors make of the logits (or log-probabilities) after a text that began with START. */
function processed(scores: readonly number[], said: readonly number[], { repetitionPenalty = 1, noRepeatNgram = 0, minLength = 0 }: HostRules): number[] {
  const left = [...scores];
  for (const word of new Set(said)) left[word] = left[word] < 0 ? left[word] * repetitionPenalty : left[word] / repetitionPenalty;
  for (let i = 0; noRepeatNgram > 0 && i + noRepeatNgram <= said.length; i++) {
    const gram = said.slice(i, i + noRepeatNgram);
    if (gram.slice(0, -1).join() === said.slice(said.length - noRepeatNgram + 1).join()) left[gram.at(-1)!] = -Infinity;
  }
  if (said.length - 1 < minLength) left[END] = -Infinity;
  return left;
}

interface Found {
  readonly ids: readonly number[];
  readonly score: number;
}

/** One picture's search as `_beam_search` of Hugging Face transformers 4.50 writes it down, early_stopping False. */
function huggingFaceSearch(language: Language, picture: readonly number[], { width, maxLength, alpha, end }: BeamOptions, rules: HostRules): Found[] {
  const never = -1e9;
  let running = Array.from({ length: width }, (_, i) => ({ ids: [] as number[], sum: i === 0 ? 0 : never }));
  let best = Array.from({ length: width }, () => ({ ids: [] as number[], score: never, finished: false }));
  let mayImprove = true;
  for (let length = 1; ; length++) {
    const all = running.flatMap(({ ids, sum }) => processed(logProbs(language.after([START, ...ids], picture)), [START, ...ids], rules).map((logProb, word) => ({ ids: [...ids, word], sum: sum + logProb })));
    const top = all.toSorted((a, b) => b.sum - a.sum).slice(0, 2 * width);
    const stops = top.map(({ ids }) => ids.at(-1) === end || length >= maxLength);
    const goingOn = top.map(({ ids, sum }, i) => ({ ids, sum: sum + (stops[i] ? never : 0) }));
    running = goingOn.toSorted((a, b) => b.sum - a.sum).slice(0, width);
    const ended = top.map(({ ids, sum }, i) => {
      const finished = stops[i] && i < width;
      return { ids, finished, score: sum / length ** alpha + (mayImprove ? 0 : never) + (finished ? 0 : never) };
    });
    best = [...best, ...ended].toSorted((a, b) => b.score - a.score).slice(0, width);
    const hope = running[0].sum / length ** alpha;
    const worst = best.at(-1)!.score;
    mayImprove &&= best.some(({ finished }) => hope > (finished ? worst : never));
    if (!mayImprove || stops.every(Boolean)) return best.filter(({ finished }) => finished);
  }
}

/** The published storyteller's search: a text that ends leaves its place, and nobody takes it. */
function narrowSearch(language: Language, picture: readonly number[], { width, maxLength, alpha, end }: BeamOptions, rules: HostRules): Found[] {
  let live = [{ ids: [] as number[], sum: 0 }];
  const ended: Found[] = [];
  for (let length = 1; live.length > 0; length++) {
    const all = live.flatMap(({ ids, sum }) => processed(logProbs(language.after([START, ...ids], picture)), [START, ...ids], rules).map((logProb, word) => ({ ids: [...ids, word], sum: sum + logProb })));
    const top = all.filter(({ sum }) => sum > -Infinity).toSorted((a, b) => b.sum - a.sum).slice(0, width - ended.length);
    live = [];
    for (const text of top) {
      if (text.ids.at(-1) === end || length === maxLength) ended.push({ ids: text.ids, score: text.sum / length ** alpha });
      else live.push(text);
    }
  }
  return ended.toSorted((a, b) => b.score - a.score);
}

/** All texts there are, the best first. */
function everyText(language: Language, picture: readonly number[], { maxLength, alpha, end }: BeamOptions): Found[] {
  const grow = (ids: readonly number[], sum: number): Found[] =>
    ids.at(-1) === end || ids.length === maxLength
      ? [{ ids, score: sum / ids.length ** alpha }]
      : logProbs(language.after([START, ...ids], picture)).flatMap((logProb, word) => grow([...ids, word], sum + logProb));
  return grow([], 0).toSorted((a, b) => b.score - a.score);
}

/** Pictures of which the first makes the end likely from the start, and the last all but impossible. */
function pictures(words: number, ends: readonly number[] = [2, 0, -1, -9]): number[][] {
  return ends.map((bias, row) => Array.from({ length: words }, (_, v) => (v === END ? bias : Math.fround(Math.sin(7 * row + 3 * v)))));
}

function input(rows: readonly (readonly number[])[]): HostInput {
  return { shape: [rows.length, rows[0].length], data: Float32Array.from(rows.flat()) };
}

function expectSame(found: readonly (readonly Found[])[], expected: readonly (readonly Found[])[], what: string): void {
  expect(found.map((texts) => texts.map(({ ids }) => ids)), what).toEqual(expected.map((texts) => texts.map(({ ids }) => ids)));
  found.forEach((texts, row) => texts.forEach(({ score }, i) => expect(score, what).toBeCloseTo(expected[row][i].score, NEAR)));
}

describe("beam search", () => {
  const SEARCHES = { full: huggingFaceSearch, narrow: narrowSearch };
  const WORDS = 11;

  test.each(["full", "narrow"] as const)("with the rule %s finds what plain loops find, of pictures whose texts end at different times", async (rule) => {
    const rows = pictures(WORDS);
    let early = 0;
    for (const [seed, width, alpha, rules] of [[1, 1, 1, {}], [2, 2, 0, {}], [3, 3, 0.7, {}], [4, 4, 1, {}], [5, 5, 2, {}], [6, 4, -1, {}], [7, 3, 1, { noRepeatNgram: 2 }], [8, 3, 0.7, { minLength: 4, repetitionPenalty: 1.3 }], [9, 5, 0, { noRepeatNgram: 1 }]] as const) {
      const language = new Language(WORDS, seed);
      const options = { width, maxLength: 9, alpha, end: END, rule };
      decoder = beamDecoder(device(), language.model(), { ...options, ...rules });
      const expected = rows.map((picture) => SEARCHES[rule](language, picture, options, rules));
      expectSame(await decoder.decode(input(rows)), expected, JSON.stringify({ seed, ...options, ...rules }));
      early += expected.filter(([{ ids }]) => ids.length < 9).length;
      decoder.dispose();
    }
    expect(early).toBeGreaterThan(5);
  });

  test.each(["full", "narrow"] as const)("with the rule %s and a place for every text finds the best of all", async (rule) => {
    const rows = pictures(3);
    for (const alpha of [0, 0.7, 2]) {
      const language = new Language(3, 20);
      const options = { width: 40, maxLength: 4, alpha, end: END, rule };
      decoder = beamDecoder(device(), language.model(), options);
      const found = await decoder.decode(input(rows));
      const every = rows.map((picture) => everyText(language, picture, options));
      expect(every[0]).toHaveLength(31); // 1 + 2 + 4 that end, and 24 that are as long as they may be
      expectSame(found, every, `alpha ${alpha}`);
      decoder.dispose();
    }
  });

  test("without an end word goes on to the last, though fewer words begin a text than the beam is wide", async () => {
    const rows = pictures(3);
    const language = new Language(3, 21);
    const options = { width: 5, maxLength: 6, alpha: 1, end: -1, rule: "full" } as const;
    decoder = beamDecoder(device(), language.model(), options);
    const found = await decoder.decode(input(rows));
    expectSame(found, rows.map((picture) => huggingFaceSearch(language, picture, options, {})), "no end");
    expect(found.flat().every(({ ids }) => ids.length === 6)).toBe(true);
  });

  test("a text that no word may follow ends as it is", async () => {
    const rows = pictures(4, [-9]);
    const language = new Language(4, 22);
    decoder = beamDecoder(device(), language.model(), { width: 2, maxLength: 9, alpha: 1, end: END, rule: "full", noRepeatNgram: 1, minLength: 9 });
    const [texts] = await decoder.decode(input(rows));
    expect(texts.map(({ ids }) => ids.toSorted())).toEqual([[0, 3], [0, 3]]); // 1 was given, and 2 would end it
  });

  test("numbers that make no sense are refused, and so is NaN", async () => {
    const model = new Language(5, 1).model();
    const options = { width: 2, maxLength: 3, alpha: 1, end: END, rule: "full" } as const;
    expect(() => beamDecoder(device(), model, { ...options, width: 0 })).toThrow("beamDecoder: width must be a whole number of at least 1; got 0");
    expect(() => beamDecoder(device(), model, { ...options, maxLength: 2.5 })).toThrow("beamDecoder: maxLength must be a whole number of at least 1; got 2.5");
    expect(() => beamDecoder(device(), model, { ...options, alpha: NaN })).toThrow("beamDecoder: alpha must be a number; got NaN");
    expect(() => wordByWordDecoder(device(), model, { maxLength: 0, end: END })).toThrow("wordByWordDecoder: maxLength must be a whole number of at least 1; got 0");
    decoder = wordByWordDecoder(device(), model, { maxLength: 3, end: END, minLength: 1.5 });
    await expect(decoder.decode(input([[1, 0, 0, 0, 0]]))).rejects.toThrow("minLength must be a whole number, 0 for no rule; got 2.5"); // with the start word
    decoder.dispose();
    decoder = beamDecoder(device(), model, options);
    await expect(decoder.decode(input([[1, NaN, 0, 0, 0]]))).rejects.toThrow("beamDecoder: the logits must be numbers; got NaN");
    expect(await decoder.decode(input([[1, 0, 0, 0, 0]]))).toHaveLength(1); // and goes on serving
  });
});

describe("word by word", () => {
  const WORDS = 11;

  test.each([{}, { repetitionPenalty: 1.5 }, { noRepeatNgram: 1 }, { noRepeatNgram: 3 }, { minLength: 5 }, { repetitionPenalty: 0.8, noRepeatNgram: 2, minLength: 3 }])("greedy with %o says what a plain loop says", async (rules) => {
    const rows = pictures(WORDS);
    const lengths = new Set<number>();
    for (const seed of [30, 31, 32]) {
      const language = new Language(WORDS, seed);
      const heard: number[][] = rows.map(() => []);
      decoder = wordByWordDecoder(device(), language.model(), { maxLength: 9, end: END, ...rules, onWord: (row, word) => heard[row].push(word) });
      const expected = rows.map((picture) => {
        const said = [START];
        while (said.length <= 9 && (said.length === 1 || said.at(-1) !== END)) {
          const left = processed(language.after(said, picture), said, rules);
          said.push(left.indexOf(Math.max(...left)));
        }
        return said.slice(1);
      });
      const found = (await decoder.decode(input(rows))).map(([{ ids }]) => ids);
      expect(found).toEqual(expected);
      expect(heard).toEqual(expected);
      for (const { length } of found) lengths.add(length);
      decoder.dispose();
    }
    expect(lengths.size).toBeGreaterThan(1);
    expect(Math.max(...lengths)).toBe(9);
  });

  test("a seed draws the same texts again, another one others, and one word to choose from leaves nothing to chance", async () => {
    const rows = pictures(WORDS);
    const language = new Language(WORDS, 40);
    const drawn = async (seed: number | null, topK = 0): Promise<string> => {
      const sampling = seed === null ? undefined : { generator: new DeviceGenerator(device(), seed), topK, temperature: 1.5 };
      decoder = wordByWordDecoder(device(), language.model(), { maxLength: 12, end: END, sampling });
      const texts = [await decoder.decode(input(rows)), await decoder.decode(input(rows))];
      decoder.dispose();
      return JSON.stringify(texts);
    };
    expect(await drawn(1)).toBe(await drawn(1));
    expect(await drawn(2)).not.toBe(await drawn(1));
    expect(await drawn(3, 1)).toBe(await drawn(null));
  });

  test.each(["greedy", "sampled"])("what no word can be chosen from is refused (%s)", async (how) => {
    decoder = wordByWordDecoder(device(), new Language(WORDS, 41).model(), { maxLength: 3, end: END, sampling: how === "greedy" ? undefined : { generator: new DeviceGenerator(device(), 1) } });
    await expect(decoder.decode(input([[...pictures(WORDS)[0].slice(1), NaN]]))).rejects.toThrow("wordByWordDecoder: the logits must leave a word to choose; got NaN, or −Inf alone, for text 0");
    await expect(decoder.decode()).rejects.toThrow("decode: a decoder needs the inputs of its model; got none");
  });
});

describe("a decoder", () => {
  const WORDS = 7;
  const language = new Language(WORDS, 50);
  const MAKERS = {
    greedy: (model: TextModel) => wordByWordDecoder(device(), model, { maxLength: 6, end: END }),
    beam: (model: TextModel) => beamDecoder(device(), model, { width: 3, maxLength: 6, alpha: 1, end: END, rule: "full" }),
  };

  test.each(Object.entries(MAKERS))("serves calls one after the other, however they come (%s)", async (_name, make) => {
    decoder = make(language.model());
    const [a, b] = [pictures(WORDS), pictures(WORDS, [-9, -1, 0, 2])];
    const alone = [await decoder.decode(input(a)), await decoder.decode(input(b)), await decoder.decode(input(b.slice(1)))];
    expect(alone[0]).not.toEqual(alone[1]);
    expect(await Promise.all([input(a), input(b), input(b.slice(1))].map((rows) => decoder!.decode(rows)))).toEqual(alone);
  });

  test.each(Object.entries(MAKERS))("takes no more memory with each call, keeps recordings of few shapes, and gives all back (%s)", async (_name, make) => {
    const model = language.model();
    const rows = (count: number): HostInput => input(Array.from({ length: count }, (_, i) => pictures(WORDS)[i % 4]));
    const liveBytes = (): number => device().memory().liveBytes - device().scratch.reduce((sum, { size }) => sum + size, 0); // all recordings share that
    await device().idle();
    const before = liveBytes();
    decoder = make(model);
    const live: number[] = [];
    for (let i = 0; i < 20; i++) {
      await decoder.decode(rows(4));
      if (i % 5 === 4) device().relocations++; // recordings are made again
      live.push(liveBytes());
    }
    expect(live.at(-1)).toBe(live[0]);
    const after = async (counts: readonly number[]): Promise<number> => {
      for (const count of counts) await decoder!.decode(rows(count));
      return liveBytes();
    };
    const few = await after([1, 2, 3, 4, 5, 6, 7, 8]);
    await after([9, 10, 11, 12]);
    expect(await after([1, 2, 3, 4, 5, 6, 7, 8])).toBe(few);
    decoder.dispose();
    await device().idle();
    expect(liveBytes()).toBe(before);
  });
});

describe("GPT-2 with its cache", () => {
  const CONFIG = { vocabulary: 47, positions: 24, dim: 24, layers: 2, heads: 3, mlp: 60, eps: 1e-5, activation: "gelu_tanh", crossAttention: null } as const;
  const PROMPT = [3, 41, 0, 8];

  test("says the same as when each word is computed from scratch, and each word is a replay of the same commands", async () => {
    const model = new GPT2LMHeadModel({ device: device(), generator: new Generator(7) }, CONFIG);
    for (const [, parameter] of model.namedParameters()) parameter.write((await parameter.read()).map((value) => 8 * value)); // as initialised it repeats one word
    const likeliest = async (ids: readonly number[]): Promise<number> => {
      using _scope = device().scope();
      const logits = await noGrad(() => model.forward(tensor(device(), Int32Array.from(ids), [1, ids.length]))).read();
      const last = logits.slice(-CONFIG.vocabulary);
      return last.indexOf(Math.max(...last));
    };
    const expected = [...PROMPT];
    while (expected.length < CONFIG.positions) expected.push(await likeliest(expected));
    expect(new Set(expected.slice(4)).size).toBeGreaterThan(3);

    const given = { shape: [1, PROMPT.length], data: Int32Array.from(PROMPT) };
    const counted = async (maxLength: number): Promise<number[]> => {
      const words = gpt2Text(model, CONFIG.positions, (ids) => ({ x: model.embed(ids), said: ids }));
      decoder = wordByWordDecoder(device(), words, { maxLength, end: -1 });
      expect((await decoder.decode(given))[0][0].ids).toEqual(expected.slice(4, 4 + maxLength));
      const [record, run] = [vi.spyOn(device(), "record"), vi.spyOn(device(), "run")];
      await decoder.decode(given);
      expect(record).not.toHaveBeenCalled(); // all was recorded at the first call
      const dispatches = run.mock.calls.map(([{ dispatches: count }]) => count);
      vi.restoreAllMocks();
      decoder.dispose();
      return dispatches;
    };
    const [, ...short] = await counted(6);
    const [, ...long] = await counted(20);
    expect([short.length, long.length]).toEqual([5, 19]);
    expect(new Set([...short, ...long]).size).toBe(1);
    model.dispose();
  });

  test("a text that outgrows the room is refused, not continued with anything", async () => {
    const model = new GPT2LMHeadModel({ device: device(), generator: new Generator(7) }, CONFIG);
    const words = (room: number): TextModel => gpt2Text(model, room, (ids) => ({ x: model.embed(ids), said: ids }));
    const given = { shape: [1, PROMPT.length], data: Int32Array.from(PROMPT) };
    decoder = wordByWordDecoder(device(), words(6), { maxLength: 5, end: -1 });
    await expect(decoder.decode(given)).rejects.toThrow("wordByWordDecoder: the logits must leave a word to choose; got NaN");
    decoder.dispose();
    decoder = wordByWordDecoder(device(), words(6), { maxLength: 3, end: -1 }); // the last word needs no room
    expect((await decoder.decode(given))[0][0].ids).toHaveLength(3);
    decoder.dispose();
    decoder = wordByWordDecoder(device(), words(3), { maxLength: 1, end: -1 });
    await expect(decoder.decode(given)).rejects.toThrow("GPT2Model: the cache has room for 3 tokens; got 4");
    expect(() => model.transformer.cache(1, 25)).toThrow("GPT2Model: a text must have at most 24 tokens; got 25");
    model.dispose();
  });
});
