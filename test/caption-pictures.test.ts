import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import UPNG from "upng-js";
import { afterAll, describe, expect, test } from "vitest";
import { withDefaults, type Caption } from "../src/caption/teller.ts";
import { decodingOf } from "../src/cli/decoding-options.ts";
import { findPictures, pictureBatches, type NamedPicture } from "../src/cli/tell-pictures.ts";
import { TellingPrinter, type TellingFormat } from "../src/cli/tell-output.ts";
import { BytePairCodec } from "../src/data/bpe-codec.ts";
import { squash } from "../src/data/preprocess.ts";
import { codecFromJson } from "../src/data/text-codec.ts";
import { BYTE_CHARACTERS } from "../src/data/tokenizer-bytes.ts";
import { tokenizerFromVocabAndMerges } from "../src/data/tokenizer-load.ts";

const root = mkdtempSync(join(tmpdir(), "sightline-pictures-"));
afterAll(() => rmSync(root, { recursive: true }));

const PNG = new Uint8Array(UPNG.encode([new Uint8Array(4 * 4 * 4).fill(200).buffer], 4, 4, 0));
for (const folder of ["in", "in/deep", "in/deep/er", "in/.cache", "none"]) mkdirSync(join(root, folder));
for (const file of ["in/b.png", "in/a.JPG", "in/c1.jpeg", "in/c2.jpeg", "in/words.txt", "in/[x].png", "in/deep/d.png", "in/deep/er/e.png", "in/.cache/f.png", "in/.g.png"]) writeFileSync(join(root, file), PNG);

/** Paths below the test's folder, or messages. */
async function found(names: readonly string[], recursive = false): Promise<string[]> {
  const pictures = await findPictures(names.map((name) => (name === "-" ? name : `${root}/${name}`)), recursive);
  return pictures.map((picture) => ("file" in picture ? picture.file : picture.problem.message).replaceAll(`${root}/`, ""));
}

describe("names of pictures", () => {
  test("a file, also one that is not there, stays as it is", async () => {
    expect(await found(["in/b.png", "in/no.png", "in/words.txt", "-"])).toEqual(["in/b.png", "in/no.png", "in/words.txt", "-"]);
  });

  test("a folder is all pictures in it, and those below where they are asked for", async () => {
    expect(await found(["in"])).toEqual(["in/[x].png", "in/a.JPG", "in/b.png", "in/c1.jpeg", "in/c2.jpeg"]);
    expect(await found(["in/deep"], true)).toEqual(["in/deep/d.png", "in/deep/er/e.png"]);
    expect(await found(["none"])).toEqual(["none must hold JPEG or PNG pictures; got a folder with none (look into the folders in it with --recursive)"]);
  });

  test.each([
    ["in/*.png", ["in/[x].png", "in/b.png"]],
    ["in/c?.jpeg", ["in/c1.jpeg", "in/c2.jpeg"]],
    ["in/[!c]*.{png,JPG}", ["in/[x].png", "in/a.JPG", "in/b.png"]],
    ["in/[x].png", ["in/[x].png"]],
    ["in/**/*.png", ["in/[x].png", "in/b.png", "in/deep/d.png", "in/deep/er/e.png"]],
    ["*/deep", ["in/deep/d.png"]],
    ["in/.*.png", ["in/.g.png"]],
    ["in/[z-a].png", ["in/[z-a].png must be a file, or a pattern that fits some; got none that fits (check the path)"]],
  ])("the pattern %s", async (pattern, expected) => {
    expect(await found([pattern])).toEqual(expected);
  });

  test("standard input can be read once", async () => {
    expect(await found(["-", "-"])).toEqual(["-", "standard input can be read once; got - twice (leave one of them out)"]);
  });
});

test("batches of 16 that are full whatever cannot be read", async () => {
  const named: NamedPicture[] = Array.from({ length: 20 }, (_, i) => ({ file: join(root, i === 3 ? "in/words.gone" : "in/b.png") }));
  const problems: string[] = [];
  const sizes: number[] = [];
  for await (const batch of pictureBatches(named, squash(2), ({ message }) => problems.push(message))) {
    sizes.push(batch.length);
    expect(batch[0].pixels).toHaveLength(3 * 2 * 2);
  }
  expect(sizes).toEqual([16, 3]);
  expect(problems).toEqual([expect.stringContaining("words.gone must be a readable file; got nothing of that name")]);
});

