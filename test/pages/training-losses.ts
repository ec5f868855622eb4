import { recorded } from "../../src/autograd/recorded.ts";
import { Storyteller } from "../../src/caption/storyteller.ts";
import { Generator } from "../../src/core/rng.ts";
import { sceneSource } from "../../src/data/pictures.ts";
import { squash } from "../../src/data/preprocess.ts";
import { SCENE_WORDS } from "../../src/data/scene-grammar.ts";
import { Vocabulary } from "../../src/data/vocabulary.ts";
import { requestDevice } from "../../src/device/device.ts";
import { AdamW } from "../../src/train/adamw.ts";
import { Batches, lookAtPictures } from "../../src/train/batches.ts";

const STEPS = 4;
const SIZE = 24;

/** Losses of the first steps of a tiny captioner on scenes: the same code in Node and in a browser. */
export async function trainingLosses(): Promise<number[]> {
  const device = await requestDevice();
  const preprocessing = squash(SIZE);
  const vocabulary = new Vocabulary(["<pad>", "<start>", "<end>", "<unk>", ...SCENE_WORDS]);
  const source = sceneSource(1, { train: 16, validation: 1, test: 1 }, preprocessing);
  const batches = new Batches(source.train, {
    look: lookAtPictures(source.train, preprocessing),
    text: { codec: vocabulary, length: 24, trainsEnd: true, trainsPads: false, trainsFirst: true },
    batchSize: 8,
    firstCaptionEpochs: 0,
    seed: 1,
  });
  const model = new Storyteller({ device, generator: new Generator(5) }, {
    backbone: { block: "basic", layers: [1, 1, 0, 0], width: 8, stem: "small-stride2", classes: 0 },
    grid: 3,
    features: 0,
    attention: "dot",
    decoder: { cell: "lstm", vocabulary: vocabulary.size, embedding: 32, hidden: 32 },
  });
  const optimizer = new AdamW([{ params: model.parameters() }], { lr: 3e-3, weightDecay: 1e-4 });
  const step = recorded(device, "training step", (pictures, words, next) => {
    const loss = model.loss(model.see(pictures), words, next);
    loss.backward();
    optimizer.step({ clipNorm: 1 });
    return { loss };
  });
  const losses: number[] = [];
  for (let i = 0; i < STEPS; i++) {
    const batch = await batches.at(i);
    const { loss } = await step.run(...batch.seen, batch.words, batch.next);
    losses.push(await loss.item());
  }
  await device.close();
  return losses;
}
