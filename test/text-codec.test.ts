import { beforeAll, describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { Generator } from "../src/core/rng.ts";
import { bytePairCodecOf } from "../src/data/bpe.ts";
import { BytePairCodec } from "../src/data/bpe-codec.ts";
import { splitTag } from "../src/data/language-tag.ts";
import { codecFromJson, type TextCodec } from "../src/data/text-codec.ts";
import { BYTE_CHARACTERS } from "../src/data/tokenizer-bytes.ts";
import { gpt2Tokenizer, tokenizerFromVocabAndMerges } from "../src/data/tokenizer-load.ts";
import { GPT2_FINGERPRINT } from "../src/data/tokenizer.ts";
import { Vocabulary, wordsOf } from "../src/data/vocabulary.ts";

const TEXTS = ["<en> a red ring. it is small.", "<de> ein großer Ring. er ist grün.", "<es> un triángulo pequeño.", "a dog"];

const sentences = Vocabulary.build(TEXTS, 1, { punctuation: "sentences" });
const words = Vocabulary.build(TEXTS, 1);
const bytePairs = bytePairCodecOf(TEXTS, { vocabulary: 300 });
let gpt2: BytePairCodec;
beforeAll(async () => {
  gpt2 = new BytePairCodec(await gpt2Tokenizer());
});

const KINDS = ["words", "sentences", "bytePairs", "gpt2"] as const;
const codecOf = (kind: (typeof KINDS)[number]): TextCodec => ({ words, sentences, bytePairs, gpt2 })[kind];

describe.each(KINDS)("%s", (kind) => {
  test("decodes what it encoded, with and without what stands around a text", () => {
    const codec = codecOf(kind);
    const { pad, start, end } = codec;
    const text = kind === "words" ? "a red ring it is small" : "a red ring. it is small.";
    const ids = codec.encode("a red ring. it is small.");
    expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < codec.size)).toBe(true);
    expect(ids.some((id) => [pad, start, end].includes(id))).toBe(false);
    expect(codec.decode(ids)).toBe(text);
    expect(codec.decode([start, ...ids, end])).toBe(text);
    expect(codec.decode([...ids, end, pad, pad])).toBe(text);
    expect(codec.decode([start, ...ids, end, ...ids])).toBe(text);
    expect(codec.decode([])).toBe("");
    expect(codec.decode([start, end, pad])).toBe("");
    expect(codec.encode("")).toEqual([]);
  });

  test("streams what it decodes, again and again", () => {
    const codec = codecOf(kind);
    const ids = [codec.start, ...codec.encode("ein großer Ring. er ist grün."), codec.end, codec.pad];
    const stream = codec.stream();
    for (let round = 0; round < 2; round++) {
      const parts = ids.map((id) => stream.push(id));
      expect(parts.join("") + stream.end()).toBe(codec.decode(ids));
      expect([parts[0], ...parts.slice(-2)]).toEqual(["", "", ""]);
      expect(parts.filter((part) => part !== "").length).toBeGreaterThan(2);
    }
  });

  test("survives JSON", async () => {
    const codec = codecOf(kind);
    const again = await codecFromJson(JSON.parse(JSON.stringify(codec)));
    expect([again.size, again.pad, again.start, again.end, again.languages]).toEqual([codec.size, codec.pad, codec.start, codec.end, codec.languages]);
    expect(again.toJSON()).toEqual(codec.toJSON());
    for (const text of [...TEXTS, "other words, and signs!"]) expect(again.encode(text)).toEqual(codec.encode(text));
  });

  test("refuses ids that nothing has", () => {
    const codec = codecOf(kind);
    for (const id of [codec.size, -1, 0.5, NaN]) {
      expect(() => codec.decode([id])).toThrow(InputError);
      expect(() => codec.decode([id])).toThrow(`ids must be 0 to ${codec.size - 1}; got ${id}`);
    }
  });
});

describe("languages", () => {
  test.each(["words", "sentences", "bytePairs"] as const)("%s: a tag is one id, not part of the text", (kind) => {
    const codec = codecOf(kind);
    expect([...codec.languages].sort()).toEqual(["<de>", "<en>", "<es>"]);
    const [tag] = codec.encode("<de>");
    const ids = codec.encode("<de> ein großer Ring");
    expect(ids).toEqual([tag, ...codec.encode("ein großer Ring")]);
    expect(codec.decode(ids)).toBe(kind === "bytePairs" ? "ein großer Ring" : "ein großer ring");
    for (const framed of [ids, [codec.start, ...ids, codec.end], [tag]]) expect(codec.languageOf(framed)).toBe("<de>");
    expect(codec.languageOf([codec.start, ...ids.slice(1)])).toBeUndefined();
    expect(codec.languageOf([codec.start])).toBeUndefined();
    const stream = codec.stream();
    expect(stream.push(codec.start) + stream.push(tag)).toBe("");
    expect(stream.push(ids[1])).not.toBe("");
  });

  test("GPT-2 has none: a tag is text", () => {
    expect(gpt2.languages).toEqual([]);
    const ids = gpt2.encode("<de> ein Ring");
    expect(gpt2.decode(ids)).toBe("<de> ein Ring");
    expect(gpt2.languageOf(ids)).toBeUndefined();
  });

  test("a tag that a vocabulary doesn't know is an unknown word, or text", () => {
    expect(words.encode("<fr> a ring")[0]).toBe(3);
    expect(bytePairs.decode(bytePairs.encode("<fr> a ring"))).toBe("<fr> a ring");
  });

  test.each([
    ["<de> ein Ring", "<de>", "ein Ring"],
    ["<pt-BR>\num anel", "<pt-BR>", "um anel"],
    ["<de>", "<de>", ""],
    ["<de>ein Ring", undefined, "<de>ein Ring"],
    [" <de> ein Ring", undefined, " <de> ein Ring"],
    ["<DE> ein Ring", undefined, "<DE> ein Ring"],
    ["<unk> dog", undefined, "<unk> dog"],
    ["a <de> dog", undefined, "a <de> dog"],
  ])("splitTag(%j)", (text, tag, rest) => {
    expect(splitTag(text)).toEqual({ tag, rest });
  });
});

