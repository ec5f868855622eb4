import { afterAll, beforeAll, expect, test } from "vitest";
import type { CDPSession, Page, WebWorker } from "puppeteer-core";
import { inBrowsers } from "./browsers.ts";
import { buildDemo, openDemo, pagesOf, pressButton, problemShown, type DemoPage } from "./demo-page.ts";
import { expectSame, SHORT_RUN, STEPS, trainInNode, type Trail } from "./demo-trail.ts";
import { useDevice } from "./device.ts";

/** Of a loss: other drivers add in another order, and thirty steps carry that on. */
const TOLERANCE = 1e-4;

/** Milliseconds that the processor may spend on one task of the page's own thread while a worker trains. */
const LONGEST_TASK = 50;

const device = useDevice({ adapter: "software" });
let demo: ReturnType<typeof buildDemo>;
let whole: Trail;
beforeAll(async () => {
  demo = buildDemo();
  whole = (await trainInNode(device())).trail;
}, 240_000);
afterAll(() => demo?.remove());

async function fill(page: Page, label: string, value: number): Promise<void> {
  await page.evaluate((text, number) => {
    const field = [...document.querySelectorAll("label.field")].find((node) => node.firstChild?.textContent?.trim() === text)!.querySelector("input")!;
    field.value = number;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }, label, String(value));
}

/** Sets the form as {@link SHORT_RUN} says. */
async function fillForm(page: Page): Promise<void> {
  await page.waitForSelector(".train-start:not(:disabled)");
  await page.evaluate(() => document.querySelectorAll("main > div:not([hidden]) form details").forEach((details) => ((details as HTMLDetailsElement).open = true)));
  const { data, settings } = SHORT_RUN;
  for (const [label, value] of [["Scenes", data.train], ["Epochs", settings.epochs], ["Pictures a step", settings.batchSize], ["Learning rate", settings.learningRate], ["Seed", settings.seed]] as const) await fill(page, label, value);
}

/** Waits until so many steps are done. */
const trained = (page: Page, least: number): Promise<unknown> =>
  page.waitForFunction((steps) => {
    const [label, count] = document.querySelectorAll(".train-work .progress-text span");
    return label?.textContent === "Steps" && Number.parseInt(count.textContent!, 10) >= steps;
  }, { timeout: 240_000 }, least);

const heading = (page: Page, text: string): Promise<unknown> => page.waitForFunction((wanted) => document.querySelector("#train-work-heading")?.textContent === wanted, { timeout: 240_000 }, text);

/** Losses of the newest run, as the page has stored them. */
async function storedTrail(page: Page): Promise<Trail> {
  const lines = await page.evaluate(async () => {
    const runs = await (await navigator.storage.getDirectory()).getDirectoryHandle("runs");
    const names: string[] = [];
    for await (const name of runs.keys()) names.push(name);
    const run = await runs.getDirectoryHandle(names.toSorted().at(-1)!);
    return (await (await run.getFileHandle("metrics.jsonl")).getFile()).text();
  });
  return lines.trim().split("\n").map((line) => JSON.parse(line) as { step: number; loss?: number }).flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss] as const]));
}

/** The longest time that the processor spent on one task of the page's own thread, in milliseconds: waiting for a busy processor does not count. */
async function longestTask(page: Page, work: () => Promise<unknown>): Promise<number> {
  const inspector: CDPSession = await page.createCDPSession();
  const events: { name: string; pid: number; tid: number; tdur?: number; args: { name?: string } }[] = [];
  inspector.on("Tracing.dataCollected", ({ value }) => void events.push(...(value as typeof events)));
  await inspector.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories: ["toplevel", "disabled-by-default-devtools.timeline"] } });
  await work();
  const complete = new Promise<void>((resolve) => inspector.once("Tracing.tracingComplete", () => resolve()));
  await inspector.send("Tracing.end");
  await complete;
  const main = events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`);
  const tasks = events.filter(({ pid, tid, tdur }) => tdur !== undefined && main.includes(`${pid} ${tid}`));
  expect(tasks.length).toBeGreaterThan(0);
  return Math.max(...tasks.map(({ tdur }) => tdur! / 1000));
}

inBrowsers("training in the demo", ({ browser, open }) => {
  let opened: DemoPage;
  const workers: WebWorker[] = [];
  beforeAll(async () => {
    opened = await openDemo(pagesOf(demo.folder), browser, open, async (page) => page.on("workercreated", (worker) => workers.push(worker)));
    await opened.page.goto(`${opened.origin}/#train`);
  }, 120_000);
  afterAll(() => opened?.close());

  test("begins, leaves the page free, pauses, goes on after a reload, and ends with Node's losses", async () => {
    const { page, problems, screenshot } = opened;
    await fillForm(page);
    const begin = async (): Promise<void> => {
      await pressButton(page, "Start training");
      await trained(page, 6);
      await screenshot("training");
      await pressButton(page, "Pause");
      await heading(page, "Paused");
    };
    if (browser === "Chromium") {
      const longest = await longestTask(page, begin);
      console.log(`longest task of the page while training: ${longest.toFixed(0)} ms of the processor's time`);
      expect(longest).toBeLessThan(LONGEST_TASK);
    } else await begin();
    await screenshot("paused");

    await page.reload();
    await pressButton(page, "Resume");
    await heading(page, "Done");
    await screenshot("done");
    const trail = await storedTrail(page);
    expect(trail).toHaveLength(STEPS);
    expect(trail.at(-1)![1]).toBeLessThan(0.7 * trail[0][1]);
    expectSame(trail, whole, TOLERANCE);
    console.log(`${browser}: losses differ from Node's by at most ${Math.max(...trail.map(([, loss], i) => Math.abs(loss - whole[i][1]))).toExponential(1)}`);
    expect(problems).toEqual([]);
  }, 400_000);

  test("hands what it has learned to the caption view", async () => {
    const { page, problems } = opened;
    await pressButton(page, "Caption with it");
    await page.waitForFunction(() => document.querySelector(".captioner input:checked")?.closest("label")?.textContent?.endsWith("best") && document.querySelector(".spoken [role=status]")!.textContent !== "", { timeout: 120_000 });
    expect(await page.evaluate(() => location.hash)).toBe("#caption");
    expect(problems).toEqual([]);
  }, 240_000);

  if (browser === "Chromium") {
    test("says so when the device is lost, and goes on from the last checkpoint with another one", async () => {
      const { page, screenshot } = opened;
      workers.length = 0;
      await page.evaluate(() => void (location.hash = "train"));
      await page.reload();
      await page.waitForSelector(".train-start");
      await Promise.all(workers.map((worker) => worker.evaluate(() => {
        const request = GPUAdapter.prototype.requestDevice;
        GPUAdapter.prototype.requestDevice = async function (...given) {
          return Object.assign(globalThis, { lost: await request.apply(this, given) }).lost;
        };
      }).catch(() => undefined))); // those that draw or caption may have ended
      await fillForm(page);
      await pressButton(page, "Start training");
      await trained(page, 6); // the first checkpoint is of step 4
      await Promise.all(workers.map((worker) => worker.evaluate(() => void (globalThis as unknown as { lost?: GPUDevice }).lost?.destroy()).catch(() => undefined)));
      await heading(page, "Stopped");
      expect(await problemShown(page)).toMatch(/^[^\n]*graphics[^\n]*$/i);
      await screenshot("device-lost");
      await pressButton(page, "Resume");
      await heading(page, "Done");
      expectSame(await storedTrail(page), whole, TOLERANCE);
    }, 400_000);
  }
});
