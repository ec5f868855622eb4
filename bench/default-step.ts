import type { RecordedStep } from "../src/autograd/recorded.ts";
import type { Tensor } from "../src/autograd/tensor.ts";
import type { Captioner } from "../src/caption/captioner.ts";
import { SCENE_COUNTS, SCENES } from "../src/caption/recipes.ts";
import { RunOptimizers } from "../src/caption/optimizers.ts";
import { makeCaptioner, trainingStep } from "../src/caption/training.ts";
import type { Image } from "../src/data/image.ts";
import { sceneSource } from "../src/data/pictures.ts";
import { squash } from "../src/data/preprocess.ts";
import type { Device } from "../src/device/device.ts";
import { Batches, type Batch } from "../src/train/batches.ts";

/** The default recipe at its first batch: what `npm run train` repeats. */
export interface DefaultStep extends Disposable {
  readonly captioner: Captioner;
  readonly step: RecordedStep<{ loss: Tensor; gradientNorm: Tensor }>;
  readonly batch: Batch;
  /** A picture of the test set. */
  readonly picture: Image;
}

export async function defaultStep(device: Device): Promise<DefaultStep> {
  const source = sceneSource(SCENES.seed, SCENE_COUNTS, squash(SCENES.size));
  const captioner = makeCaptioner(device, source, SCENES);
  const { model, vocabulary, preprocessing, config } = captioner;
  const optimizer = new RunOptimizers(model, SCENES);
  const step = trainingStep(device, model, optimizer, SCENES);
  const batches = new Batches(source.train, { preprocessing, vocabulary, batchSize: SCENES.batchSize, length: config.maxLength, firstCaptionEpochs: 0, seed: SCENES.seed });
  return {
    captioner,
    step,
    batch: await batches.at(0),
    picture: await source.test.fitted(0),
    [Symbol.dispose]() {
      step.dispose();
      optimizer.dispose();
      captioner.dispose();
    },
  };
}
