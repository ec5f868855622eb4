import { describe, expect, test } from "vitest";
import { appendWords, filterLogits, sample, sampleFrom, samplingValues } from "../../src/autograd/ops/sampling.ts";
import { DeviceGenerator } from "../../src/autograd/random.ts";
import { recorded } from "../../src/autograd/recorded.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { drawnWord, filteredRow, filterLogitsCase, rowOf, sampleFromCase } from "./sampling.ts";

testOp(filterLogitsCase);
testOp(sampleFromCase);

describe("sampleFrom", () => {
  const device = useDevice({ adapter: "software" });

  test("the words of thousands of draws are as frequent as their probabilities say", async () => {
    using _scope = device().scope();
    const logits = [2, -1, 0.5, 1.9, -3, 0, 0, 1, -0.5, 1.2, -6, 2.2];
    const [rows, draws] = [2000, 10];
    const generator = new DeviceGenerator(device(), 2024);
    const all = tensor(device(), Float32Array.from({ length: rows * logits.length }, (_, i) => logits[i % logits.length]), [rows, logits.length]);
    const counts = logits.map(() => 0);
    for (let i = 0; i < draws; i++) for (const id of await sampleFrom(all, generator).read()) counts[id]++;
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const expected = logits.map((logit) => (rows * draws * Math.exp(logit)) / total);
    const chiSquare = counts.reduce((sum, count, id) => sum + (count - expected[id]) ** 2 / expected[id], 0);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(rows * draws);
    expect(chiSquare).toBeLessThan(31.26); // 11 degrees of freedom: a true sampler passes it 999 times in 1,000
  });
});

describe.each([true, false])("sampling (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  test("NaN and infinities: nothing is filtered by p where there is no softmax", async () => {
    using _scope = device().scope();
    const rows = [[NaN, 1, 2], [Infinity, 1, 2], [-Infinity, -Infinity, -Infinity], [-Infinity, 1, -Infinity]];
    const logits = tensor(device(), Float32Array.from(rows.flat()), [4, 3]);
    expect([...(await filterLogits(logits, { settings: { topP: 0.5 } }).read())]).toEqual(rows.flat());
  });

  test("a recorded step: settings are an input, and each replay draws other words, the same ones from the same seed", async () => {
    const [rows, words] = [3, 40];
    const random = new Generator(8);
    const logits = Float32Array.from({ length: rows * words }, () => 3 * random.normal());
    const ids = Int32Array.from({ length: rows * 6 }, () => random.integer(words));
    const plans = [{}, { temperature: 0.5, topK: 10 }, { topP: 0.7, repetitionPenalty: 1.5 }, { topK: 3, topP: 0.9 }];
    const run = async (): Promise<number[][]> => {
      const generator = new DeviceGenerator(device(), 77);
      const step = recorded(device(), "sampling", (given, said, settings) => ({ ids: sample(given, generator, { settings, said }) }));
      const found: number[][] = [];
      for (const plan of plans) {
        const { ids: drawn } = await step.run({ shape: [rows, words], data: logits }, { shape: [rows, 6], data: ids }, { shape: [4], data: samplingValues(plan) });
        found.push([...(await drawn.read())]);
      }
      step.dispose();
      return found;
    };
    const expected = plans.map((plan, draw) =>
      Array.from({ length: rows }, (_, row) => {
        const left = filteredRow(rowOf(logits, row, words), plan, rowOf(ids, row, 6), []);
        return drawnWord(left, row, { seed: 77, draw });
      }),
    );
    expect(await run()).toEqual(expected);
    expect(await run()).toEqual(expected);
  });

  test.each([1, 2, 3])("no %i words in a row come twice, and a short text does not end", async (n) => {
    using _scope = device().scope();
    const [rows, words, room, end] = [7, 5, 12, 4];
    const random = new Generator(n);
    const said = Array.from({ length: rows }, (_, row) => Array.from({ length: row === 0 ? 1 : 3 + random.integer(room - 3) }, () => random.integer(words)));
    const ids = Int32Array.from(said.flatMap((text) => [...text, ...Array<number>(room - text.length).fill(2)]));
    const lengths = tensor(device(), Int32Array.from(said, (text) => text.length), [rows]);
    const logits = tensor(device(), new Float32Array(rows * words).fill(1.5), [rows, words]);
    const found = await filterLogits(logits, { said: tensor(device(), ids, [rows, room]), lengths, bans: { noRepeatNgram: n, minLength: 6, end } }).read();
    const expected = said.flatMap((text) => {
      const tail = text.slice(text.length - (n - 1)).join();
      const starts = text.map((_, i) => i).filter((i) => i + n - 1 < text.length && text.slice(i, i + n - 1).join() === tail);
      const banned = new Set(text.length < n ? [] : starts.map((i) => text[i + n - 1]));
      return Array.from({ length: words }, (_, id) => (banned.has(id) || (id === end && text.length < 6) ? -Infinity : 1.5));
    });
    expect([...found]).toEqual(expected);
    expect(expected.filter((value) => value === -Infinity).length).toBeGreaterThan(2); // something was banned
  });

  test("bans that make no sense are refused", () => {
    using _scope = device().scope();
    const logits = tensor(device(), new Float32Array(5), [1, 5]);
    const said = { said: tensor(device(), Int32Array.of(1, 2), [1, 2]), lengths: tensor(device(), Int32Array.of(2), [1]) };
    expect(() => filterLogits(logits, { ...said, bans: { noRepeatNgram: 1.5 } })).toThrow(/noRepeatNgram must be a whole number/);
    expect(() => filterLogits(logits, { ...said, bans: { minLength: 3 } })).toThrow(/needs the id of the end word/);
    expect(() => filterLogits(logits, { ...said, bans: { minLength: 3, end: 5 } })).toThrow(/end must lie in 0..4; got 5/);
    expect(() => filterLogits(logits, { bans: { noRepeatNgram: 2 } })).toThrow(/bans need what was said/);
  });

  test("words join what was said, and what has no room is left out", async () => {
    using _scope = device().scope();
    const said = tensor(device(), Int32Array.of(1, 2, 0, 9, 9, 9), [2, 3]);
    const lengths = tensor(device(), Int32Array.of(2, 3), [2]);
    appendWords(said, lengths, tensor(device(), Int32Array.of(7, 8), [2]));
    expect([...(await said.read()), ...(await lengths.read())]).toEqual([1, 2, 7, 9, 9, 9, 3, 3]);
  });

  test("a vocabulary of 50,257: exactly the words that a sort leaves", async () => {
    using _scope = device().scope();
    const words = 50_257;
    const random = new Generator(9);
    const logits = Float32Array.from({ length: words }, () => Math.round(40 * random.normal()) / 16); // with many equals
    for (const settings of [{ topP: 0.9 }, { topK: 50, topP: 0.95 }]) {
      const found = await filterLogits(tensor(device(), logits, [1, words]), { settings }).read();
      expect([...found]).toEqual(filteredRow([...logits], settings, [], []));
    }
  });
});
