import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import UPNG from "upng-js";
import { beforeAll, describe, expect, test } from "vitest";
import { counted, dateStamp, duration, percent, shareOf, table } from "../src/core/format.ts";
import { showFailure } from "../src/cli/failure.ts";
import { InputError, ShapeError } from "../src/core/errors.ts";
import { useCommandLine, writeUntrainedModel, type Ended } from "./cli.ts";
import { useDevice } from "./device.ts";

const cli = useCommandLine();
const device = useDevice();

const PNG = new Uint8Array(UPNG.encode([new Uint8Array(12 * 12 * 4).fill(200).buffer], 12, 12, 0));

beforeAll(async () => {
  writeFileSync(cli.path("good.png"), PNG);
  writeFileSync(cli.path("more.png"), PNG);
  writeFileSync(cli.path("empty.jpg"), "");
  writeFileSync(cli.path("cut.png"), PNG.subarray(0, PNG.length - 20));
  writeFileSync(cli.path("text.jpg"), "hello");
  mkdirSync(cli.path("pictures"));
  mkdirSync(cli.path("full"));
  writeFileSync(cli.path("full", "notes.txt"), "mine");
  await writeUntrainedModel(device(), cli.path("model.safetensors"));
});

/** The one line of an error, with nothing else beside it. */
function errorOf({ code, stdout, stderr }: Ended): string {
  expect(code).toBe(1);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^error: .+\n$/);
  return stderr.slice("error: ".length, -1);
}

