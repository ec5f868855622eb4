import { expect, test } from "vitest";
import { openModule } from "./browser.ts";
import { goldenImages } from "./image-golden.ts";
import { decodedImages } from "./pages/decoded-images.ts";

declare const exported: typeof import("./pages/decoded-images.ts");

test("pictures have the same pixels and model inputs in Chromium as in Node, bit for bit", async () => {
  const images = goldenImages();
  const { page, close } = await openModule("decoded-images.ts", Object.fromEntries(images.map(({ name, bytes }) => [`/${name}`, { type: "application/octet-stream", body: bytes }])));
  try {
    const names = images.map(({ name }) => name);
    const inBrowser = await page.evaluate((all) => exported.fetchedImages(all), names);
    const inNode = await decodedImages(images);
    expect(Object.keys(inNode)).toEqual(names);
    expect(new Set(Object.values(inNode)).size).toBeGreaterThan(50); // a few pictures differ in their headers alone
    expect(inBrowser).toEqual(inNode);
  } finally {
    await close();
  }
});
