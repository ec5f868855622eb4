import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { scoreCaptions, type CaptionToScore } from "../src/caption/scoring.ts";
import { parseCaptionFile, readCaptionFile, type CaptionFile } from "../src/cli/caption-files.ts";
import { csvRow } from "../src/core/format.ts";
import { pairCaptions, score, type ScoreOptions } from "../src/cli/score.ts";
import { scoreRows, scoreWarnings, scoringTerms, showLengths } from "../src/cli/scores.ts";
import { InputError } from "../src/core/errors.ts";
import { readSynonyms } from "../src/metrics/files.ts";

const IMAGES = ["dog.jpg", "kids.jpg", "man.jpg"];
const REFERENCES = [
  ["a brown dog runs across the grass", "a dog is running on the lawn", "the dog is running through a field"],
  ["two kids are playing football", "two children play soccer in a park", "kids kick a ball"],
  ["a man is riding a bike down the street", "a cyclist rides along a road", "man on a bicycle in the city"],
];
const CAPTIONS = ["a dog is running through the grass", "two children play football", "a man rides a bicycle"];

/** The scores that the reference implementations give of these. */
const EXPECTED = { bleu: [0.939413, 0.781639, 0.612317, 0.498229], meteor: (0.803571 + 0.765306 + 0.436047) / 3, rougeL: 0.590276, cider: 2.060176 };

const picture = (caption: string, references: readonly string[], facts?: CaptionToScore["facts"]): CaptionToScore => ({ name: "x.jpg", caption, references, facts });

describe("scoreCaptions", () => {
  const pictures = CAPTIONS.map((caption, i) => picture(caption, REFERENCES[i]));

  test("gives all scores of the set and of each caption", async () => {
    const { scores, byImage } = scoreCaptions(pictures, { synonyms: await readSynonyms() });
    expect(scores.bleu.map((value) => Number(value.toFixed(6)))).toEqual(EXPECTED.bleu);
    expect(scores).toMatchObject({ images: 3, referencesPerImage: 3, tokenizer: "words", distinct: 3, distinctShare: 1, exact: { count: 0, of: 3 }, lengths: { min: 4, max: 7 } });
    for (const name of ["meteor", "rougeL", "cider"] as const) expect(scores[name]).toBeCloseTo(EXPECTED[name], 6);
    expect(byImage.map(({ cider }) => Number(cider.toFixed(6)))).toEqual([3.570085, 1.433519, 1.176923]);
    expect(byImage.map(({ meteor }) => Number(meteor?.toFixed(6)))).toEqual([0.803571, 0.765306, 0.436047]);
    expect(byImage[0].bleu[3]).toBeCloseTo(0.70710678, 8);
    expect(byImage[1]).toMatchObject({ tokenPrecision: 0.75, tokenRecall: 3 / 7, exact: false });
    expect(scores.tokenF1).toBeCloseTo(byImage.reduce((sum, { tokenF1 }) => sum + tokenF1, 0) / 3, 12);
    expect(scores.rouge.rouge2).toBeCloseTo((1 / 2 + 4 / 9 + 1 / 5) / 3, 12);
  });

  test("leaves METEOR out where there are no synonyms", () => {
    const { scores, byImage } = scoreCaptions(pictures);
    expect("meteor" in scores || "meteor" in byImage[0]).toBe(false);
    expect(scoreRows(scores).some(({ name }) => name.includes("meteor"))).toBe(false);
  });

  test("cuts captions as asked", () => {
    const some = [picture("The dog's ball, isn't it?", ["the dog 's ball is n't it"])];
    expect(scoreCaptions(some, { tokenizer: "coco" }).scores.bleu[0]).toBeCloseTo(1, 6);
    expect(scoreCaptions(some, { tokenizer: "words" }).scores.bleu[0]).toBeLessThan(0.9);
    expect(scoringTerms(scoreCaptions(some, { tokenizer: "coco" }).scores, "test", 3)).toBe("1 picture (test), 1 reference each; beam of 3; tokens as coco-caption makes them");
  });

  test("counts facts apart for pairs that training left out", () => {
    const facts = (right: boolean, heldOut: boolean): CaptionToScore => picture("a", ["a"], { right, heldOut });
    const { scores } = scoreCaptions([facts(true, false), facts(false, false), facts(true, true)]);
    expect(scores).toMatchObject({ factsRight: { count: 1, of: 2 }, factsRightHeldOut: { count: 1, of: 1 }, exact: { count: 3, of: 3 } });
    expect("factsRight" in scoreCaptions(pictures).scores).toBe(false);
  });

  test("refuses nothing, and captions without references", () => {
    expect(() => scoreCaptions([])).toThrow(InputError);
    expect(() => scoreCaptions([picture("a", [])])).toThrow("at least 1 reference");
  });

  test("the same caption for many pictures is said, with its share", () => {
    const of = (captions: readonly string[]): readonly string[] => scoreWarnings(scoreCaptions(captions.map((caption) => picture(caption, ["a"]))).scores);
    const others = ["b", "c", "d", "e", "f", "g", "h", "i", "j"];
    expect(of(["a man", "a man ", "a man", ...others])).toEqual([]); // 3 of 12
    expect(of(["a man", "a man ", "a man", "a man", ...others.slice(1)])).toEqual(['the same caption is said of 4 of 12 (33.3 %) pictures: "a man"']);
    expect(of(["a man", "a man", "b"])).toEqual([]); // too few to tell
  });

  test("every score has a name and a definition of its own; lengths are drawn", () => {
    const { scores } = scoreCaptions(pictures);
    const rows = scoreRows(scores);
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
    expect(rows.every(({ value, definition }) => value !== "" && definition.endsWith("."))).toBe(true);
    expect(showLengths(scores)[1]).toBe(`      4         1  ${"█".repeat(40)}`);
  });
});

