import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { unzipSync } from "fflate";
import UPNG from "upng-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSafetensors } from "../src/checkpoint/safetensors.ts";
import { planResumed } from "../src/cli/train-plan.ts";
import type { RunRequest } from "../src/demo/training/service.ts";
import { openModule, type ModulePage } from "./browser.ts";
import { expectSame as expectSameTrail, SHORT_RUN, STEPS, trainInNode, type Trail } from "./demo-trail.ts";
import { useDevice } from "./device.ts";
import type { ToldRun } from "./pages/demo-training.ts";

declare const exported: typeof import("./pages/demo-training.ts");

const PAUSED = 12;
/** Two drivers of one software adapter differ in the last bits of sums, and steps carry that on. */
const TOLERANCE = 1e-4;

const device = useDevice({ adapter: "software" });
let opened: ModulePage;
beforeAll(async () => {
  opened = await openModule("demo-training.ts");
});
afterAll(() => opened?.close());

const start = (request: RunRequest, stop = {}): Promise<ToldRun> => opened.page.evaluate((r, s) => exported.start(r, s), request, stop);
const resume = (name: string, stop = {}): Promise<ToldRun> => opened.page.evaluate((n, s) => exported.resume(n, s), name, stop);
const newestRun = async (): Promise<string> => opened.page.evaluate(async () => (await exported.training.runs())[0].name);
const bytesOf = (base64: string): Buffer => Buffer.from(base64, "base64");

const expectSame = (trail: Trail, expected: Trail): void => expectSameTrail(trail, expected, TOLERANCE);

describe("a run on scenes", () => {
  let whole: Trail;
  let begun: ToldRun;
  let name: string;
  let paused: Buffer;

  test("learns in Node", async () => {
    whole = (await trainInNode(device())).trail;
    expect(whole).toHaveLength(STEPS);
    expect(whole.at(-1)![1]).toBeLessThan(0.7 * whole[0][1]);
  });

  test("begins in the page as in Node, and pauses", async () => {
    begun = await start(SHORT_RUN, { pauseAt: PAUSED });
    name = await newestRun();
    expect(begun.end).toMatchObject({ state: "paused", steps: STEPS });
    expectSame(begun.losses, whole.slice(0, begun.losses.length));
    expect(begun.samples).toEqual([0, 1, 2, 3].map((i) => [`validation scene ${i}`, 192]));
    expect(begun.validations).toEqual([4, 8, 12].filter((step) => step <= begun.losses.length));
    expect(begun.captions.every((caption) => caption.length > 0)).toBe(true);
    paused = bytesOf((await opened.page.evaluate((n) => exported.checkpoint(n, "last"), name)).base64);
  });

  test("goes on after a reload, to the losses of one that never stopped", async () => {
    await opened.reload();
    const rest = await resume(name);
    expect(rest).toMatchObject({ end: { state: "complete", step: STEPS, steps: STEPS }, before: begun.losses.length });
    expectSame([...begun.losses, ...rest.losses], whole);
    expect(await opened.page.evaluate(() => exported.training.runs())).toMatchObject([{ name, step: STEPS, steps: STEPS, complete: true, atWork: false, checkpoints: ["best", "last"], about: "80 scenes, captions" }]);
  });

  test("goes on in Node, to the same losses", async () => {
    const { trail } = await trainInNode(device(), readSafetensors(paused, "last"));
    expectSame([...begun.losses, ...trail], whole);

    const downloads = mkdtempSync(join(tmpdir(), "sightline-downloads-"));
    const before = process.cwd();
    try {
      process.chdir(downloads);
      writeFileSync(`${name}-last.safetensors`, paused);
      const plan = await planResumed(`${name}-last.safetensors`, { adapter: "software" }, "", () => undefined);
      expect(plan.run.folder).toMatch(/^runs\/storyteller-\d{8}-\d{6}$/); // the downloads folder is no run's folder
      expect(plan.request).toEqual(SHORT_RUN.data);
    } finally {
      process.chdir(before);
      rmSync(downloads, { recursive: true });
    }
  });

  test("a checkpoint from Node goes on in the page; a lost device is said, and costs nothing that was saved", async () => {
    const stopped = await trainInNode(device(), undefined, PAUSED);
    const adopted = await opened.page.evaluate((base64) => exported.adopt("last.safetensors", base64), stopped.last.toString("base64"));
    const lost = await resume(adopted, { loseAt: 20 });
    expect(lost.end).toMatch(/^DeviceError: the graphics processor stopped answering.*\(resume the run: it goes on from its last checkpoint\)$/);
    const rest = await resume(adopted);
    expect(rest.end).toMatchObject({ state: "complete", step: STEPS });
    expectSame([...stopped.trail, ...lost.losses.slice(0, rest.losses[0][0] - stopped.trail.length - 1), ...rest.losses], whole);
  });

  test("is refused where it cannot be: taken, unknown, without a checkpoint, or no checkpoint", async () => {
    const refused = await opened.page.evaluate(async (n) => {
      const none = new AbortController().signal;
      const held = exported.training.resume(n, () => undefined, none);
      const said = [await exported.refusal(exported.training.resume(n, () => undefined, none)), await exported.refusal(exported.training.remove(n))];
      await held;
      return [...said, await exported.refusal(exported.training.resume("nobody", () => undefined, none)), await exported.adopt("photo.png", btoa("not a checkpoint at all"))];
    }, name);
    expect(refused[0]).toMatch(/^InputError: a tab trains one run at a time; got another one that is under way \(pause it first\)$/);
    expect(refused[1]).toMatch(/must be free; got a run that is being trained/);
    expect(refused[2]).toMatch(/^InputError: nobody must be a run that is kept here; got none of that name/);
    expect(refused[3]).toMatch(/^CheckpointError: photo.png: /);
  });

  test("is deleted", async () => {
    await opened.page.evaluate(async () => {
      for (const { name: each } of await exported.training.runs()) await exported.training.remove(each);
    });
    expect(await opened.page.evaluate(() => exported.training.runs())).toEqual([]);
  });
});