describe("what is printed", () => {
  const said = (text: string, score = -1.5): Caption => ({ text, score, ended: "end", ids: [] });
  const printed = (format: TellingFormat, print: (printer: TellingPrinter) => void, isTTY = false): string => {
    let text = "";
    print(new TellingPrinter(format, { model: "m.pt", system: "story" }, { isTTY, write: (piece) => (text += piece) }));
    return text;
  };

  test("lines: one a picture, or one a candidate", () => {
    expect(printed("lines", (printer) => printer.print("a.png", [said(" A dog.\n\nIt \u001b[2Jruns. ")]))).toBe("a.png: A dog. It ?[2Jruns.\n");
    expect(printed("lines", (printer) => printer.print("a.png", [said("one", -1), said("two", -12.3456)]))).toBe("a.png:\n     -1.000  one\n    -12.346  two\n");
  });

  test("JSON: an object a line", () => {
    expect(JSON.parse(printed("json", (printer) => printer.print("a.png", [said("one\ntwo")])))).toEqual({ file: "a.png", caption: "one\ntwo", score: -1.5, ended: "end", model: "m.pt", system: "story" });
    const { candidates } = JSON.parse(printed("json", (printer) => printer.print("a.png", [said("one"), said("two")]))) as { candidates: unknown };
    expect(candidates).toEqual(["one", "two"].map((caption) => ({ caption, score: -1.5, ended: "end" })));
  });

  test("CSV: as RFC 4180 has it", () => {
    expect(printed("csv", (printer) => printer.print('a,"b".png', [said("one\ntwo, three"), said("four", -2)]))).toBe('file,caption,score\r\n"a,""b"".png","one\ntwo, three",-1.5\r\n"a,""b"".png",four,-2\r\n');
  });

  test("pieces as they come where somebody watches, and the text at its end where none came", () => {
    const stream = (printer: TellingPrinter, ...pieces: string[]): void => {
      const piece = printer.stream("a.png");
      for (const each of pieces) piece?.(each);
      printer.print("a.png", [said(pieces.join("") || "from a beam")]);
    };
    expect(printed("lines", (printer) => stream(printer, " A", " dog", "\n\n", "runs"), true)).toBe("a.png: A dog runs\n");
    expect(printed("lines", (printer) => stream(printer), true)).toBe("a.png: from a beam\n");
    expect(printed("lines", (printer) => stream(printer, "A dog"), false)).toBe("a.png: A dog\n");
    expect(printed("json", (printer) => stream(printer, "A dog"), true)).toMatch(/^\{"file"/);
  });
});

describe("how texts are made", () => {
  test("a captioner's own settings, but for what is asked for", () => {
    const drawn = { sampling: { topK: 50 }, noRepeatNgram: 2 } as const;
    expect(withDefaults({}, drawn)).toEqual(drawn);
    expect(withDefaults({ beam: 1, candidates: undefined }, drawn)).toEqual({ beam: 1, noRepeatNgram: 2 });
    expect(withDefaults({ sampling: { temperature: 2 }, noRepeatNgram: 0 }, drawn)).toEqual({ sampling: { topK: 50, temperature: 2 }, noRepeatNgram: 0 });
    expect(withDefaults({ candidates: 6 }, { beam: 4, lengthPenalty: 1 })).toEqual({ beam: 6, lengthPenalty: 1, candidates: 6 });
    expect(withDefaults({ sampling: {} }, { beam: 4, beamRule: "narrow" })).toEqual({ sampling: {}, beamRule: "narrow" });
  });

  test("flags say only what was typed", () => {
    expect(Object.entries(decodingOf({})).filter(([, value]) => value !== undefined)).toEqual([]);
    expect(decodingOf({ topP: 0.9, seed: 3 }).sampling).toEqual({ topP: 0.9, seed: 3 });
  });
});

test("a tokeniser with other ids around texts travels whole", async () => {
  const tokens = [...BYTE_CHARACTERS, "<|endoftext|>"];
  const tokenizer = tokenizerFromVocabAndMerges(Object.fromEntries(tokens.map((token, id) => [token, id])), "");
  const codec = new BytePairCodec(tokenizer, { start: 5, end: 6 });
  const again = await codecFromJson(JSON.parse(JSON.stringify(codec)));
  expect(again).toMatchObject({ start: 5, end: 6, pad: 256 });
  expect(again.decode([5, ...codec.encode("dog"), 6, ...codec.encode("cat")])).toBe("dog");
  expect(() => new BytePairCodec(tokenizer, { end: 60_000 })).toThrow("end must be the id of a token, 0 to 256; got 60000");
});