const list = <T>(make: (image: string, i: number) => T): T[] => IMAGES.map(make);

const REFERENCE_FILES: Record<string, string> = {
  "captions.txt": `image,caption\n${IMAGES.flatMap((image, i) => REFERENCES[i].map((text) => csvRow([image, text]))).join("\n")}\n`,
  "Flickr8k.token.txt": IMAGES.flatMap((image, i) => REFERENCES[i].map((text, k) => `${image}#${k}\t${text}`)).join("\r\n"),
  "captions_val2014.json": JSON.stringify({ images: list((file_name, i) => ({ id: 100 + i, file_name })), annotations: IMAGES.flatMap((_, i) => REFERENCES[i].map((caption) => ({ image_id: 100 + i, caption }))) }),
  "dataset.json": JSON.stringify({ images: list((filename, i) => ({ filename, cocoid: 100 + i, split: "test", sentences: REFERENCES[i].map((raw) => ({ raw })) })) }),
  "lists.json": JSON.stringify(Object.fromEntries(list((image, i) => [image, REFERENCES[i]])), null, 2),
  "captions.json": JSON.stringify(Object.fromEntries(list((image, i) => [image, REFERENCES[i]]))),
  "refs.jsonl": list((image, i) => JSON.stringify({ image, captions: REFERENCES[i] })).join("\n"),
  "each.jsonl": `\uFEFF${IMAGES.flatMap((file, i) => REFERENCES[i].map((caption) => JSON.stringify({ file, caption }))).join("\n\n")}`,
};

const CAPTION_FILES: Record<string, string> = {
  "ours.jsonl": list((file, i) => JSON.stringify({ file: `photos/${file}`, caption: CAPTIONS[i], score: null, model: "m" })).join("\n"),
  "table.csv": `file,caption\n${list((image, i) => csvRow([image, CAPTIONS[i]])).join("\n")}`,
  "table.tsv": `image\tcaption\n${list((image, i) => `${image.replace(".jpg", "")}\t${CAPTIONS[i]}`).join("\n")}`,
  "pictures.tsv": list((image, i) => `${image}\t${CAPTIONS[i]}`).join("\n"),
  "object.json": JSON.stringify(Object.fromEntries(list((image, i) => [`./other/${image.toUpperCase()}`, CAPTIONS[i]]))),
};

