import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import UPNG from "upng-js";
import { describe, expect, test } from "vitest";
import { readMetrics } from "../src/cli/metrics-log.ts";
import { loadSafetensors } from "../src/checkpoint/files.ts";
import { useCommandLine } from "./cli.ts";

const cli = useCommandLine();

/** Eight steps, with a checkpoint after each. */
const TINY = ["train", "--scenes", "16", "--picture-size", "8", "--batch", "8", "--epochs", "4", "--seed", "5"];
const STEPS = [1, 2, 3, 4, 5, 6, 7, 8];

/** Waits until a run has written a checkpoint. */
async function checkpointOf(folder: string): Promise<void> {
  while (!existsSync(cli.path(folder, "last.safetensors"))) await wait(5);
}

/** All tensors of a run's last checkpoint as text: equal texts mean equal bits. */
async function stateOf(folder: string): Promise<Map<string, string>> {
  const { tensors } = await loadSafetensors(cli.path(folder, "last.safetensors"));
  return new Map([...tensors].map(([name, { data }]) => [name, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64")]));
}

function lossesOf(folder: string): (readonly [number, number])[] {
  return readMetrics(cli.path(folder, "metrics.jsonl")).steps.map(({ step, loss }) => [step, loss] as const);
}

describe("a tiny run on the embedded scenes", () => {
  test("writes all files, in plain lines", async () => {
    const { code, stdout, stderr } = await cli.run(...TINY, "--out", "whole");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(readdirSync(cli.path("whole")).sort()).toEqual(["best.safetensors", "config.json", "last.safetensors", "metrics.jsonl", "model-card.md", "report.html"]);
    // eslint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    for (const line of [/^(soft|hard)ware adapter: /m, /^embedded scenes, /m, /^model: .* weights/m, /validation loss/, /every fact right +\d+ of \d+/, /npm run caption -- picture.jpg --model whole/]) expect(stdout).toMatch(line);
    const { steps, validations } = readMetrics(cli.path("whole", "metrics.jsonl"));
    expect(steps.map(({ step }) => step)).toEqual(STEPS);
    expect(validations.map(({ step }) => step)).toEqual(STEPS);
    expect(Object.keys(steps[0]).sort()).toEqual(["epoch", "gradientNorm", "loss", "lr", "picturesPerSecond", "seconds", "step"]);
    expect(readFileSync(cli.path("whole", "report.html"), "utf8")).toMatch(/<h1>Captions for scenes drawn by code<\/h1>/);
  });

  test("killed, resumed, stopped by Ctrl-C and resumed again, it ends with the same bits", async () => {
    const killed = cli.start(...TINY, "--out", "broken");
    await checkpointOf("broken");
    killed.child.kill("SIGKILL");
    await killed.ended;
    await expect(loadSafetensors(cli.path("broken", "last.safetensors"))).resolves.toBeDefined();
    const reached = lossesOf("broken").length;
    expect(reached).toBeLessThan(STEPS.length);

    const stopped = cli.start("train", "--resume", "broken");
    const pressCtrlC = (text: string): void => {
      if (!text.includes("validation loss")) return;
      stopped.child.stdout?.off("data", pressCtrlC);
      stopped.child.kill("SIGINT");
    };
    stopped.child.stdout?.on("data", pressCtrlC);
    const { code, stdout, stderr } = await stopped.ended;
    expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
    expect(stdout).toContain("npm run train -- --resume broken");

    const resumed = await cli.run("train", "--resume", "broken/last.safetensors");
    expect({ code: resumed.code, stderr: resumed.stderr }).toEqual({ code: 0, stderr: "" });
    expect(await stateOf("broken")).toEqual(await stateOf("whole"));
    expect(lossesOf("broken")).toEqual(lossesOf("whole"));
  });

  test("resumed when it is complete, it says so", async () => {
    const { code, stdout } = await cli.run("train", "--resume", "whole");
    expect(code).toBe(0);
    expect(stdout).toContain("whole is complete: all 4 epochs, 8 steps");
  });

  test("refuses another data set, and its own folder for a new run", async () => {
    const other = await cli.run("train", "--resume", "whole", "--data", "photos");
    expect(other).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: whole: must be continued with its own data set, the embedded scenes; got --data photos \(.*\)\n$/) as string });
    const again = await cli.run(...TINY, "--out", "whole");
    expect(again).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: --out whole must be a new or empty folder; got one with another run in it \(.*--resume whole\)\n$/) as string });
  });

  test("eval scores it again and gives the same numbers", async () => {
    const { code, stdout } = await cli.run("eval", "--model", "whole", "--json", "--out", "eval.html");
    expect(code).toBe(0);
    const { scores, split } = JSON.parse(stdout) as { scores: { images: number }; split: string };
    expect({ images: scores.images, split }).toEqual({ images: 16, split: "test" });
    expect(readFileSync(cli.path("eval.html"), "utf8")).not.toContain('id="curves"');
  });
});

test("a disk that is full: one line, and the checkpoint before is intact", async () => {
  const { code, stderr } = await cli.shell(`ulimit -f 200; $sightline ${TINY.join(" ")} --out small`);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^error: cannot write small\/(best|last).safetensors: .*\n$/) as string });
});

test("a loss that stops being a number: one line", async () => {
  const { code, stderr } = await cli.run(...TINY, "--lr", "1e30", "--out", "wild");
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^error: the (validation )?loss became .* at step \d+ of 8 \(lower the learning rate with --lr.*\)\n$/) as string });
});

test("a folder of pictures: all are trained on, and what cannot be read is named", async () => {
  mkdirSync(cli.path("photos", "images"), { recursive: true });
  const names = ["red", "green", "blue", "grey"];
  names.forEach((name, i) => {
    const pixels = new Uint8Array(16 * 16 * 4).map((_, at) => (at % 4 === i || at % 4 === 3 || i === 3 ? 200 : 20));
    writeFileSync(cli.path("photos", "images", `${name}.png`), new Uint8Array(UPNG.encode([pixels.buffer], 16, 16, 0)));
  });
  writeFileSync(cli.path("photos", "images", "bad.png"), "not a picture");
  const lines = [...names, "bad"].map((name) => `${name}.png,"A ${name} <b>square</b>, & more"`);
  writeFileSync(cli.path("photos", "captions.txt"), ["image,caption", ...lines].join("\n"));

  const { code, stdout, stderr } = await cli.run("train", "--data", "photos", "--picture-size", "8", "--epochs", "2", "--out", "own");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^photos\/captions.txt: 5 pictures with 5 captions; all of them to train on$/m);
  expect(stdout).toMatch(/^note: .*bad.png must be a JPEG or PNG picture.*: left out$/m);
  expect(stdout).toMatch(/^note: the pictures that are trained on are also the ones that are scored/m);
  expect(stdout).toMatch(/scores of the best checkpoint: 4 pictures/);
  const page = readFileSync(cli.path("own", "report.html"), "utf8");
  expect(page).not.toContain("<b>square");
  expect(statSync(cli.path("own", "report.html")).size).toBeLessThan(400_000);

  writeFileSync(cli.path("photos", "captions.txt"), ["image,caption", ...lines, "red.png,Another"].join("\n"));
  const changed = await cli.run("train", "--resume", "own");
  expect(changed).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: own: must be continued with its own data set, .*photos; got .*photos, which has changed since \(.*\)\n$/) as string });
});
