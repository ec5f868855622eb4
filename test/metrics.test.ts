import { describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { bleu } from "../src/metrics/bleu.ts";
import { cider } from "../src/metrics/cider.ts";
import { distinctCaptions } from "../src/metrics/distinct-captions.ts";
import { rougeL } from "../src/metrics/rouge.ts";
import { tokenOverlap } from "../src/metrics/token-overlap.ts";

const REFERENCES = [
  ["a brown dog runs across the grass", "a dog is running on the lawn", "the dog is running through a field"],
  ["two kids are playing football", "two children play soccer in a park", "kids kick a ball"],
  ["a man is riding a bike down the street", "a cyclist rides along a road", "man on a bicycle in the city"],
].map((list) => list.map((text) => text.split(" ")));
const CAPTIONS = ["a dog is running through the grass", "two children play football", "a man rides a bicycle"].map((text) =>
  text.split(" "),
);

// Scores of the reference implementations, coco-caption's, in six digits.
const SIX_DIGITS = 6;

describe("bleu", () => {
  const result = bleu(CAPTIONS, REFERENCES);

  test("counts as coco-caption does", () => {
    expect(result).toMatchObject({ testLength: 16, referenceLength: 17, guesses: [16, 13, 10, 7], correct: [16, 9, 4, 2] });
  });

  test("gives coco-caption's corpus scores", () => {
    const expected = [0.939413, 0.781639, 0.612317, 0.498229];
    for (const [i, score] of expected.entries()) expect(result.scores[i]).toBeCloseTo(score, SIX_DIGITS);
  });

  test("gives coco-caption's scores of each image", () => {
    expect(result.byImage[0][3]).toBeCloseTo(0.70710678, 8);
    expect(result.byImage[1][3]).toBeCloseTo(0.00013512, 8);
    expect(result.byImage[2][3]).toBeCloseTo(1e-8, 8);
  });

  test("takes the shorter of two equally close references", () => {
    const words = "a b c d e f".split(" ");
    expect(bleu([words.slice(0, 4)], [[words.slice(0, 5), words.slice(0, 3)]]).referenceLength).toBe(3);
  });

  test("is about 1 for a reference itself and about 0 for an empty caption", () => {
    expect(bleu([REFERENCES[0][0]], [REFERENCES[0]]).scores[3]).toBeCloseTo(1, SIX_DIGITS);
    expect(bleu([[]], [REFERENCES[0]]).scores[0]).toBeCloseTo(0, SIX_DIGITS);
  });
});

describe("rougeL", () => {
  test("gives coco-caption's scores", () => {
    const { score, byImage } = rougeL(CAPTIONS, REFERENCES);
    for (const [i, expected] of [0.714286, 0.519886, 0.536657].entries()) expect(byImage[i]).toBeCloseTo(expected, SIX_DIGITS);
    expect(score).toBeCloseTo(0.590276, SIX_DIGITS);
  });

  test("is 0 for an empty caption and one without a common word", () => {
    expect(rougeL([[], ["zebra"]], [REFERENCES[0], REFERENCES[1]]).byImage).toEqual([0, 0]);
  });
});

describe("cider", () => {
  test("gives coco-caption's CIDEr-D", () => {
    const { score, byImage } = cider(CAPTIONS, REFERENCES);
    expect(score).toBeCloseTo(2.060176, SIX_DIGITS);
    for (const [i, expected] of [3.570085, 1.433519, 1.176923].entries()) expect(byImage[i]).toBeCloseTo(expected, SIX_DIGITS);
  });

  test("is 0 for an empty caption, and for a single image", () => {
    expect(cider([[], CAPTIONS[1], CAPTIONS[2]], REFERENCES).byImage[0]).toBe(0);
    expect(cider([REFERENCES[0][0]], [REFERENCES[0]]).score).toBe(0);
  });
});

describe("tokenOverlap", () => {
  test("counts tokens as a multiset against the best reference", () => {
    const overlap = tokenOverlap([["a", "a", "dog"]], [[["a", "dog", "runs", "fast"], ["zebra"]]]);
    expect(overlap).toEqual({ precision: 2 / 3, recall: 1 / 2, f1: expect.closeTo(4 / 7, 12) });
  });

  test("averages over images", () => {
    const overlap = tokenOverlap([["a"], []], [[["a"]], [["b"]]]);
    expect(overlap).toEqual({ precision: 0.5, recall: 0.5, f1: 0.5 });
  });
});

describe("distinctCaptions", () => {
  test("counts different captions", () => {
    expect(distinctCaptions(["a dog", "a cat", "a dog ", "a dog"])).toEqual({ distinct: 2, share: 0.5 });
    expect(distinctCaptions([])).toEqual({ distinct: 0, share: 0 });
  });
});

test.each([bleu, rougeL, cider, tokenOverlap])("%o refuses hypotheses without references", (metric) => {
  expect(() => metric([], [])).toThrow(InputError);
  expect(() => metric([["a"]], [])).toThrow("got 1 hypotheses and 0 lists of references");
  expect(() => metric([["a"]], [[]])).toThrow("got none for number 0");
});