const NUMBERED: Record<string, string> = {
  "results.json": JSON.stringify(list((_, i) => ({ image_id: 100 + i, caption: CAPTIONS[i] }))),
  "numbers.tsv": list((_, i) => `${100 + i}\t${CAPTIONS[i]}`).join("\n"),
};

const cider = (references: CaptionFile, hypotheses: CaptionFile): number => {
  const { pictures, missing, extra } = pairCaptions(references, hypotheses, "refs", "hyps");
  expect([missing, extra]).toEqual([[], []]);
  return scoreCaptions(pictures).scores.cider;
};

describe("files", () => {
  const pairs = Object.keys(REFERENCE_FILES).flatMap((refs) => Object.keys(CAPTION_FILES).map((hyps) => [refs, hyps] as const));
  test.each(pairs)("%s with %s", (refs, hyps) => {
    expect(cider(parseCaptionFile(REFERENCE_FILES[refs], refs), parseCaptionFile(CAPTION_FILES[hyps], hyps))).toBeCloseTo(EXPECTED.cider, 6);
  });

  test.each(["captions_val2014.json", "dataset.json"].flatMap((refs) => Object.keys(NUMBERED).map((hyps) => [refs, hyps] as const)))("%s with %s, by number", (refs, hyps) => {
    expect(cider(parseCaptionFile(REFERENCE_FILES[refs], refs), parseCaptionFile(NUMBERED[hyps], hyps))).toBeCloseTo(EXPECTED.cider, 6);
  });

  test("plain lines, tabs between references", () => {
    const refs = REFERENCES.map((texts) => texts.join("\t")).join("\n");
    expect(cider(parseCaptionFile(`${refs}\n`, "refs.txt"), parseCaptionFile(CAPTIONS.join("\r\n"), "captions.txt"))).toBeCloseTo(EXPECTED.cider, 6);
  });

  test("COCO's pictures are found by the number in their names", () => {
    const refs = parseCaptionFile('{"COCO_val2014_000000000042.jpg": ["a dog"], "000000000139.jpg": ["a cat"]}', "refs.json");
    const hyps = parseCaptionFile('[{"image_id": 139, "caption": "cat"}, {"image_id": "42", "caption": "dog"}]', "hyps.json");
    expect(pairCaptions(refs, hyps, "refs", "hyps").pictures.map(({ caption, references }) => [caption, references])).toEqual([["cat", ["a cat"]], ["dog", ["a dog"]]]);
  });

  test("an empty caption is scored as what it is", () => {
    const hyps = parseCaptionFile('[{"image_id": 1, "caption": ""}, {"image_id": 2, "caption": "a dog"}]', "hyps.json");
    expect(hyps.images.map(({ captions }) => captions)).toEqual([[""], ["a dog"]]);
    expect(parseCaptionFile("a dog\n\na cat\n", "hyps.txt").images.map(({ captions }) => captions[0])).toEqual(["a dog", "", "a cat"]);
  });

  test("what is left out is said", () => {
    const { notes } = parseCaptionFile("image,caption\na.jpg,a dog\na.jpg,\na.jpg,a dog\n", "captions.txt");
    expect(notes).toEqual(["captions.txt: 1 line without a caption (line 3): left out", "captions.txt: 1 line repeating an image's caption (line 4): left out"]);
  });

  test.each([
    ["", "must hold captions; got an empty file"],
    [" \n\n", "must hold captions; got an empty file"],
    ["PK\u0003\u0004\0\0", "must be text; got other data"],
    ["{}", "must hold captions; got {}"],
    ["[]", 'must be a list of {"image_id", "caption"}; got []'],
    ["[1]", '[0] must be {"image_id", "caption"}'],
    ['[{"image_id": 1}]', '[0] must be {"image_id", "caption"}'],
    ['[{"image_id": {}, "caption": "a"}]', "[0] must be"],
    ['[{"image_id": 1, "caption": 3}]', "[0] must be"],
    ['[{"image_id": 1, "caption": "a"}', "must be JSON"],
    ['{"a.jpg": 3}', '"a.jpg" must have a caption or a list of captions; got 3'],
    ['{"a.jpg": []}', '"a.jpg" must have a caption or a list of captions; got []'],
    ['{"a.jpg": "x"}\n{"b.jpg": "y"}', "line 1 must be"],
    ['{"file": "a.jpg", "caption": "x"}\n{"file": ', "line 2: must be JSON"],
    ['{"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a"}]}', 'images[0] must be {"id", "file_name"}'],
    ['image,caption\na.jpg,"a dog', "must be CSV"],
  ])("%j is refused", (text, message) => {
    const parse = (): CaptionFile => parseCaptionFile(text, "file.x");
    expect(parse).toThrow(InputError);
    expect(parse).toThrow(message);
  });
});

