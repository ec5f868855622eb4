import { afterEach, describe, expect, test, vi } from "vitest";
import { beamDecoder, wordByWordDecoder, type BeamOptions, type Hypothesis, type SequenceDecoder } from "../src/caption/decode.ts";
import type { TextModel } from "../src/caption/text-model.ts";
import { END, input, Language, logProbs, pictures, processed, START, type HostRules } from "./decode-language.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });

const NEAR = 4; // decimals of a score: a dozen sums of f32 logarithms

let decoder: SequenceDecoder | undefined;
afterEach(() => {
  decoder?.dispose();
  decoder = undefined;
});

type Found = Pick<Hypothesis, "ids" | "score">;

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
      decoder = beamDecoder(device(), language.model(device()), { ...options, ...rules });
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
      decoder = beamDecoder(device(), language.model(device()), options);
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
    decoder = beamDecoder(device(), language.model(device()), options);
    const found = await decoder.decode(input(rows));
    expectSame(found, rows.map((picture) => huggingFaceSearch(language, picture, options, {})), "no end");
    expect(found.flat().every(({ ids }) => ids.length === 6)).toBe(true);
  });

  test.each(["full", "narrow"] as const)("with the rule %s takes of equals the one that stands first, and its parent the first", async (rule) => {
    // What may come is as likely as all else that may, so that the order alone decides; −30 is lost in the sum of the others.
    const rows = [[0, 1, 2, 3, 4], [0, 2], [1, 3, 6], [5, 6]].map((likely) => Array.from({ length: 7 }, (_, word) => (likely.includes(word) ? 0 : -30)));
    const language = new Language(7, 23, 0);
    for (const width of [1, 2, 3, 5]) {
      const options = { width, maxLength: 6, alpha: 0, end: END, rule };
      decoder = beamDecoder(device(), language.model(device()), options);
      expectSame(await decoder.decode(input(rows)), rows.map((picture) => SEARCHES[rule](language, picture, options, {})), `width ${width}`);
      decoder.dispose();
    }
  });

  test("a text that no word may follow ends as it is", async () => {
    const rows = pictures(4, [-9]);
    const language = new Language(4, 22);
    decoder = beamDecoder(device(), language.model(device()), { width: 2, maxLength: 9, alpha: 1, end: END, rule: "full", noRepeatNgram: 1, minLength: 9 });
    const [texts] = await decoder.decode(input(rows));
    expect(texts.map(({ ids }) => ids.toSorted())).toEqual([[0, 3], [0, 3]]); // 1 was given, and 2 would end it
    expect(texts.map(({ ended }) => ended)).toEqual(["end", "end"]);
  });

  test.each(["full", "narrow"] as const)("with the rule %s says why each text ends, and stops where the model has no room", async (rule) => {
    const rows = pictures(WORDS, [5, 0, -9]);
    const language = new Language(WORDS, 24);
    const options = { width: 3, maxLength: 7, alpha: 1, end: END, rule };
    const found = async (room: number): Promise<readonly (readonly Hypothesis[])[]> => {
      decoder = beamDecoder(device(), language.model(device(), room), options);
      const texts = await decoder.decode(input(rows));
      decoder.dispose();
      return texts;
    };
    const [plenty, little, none] = [await found(Infinity), await found(4), await found(0)];
    for (const { ids, ended } of plenty.flat()) expect(ended).toBe(ids.at(-1) === END ? "end" : "length");
    expect(new Set(plenty.flat().map(({ ended }) => ended))).toEqual(new Set(["end", "length"]));
    expectSame(little, rows.map((picture) => SEARCHES[rule](language, picture, { ...options, maxLength: 4 }, {})), "little room");
    for (const { ids, ended } of little.flat()) expect(ended).toBe(ids.at(-1) === END ? "end" : "room");
    expect(new Set(little.flat().map(({ ended }) => ended))).toEqual(new Set(["end", "room"]));
    expect(none).toEqual(rows.map(() => [{ ids: [], score: 0, ended: "room" }]));
  });

  test("words wait for no readback, and are replays of the same commands", async () => {
    const rows = pictures(WORDS, [-30, -30]);
    const words = 41;
    decoder = beamDecoder(device(), new Language(WORDS, 25).model(device()), { width: 3, maxLength: words, alpha: 1, end: END, rule: "full" });
    await decoder.decode(input(rows));
    const [record, run, read] = [vi.spyOn(device(), "record"), vi.spyOn(device(), "run"), vi.spyOn(device(), "read")];
    const texts = await decoder.decode(input(rows));
    expect(record).not.toHaveBeenCalled(); // all was recorded at the first call
    expect(run).toHaveBeenCalledTimes(words);
    const [, ...advances] = run.mock.calls.map(([recording]) => recording);
    expect(new Set(advances).size).toBe(1);
    expect(advances[0].list.map(({ name }) => name).filter((name) => name === "reorderRows" || name === "advanceBeams")).toEqual(["reorderRows", "advanceBeams"]);
    expect(read.mock.calls.length).toBe((words - 1) / 2 + 2); // whether it is over, after every second word; then what was found
    vi.restoreAllMocks();
    expect(texts.flat().every(({ ids }) => ids.length === words)).toBe(true);
  });

  test("a word costs as many dispatches as a likeliest one, and what texts about one picture share is there once", async () => {
    const rows = pictures(WORDS);
    const model = new Language(WORDS, 25).model(device());
    const shapes = new Set<string>();
    const watched: TextModel = {
      begin: (...inputs) => model.begin(...inputs),
      next(words, state) {
        shapes.add([state.own[0].shape, state.shared[0].shape].map((shape) => shape[0]).join());
        return model.next(words, state);
      },
    };
    const dispatchesOf = async (made: SequenceDecoder): Promise<number> => {
      decoder = made;
      const run = vi.spyOn(device(), "run");
      await made.decode(input(rows));
      const { dispatches } = run.mock.lastCall![0];
      vi.restoreAllMocks();
      made.dispose();
      return dispatches;
    };
    const options = { maxLength: 9, end: END, noRepeatNgram: 2 };
    const likeliest = await dispatchesOf(wordByWordDecoder(device(), watched, options));
    const beam = await dispatchesOf(beamDecoder(device(), watched, { ...options, width: 4, alpha: 1, rule: "full" }));
    expect(beam - likeliest).toBeLessThanOrEqual(1);
    expect([...shapes]).toEqual(["4,4", "16,4"]);
  });

  test("once all searches are over only a few more words are computed", async () => {
    const rows = pictures(WORDS, [30, 30]);
    decoder = beamDecoder(device(), new Language(WORDS, 25).model(device()), { width: 1, maxLength: 1000, alpha: 1, end: END, rule: "full" });
    const run = vi.spyOn(device(), "run");
    expect((await decoder.decode(input(rows))).map(([{ ids }]) => ids)).toEqual([[END], [END]]);
    expect(run.mock.calls.length).toBeLessThanOrEqual(4);
    vi.restoreAllMocks();
  });

  test("numbers that make no sense are refused, and so is NaN", async () => {
    const model = new Language(5, 1).model(device());
    const options = { width: 2, maxLength: 3, alpha: 1, end: END, rule: "full" } as const;
    const refused = [
      [{ width: 0 }, "width must be a whole number from 1 to 128; got 0"],
      [{ width: 129 }, "width must be a whole number from 1 to 128; got 129"],
      [{ maxLength: 2.5 }, "maxLength must be a whole number from 1 to 65536; got 2.5"],
      [{ maxLength: 1e9 }, "maxLength must be a whole number from 1 to 65536; got 1000000000"],
      [{ minLength: -1 }, "minLength must be a whole number from 0 to 65536; got -1"],
      [{ alpha: NaN }, "alpha must be a number; got NaN"],
    ] as const;
    for (const [wrong, message] of refused) expect(() => beamDecoder(device(), model, { ...options, ...wrong })).toThrow(`beamDecoder: ${message}`);
    expect(() => beamDecoder(device(), model, { ...options, repetitionPenalty: 0 })).toThrow("the repetition penalty must be above 0; got 0");
    decoder = beamDecoder(device(), model, options);
    await expect(decoder.decode(input([[1, NaN, 0, 0, 0]]))).rejects.toThrow("beamDecoder: the logits must be numbers; got NaN");
    await expect(decoder.decode(input([[1, 0, 0, 0, 0], [1, 0, 0, 0, NaN]]))).rejects.toThrow("beamDecoder: the logits must be numbers; got NaN");
    expect(await decoder.decode(input([[1, 0, 0, 0, 0]]))).toHaveLength(1); // and goes on serving
  });
});