describe("arguments", () => {
  test("--version prints the package's version", async () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    expect(await cli.run("--version")).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test.each(["", "train", "caption", "story", "eval", "doctor"])("sightline %s --help shows examples", async (verb) => {
    const { code, stdout } = await cli.run(...(verb === "" ? [] : [verb]), "--help");
    expect(code).toBe(0);
    expect(stdout).toContain(`Examples:\n  sightline ${verb || "train"}`);
    expect(stdout).not.toContain("--probe");
  });

  test.each([
    [["trian"], "unknown command 'trian' (did you mean train?"],
    [["train", "--epoch", "3"], "unknown option '--epoch' (did you mean --epochs?"],
    [["caption", "x.jpg", "--beams", "3"], "unknown option '--beams' (did you mean --beam?"],
    [["train", "--epochs", "few"], "'few' is invalid. It must be a whole number from 1"],
    [["train", "--lr", "-1"], "'-1' is invalid. It must be a number above 0"],
    [["train", "--hold-out", "0.9"], "It must be a share from 0 to 0.4"],
    [["train", "--adapter", "gpu"], "Allowed choices are auto, hardware, software."],
    [["caption"], "missing required argument 'pictures'"],
  ])("%j is refused in one line", async (args, message) => {
    expect(errorOf(await cli.run(...args))).toContain(message);
  });
});

describe("bad input", () => {
  test.each([
    [["caption", "good.png"], /^no model found: .*\(train one with: npm run train\)$/],
    [["caption", "good.png", "--model", "nowhere"], /^--model nowhere must be .*; got nothing of that name/],
    [["caption", "good.png", "--model", "pictures"], /^--model pictures must hold best.safetensors, or a published file of weights; got a folder without/],
    [["caption", "good.png", "--model", "text.jpg"], /^text.jpg: a checkpoint must be .*; got text that begins with "hello" \(give the file with the weights, .*\)$/],
    [["caption", "good.png", "--json", "--csv"], /^texts are printed in one format; got --json and --csv/],
    [["caption", "good.png", "--beam", "3", "--top-k", "5"], /^a beam follows the likeliest texts and draws none; got --beam 3 and --top-k/],
    [["caption", "good.png", "--beam", "2", "--n", "3"], /^--n must be at most the beam, .*; got --n 3 and --beam 2/],
    [["caption", "good.png", "--seed", "3"], /^--seed decides which words are drawn/],
    [["caption", "good.png", "--min-length", "9", "--max-length", "3"], /^--min-length must be at most --max-length, 3; got 9/],
    [["caption", "no*.gif"], /^no\*.gif must be a file, or a pattern that fits some; got none that fits/],
    [["caption", "good.png", "--model", "model.safetensors", "--vocab", "text.jpg"], /^--vocab is for published captioners; got model.safetensors/],
    [["train", "--data", "nowhere"], /^nowhere must be a folder with images\/ .*; got nothing of that name/],
    [["train", "--data", "pictures"], /^pictures must hold .*captions.txt.*; got an empty folder \(write captions.txt/],
    [["train", "--out", "full"], /^--out full must be a new or empty folder; got one with 1 file in it/],
    [["train", "--out", "text.jpg"], /^--out text.jpg must be a folder; got a file of that name/],
    [["train", "--out", "text.jpg/run"], /^cannot write text.jpg\/run: a part of the path is a file/],
    [["train", "--resume", "nowhere"], /^--resume nowhere must be the folder of a run/],
    [["train", "--resume", "pictures"], /^--resume pictures must hold last.safetensors/],
    [["train", "--resume", "model.safetensors"], /^model.safetensors: must hold the state of its training to be continued; got weights alone/],
    [["train", "--resume", "pictures", "--epochs", "3"], /^--epochs cannot be combined with --resume/],
    [["train", "--hold-out", "0.1"], /^--hold-out needs a folder of pictures/],
  ])("%j is refused in one line", async (args, message) => {
    expect(errorOf(await cli.run(...args))).toMatch(message);
  });

  test("--verbose adds the stack", async () => {
    const { code, stderr } = await cli.run("caption", "x.jpg", "--model", "nowhere", "--verbose");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: --model nowhere .*\nInputError: .*\n {4}at /);
  });
});

describe("caption", () => {
  test("captions what can be read, and names what cannot in a line each", async () => {
    const files = ["good.png", "empty.jpg", "cut.png", "text.jpg", "missing.jpg", "pictures", "more.png"];
    const { code, stdout, stderr } = await cli.run("caption", ...files, "--model", "model.safetensors");
    expect(code).toBe(1);
    expect(stdout.split("\n").map((line) => line.split(":")[0])).toEqual(["good.png", "more.png", ""]);
    const errors = stderr.split("\n").filter((line) => line.startsWith("error: "));
    expect(errors).toEqual([
      expect.stringMatching(/empty.jpg must be a JPEG or PNG picture; got an empty file \(copy or download it again\)/),
      expect.stringMatching(/cut.png must be a complete PNG/),
      expect.stringMatching(/text.jpg must be a JPEG or PNG picture; got 5 bytes/),
      expect.stringMatching(/missing.jpg must be a readable file; got nothing of that name/),
      expect.stringMatching(/pictures must hold JPEG or PNG pictures; got a folder with none \(look into the folders in it with --recursive\)/),
    ]);
    const others = stderr.split("\n").filter((line) => !line.startsWith("error: "));
    expect(others).toEqual([expect.stringMatching(/ adapter: /), "model model.safetensors", "note: 2 of 2 texts ended at the most words allowed (--max-length allows more)", ""]);
  });

  test("a folder, a pattern and standard input, as a table of the best two of a beam", async () => {
    mkdirSync(cli.path("mixed"));
    for (const name of ["b.png", "a.PNG", "notes.txt", ".hidden.png"]) writeFileSync(cli.path("mixed", name), PNG);
    const { code, stdout } = await cli.shell("$sightline caption mixed 'go*.png' - --model model.safetensors --beam 2 --n 2 --csv < more.png");
    expect(code).toBe(0);
    const [header, ...rows] = stdout.split("\r\n");
    expect(header).toBe("file,caption,score");
    const files = rows.map((row) => row.split(",")[0]);
    expect(files).toEqual(["mixed/a.PNG", "mixed/b.png", "good.png", "-"].flatMap((file) => [file, file]).concat(""));
    for (const row of rows.slice(0, -1)) expect(row).toMatch(/^[^,]+,[a-z<> ]*,-\d+(\.\d+)?(e-\d+)?$/);
  });

  test("story: longer texts without the same three words twice, drawn the same from the same seed", async () => {
    const tell = (): Promise<Ended> => cli.run("story", "good.png", "--model", "model.safetensors", "--temperature", "2", "--seed", "7", "--n", "3", "--json");
    const [{ code, stdout, stderr }, again] = [await tell(), await tell()];
    expect(code).toBe(0);
    expect(again.stdout).toBe(stdout);
    expect(stderr).toMatch(/note: this model learned captions, not stories/);
    const { caption, candidates } = JSON.parse(stdout) as { caption: string; candidates: { caption: string; score: number; ended: string }[] };
    expect(candidates).toHaveLength(3);
    expect(candidates[0].caption).toBe(caption);
    expect(candidates.map(({ score }) => score)).toEqual(candidates.map(({ score }) => score).toSorted((a, b) => b - a));
    for (const { caption: told, ended } of candidates) {
      const words = told.split(" ");
      expect(["end", "length"]).toContain(ended);
      const threes = words.slice(2).map((_, i) => words.slice(i, i + 3).join(" "));
      expect(new Set(threes).size).toBe(threes.length);
    }
  });

  test.each([1, 2])("--json prints an object a line and nothing else, beam %d", async (beam) => {
    const { code, stdout } = await cli.run("caption", "good.png", "more.png", "--model", "model.safetensors", "--json", "--beam", String(beam));
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as unknown);
    const said = { caption: expect.any(String) as string, score: expect.any(Number) as number, ended: expect.stringMatching(/^(end|length)$/) as string };
    expect(lines).toEqual(["good.png", "more.png"].map((file) => ({ file, ...said, model: "model.safetensors", system: "storyteller" })));
  });

  test("a closed pipe ends it quietly", async () => {
    const { code, stderr } = await cli.shell("set -o pipefail; $sightline caption good.png more.png good.png --model model.safetensors | head -n 0");
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/EPIPE|error/);
  });

  test("a language that the model doesn't know", async () => {
    const { code, stdout, stderr } = await cli.run("caption", "good.png", "--model", "model.safetensors", "--language", "de");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^error: the language must be left out, as this captioner knows one alone; got <de>$/m);
  });

  test("names that could steer the terminal are shown plainly", async () => {
    const { stderr } = await cli.run("caption", "\u001b[2Jx.jpg", "--model", "model.safetensors");
    expect(stderr).toContain("error: ?[2Jx.jpg must be a readable file");
  });
});

