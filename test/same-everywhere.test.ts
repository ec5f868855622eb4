import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SYSTEMS, type SystemName } from "../src/caption/systems.ts";
import { openModule, type ModulePage } from "./browser.ts";
import { inBrowsers } from "./browsers.ts";
import { captionerNumbers, type CaptionerNumbers } from "./pages/captioner-numbers.ts";

declare const exported: typeof import("./pages/captioner-numbers.ts");

const SCENES = 6;
const PICTURES = ["test/golden/images/420-40x32-quality20.jpg", "test/golden/images/411-61x7.jpg"] as const;

/** In logits; what differs is the order of sums in each driver's kernels and its approximation of exp and tanh. */
const TOLERANCE = 1e-4;

const weightsOf = (system: SystemName): string => `weights/${system}-scenes.safetensors`;
const file = (path: string): { type: string; body: Uint8Array } => ({ type: "application/octet-stream", body: readFileSync(path) });
const FILES = Object.fromEntries([...SYSTEMS.map(weightsOf), ...PICTURES].map((path) => [`/${basename(path)}`, file(path)]));

const inNode = new Map<SystemName, CaptionerNumbers>();
beforeAll(async () => {
  for (const system of SYSTEMS) inNode.set(system, await captionerNumbers(readFileSync(weightsOf(system)), PICTURES.map((path) => readFileSync(path)), SCENES));
}, 240_000);

inBrowsers("the five captioners say what they say in Node", ({ open }) => {
  let page: ModulePage;
  beforeAll(async () => void (page = await openModule("captioner-numbers.ts", FILES, open)));
  afterAll(async () => page?.close());

  test.each(SYSTEMS)("%s", async (system) => {
    const got = await page.page.evaluate((weights, pictures, scenes) => exported.captionerNumbers(weights, pictures, scenes), `/${basename(weightsOf(system))}`, PICTURES.map((path) => `/${basename(path)}`), SCENES);
    const expected = inNode.get(system)!;
    expect(page.problems).toEqual([]);
    expect(got.greedy).toEqual(expected.greedy);
    expect(got.beam.map(({ text }) => text)).toEqual(expected.beam.map(({ text }) => text));
    const differences = [got.logits.map((value, i) => Math.abs(value - expected.logits[i])), got.beam.map(({ score }, i) => Math.abs(score - expected.beam[i].score))].map((all) => Math.max(...all));
    expect(got.logits.length).toBe(expected.logits.length);
    for (const difference of differences) expect(difference).toBeLessThanOrEqual(TOLERANCE);
    console.log(`${system}: logits differ by at most ${differences[0].toExponential(1)}`);
  });
});
