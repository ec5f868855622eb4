import { noGrad } from "../../src/autograd/tape.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { Captioner } from "../../src/caption/captioner.ts";
import { givenWords } from "../../src/caption/teller.ts";
import { readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { drawScene } from "../../src/data/scene-drawing.ts";
import { sceneAt } from "../../src/data/scenes.ts";
import { decodeImage, type Image } from "../../src/data/image.ts";
import { preprocess } from "../../src/data/preprocess.ts";
import { requestDevice } from "../../src/device/device.ts";

const SIDE = 96; // pixels of the drawn scenes: captioners make them smaller by themselves

/** What a captioner says of pictures, greedily and with a beam, and its logits along the first text. */
export interface CaptionerNumbers {
  readonly greedy: readonly string[];
  readonly beam: readonly { readonly text: string; readonly score: number }[];
  readonly logits: readonly number[];
}

/** @param weights A checkpoint: bytes in Node, an address in a browser. @param pictures Files of pictures, likewise. */
export async function captionerNumbers(weights: Uint8Array | string, pictures: readonly (Uint8Array | string)[], scenes: number): Promise<CaptionerNumbers> {
  const device = await requestDevice();
  const captioner = await Captioner.fromCheckpoint(device, readSafetensors(await bytesOf(weights), "weights"), "weights");
  const drawn = Array.from({ length: scenes }, (_, index): Image => ({ width: SIDE, height: SIDE, data: new Uint8Array(drawScene(sceneAt(1, "test", index), SIDE).buffer) }));
  const read = await Promise.all(pictures.map(async (picture, i) => decodeImage(await bytesOf(picture), `picture ${i}`)));
  const images = [...drawn, ...read];
  const greedy = await captioner.describe(images);
  const beam = (await captioner.describe(images, { beam: 3 })).map(([{ text, score }]) => ({ text, score }));

  const { model, codec, preprocessing } = captioner;
  const { size } = preprocessing;
  const words = [...givenWords(codec), ...greedy[0][0].ids];
  model.eval();
  const logits = noGrad(() => model.logits(model.see(tensor(device, preprocess(images[0], preprocessing), [1, 3, size, size])), tensor(device, Int32Array.from(words), [1, words.length])));
  const values = [...(await logits.read())];
  captioner.dispose();
  await device.close();
  return { greedy: greedy.map(([{ text }]) => text), beam, logits: values };
}

async function bytesOf(file: Uint8Array | string): Promise<Uint8Array> {
  return typeof file === "string" ? new Uint8Array(await (await fetch(file)).arrayBuffer()) : file;
}
