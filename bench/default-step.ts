import type { Captioner } from "../src/caption/captioner.ts";
import { RunOptimizers } from "../src/caption/optimizers.ts";
import { prepareCaptioner } from "../src/caption/prepare.ts";
import { recipeFor, SCENE_COUNTS } from "../src/caption/recipes.ts";
import { TrainingStep, type StepInputs } from "../src/caption/training-step.ts";
import type { Image } from "../src/data/image.ts";
import { sceneSource } from "../src/data/pictures.ts";
import type { Device } from "../src/device/device.ts";
import { Batches, lookAtPictures } from "../src/train/batches.ts";

/** The default recipe at its first batch: what `npm run train` repeats. */
export interface DefaultStep extends Disposable {
  readonly captioner: Captioner;
  readonly step: TrainingStep;
  readonly batch: StepInputs;
  /** A picture of the test set. */
  readonly picture: Image;
}

export async function defaultStep(device: Device): Promise<DefaultStep> {
  const recipe = recipeFor({ system: "storyteller", recipe: "fixed", size: "tiny", pictures: null });
  const source = sceneSource(recipe.seed, SCENE_COUNTS, recipe.picture);
  const captioner = await prepareCaptioner(device, source, recipe);
  const { model, codec, preprocessing, config } = captioner;
  const optimizer = new RunOptimizers(model, recipe);
  const step = new TrainingStep(device, model, optimizer, recipe);
  const text = { codec, length: config.maxLength, ...recipe.text };
  const batches = new Batches(source.train, { look: lookAtPictures(source.train, preprocessing), text, batchSize: recipe.training.batchSize, firstCaptionEpochs: 0, seed: recipe.seed });
  const { seen, words, next } = await batches.at(0);
  return {
    captioner,
    step,
    batch: { seen, texts: [words, next] },
    picture: await source.test.fitted(0),
    [Symbol.dispose]() {
      step.dispose();
      optimizer.dispose();
      captioner.dispose();
    },
  };
}
