import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { Generator } from "../src/core/rng.ts";
import { readTokenizer } from "../src/data/files.ts";
import gpt2Merges from "../src/data/gpt2-merges.json" with { type: "json" };
import { gpt2Tokenizer, tokenizerFromDescription, tokenizerFromJson, tokenizerFromVocabAndMerges } from "../src/data/tokenizer-load.ts";
import { GPT2_FINGERPRINT, type Tokenizer } from "../src/data/tokenizer.ts";
import golden from "./golden/tokenizers/gpt2.json" with { type: "json" };

const END = "<|endoftext|>";

/** The alphabet of bytes and the ids of GPT-2, made in another way than in src: from the published order. */
function gpt2Vocab(): Record<string, number> {
  const visible = [[33, 126], [161, 172], [174, 255]].flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
  const others = 256 - visible.length;
  const characters = [...visible, ...Array.from({ length: others }, (_, i) => 256 + i)].map((code) => String.fromCharCode(code));
  const products = gpt2Merges.merges.split("\n").slice(1, -1).map((line) => line.split(" ").join(""));
  return Object.fromEntries([...characters, ...products, END].map((token, id) => [token, id]));
}

/** A `tokenizer.json` as Hugging Face's library writes it. */
function huggingFaceJson(vocab: Record<string, number>, merges: readonly unknown[], addPrefixSpace = false): Record<string, unknown> {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: !(END in vocab) ? [] : [{ id: vocab[END], content: END, single_word: false, lstrip: false, rstrip: false, normalized: true, special: true }],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: addPrefixSpace, trim_offsets: true, use_regex: true },
    post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true },
    model: { type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: "", end_of_word_suffix: "", fuse_unk: false, byte_fallback: false, vocab, merges },
  };
}

/** By id: an object's own keys have "0" to "9" first. */
const BYTES = Object.entries(gpt2Vocab()).sort(([, a], [, b]) => a - b).slice(0, 256).map(([token]) => token);

/** 256 bytes, "he", "Ġhe" and the end. */
const SMALL_VOCAB = Object.fromEntries([...BYTES, "he", "Ġhe", END].map((token, id) => [token, id]));
const SMALL_MERGES = "#version: 0.2\nh e\nĠ he\n";

let gpt2: Tokenizer;
let fromJson: Tokenizer;
let fromVocabAndMerges: Tokenizer;
beforeAll(async () => {
  gpt2 = await gpt2Tokenizer();
  const lines = gpt2Merges.merges.split("\n").slice(1, -1);
  fromJson = tokenizerFromJson(huggingFaceJson(gpt2Vocab(), lines.map((line) => line.split(" "))));
  fromVocabAndMerges = tokenizerFromVocabAndMerges(gpt2Vocab(), gpt2Merges.merges);
});

