import { build } from "esbuild";
import type { Page } from "puppeteer-core";
import { expect, test } from "vitest";
import { openBrowser, serve } from "./browser.ts";
import { HubServer, sends, sha256Of, stalls, weights } from "./hub-server.ts";
import type { HubPage } from "./pages/hub-pull.ts";

const SEGMENT_BYTES = 2 ** 18;
const BYTES = weights(3_000_000);

declare const hub: HubPage;

async function openPage(page: Page, origin: string): Promise<void> {
  await page.goto(origin);
  await page.waitForFunction(() => "hub" in globalThis);
}

test("a page pulls into its own file system, goes on after a reload, and lists, reads and deletes what it has", async () => {
  const { outputFiles } = await build({ entryPoints: [new URL("pages/hub-pull.ts", import.meta.url).pathname], bundle: true, format: "esm", platform: "browser", write: false });
  const { origin, server: pages } = await serve({
    "/": { type: "text/html", body: '<!doctype html><title>test</title><script type="module" src="/page.mjs"></script>' },
    "/page.mjs": { type: "text/javascript", body: outputFiles[0].contents },
  });
  const server = await HubServer.start();
  const [weightsPath] = server.putRepo("org/tiny", { "model.safetensors": BYTES, "config.json": "{}" }, { revision: "v1" }).filter((path) => path.includes("cccc") && path.endsWith("model.safetensors"));
  server.next(weightsPath, stalls(1_500_000));
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    await openPage(page, origin);
    await page.evaluate((endpoint) => void hub.pull(endpoint, "org/tiny@v1").catch(() => undefined), server.origin);
    await page.waitForFunction(() => hub.received === 1_500_000);
    await openPage(page, origin); // in the middle of the download

    expect(await page.evaluate(() => hub.list())).toContainEqual({ key: "hf/org/tiny/v1/model.safetensors", size: 5 * SEGMENT_BYTES, complete: false });
    server.forget();
    const pulled = await page.evaluate((endpoint) => hub.pull(endpoint, "org/tiny@v1"), server.origin);
    expect(pulled).toEqual([
      { key: "hf/org/tiny/v1/config.json", size: 2, sha256: sha256Of(new TextEncoder().encode("{}")), cached: true },
      { key: "hf/org/tiny/v1/model.safetensors", size: BYTES.length, sha256: sha256Of(BYTES), cached: false },
    ]);
    expect(server.rangesOf(weightsPath)).toEqual([`bytes=${5 * SEGMENT_BYTES}-`]);
    expect(await page.evaluate(() => hub.hashOf("hf/org/tiny/v1/model.safetensors"))).toBe(sha256Of(BYTES));

    await openPage(page, origin);
    server.forget();
    expect(await page.evaluate((endpoint) => hub.pull(endpoint, "org/tiny@v1"), server.origin)).toMatchObject([{ cached: true }, { cached: true }]);
    expect(server.rangesOf(weightsPath)).toEqual([]);

    expect(await page.evaluate(() => hub.list())).toEqual([
      { key: "hf/org/tiny/v1/config.json", size: 2, complete: true },
      { key: "hf/org/tiny/v1/model.safetensors", size: BYTES.length, complete: true },
    ]);
    await page.evaluate(() => hub.remove("hf/org/tiny/v1/model.safetensors"));
    expect(await page.evaluate(() => hub.list())).toEqual([{ key: "hf/org/tiny/v1/config.json", size: 2, complete: true }]);

    server.putRepo("org/wrong", { "model.safetensors": BYTES }, { storage: server });
    server.next(`/blobs/${sha256Of(BYTES)}`, sends(BYTES.length, weights(BYTES.length, 7)));
    expect(await page.evaluate((endpoint) => hub.refused(endpoint, "org/wrong"), server.origin)).toMatch(/CheckpointError: .* must have the sha256 [0-9a-f]{64}; got/);
    expect((await page.evaluate(() => hub.list())).map(({ key }) => key)).toEqual(["hf/org/tiny/v1/config.json"]);
  } finally {
    await browser.close();
    pages.close();
    await server.stop();
  }
});