describe("pairing", () => {
  const named = (captions: Record<string, string | readonly string[]>): CaptionFile => parseCaptionFile(JSON.stringify(captions), "x.json");
  const pair = (refs: CaptionFile, hyps: CaptionFile): ReturnType<typeof pairCaptions> => pairCaptions(refs, hyps, "refs.json", "hyps.json");

  test("images of one file alone are named", () => {
    expect(pair(named({ "a.jpg": "x", "b.jpg": "y" }), named({ "b.jpg": "z", "c.jpg": "w" }))).toEqual({ pictures: [{ name: "b.jpg", caption: "z", references: ["y"] }], missing: ["a.jpg"], extra: ["c.jpg"] });
  });

  test("equal file names in two folders are told apart by their paths, and else not guessed", () => {
    const refs = named({ "one/1.jpg": "a", "two/1.jpg": "b" });
    expect(pair(refs, named({ "two/1.jpg": "c" })).pictures).toEqual([{ name: "two/1.jpg", caption: "c", references: ["b"] }]);
    expect(() => pair(refs, named({ "1.jpg": "c" }))).toThrow("at least one caption must be of an image of refs.json; got 1.jpg there, and one/1.jpg, two/1.jpg here");
  });

  test.each([
    ["several captions", named({ "a.jpg": "x" }), named({ "a.jpg": ["x", "y"], "b.jpg": ["z", "w"] }), "each image must have one caption; got 2 of a.jpg, and more than one of 1 other image"],
    ["two names of one image", named({ "a.jpg": "x" }), named({ "a.jpg": "x", "p/a.png": "y" }), "got those of a.jpg and p/a.png, which are both a.jpg"],
    ["names here, lines there", named({ "a.jpg": "x" }), parseCaptionFile("x\n", "h.txt"), "both name their images, or both be plain lines; got names in refs.json and none in hyps.json"],
    ["fewer lines", parseCaptionFile("x\ny\n", "r.txt"), parseCaptionFile("x\n", "h.txt"), "plain lines must be as many as the references'; got 1 lines, and 2 in refs.json"],
    ["an empty reference", parseCaptionFile("x\n\n", "r.txt"), parseCaptionFile("x\ny\n", "h.txt"), "each image must have a reference; got none of line 2"],
    ["an endless caption", named({ "a.jpg": "x" }), named({ "a.jpg": "x ".repeat(100_000) }), "a.jpg: a caption must have at most 10000 letters; got 200000"],
  ])("%s: refused", (_, refs, hyps, message) => {
    expect(() => pair(refs, hyps)).toThrow(InputError);
    expect(() => pair(refs, hyps)).toThrow(message);
  });
});