describe("GPT-2's tokeniser", () => {
  test("has the published merges, to the byte", () => {
    const digest = createHash("sha256").update(gpt2Merges.merges).digest("hex");
    expect(digest).toBe("1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5");
  });

  test("has the published vocabulary, to the byte", () => {
    // encoder.json as Python wrote it: ", " and ": " between, everything beyond ASCII escaped.
    const escaped = (text: string): string => JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
    const entries = Object.entries(gpt2Vocab()).sort(([, a], [, b]) => a - b);
    const json = `{${entries.map(([token, id]) => `${escaped(token)}: ${id}`).join(", ")}}`;
    expect(createHash("sha256").update(json).digest("hex")).toBe("196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783");
  });

  test("knows its size and its end", () => {
    expect([gpt2.vocabularySize, gpt2.endOfText]).toEqual([50257, 50256]);
    expect(gpt2.encode("Hello, world!")).toEqual([15496, 11, 995, 0]);
    expect(gpt2.encode(" SolidGoldMagikarp")).toEqual([43453]);
  });

  test(`gives the reference's ids for ${golden.length} texts`, () => {
    expect(golden.length).toBeGreaterThan(100);
    for (const { text, ids } of golden) {
      expect(gpt2.encode(text), JSON.stringify(text)).toEqual(ids);
      expect(gpt2.decode(ids)).toBe(text);
    }
  });

  test("gives every token's own id for its text, where its bytes are text", () => {
    const pieces = Array.from({ length: 50256 }, (_, id) => ({ id, text: gpt2.decode([id]) }));
    const texts = pieces.filter(({ text }) => !text.includes("\ufffd"));
    expect(texts.length).toBe(50256 - 352); // the others are parts of characters
    expect(texts.filter(({ id, text }) => gpt2.encode(text).join() !== String(id))).toEqual([]);
  });

  test("survives random text of any characters", () => {
    const random = new Generator(5);
    for (let round = 0; round < 2000; round++) {
      const length = 1 + Math.floor(random.uniform() * 12);
      const text = String.fromCodePoint(...Array.from({ length }, () => {
        const code = Math.floor(random.uniform() ** 3 * 0x110000);
        return code >= 0xd800 && code < 0xe000 ? 0x20 : code;
      }));
      expect(gpt2.decode(gpt2.encode(text))).toBe(text);
    }
  });

  test("turns half a surrogate pair into U+FFFD", () => {
    expect(gpt2.encode("a\ud800b \udc00")).toEqual(gpt2.encode("a\ufffdb \ufffd"));
    expect(gpt2.decode(gpt2.encode("\ud83d"))).toBe("\ufffd");
  });

  test("takes time in proportion to a word's length", { timeout: 10_000 }, () => {
    // Methods that take its square need minutes for this: 200,000 letters took one of them 46 s.
    for (const text of ["中".repeat(60_000), "a".repeat(120_000), " ".repeat(120_000)]) {
      expect(gpt2.decode(gpt2.encode(text)) === text).toBe(true);
    }
  });

  test("reads special tokens where it is asked to", () => {
    expect(gpt2.encode(`a${END}`)).toEqual([64, 27, 91, 437, 1659, 5239, 91, 29]);
    expect(gpt2.encode(`a${END}b${END}`, { special: true })).toEqual([64, 50256, 65, 50256]);
    expect(gpt2.decode([64, 50256, 65])).toBe(`a${END}b`);
    expect(gpt2.decode([64, 50256, 65], { skipSpecial: true })).toBe("ab");
  });

  test.each([50257, -1, 1.5, NaN])("refuses the id %d", (id) => {
    expect(() => gpt2.decode([64, id])).toThrow(InputError);
    expect(() => gpt2.decode([64, id])).toThrow("ids must be 0 to 50256; got");
  });
});

describe("stream", () => {
  test("holds back the bytes of an unfinished character", () => {
    const stream = gpt2.stream();
    const parts = gpt2.encode("👩a 👩 é").map((id) => stream.push(id));
    expect(parts).toEqual(["", "👩", "a", " ", "👩", " é"]); // the fourth has a space and three of four bytes
    expect(stream.end()).toBe("");
  });

  test("says at the end that a character lacks bytes, and begins anew", () => {
    const stream = gpt2.stream();
    expect(stream.push(gpt2.encode("👩")[0])).toBe("");
    expect(stream.end()).toBe("\ufffd");
    expect(stream.push(64) + stream.end()).toBe("a");
    expect(gpt2.stream().push(64)).toBe("a");
  });

  test("gives in parts what decode gives at once", () => {
    for (const { text, ids } of golden) {
      const stream = gpt2.stream();
      expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(text);
    }
  });
});

