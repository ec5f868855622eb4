import type { SceneCounts } from "../data/pictures.ts";
import type { ResNetConfig } from "../models/resnet.ts";
import type { Recipe } from "./recipe.ts";

/** A vision network that a processor trains in minutes. */
const SMALL_RESNET: ResNetConfig = { block: "basic", layers: [1, 1, 1, 1], width: 16, stem: "small", classes: 0 };

/** The embedded data set. */
export const SCENES: Recipe = {
  seed: 1,
  size: 48,
  backbone: SMALL_RESNET,
  grid: 3,
  embedding: 64,
  hidden: 160,
  batchSize: 32,
  epochs: 10,
  learningRate: 3e-3,
  weightDecay: 1e-4,
  warmup: 0.05,
  clipNorm: 1,
  minFrequency: 1,
  maxWords: 40,
  validations: 10,
};

export const SCENE_COUNTS: SceneCounts = { train: 3000, validation: 64, test: 300 };

/** Steps that a folder of any size is trained for, at least; a small one is seen many times. */
const FOLDER_STEPS = 360;

/** Times that each picture of a folder is seen, at least. */
const FOLDER_EPOCHS = 12;

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
    batchSize,
    epochs: Math.max(FOLDER_EPOCHS, Math.ceil(FOLDER_STEPS / stepsPerEpoch)),
    minFrequency: pictures < MANY_PICTURES ? 1 : 3,
    maxWords: 60,
  };
}
