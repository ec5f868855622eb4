import { afterEach, describe, expect, test, vi } from "vitest";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor } from "../src/autograd/tensor.ts";
import { beamDecoder, wordByWordDecoder, type SequenceDecoder } from "../src/caption/decode.ts";
import { gpt2Text } from "../src/caption/gpt2-text.ts";
import type { TextModel } from "../src/caption/text-model.ts";
import type { HostInput } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { GPT2LMHeadModel } from "../src/models/gpt2.ts";
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

  test("a seed draws the same texts again, another one others, and one word to choose from leaves nothing to chance", async () => {
    const rows = pictures(WORDS);
    const language = new Language(WORDS, 40);
    const drawn = async (seed: number | null, topK = 0): Promise<string> => {
      const sampling = seed === null ? undefined : { seed, topK, temperature: 1.5 };
      decoder = wordByWordDecoder(device(), language.model(device()), { maxLength: 12, end: END, sampling });
      const texts = [await decoder.decode(input(rows)), await decoder.decode(input(rows))];
      decoder.dispose();
      return JSON.stringify(texts);
    };
    expect(await drawn(1)).toBe(await drawn(1));
    expect(await drawn(2)).not.toBe(await drawn(1));
    expect(await drawn(3, 1)).toBe(await drawn(null));
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
