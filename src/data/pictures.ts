import { InputError } from "../core/errors.ts";
import type { CaptionDataset, DatasetExample } from "./dataset.ts";
import type { Image } from "./image.ts";
import { fit, requireSquare, type Preprocessing } from "./preprocess.ts";
import { resize } from "./resize.ts";
import { drawScene } from "./scene-drawing.ts";
import { captionsOf } from "./scene-grammar.ts";
import { sceneAt, type Scene, type SceneSplit } from "./scenes.ts";

/** Captioned pictures that can be read again and again, in any order. */
export interface PictureSet {
  readonly length: number;
  /** How people find the picture again: a file name, or a scene's place. */
  name(index: number): string;
  captions(index: number): readonly string[];
  /** The picture as the model sees it before normalisation. */
  fitted(index: number): Promise<Image>;
  /** The picture as people should see it, the longer side at most `size` pixels. */
  shown(index: number, size: number): Promise<Image>;
}

/** Pictures to train on, to validate with and to test with. */
export interface PictureSource {
  /** What it is, for reports. */
  readonly name: string;
  readonly train: PictureSet;
  readonly validation: PictureSet;
  readonly test: PictureSet;
}

/** A {@link PictureSet} of scenes, whose facts are known. */
export interface SceneSet extends PictureSet {
  scene(index: number): Scene;
}

export interface SceneSource extends PictureSource {
  readonly test: SceneSet;
}

/** How many scenes of each split a run uses. */
export interface SceneCounts {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

/** Scenes and drawn pictures that are kept for the next epoch; what is beyond is drawn anew. */
const MAX_KEPT_SCENES = 100_000;
const MAX_KEPT_BYTES = 256 * 2 ** 20;

/** The embedded data set, drawn when asked for. @throws InputError if the preprocessing gives pictures of any shape. */
export function sceneSource(seed: number, counts: SceneCounts, preprocessing: Preprocessing): SceneSource {
  requireSquare(preprocessing, "sceneSource");
  const { size } = preprocessing;
  return {
    name: `scenes (seed ${seed})`,
    train: sceneSet(seed, "train", counts.train, size),
    validation: sceneSet(seed, "validation", counts.validation, size),
    test: sceneSet(seed, "test", counts.test, size),
  };
}

function sceneSet(seed: number, split: SceneSplit, length: number, size: number): SceneSet {
  const scene = cached((index) => sceneAt(seed, split, index), MAX_KEPT_SCENES);
  const draw = (index: number, side: number): Image => ({ width: side, height: side, data: new Uint8Array(drawScene(scene(index), side).buffer) });
  const fitted = cached(async (index) => draw(index, size), Math.floor(MAX_KEPT_BYTES / (size * size * 3)));
  return {
    length,
    scene,
    name: (index) => `${split} scene ${index}`,
    captions: (index) => captionsOf(scene(index)),
    fitted,
    shown: async (index, side) => draw(index, side),
  };
}

/**
 * The pictures of a folder. Each is decoded and fitted once, here, and kept at the model's size, so that training reads
 * no file; what cannot be decoded is left out, with a warning of the data set.
 * @param everything Train on all pictures, and validate and test on the same ones: for folders too small to hold any back.
 * @throws InputError if nothing is left to train on, or the preprocessing gives pictures of any shape.
 */
export async function folderSource(dataset: CaptionDataset, preprocessing: Preprocessing, everything: boolean, onProgress?: (done: number, total: number) => void): Promise<PictureSource> {
  requireSquare(preprocessing, "folderSource");
  const fitted = new Map<string, Image>();
  for await (const { example, image } of dataset.decoded()) {
    fitted.set(example.image, fit(image, preprocessing));
    onProgress?.(fitted.size, dataset.examples.length);
  }
  const set = (examples: readonly DatasetExample[]): PictureSet => {
    const sound = examples.filter(({ image }) => fitted.has(image));
    return {
      length: sound.length,
      name: (index) => sound[index].image,
      captions: (index) => sound[index].captions,
      fitted: async (index) => fitted.get(sound[index].image)!,
      shown: async (index, size) => within(await dataset.load(sound[index]), size),
    };
  };
  const train = set(everything ? dataset.examples : dataset.split("train"));
  if (train.length === 0) throw new InputError(`${dataset.source}: no picture is left to train on`, "mark some as train, or train on all with --hold-out 0");
  const held = (split: "val" | "test"): PictureSet => {
    const some = set(dataset.split(split));
    return everything || some.length === 0 ? train : some;
  };
  const test = held("test");
  const validation = dataset.split("val").length === 0 ? test : held("val");
  return { name: dataset.source, train, validation, test };
}

/** A picture scaled down so that its longer side has at most `size` pixels. */
function within(image: Image, size: number): Image {
  const scale = Math.min(1, size / Math.max(image.width, image.height));
  const scaled = (length: number): number => Math.max(1, Math.round(length * scale));
  return scale === 1 ? image : resize(image, scaled(image.width), scaled(image.height), "bilinear");
}

/** Remembers what a function of an index gave, for the first `most` indices that are asked for. */
function cached<T>(compute: (index: number) => T, most: number): (index: number) => T {
  const known = new Map<number, T>();
  return (index) => {
    let value = known.get(index);
    if (value === undefined) {
      value = compute(index);
      if (known.size < most) known.set(index, value);
    }
    return value;
  };
}
