/** What people give to the demo by hand: captions that they type, files that they drop or choose. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser } from "./browser.ts";
import { buildDemo, giveFiles, openDemo, pagesOf, pressButton, problemShown, type DemoPage } from "./demo-page.ts";
import { writePng } from "./png-writer.ts";

const CHECKPOINT = "weights/encdec-scenes.safetensors";
const LARGE = 1200; // pixels of a side: long enough to draw for something to be typed meanwhile

let demo: ReturnType<typeof buildDemo>;
let opened: DemoPage;
const folder = mkdtempSync(join(tmpdir(), "sightline-given-"));
beforeAll(async () => {
  demo = buildDemo();
  opened = await openDemo(pagesOf(demo.folder), "Chromium", openBrowser);
}, 120_000);
afterAll(async () => {
  await opened?.close();
  demo?.remove();
  rmSync(folder, { recursive: true });
});

function picture(name: string, side: number): string {
  const path = join(folder, name);
  writeFileSync(path, writePng({ width: side, height: side, depth: 8, colourType: 2, pixel: (x, y) => [x % 256, y % 256, 90] }));
  return path;
}

async function choose(page: Page, title: string): Promise<void> {
  await page.evaluate((wanted) => [...document.querySelectorAll("main > div:not([hidden]) .segments label")].find(({ textContent }) => textContent === wanted)!.querySelector("input")!.click(), title);
}

const captions = (page: Page): Promise<string[]> => page.$$eval(".train-grid textarea", (fields) => fields.map(({ value }) => value));

const shown = (page: Page, count: number): Promise<unknown> => page.waitForFunction((wanted) => document.querySelectorAll(".train-grid li").length === wanted, {}, count);

test("a checkpoint of one's own captions, and stays to be chosen", async () => {
  const { page } = opened;
  const isOpen = (title: string): Promise<unknown> => page.waitForFunction((wanted) => document.querySelector(".captioner input:checked")?.closest("label")?.textContent === wanted && document.querySelector(".captioner .about")!.textContent.includes("weights,"), {}, title);
  await giveFiles(page, "Open a checkpoint…", CHECKPOINT);
  await isOpen("encdec-scenes");
  await page.waitForFunction(() => document.querySelector(".spoken [role=status]")!.textContent !== "");
  await choose(page, "story");
  await isOpen("story");
  await page.waitForFunction(() => document.querySelector(".spoken [role=status]")!.textContent !== "");
  await page.evaluate(() => {
    const said: string[] = [];
    const status = document.querySelector(".spoken [role=status]")!;
    new MutationObserver(() => said.push(status.textContent!)).observe(status, { childList: true, characterData: true, subtree: true });
    Object.assign(globalThis, { said });
  });
  await choose(page, "encdec-scenes");
  await isOpen("encdec-scenes");
  await page.waitForFunction(() => document.querySelector(".spoken [role=status]")!.textContent !== "");
  expect(await page.evaluate(() => (globalThis as unknown as { said: string[] }).said.filter((text) => text !== "").length), "what the one before said is not said again").toBe(1);
}, 120_000);

test("of files that are dropped together, the picture is taken; one without weights opens no captioner", async () => {
  const { page, problems } = opened;
  await page.evaluate(async () => {
    const dropped = new DataTransfer();
    dropped.items.add(new File(["a note"], "notes.txt", { type: "text/plain" }));
    const canvas = document.createElement("canvas");
    const content = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve));
    dropped.items.add(new File([content!], "drawn.png", { type: "image/png" }));
    dispatchEvent(new DragEvent("drop", { dataTransfer: dropped }));
  });
  await page.waitForSelector('.stage img[alt="Your picture: drawn.png"]');
  const settings = join(folder, "config.json");
  writeFileSync(settings, "{}");
  await giveFiles(page, "Open a checkpoint…", settings);
  expect(await problemShown(page)).toMatch(/^config\.json holds no weights/);
  await pressButton(page, "Close");
  await page.waitForFunction(() => document.querySelector("main [role=alert]") === null);
  expect(problems).toEqual([]);
});

test("captions that are typed while pictures come and go are kept, over a reload too", async () => {
  const { page } = opened;
  const toPictures = async (): Promise<void> => {
    await page.waitForSelector(".train-start");
    await choose(page, "My own pictures");
  };
  await page.evaluate(() => void (location.hash = "train"));
  await toPictures();
  await giveFiles(page, "Add pictures", picture("one.png", 8), picture("two.png", 8));
  await shown(page, 2);
  await giveFiles(page, "Add pictures", picture("three.webp", LARGE)); // not by its name a picture that is kept as it is
  await page.type(".train-grid li:nth-child(2) textarea", "a ring");
  await shown(page, 3);
  expect(await captions(page)).toEqual(["", "a ring", ""]);
  await page.click(".train-grid li:nth-child(1) button");
  await page.type(".train-grid li:nth-child(1) textarea", " of gold");
  await shown(page, 2);
  await page.waitForFunction(async () => (await (await (await (await (await navigator.storage.getDirectory()).getDirectoryHandle("training-draft")).getFileHandle("draft.json")).getFile()).text()).includes("a ring of gold"));
  await page.reload();
  await toPictures();
  await shown(page, 2);
  expect(await captions(page)).toEqual(["a ring of gold", ""]);
}, 60_000);

test("a setting that cannot be is shown, though the settings were closed", async () => {
  const { page, problems } = opened;
  await page.evaluate(() => {
    const epochs = document.querySelector<HTMLInputElement>(".train-settings .field input")!;
    epochs.value = "0";
    epochs.dispatchEvent(new Event("change", { bubbles: true }));
  });
  await pressButton(page, "Start training");
  await page.waitForFunction(() => document.querySelector<HTMLDetailsElement>(".train-settings")!.open && document.activeElement!.matches(".train-settings input"));
  expect(problems).toEqual([]);
});
