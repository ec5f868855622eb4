import { build } from "esbuild";
import { expect, test } from "vitest";
import { openBrowser, serve } from "./browser.ts";
import { trainingLosses } from "./pages/training-losses.ts";

test("a training step gives the same losses in Chromium as in Node", async () => {
  const { outputFiles } = await build({
    stdin: { contents: 'import { trainingLosses } from "./training-losses.ts"; globalThis.trainingLosses = trainingLosses;', resolveDir: new URL("pages", import.meta.url).pathname, loader: "ts" },
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
  });
  const { origin, server } = await serve({
    "/": { type: "text/html", body: '<!doctype html><title>test</title><script type="module" src="/page.mjs"></script>' },
    "/page.mjs": { type: "text/javascript", body: outputFiles[0].contents },
  });
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(error instanceof Error ? error.message : String(error)));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    await page.goto(origin);
    await page.waitForFunction(() => "trainingLosses" in globalThis);
    const inBrowser = await page.evaluate(() => (globalThis as unknown as { trainingLosses(): Promise<number[]> }).trainingLosses());
    const inNode = await trainingLosses();
    expect(problems.filter((text) => !text.includes("favicon") && !text.includes("404"))).toEqual([]);
    expect(inNode.at(-1)).toBeLessThan(inNode[0]);
    inNode.forEach((loss, i) => expect(Math.abs(inBrowser[i] / loss - 1), `loss ${i}: ${inBrowser[i]} in Chromium, ${loss} in Node`).toBeLessThanOrEqual(1e-5));
  } finally {
    await browser.close();
    server.close();
  }
});