describe("files", () => {
  test("both kinds give GPT-2's tokeniser", () => {
    for (const tokenizer of [fromJson, fromVocabAndMerges]) {
      expect(tokenizer.fingerprint).toBe(GPT2_FINGERPRINT);
      expect([tokenizer.vocabularySize, tokenizer.endOfText]).toEqual([50257, 50256]);
      for (const { text, ids } of golden) expect(tokenizer.encode(text)).toEqual(ids);
    }
    expect(gpt2.fingerprint).toBe(GPT2_FINGERPRINT);
  });

  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
  });
  afterAll(async () => rm(folder, { recursive: true }));

  test("are read from a folder or by name", async () => {
    await expect(readTokenizer(folder)).rejects.toThrow("must hold tokenizer.json, or vocab.json and merges.txt; got an empty folder");
    await writeFile(join(folder, "vocab.json"), JSON.stringify(SMALL_VOCAB));
    await expect(readTokenizer(folder)).rejects.toThrow("got vocab.json");
    await writeFile(join(folder, "merges.txt"), SMALL_MERGES.replaceAll("\n", "\r\n"));
    const fromTwo = await readTokenizer(folder);
    expect(fromTwo.encode("he he")).toEqual([256, 257]);

    const path = join(folder, "tokenizer.json");
    await writeFile(path, `\ufeff${JSON.stringify(huggingFaceJson(SMALL_VOCAB, ["h e", "Ġ he"]))}`);
    expect((await readTokenizer(path)).fingerprint).toBe(fromTwo.fingerprint);
    expect((await readTokenizer(folder)).fingerprint).toBe(fromTwo.fingerprint);

    await writeFile(path, (await readFile(path, "utf8")).slice(0, 1000));
    await expect(readTokenizer(folder)).rejects.toThrow(`${path}: must be JSON`);
    await expect(readTokenizer(join(folder, "none"))).rejects.toThrow("must be a readable file; got nothing of that name");
  });

  const json = (change: (json: Record<string, unknown>) => unknown) => () => {
    const whole = huggingFaceJson({ ...SMALL_VOCAB }, ["h e", "Ġ he"]);
    return tokenizerFromJson(change(whole) ?? whole);
  };
  const model = (fields: Record<string, unknown>) => json((whole) => ({ ...whole, model: { ...(whole.model as object), ...fields } }));

  test.each([
    ["a list", json(() => []), "the file must be a JSON object"],
    ["nothing", () => tokenizerFromJson(null), "the file must be a JSON object; got null"],
    ["WordPiece", model({ type: "WordPiece" }), 'tokenizer.json: model.type must be BPE; got "WordPiece"'],
    ["Unigram", model({ type: "Unigram", vocab: [["a", -1]] }), 'model.type must be BPE; got "Unigram"'],
    ["no type and no merges", model({ type: undefined, merges: undefined }), "model.type must be BPE; got none"],
    ["CLIP's ends of words", model({ end_of_word_suffix: "</w>" }), 'model.end_of_word_suffix must be off; got "</w>"'],
    ["SentencePiece's bytes", model({ byte_fallback: true }), "model.byte_fallback must be off; got true"],
    ["a normaliser", json((whole) => ({ ...whole, normalizer: { type: "NFC" } })), "normalizer must be null"],
    ["other words", json((whole) => ({ ...whole, pre_tokenizer: { type: "Whitespace" } })), "pre_tokenizer must be ByteLevel"],
    ["a damaged token", json((whole) => ({ ...whole, added_tokens: [{ id: "3", content: "x" }] })), "each of added_tokens must have content and an id"],
    ["a token with two ids", json((whole) => ({ ...whole, added_tokens: [{ id: 3, content: END }] })), "must have the id that it has in model.vocab, 258; got 3"],
    ["no vocabulary", model({ vocab: null }), "the vocabulary must be an object of tokens and their ids; got null"],
    ["a list for a vocabulary", model({ vocab: ["a"] }), "got a list, as Unigram has it"],
    ["merges of three", model({ merges: ["h e", "Ġ h e"] }), 'model.merges[1]: a merge must be two tokens with one space between them; got "Ġ h e"'],
    ["an id that is text", model({ vocab: { ...SMALL_VOCAB, he: "256" } }), 'ids must be numbers; got "256" for "he"'],
    ["an empty token", model({ vocab: { ...SMALL_VOCAB, "": 259 } }), "tokens must not be empty; got an empty one with the id 259"],
    ["an id out of range", model({ vocab: { ...SMALL_VOCAB, he: 4e9 } }), 'ids of 259 tokens must be 0 to 258, each once; got 4000000000, for "he"'],
    ["an id twice", model({ vocab: { ...SMALL_VOCAB, he: 0 } }), 'got 0, which "!" has, for "he"'],
    ["a byte without token", () => tokenizerFromVocabAndMerges({ [END]: 0, h: 1 }, ""), "each of the 256 bytes must have a token; got none for 255 of them"],
    ["no end", () => tokenizerFromJson(huggingFaceJson({ ...SMALL_VOCAB, [END]: 258 }, []), { endOfText: "</s>" }), 'the token that ends a text, "</s>", must be in the vocabulary'],
    ["an unknown sum", () => tokenizerFromVocabAndMerges(SMALL_VOCAB, "h e\nh i\n"), 'merges.txt, line 2: tokens of a merge must be in the vocabulary, their sum too; got "hi"'],
    ["an unknown part", () => tokenizerFromVocabAndMerges(SMALL_VOCAB, "#version: 0.2\nhi e\n"), 'merges.txt, line 2: tokens of a merge must be in the vocabulary, their sum too; got "hi"'],
    ["a merge twice", () => tokenizerFromVocabAndMerges(SMALL_VOCAB, "h e\nh e\n"), 'merges.txt, line 2: each merge must be there once; got "h e" again'],
    ["an empty line", () => tokenizerFromVocabAndMerges(SMALL_VOCAB, "h e\n\nĠ he\n"), "merges.txt, line 2: a merge must be two tokens"],
    ["a vocabulary for merges", () => tokenizerFromVocabAndMerges(SMALL_VOCAB, JSON.stringify(SMALL_VOCAB)), "merges.txt, line 1: a merge must be two tokens"],
  ])("with %s are refused", (_, load, message) => {
    expect(load).toThrow(InputError);
    expect(load).toThrow(message);
  });

  test("of older kinds are read: no type, merges as text", () => {
    expect(model({ type: undefined })().encode("he")).toEqual([256]);
  });

  test("may put a space before the first word", () => {
    const spaced = tokenizerFromJson(huggingFaceJson(SMALL_VOCAB, ["h e", "Ġ he"], true));
    expect(spaced.encode("he")).toEqual([257]);
    expect(spaced.encode(" he")).toEqual([257]);
    expect(spaced.encode("")).toEqual([]);
    expect(spaced.fingerprint).not.toBe(tokenizerFromVocabAndMerges(SMALL_VOCAB, SMALL_MERGES).fingerprint);
  });

  test("merge in the order of the merges, which the fingerprint tells apart", () => {
    const vocab = Object.fromEntries([...BYTES, "ab", "bc", END].map((token, id) => [token, id]));
    const first = tokenizerFromVocabAndMerges(vocab, "a b\nb c\n");
    const second = tokenizerFromVocabAndMerges(vocab, "b c\na b\n");
    expect(first.encode("abc")).toEqual([256, BYTES.indexOf("c")]);
    expect(second.encode("abc")).toEqual([BYTES.indexOf("a"), 257]);
    expect(first.fingerprint).not.toBe(second.fingerprint);
  });

  test("may have special tokens whose names hold signs of regular expressions", () => {
    const names = ["[PAD]", "(a|b)*", "(a|b)*+", "</s>"];
    const vocab = Object.fromEntries([...BYTES, ...names].map((token, id) => [token, id]));
    const tokenizer = tokenizerFromVocabAndMerges(vocab, "", { endOfText: "</s>" });
    expect(tokenizer.endOfText).toBe(259);
    expect(tokenizer.encode("[PAD](a|b)*+(a|b)*</s>", { special: true })).toEqual([256, 258, 257, 259]);
    expect(tokenizer.decode([256, 258, 259, 0], { skipSpecial: true })).toBe("!");
  });

  test("may have no special token at all: a line end can end a text", () => {
    const tokenizer = tokenizerFromVocabAndMerges(Object.fromEntries(BYTES.map((token, id) => [token, id])), "", { endOfText: "Ċ" });
    expect(tokenizer.encode("a\n", { special: true })).toEqual([64, tokenizer.endOfText]);
    expect(tokenizer.decode([64, tokenizer.endOfText])).toBe("a\n");
  });
});

