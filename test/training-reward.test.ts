import { describe, expect, test } from "vitest";
import { tensor } from "../src/autograd/tensor.ts";
import type { CaptionModel } from "../src/caption/caption-model.ts";
import { RunOptimizers } from "../src/caption/optimizers.ts";
import { prepareCaptioner } from "../src/caption/prepare.ts";
import { advantagesOf, CaptionReward, policyObjective, RewardedDraws } from "../src/caption/reward.ts";
import { TrainingStep } from "../src/caption/training-step.ts";
import { Generator } from "../src/core/rng.ts";
import type { PictureSet } from "../src/data/pictures.ts";
import { cider } from "../src/metrics/cider.ts";
import { Linear } from "../src/nn/layers.ts";
import { Module } from "../src/nn/module.ts";
import { reshape } from "../src/autograd/ops/index.ts";
import { lookAtPictures } from "../src/train/batches.ts";
import { changedTensors, toyRecipe, toyScenes, trainBroken, trainToy } from "./training-toy.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });

const reward = { epochs: 1, learningRate: 1e-3, samples: 3, temperature: 1 };

/** A decoder that can be followed by hand: logits of a place are W · (what is seen) + b, whatever is said. */
class Plain extends Module {
  readonly fc: Linear;
  private readonly length: number;

  constructor(vocabulary: number, features: number, length: number) {
    super();
    this.fc = new Linear({ device: device(), generator: new Generator(7) }, features, vocabulary * length);
    this.length = length;
  }

  logits([seen]: Parameters<CaptionModel["logits"]>[0]): ReturnType<CaptionModel["logits"]> {
    return reshape(this.fc.forward(seen), [seen.shape[0], this.length, -1]);
  }
}

describe("the policy's loss", () => {
  const [features, vocabulary, length, batch, samples] = [3, 5, 4, 2, 3];
  const temperature = 0.8;
  const generator = new Generator(3);
  const seen = Float32Array.from({ length: batch * features }, () => generator.normal());
  const advantages = Float32Array.from({ length: batch * samples }, () => generator.normal());
  const next = Int32Array.from({ length: batch * samples * length }, (_, i) => (i % length === 3 && i % 2 === 1 ? -100 : generator.integer(vocabulary)));

  /** −mean a · Σ log softmax(logits / τ)[word], in float64. */
  const byHand = (weight: readonly number[], bias: readonly number[]): number => {
    let total = 0;
    for (let text = 0; text < batch * samples; text++) {
      const picture = Math.floor(text / samples);
      for (let place = 0; place < length; place++) {
        const word = next[text * length + place];
        if (word === -100) continue;
        const logits = Array.from({ length: vocabulary }, (_, v) => {
          const row = place * vocabulary + v;
          return (bias[row] + [...seen.subarray(picture * features, (picture + 1) * features)].reduce((sum, x, f) => sum + x * weight[row * features + f], 0)) / temperature;
        });
        total += advantages[text] * (logits[word] - Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)));
      }
    }
    return -total / (batch * samples);
  };

  test("value and gradient are those of float64", async () => {
    const model = new Plain(vocabulary, features, length);
    const objective = policyObjective({ temperature });
    const texts = [tensor(device(), new Int32Array(next.length), [batch, samples, length]), tensor(device(), next, [batch, samples, length]), tensor(device(), advantages, [batch, samples])];
    const loss = objective.loss(model as unknown as CaptionModel, [tensor(device(), seen, [batch, features])], texts);
    loss.backward();
    const [weight, bias] = [[...(await model.fc.weight.read())], [...(await model.fc.bias!.read())]];
    expect(await loss.item()).toBeCloseTo(byHand(weight, bias), 5);
    for (const [gradient, values, at] of [[await model.fc.weight.grad!.read(), weight, (w: number[]) => byHand(w, bias)], [await model.fc.bias!.grad!.read(), bias, (b: number[]) => byHand(weight, b)]] as const) {
      gradient.forEach((value, i) => {
        const [up, down] = [1e-5, -1e-5].map((step) => at(values.with(i, values[i] + step)));
        expect(Math.abs(value - (up - down) / 2e-5)).toBeLessThan(1e-5); // a few roundings of f32 at gradients below 1
      });
    }
    model.dispose();
  });

  test("each reward is compared with the others of its picture; equal ones weigh nothing, to the last bit", () => {
    expect(advantagesOf([3, 1, 2])).toEqual([1.5, -1.5, 0]);
    expect(advantagesOf([0.1, 0.1, 0.1, 0.1, 0.1])).toEqual([0, 0, 0, 0, 0]);
  });
});

