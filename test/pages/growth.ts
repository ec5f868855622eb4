import { Captioner } from "../../src/caption/captioner.ts";
import { MemoryFeatures } from "../../src/caption/features.ts";
import { prepareCaptioner } from "../../src/caption/prepare.ts";
import { recipeFor } from "../../src/caption/recipes.ts";
import { trainCaptioner } from "../../src/caption/training.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { sceneSource } from "../../src/data/pictures.ts";
import { drawScene } from "../../src/data/scene-drawing.ts";
import { sceneAt } from "../../src/data/scenes.ts";
import type { MemoryReport } from "../../src/device/buffers.ts";
import { requestDevice } from "../../src/device/device.ts";

const SIDE = 64; // pixels of the pictures that are captioned
const BATCH = 4; // pictures of a training step
const SCENES = 40; // to train on: all of them are drawn before the first rest, and kept

/** Called after some of the work, with what lives on the device: the place to measure the heap. */
export type OnRest = (memory: MemoryReport) => Promise<void>;

/** Captions pictures one by one, and rests after each of the given numbers of them. */
export async function captionMany(weights: Uint8Array, rests: readonly number[], onRest: OnRest): Promise<void> {
  const device = await requestDevice();
  const captioner = await Captioner.fromCheckpoint(device, readSafetensors(weights, "weights"), "weights");
  for (let told = 1; told <= rests.at(-1)!; told++) {
    await captioner.describe([{ width: SIDE, height: SIDE, data: new Uint8Array(drawScene(sceneAt(1, "test", told), SIDE).buffer) }]);
    if (rests.includes(told)) await onRest(device.memory());
  }
  await device.close();
}

/** Trains the default captioner on scenes in small batches, and rests after each of the given numbers of steps; the validation comes after the last. */
export async function trainMany(rests: readonly number[], onRest: OnRest): Promise<void> {
  const device = await requestDevice();
  const base = recipeFor({ system: "storyteller", recipe: "fixed", size: "tiny", pictures: null });
  const recipe = { ...base, training: { ...base.training, epochs: 1 + (rests.at(-1)! * BATCH) / SCENES, batchSize: BATCH, validations: 1 } };
  const source = sceneSource(1, { train: SCENES, validation: BATCH, test: 1 }, recipe.picture);
  const captioner = await prepareCaptioner(device, source, recipe);
  let resting = Promise.resolve();
  const train = { ...source.train, fitted: async (index: number) => (await resting, source.train.fitted(index)) }; // no step begins while memory is measured
  const rest = async (): Promise<void> => (await device.idle(), onRest(device.memory()));
  await trainCaptioner(captioner, { ...source, train }, recipe, async () => new MemoryFeatures(), { onStep: ({ step }) => void (rests.includes(step) && (resting = rest())) });
  await resting;
  await device.close();
}