describe("the description in a checkpoint", () => {
  const restored = async (tokenizer: Tokenizer): Promise<Tokenizer> => tokenizerFromDescription(JSON.parse(JSON.stringify(tokenizer)), "captioner.safetensors");

  test("is only a name for GPT-2's own tokeniser, wherever it came from", async () => {
    expect(JSON.parse(JSON.stringify(fromJson))).toEqual({ kind: "gpt2", fingerprint: GPT2_FINGERPRINT });
    expect((await restored(fromVocabAndMerges)).fingerprint).toBe(GPT2_FINGERPRINT);
  });

  test("holds any other whole", async () => {
    const names = ["<pad>", "</s>", "__proto__"];
    const vocab = Object.fromEntries([...BYTES, "he", ...names].map((token, id) => [token, id]));
    const tokenizer = tokenizerFromJson(huggingFaceJson(vocab, ["h e"], true), { endOfText: "</s>" });
    const again = await restored(tokenizer);
    expect(again.fingerprint).toBe(tokenizer.fingerprint);
    expect(again.endOfText).toBe(258);
    expect(again.encode("he</s> __proto__", { special: true })).toEqual(tokenizer.encode("he</s> __proto__", { special: true }));
  });

  test("is refused if it is another's", async () => {
    const { fingerprint, ...rest } = JSON.parse(JSON.stringify(tokenizerFromVocabAndMerges(SMALL_VOCAB, SMALL_MERGES)));
    await expect(tokenizerFromDescription({ ...rest, fingerprint: "00" }, "x.safetensors")).rejects.toThrow(`x.safetensors: the fingerprint must be "00", as in the checkpoint; got ${fingerprint}`);
    await expect(tokenizerFromDescription({ kind: "gpt2", fingerprint })).rejects.toThrow(InputError);
    await expect(tokenizerFromDescription({ words: [] })).rejects.toThrow('must be of kind "gpt2", or "tokenizer.json"');
    await expect(tokenizerFromDescription(null)).rejects.toThrow("got null");
  });
});