describe("the reward", () => {
  const set = (captions: readonly (readonly string[])[]): PictureSet => ({ length: captions.length, captions: (i: number) => captions[i] }) as unknown as PictureSet;
  const CAPTIONS = [["a dog runs", "the dog is running"], ["two kids play"], ["a man rides a bike"]];

  test("is CIDEr-D with the end as a word", () => {
    const rewards = new CaptionReward(set(CAPTIONS));
    const tokens = (text: string): string[] => `${text} <end>`.split(" ");
    const texts = ["a dog runs", "two kids play", "a man runs"];
    const expected = cider(texts.map(tokens), CAPTIONS.map((references) => references.map(tokens))).byImage;
    texts.forEach((text, i) => expect(rewards.of([{ text, ended: true }], CAPTIONS[i])[0]).toBeCloseTo(expected[i], 12));
    const [whole, broken] = rewards.of([{ text: "A dog runs.", ended: true }, { text: "a dog runs", ended: false }], CAPTIONS[0]);
    expect(whole).toBeGreaterThan(broken);
    expect(rewards.of([{ text: "", ended: false }], CAPTIONS[0])).toEqual([0]);
  });

  test("compares with references in the text's language, without their tags", () => {
    const captions = [["<en> a red ring", "<de> ein roter Ring"], ["<en> a dog", "<de> ein Hund"], ["<en> a cat", "<de> eine Katze"]];
    const rewards = new CaptionReward(set(captions));
    const of = (text: string, language: string): number => rewards.of([{ text, ended: true }], captions[0], language)[0];
    expect(of("ein roter Ring", "<de>")).toBeCloseTo(10, 6);
    expect(of("ein roter Ring", "<en>")).toBeLessThan(3); // "ring" is a word of both
  });
});