describe("sightline score", () => {
  const folder = mkdtempSync(join(tmpdir(), "sightline-score-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  afterEach(() => void vi.restoreAllMocks());
  const at = (name: string): string => join(folder, name);
  writeFileSync(at("captions.txt"), `${REFERENCE_FILES["captions.txt"]}cat.jpg,"a cat, asleep"\n`);
  writeFileSync(at("ours.jsonl"), `${CAPTION_FILES["ours.jsonl"]}\n{"file": "cow.jpg", "caption": "a cow"}\n`);

  /** What the verb prints and says. */
  async function run(options: Partial<ScoreOptions>): Promise<{ stdout: string; stderr: string }> {
    const texts = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) vi.spyOn(process[name], "write").mockImplementation((text) => ((texts[name] += String(text)), true));
    const code = await score({ refs: at("captions.txt"), hyps: at("ours.jsonl"), tokenizer: "words", ...options });
    vi.restoreAllMocks();
    expect(code).toBe(0);
    return texts;
  }

  test("prints a table, and what was not scored", async () => {
    const { stdout, stderr } = await run({});
    expect(stdout).toMatch(/^scores of .*ours.jsonl against .*captions.txt: 3 pictures \(those of the files\), 3 references each; decoding as in the file; words in lower case/);
    for (const line of ["CIDEr-D            2.060", "BLEU-4             49.8 %", "meteor (nltk)      66.8 %", "ROUGE-L (coco)     59.0 %", "distinct captions  3 of 3 (100.0 %)"]) expect(stdout).toContain(line);
    expect(stderr).toContain("1 image of 4 in " + at("captions.txt") + " without a caption");
    expect(stderr).toContain("(cat.jpg)");
    expect(stderr).toContain("1 caption of 4 in " + at("ours.jsonl") + " without references");
    expect(stderr).toContain("(cow.jpg)");
  });

  test("prints JSON, and writes a table of the images", async () => {
    const { stdout } = await run({ json: true, tokenizer: "coco", perImage: at("images.csv") });
    const { scores, missing, extra, notes } = JSON.parse(stdout) as { scores: { cider: number; tokenizer: string }; missing: number; extra: number; notes: string[] };
    expect(scores).toMatchObject({ tokenizer: "coco", cider: expect.closeTo(EXPECTED.cider, 6) });
    expect([missing, extra, notes.length]).toEqual([1, 1, 2]);
    const [header, first, ...rest] = readFileSync(at("images.csv"), "utf8").trimEnd().split("\n");
    expect(header.split(",").length).toBe(first.split(",").length);
    expect(first).toBe("dog.jpg,a dog is running through the grass,3,0,1,0.912871,0.793701,0.707107,0.803571,0.714286,0.857143,0.5,0.714286,3.570085,0.857143,0.857143,0.857143");
    expect(rest.length).toBe(2);
  });

  test("reads UTF-16, as spreadsheets write it", async () => {
    writeFileSync(at("utf16.txt"), Buffer.from("\uFEFFimage\tcaption\r\ndog.jpg\tein großer Hund\r\n", "utf16le"));
    expect((await readCaptionFile(at("utf16.txt"))).images).toEqual([{ image: "dog.jpg", captions: ["ein großer Hund"] }]);
  });

  test("refuses files that cannot be read", async () => {
    await expect(readCaptionFile(at("nowhere.txt"))).rejects.toThrow("there is no such file");
    await expect(readCaptionFile(folder)).rejects.toThrow("it is a folder");
    await expect(run({ perImage: at("no/folder.csv") })).rejects.toThrow(InputError);
  });

  test("cells of CSV stand in quotes where they must", () => {
    expect(csvRow(["a, b", 'say "x"', 1, "two\nlines", "plain"])).toBe('"a, b","say ""x""",1,"two\nlines",plain');
  });
});
