import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { scoreCaptions } from "../src/caption/scoring.ts";
import { readSynonyms } from "../src/metrics/files.ts";
import { openModule } from "./browser.ts";

declare const exported: typeof import("./pages/caption-scores.ts");

test("captions have the same scores in Chromium as in Node, METEOR with its table from a server", async () => {
  const pictures = [
    { name: "1", caption: "a dog is running through the grass", references: ["a brown dog runs across the grass", "a dog is running on the lawn"] },
    { name: "2", caption: "Two children's play, isn't it?", references: ["two kids are playing football"] },
    { name: "3", caption: "men ride a bicycle", references: ["a man is riding a bike down the street"] },
  ];
  const { page, close } = await openModule("caption-scores.ts", { "/wordnet-synonyms.gz": { type: "application/gzip", body: readFileSync("src/metrics/wordnet-synonyms.gz") } });
  try {
    const inBrowser = await page.evaluate((list) => exported.fetchedScores(list), pictures);
    const inNode = scoreCaptions(pictures, { tokenizer: "coco", synonyms: await readSynonyms() });
    expect(inNode.scores.meteor).toBeGreaterThan(0.3);
    expect(inBrowser).toEqual(inNode);
  } finally {
    await close();
  }
});