describe("draws", () => {
  test.each([1, 3])("begin with the start word and the tag of one of %d languages, and depend on seed and step alone", async (count) => {
    const languages = (["en", "de", "es"] as const).slice(0, count);
    const source = toyScenes(8, languages);
    const recipe = toyRecipe("storyteller", { text: { vocabulary: "words" } });
    const captioner = await prepareCaptioner(device(), source, recipe);
    const { codec, config, preprocessing } = captioner;
    const draws = new RewardedDraws(captioner, source.train, new CaptionReward(source.train), reward, 5, false);
    const seen = await lookAtPictures(source.train, preprocessing)([0, 1, 2, 3], 0);
    const [first, again, other] = [await draws.of(seen, [0, 1, 2, 3], 1), await draws.of(seen, [0, 1, 2, 3], 1), await draws.of(seen, [0, 1, 2, 3], 2)];
    expect(first).toEqual(again);
    expect(first.texts[0].data).not.toEqual(other.texts[0].data);
    const [words, next, advantages] = first.texts;
    expect([words.shape, next.shape, advantages.shape]).toEqual([[4, 3, config.maxLength], [4, 3, config.maxLength], [4, 3]]);
    for (let text = 0; text < 12; text++) {
      const [said, follows] = [words, next].map(({ data }) => [...data.subarray(text * config.maxLength, (text + 1) * config.maxLength)]);
      expect(said[0]).toBe(codec.start);
      if (count > 1) expect([codec.languageOf(said), follows[0]]).toEqual([expect.stringMatching(/^<(en|de|es)>$/), -100]);
      for (let i = count > 1 ? 1 : 0; i + 1 < follows.length && follows[i] !== codec.end && follows[i] !== -100; i++) expect(said[i + 1]).toBe(follows[i]);
    }
    draws.dispose();
    captioner.dispose();
  });

  test("without an advantage change nothing", async () => {
    const source = toyScenes(8);
    const recipe = toyRecipe("storyteller", { training: { weightDecay: 0 } });
    const captioner = await prepareCaptioner(device(), source, recipe);
    const { model, config, preprocessing } = captioner;
    const optimizer = new RunOptimizers(model, recipe);
    const step = new TrainingStep(device(), model, optimizer, recipe, { objective: policyObjective(reward) });
    const seen = await lookAtPictures(source.train, preprocessing)([0, 1], 0);
    const shape = [2, 3, config.maxLength];
    const words = { shape, data: new Int32Array(6 * config.maxLength).fill(4) };
    const before = await model.stateDict();
    const run = async (advantage: number): Promise<void> => void (await (await step.run({ seen, texts: [words, words, { shape: [2, 3], data: new Float32Array(6).fill(advantage) }] }, 0)).loss());
    await run(0);
    expect(changedTensors(before, await model.stateDict())).toEqual([]);
    await run(1);
    expect(changedTensors(before, await model.stateDict())).not.toEqual([]);
    for (const made of [step, optimizer, captioner]) made.dispose();
  });
});

describe("a run with rewards", () => {
  const recipe = toyRecipe("storyteller", { training: { epochs: 2, validations: 4, reward: { ...reward, epochs: 2 } } });

  test("resumed within them, it ends with the bits of one that never stopped", async () => {
    const whole = await trainToy(device(), recipe);
    expect(whole.result).toMatchObject({ step: 16, steps: 16 });
    expect(whole.steps.map((step) => step.reward !== null)).toEqual([...Array<boolean>(8).fill(false), ...Array<boolean>(8).fill(true)]);
    expect(whole.steps[0]).toMatchObject({ epoch: 1, epochs: 4 });
    expect(whole.validations.map((report) => [report.step, report.reward !== null])).toEqual([[4, false], [8, false], [12, true], [16, true]]);
    const { resumed } = await trainBroken(device(), recipe, 10);
    expect(resumed.steps[0].step).toBeGreaterThan(10);
    expect(changedTensors(whole.last.tensors, resumed.last.tensors)).toEqual([]);
    expect(resumed.steps.map((step) => step.reward)).toEqual(whole.steps.slice(resumed.steps[0].step - 1).map((step) => step.reward));
  });

  test("captions that stop getting better make place for them", async () => {
    const stuck = toyRecipe("storyteller", { training: { epochs: 4, validations: 6, patience: 1, learningRate: 1e-30, reward: { ...reward, learningRate: 1e-31, epochs: 2 } } });
    const { steps, result } = await trainToy(device(), stuck);
    const first = steps.findIndex((step) => step.reward !== null);
    expect(steps[first - 1].step).toBeLessThan(16);
    expect(steps[first].step).toBe(17);
    expect(result.early).toBe(true);
  });

  test("the mean reward rises", async () => {
    const learns = toyRecipe("storyteller", { text: { firstCaption: 1 }, training: { epochs: 30, learningRate: 1e-2, validations: 1, reward: { epochs: 25, learningRate: 1e-2, samples: 5, temperature: 1 } } });
    const { steps } = await trainToy(device(), learns);
    const rewards = steps.flatMap((step) => step.reward ?? []);
    const mean = (some: readonly number[]): number => some.reduce((sum, each) => sum + each, 0) / some.length;
    expect(mean(rewards.slice(-20))).toBeGreaterThan(1.2 * mean(rewards.slice(0, 20)));
  });
});
