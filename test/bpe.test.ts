import { describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { Generator } from "../src/core/rng.ts";
import { bytePairCodecOf, trainBytePairs } from "../src/data/bpe.ts";
import { MaxHeap } from "../src/data/max-heap.ts";
import { captionsOf, taggedCaption } from "../src/data/scene-grammar.ts";
import { sceneAt } from "../src/data/scenes.ts";
import { tokenizerFromVocabAndMerges } from "../src/data/tokenizer-load.ts";

const FIXED = 4 + 256; // special tokens and bytes

/** The definition, word by word, for texts of the letters a to z and single spaces: all pairs are counted anew for each merge. */
function naiveMerges(texts: readonly string[], vocabulary: number, minFrequency: number): string[] {
  const words = texts.flatMap((text) => text.match(/ ?[a-z]+/g) ?? []).map((word) => [...word.replace(" ", "Ġ")]);
  const tokens = new Set<string>();
  const merges: string[] = [];
  while (FIXED + tokens.size < vocabulary) {
    const counts = new Map<string, number>();
    for (const word of words) word.slice(1).forEach((right, i) => counts.set(`${word[i]} ${right}`, (counts.get(`${word[i]} ${right}`) ?? 0) + 1));
    const compare = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);
    const order = [...counts].sort(([a, m], [b, n]) => n - m || compare(a.split(" ")[0], b.split(" ")[0]) || compare(a.split(" ")[1], b.split(" ")[1]));
    if (order.length === 0 || order[0][1] < minFrequency) break;
    const [left, right] = order[0][0].split(" ");
    merges.push(`${left} ${right}`);
    tokens.add(left + right);
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
    }
  }
  return merges;
}

function randomText(random: Generator, letters: number): string {
  const word = (): string => Array.from({ length: 1 + random.integer(7) }, () => String.fromCharCode(97 + random.integer(letters))).join("");
  return Array.from({ length: 1 + random.integer(6) }, word).join(" ");
}

const mergesOf = (texts: readonly string[], vocabulary: number, minFrequency?: number): string[] => trainBytePairs(texts, { vocabulary, minFrequency }).merges.split("\n").slice(0, -1);

describe("trainBytePairs", () => {
  test("merges what the definition merges, ties included, and makes no token twice", () => {
    const random = new Generator(11);
    for (let round = 0; round < 300; round++) {
      const texts = Array.from({ length: 1 + random.integer(12) }, () => randomText(random, 1 + (round % 4)));
      const minFrequency = 1 + (round % 3);
      const vocabulary = FIXED + random.integer(60);
      const merges = mergesOf(texts, vocabulary, minFrequency);
      expect(merges, JSON.stringify(texts)).toEqual(naiveMerges(texts, vocabulary, minFrequency));
      const products = merges.map((merge) => merge.replace(" ", ""));
      expect(new Set(products).size).toBe(products.length);
    }
  });

  test("does not depend on the order of the texts", () => {
    const random = new Generator(12);
    const texts = Array.from({ length: 60 }, () => randomText(random, 8));
    expect(mergesOf(texts.toReversed(), 400)).toEqual(mergesOf(texts, 400));
  });

  test("takes the most frequent pair, then the first by its left and right token", () => {
    expect(mergesOf(["ab ab ab cd cd", "dc dc"], FIXED + 2)).toEqual(["a b", "c d"]);
    expect(mergesOf(["zy", "zy", "xy", "xy", "xw", "xw"], FIXED + 3)).toEqual(["x w", "x y", "z y"]);
    expect(mergesOf(["aaa", "aaa"], FIXED + 9)).toEqual(["a a", "aa a"]);
  });

  test("stops where no pair is frequent enough, or the vocabulary is full", () => {
    expect(mergesOf(["abcd"], 1000)).toEqual([]);
    expect(mergesOf(["abcd"], 1000, 1)).toEqual(["a b", "ab c", "abc d"]);
    expect(mergesOf(["abcd"], FIXED + 1, 1)).toEqual(["a b"]);
    expect(mergesOf([], 1000)).toEqual([]);
    expect(Object.keys(trainBytePairs(["abcd", "abcd"], { vocabulary: 261 }).vocab).length).toBe(261);
  });

  test("has the special tokens first, then the tags, whatever order they come in", () => {
    const { vocab } = trainBytePairs(["<es> un anillo", "<de> ein Ring", "a <fr> ring"], { vocabulary: 262 });
    expect(Object.entries(vocab).sort(([, a], [, b]) => a - b).slice(0, 7).map(([token]) => token)).toEqual(["<pad>", "<start>", "<end>", "<unk>", "<de>", "<es>", "!"]);
  });

  test("learns nothing from a word of thousands of letters, and is not held up by it", () => {
    expect(mergesOf(["a".repeat(150_000), "ba ba"], 8000)).toEqual(["b a"]);
  });

  test.each([0, 259, 300.5, NaN, Infinity, 2 ** 21])("refuses %d tokens", (vocabulary) => {
    expect(() => trainBytePairs(["a"], { vocabulary })).toThrow(InputError);
    expect(() => trainBytePairs(["a"], { vocabulary })).toThrow(`trainBytePairs: vocabulary must be a whole number from 260 (special tokens, tags and bytes) to 1048576; got ${vocabulary}`);
  });

  test("needs room for the tags too", () => {
    expect(() => trainBytePairs(["<de> a"], { vocabulary: 260 })).toThrow("must be a whole number from 261");
  });

  test("takes 20,000 captions of many words to 2,000 tokens within seconds", { timeout: 20_000 }, () => {
    const random = new Generator(13);
    const words = Array.from({ length: 8000 }, () => randomText(random, 26).split(" ")[0]);
    const texts = Array.from({ length: 20_000 }, () => Array.from({ length: 10 }, () => words[Math.floor(random.uniform() ** 3 * words.length)]).join(" "));
    expect(mergesOf(texts, 2000).length).toBeGreaterThan(1500);
  });
});

