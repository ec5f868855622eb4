import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readPickle } from "../src/checkpoint/torch/pickle.ts";
import { InputError } from "../src/core/errors.ts";
import { Vocabulary, vocabularyFromRecord, wordsOf } from "../src/data/vocabulary.ts";

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

  // Expected: `text.lower().translate(str.maketrans("", "", string.punctuation)).split()` in Python 3.
  test.each([
    ["A dog's ball, rolls — fast!", ["a", "dogs", "ball", "rolls", "—", "fast"]],
    ["half-timbered 3$ <unk> 5€", ["halftimbered", "3", "unk", "5€"]],
    ["!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~x", ["x"]],
    ["it’s “so” £5…", ["it’s", "“so”", "£5…"]],
    ["a\u001cb\u001fc\u0085d\u00a0e\u3000f\u2028g", ["a", "b", "c", "d", "e", "f", "g"]],
    ["a\ufeffb\u200bc", ["a\ufeffb\u200bc"]],
    ["ÀÉ ΟΔΟΣ İ", ["àé", "οδος", "i̇"]],
    [" \n", []],
  ])("as published: %j", (text, words) => {
    expect(wordsOf(text, "ascii")).toEqual(words);
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

  test("keeps the published orders", () => {
    const captions = ["one two two", "three three two", "one — three", "four"];
    const build = (order: "frequency" | "occurrence" | "threshold") => Vocabulary.build(captions, 2, { punctuation: "ascii", order }).words.slice(4);
    expect(build("occurrence")).toEqual(["one", "two", "three"]);
    expect(build("threshold")).toEqual(["two", "three", "one"]);
    expect(build("frequency")).toEqual(["three", "two", "one"]);
    expect(Vocabulary.build(captions, 0, { order: "threshold" }).size).toBe(8);
  });

  test("keeps to its punctuation", () => {
    const published = Vocabulary.build(["it’s, here"], 1, { punctuation: "ascii" });
    expect(published.words.slice(4)).toEqual(["here", "it’s"]);
    expect(published.encode("It’s here!")).toEqual([5, 4]);
    const again = Vocabulary.fromJson(JSON.parse(JSON.stringify(published)));
    expect(again.encode("It’s here!")).toEqual([5, 4]);
    expect(Vocabulary.fromJson({ words: published.words }).punctuation).toBe("unicode");
  });

  const vocabulary = Vocabulary.build(CAPTIONS, 2);

  test("encodes words, and unknown ones as such", () => {
    expect(vocabulary.encode("A cat barks.")).toEqual([4, 5, 3]);
    expect(vocabulary.encode("")).toEqual([]);
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
    [{ words: ["<pad>", "<start>", "<end>", "<unk>"], punctuation: "none" }, 'punctuation must be "unicode", "sentences" or "ascii"; got "none"'],
  ])("refuses %j", (json, message) => {
    expect(() => Vocabulary.fromJson(json)).toThrow(InputError);
    expect(() => Vocabulary.fromJson(json)).toThrow(message);
  });
});

describe("vocabularyFromRecord", () => {
  const WORDS = ["<pad>", "<start>", "<end>", "<unk>", "dog", "größe", "constructor"];
  const byId = new Map(WORDS.map((word, id) => [id, word]));
  const byWord = new Map(WORDS.map((word, id) => [word, id]));

  test.each([
    ["itos and stoi", { itos: byId, stoi: byWord, freq_threshold: 5 }],
    ["idx2word and word2idx", new Map<string, unknown>([["word2idx", byWord], ["idx2word", byId], ["idx", 7]])],
    ["an inert record", { class: "__main__.Vocabulary", state: new Map<string, unknown>([["itos", byId], ["stoi", byWord]]) }],
    ["plain objects, whose keys are strings", { itos: Object.fromEntries(byId), stoi: Object.fromEntries(byWord) }],
    ["a list", { itos: WORDS }],
    ["only ids by word, in another order", { stoi: new Map([...byWord].reverse()) }],
    ["a kind of dict", { itos: { class: "collections.defaultdict", state: null, entries: byId } }],
    ["other names of the special words", { itos: ["<PAD>", "<SOS>", "<EOS>", "<UNK>", ...WORDS.slice(4)] }],
  ])("reads %s", (_, record) => {
    const vocabulary = vocabularyFromRecord(record);
    expect(vocabulary.words).toEqual(WORDS);
    expect(vocabulary.punctuation).toBe("ascii");
  });

  test("reads what Python pickled", () => {
    const bytes = readFileSync(join(import.meta.dirname, "golden", "checkpoints", "vocabulary-protocol-4.pkl"));
    expect(vocabularyFromRecord(readPickle(bytes, "vocab.pkl"), "vocab.pkl").words).toEqual([...WORDS.slice(0, 6), "🐕"]);
  });

  test.each([
    [null, "vocab.pkl: the vocabulary must have one of itos, idx2word, stoi, word2idx; got no attributes"],
    [new Map([["weight", 1], ["bias", 2]]), "got weight, bias"],
    [{ itos: new Map([[0, "<pad>"], [2, "<start>"]]) }, 'vocab.pkl, itos: ids of 2 words must be 0 to 1, each once; got "2"'],
    [{ itos: new Map([[0, "<pad>"], [4e9, "<start>"]]) }, 'got "4000000000"'],
    [{ stoi: new Map([["<pad>", 0], ["<start>", 0]]) }, 'vocab.pkl, stoi: ids of 2 words must be 0 to 1, each once; got "0"'],
    [{ stoi: new Map([["<pad>", "0x0"]]) }, 'got "0x0"'],
    [{ itos: new Map<unknown, unknown>([[0, 7]]) }, 'words must be strings; got "7" at id 0'],
    [{ itos: WORDS, stoi: new Map([...byWord].slice(0, 6)) }, 'itos and stoi must have the same words; got "constructor" and null at id 6'],
    [{ itos: WORDS, stoi: new Map([...byWord, ["dog", 5], ["größe", 4]] as [string, number][]) }, 'got "dog" and "größe" at id 4'],
    [{ itos: ["<unk>", "<pad>", "a"] }, "the first words must be <pad> <start> <end> <unk>; got <unk> <pad> a"],
  ])("refuses %j", (record, message) => {
    expect(() => vocabularyFromRecord(record)).toThrow(InputError);
    expect(() => vocabularyFromRecord(record)).toThrow(message);
  });
});
