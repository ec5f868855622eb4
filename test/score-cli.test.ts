import { readFileSync, writeFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import { useCommandLine } from "./cli.ts";

const cli = useCommandLine();

beforeAll(() => {
  writeFileSync(cli.path("refs.txt"), "a brown dog runs\ta dog is running\ntwo kids play\n");
  writeFileSync(cli.path("hyps.txt"), "a dog runs\ntwo children play\n");
});

test("sightline score prints every score, and finds the table of synonyms beside the bundle", async () => {
  const { code, stdout, stderr } = await cli.run("score", "--refs", "refs.txt", "--hyps", "hyps.txt", "--per-image", "scores.csv");
  expect([code, stderr]).toEqual([0, "scoring 2 captions\nscores of each image scores.csv\n"]);
  expect(stdout).toContain("scores of hyps.txt against refs.txt: 2 pictures (those of the files), 1.5 references each");
  for (const name of ["BLEU-4", "meteor (nltk)", "ROUGE-L (coco)", "ROUGE-1", "ROUGE-2", "CIDEr-D", "token precision", "token recall", "token F1", "distinct captions", "caption length"]) expect(stdout).toMatch(new RegExp(`^  ${name.replace(/[()]/g, "\\$&")} +\\S`, "m"));
  expect(readFileSync(cli.path("scores.csv"), "utf8").split("\n").length).toBe(4);
});

test("--json is one line of JSON, in a pipe too", async () => {
  const { stdout } = await cli.shell("$sightline score --refs refs.txt --hyps hyps.txt --json 2>/dev/null");
  expect(stdout.trimEnd()).not.toContain("\n");
  expect((JSON.parse(stdout) as { scores: { meteor: number } }).scores.meteor).toBeGreaterThan(0.5);
});

test.each([
  [["--refs", "refs.txt"], "required option '--hyps <file>' not specified"],
  [["--refs", "refs.txt", "--hyps", "nowhere.txt"], "cannot read nowhere.txt: there is no such file"],
  [["--refs", "refs.txt", "--hyps", "hyps.txt", "--tokenizer", "java"], "Allowed choices are words, coco."],
  [["--refs", "refs.txt", "--hyps", "hyps.txt", "--per-image", "no/scores.csv"], "cannot write no/scores.csv: the folder no does not exist"],
])("score %j is refused in one line", async (args, message) => {
  const { code, stdout, stderr } = await cli.run("score", ...args);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr.replace("scoring 2 captions\n", "")).toMatch(/^error: .+\n$/);
  expect(stderr).toContain(message);
});
