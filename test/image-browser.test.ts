import { build } from "esbuild";
import { expect, test } from "vitest";
import { openBrowser, serve } from "./browser.ts";
import { goldenImages } from "./image-golden.ts";
import { decodedImages } from "./pages/decoded-images.ts";

test("pictures have the same pixels and model inputs in Chromium as in Node, bit for bit", async () => {
  const images = goldenImages();
  const contents = `
    import { decodedImages } from "./decoded-images.ts";
    globalThis.digests = async (names) => decodedImages(await Promise.all(names.map(async (name) => ({ name, bytes: new Uint8Array(await (await fetch("/" + name)).arrayBuffer()) }))));`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: new URL("pages", import.meta.url).pathname, loader: "js" },
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
  });
  const { origin, server } = await serve({
    "/": { type: "text/html", body: '<!doctype html><title>test</title><script type="module" src="/page.mjs"></script>' },
    "/page.mjs": { type: "text/javascript", body: outputFiles[0].contents },
    ...Object.fromEntries(images.map(({ name, bytes }) => [`/${name}`, { type: "application/octet-stream", body: bytes }])),
  });
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(origin);
    await page.waitForFunction(() => "digests" in globalThis);
    const names = images.map(({ name }) => name);
    const inBrowser = await page.evaluate((all) => (globalThis as unknown as { digests(names: readonly string[]): Promise<Record<string, string>> }).digests(all), names);
    const inNode = await decodedImages(images);
    expect(Object.keys(inNode)).toEqual(names);
    expect(new Set(Object.values(inNode)).size).toBeGreaterThan(50); // a few pictures differ in their headers alone
    expect(inBrowser).toEqual(inNode);
  } finally {
    await browser.close();
    server.close();
  }
});
