/** A captioner for somebody's own pictures, made with what the package exports: bytes in, bytes out, as a page has them. */

import { expect, test } from "vitest";
import { Captioner, findPictures, MemoryFeatures, openPictures, prepareCaptioner, recipeFor, resumableRun, trainCaptioner, type CheckpointContents } from "../src/caption/index.ts";
import { readSafetensors, writeSafetensors } from "../src/checkpoint/index.ts";
import { FileListFolder } from "../src/data/index.ts";
import { useDevice } from "./device.ts";
import { writePng } from "./png-writer.ts";

const device = useDevice({ adapter: "software" });

const COLOURS = { red: [220, 30, 30], green: [30, 180, 60], blue: [30, 60, 220], white: [245, 245, 245] } as const;
const SIDE = 32;

/** Pictures of one colour, and the captions that say which. */
function someFiles(): { path: string; content: Blob }[] {
  const pictures = Object.entries(COLOURS).map(([name, colour]) => ({ path: `images/${name}.png`, content: new Blob([Uint8Array.from(writePng({ width: SIDE, height: SIDE, depth: 8, colourType: 2, pixel: () => [...colour] }))]) }));
  const captions = ["image,caption", ...Object.keys(COLOURS).map((name) => `${name}.png,A ${name} wall`)].join("\n");
  return [...pictures, { path: "captions.txt", content: new Blob([captions]) }];
}

test("pictures and captions become a checkpoint, which goes on where it stopped and speaks", async () => {
  const found = await findPictures(new FileListFolder("walls", someFiles()), "walls", undefined, 1);
  const usual = recipeFor({ system: "storyteller", recipe: "fixed", size: "tiny", pictures: found.dataset.examples.length });
  const recipe = { ...usual, training: { ...usual.training, epochs: 8, batchSize: 4, muonRate: 0 } };
  const data = await openPictures(found, recipe.picture);
  expect([data.source.train.length, data.scoredOnTraining]).toEqual([4, true]);

  const captioner = await prepareCaptioner(device(), data.source, recipe);
  const stop = new AbortController();
  let saved: Uint8Array = new Uint8Array(0);
  const save = async ({ tensors, metadata }: CheckpointContents, kind: "last" | "best"): Promise<void> => {
    if (kind === "last") saved = Buffer.concat([...writeSafetensors(tensors, { ...metadata, data: JSON.stringify(data.choice) })]);
  };
  const begun = await trainCaptioner(captioner, data.source, recipe, async () => new MemoryFeatures(), { save, signal: stop.signal, onStep: ({ step }) => step === 2 && stop.abort() });
  captioner.dispose();
  expect(begun.stopped).toBe(true);

  const run = resumableRun(readSafetensors(saved, "walls"), "walls");
  expect([run.choice, run.state.step]).toEqual([data.choice, begun.step]);
  const again = await Captioner.fromCheckpoint(device(), run.file, "walls");
  const losses: number[] = [];
  const ended = await trainCaptioner(again, data.source, run.recipe, async () => new MemoryFeatures(), { save, onStep: ({ loss }) => void losses.push(loss) }, { tensors: run.file.tensors, state: run.state });
  expect([ended.stopped, ended.step, losses.length]).toEqual([false, ended.steps, ended.steps - begun.step]);
  expect(losses.at(-1)).toBeLessThan(losses[0]);
  const [[{ text }]] = await again.describe([await data.source.train.shown(0, SIDE)]);
  expect(text.length).toBeGreaterThan(0);
  again.dispose();
});
