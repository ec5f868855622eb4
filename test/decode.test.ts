import { afterEach, describe, expect, test, vi } from "vitest";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor } from "../src/autograd/tensor.ts";
import { beamDecoder, wordByWordDecoder, type Hypothesis, type SequenceDecoder, type WordByWordOptions } from "../src/caption/decode.ts";
import { gpt2Text } from "../src/caption/gpt2-text.ts";
import { recurrentText } from "../src/caption/recurrent-text.ts";
import type { TextModel } from "../src/caption/text-model.ts";
import type { HostInput } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { sizeOf } from "../src/core/shape.ts";
import { GPT2LMHeadModel } from "../src/models/gpt2.ts";
import { RecurrentDecoder } from "../src/models/lstm.ts";
import { ATTENTION_KINDS } from "../src/models/region-attention.ts";
import { END, input, Language, pictures, processed, START } from "./decode-language.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });

let decoder: SequenceDecoder | undefined;
afterEach(() => {
  decoder?.dispose();
  decoder = undefined;
});

describe("word by word", () => {
  const WORDS = 11;

  test.each([{}, { repetitionPenalty: 1.5 }, { noRepeatNgram: 1 }, { noRepeatNgram: 3 }, { minLength: 5 }, { repetitionPenalty: 0.8, noRepeatNgram: 2, minLength: 3 }])("greedy with %o says what a plain loop says", async (rules) => {
    const rows = pictures(WORDS);
    const lengths = new Set<number>();
    for (const seed of [30, 31, 32]) {
      const language = new Language(WORDS, seed);
      const heard: number[][] = rows.map(() => []);
      decoder = wordByWordDecoder(device(), language.model(device()), { maxLength: 9, end: END, ...rules, onWord: (row, word) => heard[row].push(word) });
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

  const sampled = (language: Language, options: Partial<WordByWordOptions> = {}): SequenceDecoder => {
    const made = wordByWordDecoder(device(), language.model(device()), { maxLength: 12, end: END, ...options, sampling: { seed: 1, temperature: 1.5, ...options.sampling } });
    decoder = made;
    return made;
  };

  test("a seed draws the same texts again, whatever was drawn before, another one others, and one word to choose from leaves nothing to chance", async () => {
    const [rows, others] = [pictures(WORDS), pictures(WORDS, [1, -3])];
    const language = new Language(WORDS, 40);
    const drawn = async (options: Partial<WordByWordOptions>, before: readonly (readonly number[])[][] = []): Promise<string> => {
      const made = sampled(language, options);
      for (const earlier of before) await made.decode(input(earlier));
      const texts = await made.decode(input(rows));
      made.dispose();
      return JSON.stringify(texts);
    };
    const first = await drawn({});
    expect(await drawn({}, [rows, others, rows])).toBe(first);
    expect(await drawn({ sampling: { seed: 2, temperature: 1.5 } })).not.toBe(first);
    decoder = wordByWordDecoder(device(), language.model(device()), { maxLength: 12, end: END });
    expect(await drawn({ sampling: { seed: 3, topK: 1 } })).toBe(JSON.stringify(await decoder.decode(input(rows))));
  });

  test.each([[{}, undefined], [{ repetitionPenalty: 1.5, minLength: 2 }, undefined], [{}, { temperature: 0.6, topK: 5 }], [{ noRepeatNgram: 1 }, { topP: 0.7 }]] as const)("scores are the model's own, with %o and %o", async (rules, filters) => {
    const rows = pictures(WORDS);
    const language = new Language(WORDS, 42);
    decoder = wordByWordDecoder(device(), language.model(device()), { maxLength: 9, end: END, ...rules, ...(filters && { sampling: { seed: 5, ...filters } }) });
    const texts = await decoder.decode(input(rows));
    texts.forEach(([{ ids, score }], row) => expect(score).toBeCloseTo(language.logProb(ids, rows[row]), 4)); // a dozen sums of f32 logarithms
  });

  test("candidates are drawn from a picture that is seen once, and come with their scores, the best first", async () => {
    const rows = pictures(WORDS);
    const language = new Language(WORDS, 43);
    const heard = rows.map(() => Array.from({ length: 5 }, (): number[] => []));
    const made = sampled(language, { candidates: 5, maxLength: 6, minLength: 1, onWord: (row, word, candidate) => heard[row][candidate].push(word) });
    const texts = await made.decode(input(rows));
    texts.forEach((candidates, row) => {
      expect(candidates).toHaveLength(5);
      expect(new Set(candidates.map(({ ids }) => ids.join())).size).toBeGreaterThan(2);
      expect(candidates.map(({ score }) => score)).toEqual(candidates.map(({ score }) => score).toSorted((a, b) => b - a));
      for (const { ids, score, ended } of candidates) {
        expect(score).toBeCloseTo(language.logProb(ids, rows[row]), 4);
        expect(ended).toBe(ids.at(-1) === END ? "end" : "length");
      }
      expect(heard[row].map((ids) => ids.join()).toSorted()).toEqual(candidates.map(({ ids }) => ids.join()).toSorted());
    });
    expect(new Set(texts.flat().map(({ ended }) => ended))).toEqual(new Set(["end", "length"]));
  });

  test("a model without room says nothing more", async () => {
    const rows = pictures(WORDS, [-9, 9]);
    const said = async (room: number): Promise<readonly (readonly Hypothesis[])[]> => {
      decoder = wordByWordDecoder(device(), new Language(WORDS, 44).model(device(), room), { maxLength: 9, end: END });
      const texts = await decoder.decode(input(rows));
      decoder.dispose();
      return texts;
    };
    expect((await said(2)).map(([{ ids: { length }, ended }]) => [length, ended])).toEqual([[2, "room"], [1, "end"]]);
    expect((await said(9)).map(([{ ids: { length }, ended }]) => [length, ended])).toEqual([[9, "length"], [1, "end"]]);
    expect(await said(0)).toEqual(rows.map(() => [{ ids: [], score: 0, ended: "room" }]));
  });

  test("numbers that make no sense are refused", () => {
    const model = new Language(5, 1).model(device());
    const options = { maxLength: 3, end: END, sampling: { seed: 1 } };
    const refused = [
      [{ maxLength: 0 }, "wordByWordDecoder: maxLength must be a whole number from 1 to 65536; got 0"],
      [{ minLength: 1.5 }, "wordByWordDecoder: minLength must be a whole number from 0 to 65536; got 1.5"],
      [{ noRepeatNgram: NaN }, "wordByWordDecoder: noRepeatNgram must be a whole number from 0 to 65536; got NaN"],
      [{ candidates: 1000 }, "wordByWordDecoder: candidates must be a whole number from 1 to 128; got 1000"],
      [{ candidates: 2, sampling: undefined }, "wordByWordDecoder: the likeliest words make one text; got 2 candidates"],
      [{ sampling: { seed: 1, temperature: 0 } }, "the temperature must be above 0; got 0"],
      [{ repetitionPenalty: -1 }, "the repetition penalty must be above 0; got -1"],
    ] as const;
    for (const [wrong, message] of refused) expect(() => wordByWordDecoder(device(), model, { ...options, ...wrong })).toThrow(message);
  });

  test.each(["greedy", "sampled"])("what no word can be chosen from is refused (%s)", async (how) => {
    decoder = wordByWordDecoder(device(), new Language(WORDS, 41).model(device()), { maxLength: 3, end: END, sampling: how === "greedy" ? undefined : { seed: 1 } });
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
    decoder = make(language.model(device()));
    const [a, b] = [pictures(WORDS), pictures(WORDS, [-9, -1, 0, 2])];
    const alone = [await decoder.decode(input(a)), await decoder.decode(input(b)), await decoder.decode(input(b.slice(1)))];
    expect(alone[0]).not.toEqual(alone[1]);
    expect(await Promise.all([input(a), input(b), input(b.slice(1))].map((rows) => decoder!.decode(rows)))).toEqual(alone);
  });

  test.each(Object.entries(MAKERS))("takes no more memory with each call, keeps recordings of few shapes, and gives all back (%s)", async (_name, make) => {
    const model = language.model(device());
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
    await after([9, 10]);
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
    const expectLikeliest = async (ids: readonly number[]): Promise<void> => {
      using _scope = device().scope();
      const logits = await noGrad(() => model.forward(tensor(device(), Int32Array.from(ids), [1, ids.length]))).read();
      const best = ids.map((_, i) => logits.subarray(i * CONFIG.vocabulary, (i + 1) * CONFIG.vocabulary)).map((row) => row.indexOf(Math.max(...row)));
      expect(ids.slice(PROMPT.length)).toEqual(best.slice(PROMPT.length - 1, -1));
      expect(new Set(ids.slice(PROMPT.length)).size).toBeGreaterThan(3);
    };
    const given = { shape: [1, PROMPT.length], data: Int32Array.from(PROMPT) };
    const counted = async (maxLength: number): Promise<number[]> => {
      const words = gpt2Text(model, CONFIG.positions, (ids) => ({ x: model.embed(ids), said: ids }));
      decoder = wordByWordDecoder(device(), words, { maxLength, end: -1 });
      const [[{ ids }]] = await decoder.decode(given);
      expect(ids).toHaveLength(maxLength);
      await expectLikeliest([...PROMPT, ...ids]);
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

  test("a text ends where the context does, and one that is longer is refused", async () => {
    const model = new GPT2LMHeadModel({ device: device(), generator: new Generator(7) }, CONFIG);
    const words = (most: number): TextModel => gpt2Text(model, most, (ids) => ({ x: model.embed(ids), said: ids }));
    const given = (length: number): HostInput => ({ shape: [1, length], data: Int32Array.from({ length }, (_, i) => i) });
    for (const make of [wordByWordDecoder, (...[on, text, options]: Parameters<typeof wordByWordDecoder>) => beamDecoder(on, text, { ...options, width: 2, alpha: 1, rule: "full" })]) {
      decoder = make(device(), words(9), { maxLength: 9, end: -1 });
      const ends = async (length: number): Promise<[number, string]> => {
        const [[{ ids, ended }]] = await decoder!.decode(given(length));
        return [ids.length, ended];
      };
      expect(await ends(12)).toEqual([9, "length"]);
      expect(await ends(CONFIG.positions - 3)).toEqual([4, "room"]); // the last word takes no place
      expect(await ends(CONFIG.positions)).toEqual([1, "room"]);
      await expect(decoder.decode(given(CONFIG.positions + 1))).rejects.toThrow("gpt2Text: what is given must take at most 24 places, the model's context; got 25 (shorten the text that is given)");
      expect(await ends(12)).toEqual([9, "length"]); // and goes on serving
      decoder.dispose();
    }
    expect(() => model.transformer.cache(1, 25)).toThrow("GPT2Model: a text must have at most 24 tokens; got 25");
    model.dispose();
  });
});

describe("several texts about one picture look at it together", () => {
  const [BATCH, WORDS, HIDDEN, REGIONS, CHANNELS] = [2, 13, 8, 5, 6];

  /** Drawn from the likeliest word alone, all candidates are what each picture's likeliest text is. */
  const expectTogether = async (model: TextModel, inputs: readonly HostInput[]): Promise<void> => {
    const said = (seen: readonly HostInput[], options: Partial<WordByWordOptions> = {}): ReturnType<SequenceDecoder["decode"]> => {
      decoder?.dispose();
      decoder = wordByWordDecoder(device(), model, { maxLength: 6, end: -1, ...options });
      return decoder.decode(...seen);
    };
    const together = (await said(inputs, { sampling: { seed: 1, topK: 1 }, candidates: 3 })).map((texts) => texts.map(({ ids }) => ids));
    expect(together[0]).not.toEqual(together[1]);
    for (let row = 0; row < BATCH; row++) {
      const alone = inputs.map(({ shape: [, ...shape], data }) => ({ shape: [1, ...shape], data: data.slice((row * data.length) / BATCH, ((row + 1) * data.length) / BATCH) }));
      const [[{ ids }]] = await said(alone);
      expect(together[row]).toEqual([ids, ids, ids]);
    }
  };

  const picture = (...shape: number[]): HostInput => ({ shape: [BATCH, ...shape], data: Float32Array.from({ length: BATCH * sizeOf(shape) }, (_, i) => 3 * Math.sin(i * i) + (i < sizeOf(shape) ? 3 : -3)) });
  const first: HostInput = { shape: [BATCH, 1], data: new Int32Array(BATCH) };

  test.each(ATTENTION_KINDS)("a recurrent decoder with attention (%s)", async (kind) => {
    const config = { cell: "lstm", vocabulary: WORDS, embedding: 4, hidden: HIDDEN, attention: { kind, regions: REGIONS, channels: CHANNELS, gate: true } } as const;
    const recurrent = new RecurrentDecoder({ device: device(), generator: new Generator(5) }, config);
    await expectTogether(recurrentText(recurrent, (hidden, regions, words) => ({ x: recurrent.embedding.forward(words), state: recurrent.start(hidden, regions), said: words })), [picture(HIDDEN), picture(REGIONS, CHANNELS), first]);
    recurrent.dispose();
  });

  test("GPT-2 with cross-attention", async () => {
    const model = new GPT2LMHeadModel({ device: device(), generator: new Generator(5) }, { vocabulary: WORDS, positions: 9, dim: HIDDEN, layers: 2, heads: 2, mlp: 16, eps: 1e-5, activation: "gelu", crossAttention: CHANNELS });
    for (const [name, parameter] of model.namedParameters()) if (name.includes("crossattention")) parameter.write((await parameter.read()).map((value) => 30 * value)); // as initialised it says the same of all
    await expectTogether(gpt2Text(model, 6, (encoded, words) => ({ x: model.embed(words), said: words, encoded })), [picture(REGIONS, CHANNELS), first]);
    model.dispose();
  });
});