describe("words of sentences", () => {
  test.each([
    ["A dog runs. It's fast!", ["a", "dog", "runs", ".", "its", "fast", "!"]],
    ["Really?! “Yes.” (no.)", ["really", "?", "yes", ".", "no", "."]],
    ["3.5 km, e.g. far… end", ["35", "km", "eg", ".", "far", ".", "end"]],
    ["a dog .  a cat . . .", ["a", "dog", ".", "a", "cat", "."]],
    ["... . a", ["a"]],
    ["<de> ... ein Ring.", ["<de>", "ein", "ring", "."]],
    ["a triangle u\u0308ber gru\u0308n.", ["a", "triangle", "über", "grün", "."]],
  ])("%j", (text, expected) => {
    expect(wordsOf(text, "sentences")).toEqual(expected);
  });

  test("are the same when they are taken from their own text again", () => {
    const random = new Generator(16);
    const signs = [".", "!", "?", "…", " ", "-", "”", "\u0301", "=", "a", "É", "😀", "Ring"];
    for (let round = 0; round < 2000; round++) {
      const text = Array.from({ length: 12 }, () => (random.integer(4) === 0 ? String.fromCodePoint(32 + random.integer(0x3000)) : random.pick(signs))).join("");
      const vocabulary = Vocabulary.build([text], 1, { punctuation: "sentences" });
      const again = vocabulary.decode(vocabulary.encode(text));
      expect(wordsOf(again, "sentences"), JSON.stringify(text)).toEqual(wordsOf(text, "sentences"));
    }
  });

  test("take time in proportion to a text's length", { timeout: 5000 }, () => {
    expect(wordsOf(`${"!".repeat(300_000)}a ${". ".repeat(100_000)}`, "sentences")).toEqual(["a", "."]);
  });

  test("keep tags at the beginning alone, and none in the published way", () => {
    expect(wordsOf("<pt-BR> Um <de> anel.")).toEqual(["<pt-BR>", "um", "de", "anel"]);
    expect(wordsOf("<de> Ein Ring.", "ascii")).toEqual(["de", "ein", "ring"]);
    expect(Vocabulary.build(["<de> ein Ring"], 1, { punctuation: "ascii" }).languages).toEqual([]);
  });
});

describe("codecFromJson", () => {
  test("keeps of GPT-2's vocabulary no more than its name", () => {
    expect(gpt2.toJSON()).toEqual({ kind: "gpt2", fingerprint: GPT2_FINGERPRINT });
    expect([gpt2.size, gpt2.pad, gpt2.start, gpt2.end]).toEqual([50257, 50256, 50256, 50256]);
    expect([bytePairs.pad, bytePairs.start, bytePairs.end]).toEqual([0, 1, 2]);
  });

  test("takes any byte-pair tokeniser, its end standing for the tokens that it lacks", async () => {
    const vocab = Object.fromEntries([...BYTE_CHARACTERS, "<pad>", "</s>"].map((token, id) => [token, id]));
    const codec = new BytePairCodec(tokenizerFromVocabAndMerges(vocab, "", { endOfText: "</s>" }));
    expect([codec.pad, codec.start, codec.end]).toEqual([256, 257, 257]);
    expect((await codecFromJson(JSON.parse(JSON.stringify(codec)))).pad).toBe(256);
  });

  test.each([
    [null, 'best.safetensors: the JSON must be {"words": [strings]}'],
    [[], 'best.safetensors: the JSON must be {"words": [strings]}'],
    [{ kind: "unigram" }, 'best.safetensors: the vocabulary must be of kind "words", "tokenizer.json" or "gpt2"; got "unigram"'],
    [{ kind: 3 }, "got 3"],
    [{ kind: "words", words: ["a"] }, "the first words must be"],
    [{ kind: "gpt2", fingerprint: "00" }, 'best.safetensors: the fingerprint must be "00", as in the checkpoint; got d43b'],
    [{ kind: "gpt2", frame: null }, 'best.safetensors: frame of the vocabulary must be {"pad", "start", "end"} with ids; got null'],
    [{ kind: "tokenizer.json", fingerprint: "00" }, "best.safetensors: the description must be of kind"],
  ])("refuses %j", async (value, message) => {
    await expect(codecFromJson(value, "best.safetensors")).rejects.toThrow(InputError);
    await expect(codecFromJson(value, "best.safetensors")).rejects.toThrow(message);
  });
});
