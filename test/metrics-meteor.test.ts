import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { readSynonyms } from "../src/metrics/files.ts";
import { meteor } from "../src/metrics/meteor.ts";
import { porterStem } from "../src/metrics/porter.ts";
import { loadSynonyms } from "../src/metrics/synonyms.ts";

const golden = (name: string): unknown => JSON.parse(readFileSync(new URL(`golden/metrics/${name}`, import.meta.url), "utf8"));
const split = (text: string): string[] => text.split(" ").filter((token) => token !== "");
const synonyms = await readSynonyms();

/** METEOR of one caption. */
function scoreOf(caption: string, references: readonly string[]): number {
  return meteor([split(caption)], [references.map(split)], synonyms).score;
}

test("Porter stems are nltk's, of 6,000 words", () => {
  const { words, stems } = golden("porter.json") as { words: string; stems: string };
  const [list, expected] = [words.split(" "), stems.split(" ")];
  expect(list.length).toBeGreaterThan(6000);
  const wrong = list.flatMap((word, i) => (porterStem(word) === expected[i] ? [] : [`${word}: ${porterStem(word)}, not ${expected[i]}`]));
  expect(wrong).toEqual([]);
});

describe("meteor", () => {
  test("is nltk's, of 400 captions", () => {
    const cases = golden("meteor.json") as [caption: string, references: string[], score: number][];
    const { byImage } = meteor(cases.map(([caption]) => split(caption)), cases.map(([, references]) => references.map(split)), synonyms);
    const wrong = cases.filter(([, , score], i) => Math.abs(score - byImage[i]) > 1e-12); // float64 in another order
    expect(wrong).toEqual([]);
    expect(cases.length).toBe(400);
  });

  test.each([
    ["a dog is running through the grass", ["a brown dog runs across the grass", "a dog is running on the lawn", "the dog is running through a field"], 0.803571],
    ["two children play football", ["two kids are playing football", "two children play soccer in a park", "kids kick a ball"], 0.765306],
    ["a man rides a bicycle", ["a man is riding a bike down the street", "a cyclist rides along a road", "man on a bicycle in the city"], 0.436047],
  ])("%s", (caption, references, expected) => expect(scoreOf(caption, references)).toBeCloseTo(expected, 6));

  // The examples of nltk's documentation.
  test("gives what nltk documents", () => {
    const caption = "It is a guide to action which ensures that the military always obeys the commands of the party";
    const references = [
      "It is a guide to action that ensures that the military will forever heed Party commands",
      "It is the guiding principle which guarantees the military forces always being under the command of the Party",
      "It is the practical guide for the army always to heed the directions of the party",
    ];
    expect(scoreOf(caption, references)).toBeCloseTo(0.6944, 4);
    expect(scoreOf(caption, references.slice(0, 1))).toBeCloseTo(0.6944, 4);
    expect(scoreOf("non matching hypothesis", ["this is a cat"])).toBe(0);
  });

  test("matches words with forms that only WordNet knows to be the same", () => {
    expect(scoreOf("men", ["man"])).toBe(0.5); // one match in one chunk: 1 − γ
    expect(scoreOf("oxen", ["ox"])).toBe(0.5);
    expect(scoreOf("man", ["men"])).toBe(0); // nltk looks up the caption's words alone
    expect(meteor([["men"]], [[["man"]]], new Map()).score).toBe(0);
  });

  test("is 0 of an empty caption, and the mean over images", () => {
    expect(meteor([[], ["dog"]], [[["a"]], [["dog"]]], synonyms)).toEqual({ score: 0.25, byImage: [0, 0.5] });
  });
});

describe("the table of synonyms", () => {
  const bytes = new Uint8Array(readFileSync("src/metrics/wordnet-synonyms.gz"));

  test("holds WordNet's synsets, as bytes from anywhere", async () => {
    const table = await loadSynonyms(bytes);
    expect(table.size).toBe(synonyms.size);
    expect(table.size).toBeGreaterThan(20_000);
    expect(table.get("car")?.some((synset) => synset.has("auto"))).toBe(true);
  });

  test("comes with WordNet's licence", () => {
    expect(readFileSync("src/metrics/WORDNET-LICENSE", "utf8")).toContain("WordNet 3.0 Copyright 2006 by Princeton University");
  });

  test.each([
    ["no gzip file", new TextEncoder().encode("a page that says 404")],
    ["nothing", new Uint8Array()],
    ["half of it", bytes.slice(0, bytes.length / 2)],
    ["what unpacks to far too much", new Uint8Array(gzipSync(new Uint8Array(20 << 20)))],
    ["what is no text", new Uint8Array(gzipSync(new Uint8Array([0xff, 0xfe, 0xff])))],
  ])("is refused where it is %s", async (_, damaged) => {
    await expect(loadSynonyms(damaged)).rejects.toThrow(InputError);
    await expect(loadSynonyms(damaged)).rejects.toThrow("must be the table of synonyms");
  });
});
