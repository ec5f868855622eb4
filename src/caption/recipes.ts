import type { SceneCounts } from "../data/pictures.ts";
import type { ResNetConfig } from "../models/resnet.ts";
import type { Recipe } from "./recipe.ts";

/** A vision network that a processor trains in minutes. */
const SMALL_RESNET: ResNetConfig = { block: "basic", layers: [1, 1, 1, 1], width: 16, stem: "small", classes: 0 };

/** The embedded data set: pictures so plain that one residual block sees all there is. */
export const SCENES: Recipe = {
  seed: 1,
  size: 32,
  backbone: { block: "basic", layers: [0, 1, 0, 0], width: 16, stem: "small-stride2", classes: 0 },
  grid: 4,
  embedding: 48,
  hidden: 96,
  attention: true,
  firstCaption: 0.4,
  batchSize: 32,
  epochs: 3,
  learningRate: 7e-3,
  betas: [0.8, 0.95],
  muonRate: 0.02,
  weightDecay: 0.01,
  warmup: 0.1,
  clipNorm: 1,
  minFrequency: 1,
  maxWords: 40,
  validations: 8,
};

export const SCENE_COUNTS: SceneCounts = { train: 10_000, validation: 64, test: 300 };

/** Steps that a folder of any size is trained for, at least; a small one is seen many times. */
const FOLDER_STEPS = 150;

/** Times that each picture of a folder is seen, at least. */
const FOLDER_EPOCHS = 12;

/** Below this number of pictures, they are learned by heart: one caption each, since several would only be mixed up. */
const FEW_PICTURES = 50;

/** From this number of pictures on, words that occur only once or twice are not worth learning. */
const MANY_PICTURES = 1000;

/** People's own pictures. */
export function folderRecipe(pictures: number): Recipe {
  const batchSize = pictures < MANY_PICTURES ? 8 : 32;
  const stepsPerEpoch = Math.max(1, Math.floor(pictures / batchSize));
  return {
    ...SCENES,
    size: 64,
    backbone: { ...SMALL_RESNET, stem: "small-stride2" },
    firstCaption: pictures < FEW_PICTURES ? 1 : 0,
    batchSize,
    epochs: Math.max(FOLDER_EPOCHS, Math.ceil(FOLDER_STEPS / stepsPerEpoch)),
    minFrequency: pictures < MANY_PICTURES ? 1 : 3,
    maxWords: 60,
  };
}
