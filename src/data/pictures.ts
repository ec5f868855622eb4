import { InputError } from "../core/errors.ts";
import type { CaptionDataset, DatasetExample } from "./dataset.ts";
import type { Image } from "./image.ts";
import { fit, type Preprocessing } from "./preprocess.ts";
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
  /** The picture as people should see it, about `size` pixels wide. */
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

/** The embedded data set, drawn when asked for. */
export function sceneSource(seed: number, counts: SceneCounts, { size }: Preprocessing): SceneSource {
  return {
    name: `scenes (seed ${seed})`,
    train: sceneSet(seed, "train", counts.train, size),
    validation: sceneSet(seed, "validation", counts.validation, size),
    test: sceneSet(seed, "test", counts.test, size),
  };
}

function sceneSet(seed: number, split: SceneSplit, length: number, size: number): SceneSet {
  const scene = cached((index) => sceneAt(seed, split, index));
  const draw = (index: number, side: number): Image => ({ width: side, height: side, data: new Uint8Array(drawScene(scene(index), side).buffer) });
  const fitted = cached(async (index) => draw(index, size));
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
 * The pictures of a folder. Each is decoded and fitted once and kept at the model's size, so that a later epoch reads
 * no file.
 * @param everything Train on all pictures, and validate and test on the same ones: for folders too small to hold any back.
 * @throws InputError if nothing is left to train on.
 */
export function folderSource(dataset: CaptionDataset, preprocessing: Preprocessing, everything: boolean): PictureSource {
  const set = (examples: readonly DatasetExample[]): PictureSet => ({
    length: examples.length,
    name: (index) => examples[index].image,
    captions: (index) => examples[index].captions,
    fitted: cached(async (index) => fit(await dataset.load(examples[index]), preprocessing)),
    shown: async (index) => dataset.load(examples[index]),
  });
  const train = set(everything ? dataset.examples : dataset.split("train"));
  if (train.length === 0) throw new InputError(`${dataset.source}: no picture is left to train on`, "mark some as train, or train on all with --hold-out 0");
  const held = (split: "val" | "test"): PictureSet => {
    const examples = dataset.split(split);
    return everything || examples.length === 0 ? train : set(examples);
  };
  const test = held("test");
  const validation = dataset.split("val").length === 0 ? test : held("val");
  return { name: dataset.source, train, validation, test };
}

/** Remembers what a function of an index gave. */
function cached<T>(compute: (index: number) => T): (index: number) => T {
  const known = new Map<number, T>();
  return (index) => {
    let value = known.get(index);
    if (value === undefined) known.set(index, (value = compute(index)));
    return value;
  };
}
