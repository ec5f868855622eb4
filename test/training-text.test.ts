import { describe, expect, test } from "vitest";
import { recipeFor } from "../src/caption/recipes.ts";
import { NO_AUGMENTATION, type Augmentation } from "../src/data/augmentation.ts";
import { Vocabulary } from "../src/data/vocabulary.ts";
import { Batches, lookAtPictures, textBatch, type TextOptions } from "../src/train/batches.ts";
import { toyScenes } from "./training-toy.ts";
import { squash } from "../src/data/preprocess.ts";

const codec = Vocabulary.build(["a b c d e"], 1);
const { pad, start, end } = codec;
const plain: TextOptions = { codec, length: 5, trainsEnd: true, trainsPads: false, trainsFirst: true };
const [A, B, C, D, E] = codec.encode("a b c d e");

/** Words and next words of one text. */
function of(text: readonly number[], options: Partial<TextOptions> = {}): { words: number[]; next: number[] } {
  const { words, next } = textBatch([text], { ...plain, ...options });
  return { words: [...words.data], next: [...next.data] };
}

describe("what the loss asks for", () => {
  test("each word, then the end; pads are masked out", () => {
    expect(of([A, B])).toEqual({ words: [start, A, B, pad, pad], next: [A, B, end, -100, -100] });
    expect(of([A, B, C, D])).toEqual({ words: [start, A, B, C, D], next: [A, B, C, D, end] });
    expect(of([])).toEqual({ words: [start, pad, pad, pad, pad], next: [end, -100, -100, -100, -100] });
  });

  test("a text that is too long is cut, and the end counts as its own", () => {
    expect(of([A, B, C, D, E])).toEqual({ words: [start, A, B, C, D], next: [A, B, C, D, end] });
  });

  test("without the end, texts are only begun", () => {
    expect(of([A, B], { trainsEnd: false }).next).toEqual([A, B, -100, -100, -100]);
  });

  test("with pads, each is an end word", () => {
    expect(of([A, B], { trainsPads: true }).next).toEqual([A, B, end, end, end]);
    expect(of([A, B], { trainsPads: true, trainsEnd: false }).next).toEqual([A, B, end, end, end]);
  });

  test("without the first word, there is no start either", () => {
    expect(of([A, B], { trainsFirst: false })).toEqual({ words: [A, B, pad, pad, pad], next: [B, end, -100, -100, -100] });
  });

  test("compat recipes have the quirks of the published projects, and fixed ones none", () => {
    const quirks = (system: "story" | "prefix" | "cross" | "storyteller" | "encdec", recipe: "compat" | "fixed"): boolean[] => {
      const { trainsEnd, trainsPads, trainsFirst } = recipeFor({ system, recipe, size: "full", pictures: 5000 }).text;
      return [trainsEnd, trainsPads, trainsFirst];
    };
    expect(quirks("story", "compat")).toEqual([false, false, true]);
    expect(quirks("prefix", "compat")).toEqual([true, true, true]);
    expect(quirks("cross", "compat")).toEqual([true, false, false]);
    for (const system of ["story", "storyteller", "prefix", "cross", "encdec"] as const) expect(quirks(system, "fixed")).toEqual([true, false, true]);
  });
});

describe("pictures that change at random", () => {
  const augmentation: Augmentation = { ...NO_AUGMENTATION, flip: 0.5, brightness: [0.5, 1.5], shiftScaleRotate: { shift: 0.1, scale: 0.1, rotate: 20, probability: 0.8, border: "reflect" } };
  const { train } = toyScenes(8);
  const batches = (seed: number): Batches => new Batches(train, { look: lookAtPictures(train, squash(16), augmentation, seed), text: { ...plain, codec: Vocabulary.build(train.captions(0), 1), length: 20 }, batchSize: 4, firstCaptionEpochs: 0, seed });

  test("are the same for the same seed and step, whatever came before", async () => {
    const [one, other] = [batches(3), batches(3)];
    const trail = [await one.at(0), await one.at(1), await one.at(2)];
    expect(await other.at(2)).toEqual(trail[2]); // as a resumed run begins
    expect(await batches(4).at(2)).not.toEqual(trail[2]);
  });

  test("are others in each epoch", async () => {
    const look = lookAtPictures(train, squash(16), augmentation, 3);
    expect(await look([0, 1], 0)).toEqual(await look([0, 1], 0));
    expect(await look([0, 1], 0)).not.toEqual(await look([0, 1], 1));
  });
});
