import { expect, test } from "vitest";
import { openModule } from "./browser.ts";
import { trainingLosses } from "./pages/training-losses.ts";

declare const exported: typeof import("./pages/training-losses.ts");

test("a training step gives the same losses in Chromium as in Node", async () => {
  const { page, problems, close } = await openModule("training-losses.ts");
  try {
    const inBrowser = await page.evaluate(() => exported.trainingLosses());
    const inNode = await trainingLosses();
    expect(problems).toEqual([]);
    expect(inNode.at(-1)).toBeLessThan(inNode[0]);
    inNode.forEach((loss, i) => expect(Math.abs(inBrowser[i] / loss - 1), `loss ${i}: ${inBrowser[i]} in Chromium, ${loss} in Node`).toBeLessThanOrEqual(1e-5));
  } finally {
    await close();
  }
});
