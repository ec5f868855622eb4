import { expect } from "vitest";
import { Captioner } from "../src/caption/captioner.ts";
import { ratesAt } from "../src/caption/adapt-recipe.ts";
import { openScenes, scenesChoice } from "../src/caption/data-choice.ts";
import { MemoryFeatures } from "../src/caption/features.ts";
import { prepareCaptioner } from "../src/caption/prepare.ts";
import { readRecipe } from "../src/caption/recipe.ts";
import { recipeFor } from "../src/caption/recipes.ts";
import { resumableRun } from "../src/caption/resume.ts";
import { trainCaptioner, type CheckpointContents } from "../src/caption/training.ts";
import { writeSafetensors, type SafetensorsFile } from "../src/checkpoint/safetensors.ts";
import type { RunRequest } from "../src/demo/training/service.ts";
import type { Device } from "../src/device/device.ts";

/** Steps of {@link SHORT_RUN}. */
export const STEPS = 30;

const RUN = { scenes: 80, epochs: 3, batchSize: 8, learningRate: 5e-3, seed: 3 } as const;

/** A short run on scenes, as the demo page is asked for it. */
export const SHORT_RUN = {
  data: { kind: "scenes", train: RUN.scenes, languages: ["en"], text: "caption" },
  system: "storyteller",
  size: "tiny",
  settings: { epochs: RUN.epochs, batchSize: RUN.batchSize, learningRate: RUN.learningRate, seed: RUN.seed },
} satisfies RunRequest;

/** Losses by step. */
export type Trail = readonly (readonly [step: number, loss: number])[];

/** {@link SHORT_RUN} in Node: from the beginning, or from a checkpoint. */
export async function trainInNode(device: Device, from?: SafetensorsFile, stopAt = Infinity): Promise<{ readonly trail: Trail; readonly last: Buffer }> {
  const usual = recipeFor({ system: "storyteller", recipe: "fixed", size: "tiny", pictures: null, languages: 1, text: "caption" });
  const recipe = readRecipe({ ...usual, seed: RUN.seed, training: { ...usual.training, ...ratesAt(RUN.learningRate, usual.training), epochs: RUN.epochs, batchSize: RUN.batchSize } }, "");
  const choice = scenesChoice(RUN.seed, RUN.scenes, ["en"], "caption");
  const resumed = from && resumableRun(from, "last.safetensors");
  if (resumed !== undefined) expect([resumed.recipe, resumed.choice]).toEqual([recipe, choice]); // as the command line would write them
  const { source } = openScenes(choice, recipe.picture);
  const captioner = resumed === undefined ? await prepareCaptioner(device, source, recipe) : await Captioner.fromCheckpoint(device, resumed.file, "last");
  const stop = new AbortController();
  const trail: [number, number][] = [];
  let last: CheckpointContents | undefined;
  await trainCaptioner(captioner, source, recipe, async () => new MemoryFeatures(), {
    signal: stop.signal,
    onStep: ({ step, loss }) => {
      trail.push([step, loss]);
      if (step >= stopAt) stop.abort();
    },
    save: async (contents, kind) => {
      if (kind === "last") last = contents;
    },
  }, resumed && { tensors: resumed.file.tensors, state: resumed.state });
  captioner.dispose();
  return { trail, last: Buffer.concat(writeSafetensors(last!.tensors, { ...last!.metadata, data: JSON.stringify(choice) })) };
}

/** @param tolerance Of a loss. */
export function expectSame(trail: Trail, expected: Trail, tolerance: number): void {
  expect(trail.map(([step]) => step)).toEqual(expected.map(([step]) => step));
  for (const [i, [step, loss]] of trail.entries()) expect(Math.abs(loss - expected[i][1]), `step ${step}`).toBeLessThan(tolerance);
}