describe("bytePairCodecOf", () => {
  const captions = Array.from({ length: 200 }, (_, index) => sceneAt(1, "train", index)).flatMap((scene) =>
    (["en", "es", "de"] as const).flatMap((language) => captionsOf(scene, language).map((text) => taggedCaption(text, language))),
  );
  const codec = bytePairCodecOf(captions, { vocabulary: 512 });

  test("encodes with the merges that were learnt, by the tokeniser that reads published ones", () => {
    const { vocab, merges } = trainBytePairs(captions, { vocabulary: 512 });
    const tokenizer = tokenizerFromVocabAndMerges(vocab, merges, { endOfText: "<end>" });
    expect(codec.size).toBe(512);
    expect(codec.encode("ein kleiner roter Ring")).toEqual(tokenizer.encode("ein kleiner roter Ring"));
    expect(codec.encode("<de> ein kleiner roter Ring").length).toBeLessThan(9); // of 23 bytes
  });

  test("gives every text back, of known words or not, in any script", () => {
    const random = new Generator(14);
    for (let round = 0; round < 500; round++) {
      const text = String.fromCodePoint(...Array.from({ length: 1 + random.integer(12) }, () => {
        const code = Math.floor(random.uniform() ** 3 * 0x110000);
        return code >= 0xd800 && code < 0xe000 ? 0x20 : code;
      }));
      expect(codec.decode(codec.encode(text))).toBe(text);
    }
    for (const caption of captions.slice(0, 500)) expect(taggedOf(caption)).toBe(caption);
  });

  const taggedOf = (caption: string): string => {
    const ids = codec.encode(caption);
    return `${codec.languageOf(ids)} ${codec.decode(ids)}`;
  };
});

test("MaxHeap gives items in order, whenever they came", () => {
  const random = new Generator(15);
  const heap = new MaxHeap<number>((a, b) => a > b);
  const held: number[] = [];
  for (let step = 0; step < 3000; step++) {
    if (random.integer(5) < 3) {
      const item = random.integer(50);
      held.push(item);
      heap.push(item);
    } else {
      held.sort((a, b) => a - b);
      expect(heap.pop()).toBe(held.pop());
    }
  }
});
