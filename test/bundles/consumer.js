// A program that uses the package as its users do: the same in Node, on a page and in a worker. It trains a small classifier and captions a drawn scene.
import { crossEntropy, Generator, recorded, relu, requestDevice } from "sightline";
import { Captioner } from "sightline/caption";
import { readSafetensors } from "sightline/checkpoint";
import { sceneSource } from "sightline/data";
import { bleu } from "sightline/metrics";
import { RESNET } from "sightline/models";
import { Linear } from "sightline/nn";
import { AdamW } from "sightline/train";

/** @param weights Bytes of a checkpoint. */
export async function numbers(weights) {
  const device = await requestDevice();
  const losses = await train(device);
  const captioner = await Captioner.fromCheckpoint(device, readSafetensors(weights, "weights"), "weights");
  const scenes = sceneSource(1, { train: 1, validation: 1, test: 2 }, captioner.preprocessing).test;
  const captions = await captioner.describe([await scenes.fitted(0), await scenes.fitted(1)]);
  captioner.dispose();
  await device.close();
  const texts = captions.map(([{ text }]) => text);
  const words = texts.map((text) => text.split(" "));
  return { losses, texts, bleu: bleu(words, words.map((said) => [said])).scores[0], layers: RESNET.resnet18.layers };
}

/** Losses of eight steps on points inside and outside of a circle. */
async function train(device) {
  const generator = new Generator(1);
  const [hidden, output] = [new Linear({ device, generator }, 2, 16), new Linear({ device, generator }, 16, 2)];
  const optimizer = new AdamW([{ params: [...hidden.parameters(), ...output.parameters()] }], { lr: 0.05 });
  const step = recorded(device, "step", (x, target) => {
    const loss = crossEntropy(output.forward(relu(hidden.forward(x))), target);
    loss.backward();
    optimizer.step();
    return { loss };
  });
  const data = Float32Array.from({ length: 128 }, () => 2 * generator.uniform() - 1);
  const target = Int32Array.from({ length: 64 }, (_, i) => (Math.hypot(data[2 * i], data[2 * i + 1]) < 0.7 ? 1 : 0));
  const losses = [];
  for (let i = 0; i < 8; i++) losses.push(await (await step.run({ shape: [64, 2], data }, { shape: [64], data: target })).loss.item());
  return losses;
}