describe("own pictures", () => {
  const COLOURS = ["red", "green", "blue", "grey"];
  const png = (i: number): string => {
    const pixels = new Uint8Array(16 * 16 * 4).map((_, at) => (at % 4 === i || at % 4 === 3 || i === 3 ? 200 : 20));
    return Buffer.from(UPNG.encode([pixels.buffer], 16, 16, 0)).toString("base64");
  };
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const lines = [...COLOURS.map((name) => `${name}.png,"A ${name} square, on its own"`), "broken.png,Nothing to be seen", "missing.png,Not there"];
  const FILES: Readonly<Record<string, string>> = {
    ...Object.fromEntries(COLOURS.map((name, i) => [`images/${name}.png`, png(i)])),
    "images/broken.png": base64("not a picture"),
    "images/alone.png": png(0),
    ".hidden/captions.txt": base64("nothing"),
    "captions.txt": base64(["image,caption", ...lines].join("\n")),
  };
  let folder: string;
  let name: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sightline-page-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("are checked: what is there, what is missing, what cannot be used", async () => {
    const report = await opened.page.evaluate((files) => exported.training.check("squares", exported.filesOf(files)), FILES);
    expect(report).toMatchObject({ pictures: 5, captions: 5, source: "captions.txt" });
    expect(report.findings).toEqual([
      "captions.txt: 1 captioned image without a file (missing.png): left out",
      "captions.txt: 1 picture without a caption (images/alone.png): left out",
    ]);
    const none = await opened.page.evaluate((files) => exported.refusal(exported.training.check("empty", exported.filesOf(files))), { "images/a.png": png(0) });
    expect(none).toMatch(/^InputError: openDataset: empty must hold .*captions.txt.*; got images\/a.png \(write captions.txt: /);
  });

  test("are trained on, and what cannot be decoded is named", async () => {
    const told = await opened.page.evaluate(
      (files) => exported.start({ data: { kind: "pictures", name: "squares", files: exported.filesOf(files) }, system: "storyteller", size: "tiny", settings: { epochs: 6 } }, { pauseAt: 1 }),
      FILES,
    );
    expect(told.end).toMatchObject({ state: "paused", steps: 6 });
    expect(told.notes.join("\n")).toMatch(/broken\.png must be a JPEG or PNG picture.*: left out/);
    expect(told.data).toBe("squares/captions.txt: 5 pictures with 5 captions; all of them to train on");
    name = await newestRun();
  });

  test("come along in the zip file, with which the command line goes on", async () => {
    const { base64: zipped } = await opened.page.evaluate((n) => exported.archive(n), name);
    const bytes = bytesOf(zipped);
    for (const [path, content] of Object.entries(unzipSync(bytes))) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    const plan = await planResumed(join(folder, name), { adapter: "software" }, "", () => undefined);
    expect(plan).toMatchObject({ run: { folder: join(folder, name) }, resumed: { state: { step: 1 } }, data: { summary: expect.stringContaining("pictures/captions.txt: 5 pictures") as string } });
    expect(plan.request).toBeUndefined(); // it goes on in its own folder
  });

  test("are asked for where a checkpoint comes back without them, and must be the same", async () => {
    const { base64: last } = await opened.page.evaluate((n) => exported.checkpoint(n, "last"), name);
    const adopt = (files?: Readonly<Record<string, string>>): Promise<string> => opened.page.evaluate((b, f) => exported.adopt("last.safetensors", b, f), last, files);
    expect(await adopt()).toBe("pictures of squares");
    expect(await adopt({ ...FILES, "images/red.png": png(1) })).toMatch(/^InputError: last.safetensors must be continued with the pictures and captions that it learned from, those of squares; got a folder in which some differ/);
    const adopted = await adopt(FILES);
    expect(await opened.page.evaluate(() => exported.training.runs())).toContainEqual(expect.objectContaining({ name: adopted, about: "squares", step: 1, checkpoints: ["last"], complete: false }));
  });
});