describe("doctor", () => {
  test("--json says what there is and which one is used", async () => {
    const { code, stdout, stderr } = await cli.run("doctor", "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const report = JSON.parse(stdout) as { works: boolean; dawn: string; used: { adapter: { kind: string }; check: { right: boolean } }; adapters: Record<string, unknown>; advice: string[] };
    expect(report.works).toBe(true);
    expect(report.dawn).toMatch(/^\d+\.\d+\.\d+$/);
    expect(report.used.adapter.kind).toMatch(/hardware|software/);
    expect(report.used.check.right).toBe(true);
    expect(Object.keys(report.adapters)).toEqual(["hardware", "software", "null"]);
  });

  test("reports an unknown SIGHTLINE_ADAPTER instead of failing", async () => {
    const { code, stdout } = await cli.shell("SIGHTLINE_ADAPTER=fast $sightline doctor");
    expect(code).toBe(1);
    expect(stdout).toContain('used: none; SIGHTLINE_ADAPTER: must be auto, hardware or software; got "fast"');
  });
});

describe("what people read", () => {
  test("an error of ours loses the function's name, not the file's", () => {
    expect(showFailure(new InputError("readImage: a.jpg must be a file", "check the path"), false)).toBe("error: a.jpg must be a file (check the path)");
    expect(showFailure(new ShapeError("best.safetensors: one\n two"), false)).toBe("error: best.safetensors: one two");
  });

  test("any other error is called a defect", () => {
    expect(showFailure(new TypeError("x is not a function"), false)).toBe("error: TypeError: x is not a function (this is a defect; run again with --verbose and report it)");
  });

  test("numbers", () => {
    expect([0.04, 9.96, 59.4, 125, 3599.7, 3780].map(duration)).toEqual(["0.0 s", "10 s", "59 s", "2 min 05 s", "1 h 00 min", "1 h 03 min"]);
    expect(percent(0.9571)).toBe("95.7 %");
    expect(shareOf({ count: 287, of: 300 })).toBe("287 of 300 (95.7 %)");
    expect([counted(1, "picture"), counted(2400, "picture")]).toEqual(["1 picture", "2,400 pictures"]);
    expect(dateStamp(new Date(2026, 0, 2, 3, 4, 5))).toBe("20260102-030405");
    expect(table([["a", "1"], ["long", "2"]])).toEqual(["a     1", "long  2"]);
  });
});
