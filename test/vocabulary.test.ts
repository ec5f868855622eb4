import { describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { Vocabulary, wordsOf } from "../src/data/vocabulary.ts";

const CAPTIONS = ["A dog runs.", "a dog, a cat", "The cat sleeps!", "zebra"];

describe("wordsOf", () => {
  test.each([
    ["A dog's ball, rolls — fast!", ["a", "dogs", "ball", "rolls", "fast"]],
    ["  two\tkids\nplay  ", ["two", "kids", "play"]],
    ["half-timbered 3$ <unk>", ["halftimbered", "3", "unk"]],
    ["Ein Mädchen läuft", ["ein", "mädchen", "läuft"]],
    ["... !?", []],
  ])("%j", (text, words) => {
    expect(wordsOf(text)).toEqual(words);
  });
});

describe("Vocabulary", () => {
  test("orders words by frequency, then by code units", () => {
    const words = ["<pad>", "<start>", "<end>", "<unk>", "a", "cat", "dog", "runs", "sleeps", "the", "zebra"];
    expect(Vocabulary.build(CAPTIONS, 1).words).toEqual(words);
    expect(Vocabulary.build([...CAPTIONS].reverse(), 1).words).toEqual(Vocabulary.build(CAPTIONS, 1).words);
  });

  test("leaves out words below the minimum frequency", () => {
    expect(Vocabulary.build(CAPTIONS, 2).words.slice(4)).toEqual(["a", "cat", "dog"]);
  });

  const vocabulary = Vocabulary.build(CAPTIONS, 2);

  test("encodes with start, end and unknown words", () => {
    expect(vocabulary.encode("A cat barks.")).toEqual([1, 4, 5, 3, 2]);
    expect(vocabulary.encode("")).toEqual([1, 2]);
  });

  test("keeps the end when it cuts", () => {
    expect(vocabulary.encode("a dog a cat", 4)).toEqual([1, 4, 6, 2]);
    expect(vocabulary.encode("a dog", 4)).toEqual([1, 4, 6, 2]);
    expect(vocabulary.encode("a dog", 2)).toEqual([1, 2]);
    expect(() => vocabulary.encode("a dog", 1)).toThrow(InputError);
  });

  test("decodes up to the first end", () => {
    expect(vocabulary.decode([1, 4, 6, 3, 2, 5, 0, 0])).toBe("a dog <unk>");
    expect(vocabulary.decode(vocabulary.encode("a dog, a cat"))).toBe("a dog a cat");
    expect(vocabulary.decode([])).toBe("");
    expect(() => vocabulary.decode([1, 7])).toThrow(/ids must be 0 to 6; got 7/);
  });

  test("survives JSON", () => {
    const again = Vocabulary.fromJson(JSON.parse(JSON.stringify(vocabulary)));
    expect(again.words).toEqual(vocabulary.words);
    expect(again.encode("a cat")).toEqual(vocabulary.encode("a cat"));
  });

  test.each([
    [null, "must be"],
    [{ words: ["<pad>", 1] }, "must be"],
    [{ words: ["a", "b"] }, "the first words must be <pad> <start> <end> <unk>; got a b"],
    [{ words: ["<pad>", "<start>", "<end>", "<unk>", "dog", "dog"] }, 'got "dog" more than once'],
  ])("refuses %j", (json, message) => {
    expect(() => Vocabulary.fromJson(json)).toThrow(InputError);
    expect(() => Vocabulary.fromJson(json)).toThrow(message);
  });
});
