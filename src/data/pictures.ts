import { InputError } from "../core/errors.ts";
import type { CaptionDataset, DatasetExample } from "./dataset.ts";
import type { Image } from "./image.ts";
import { splitTag, tagOf } from "./language-tag.ts";
import { fit, requireSquare, type Preprocessing } from "./preprocess.ts";
import { resize } from "./resize.ts";
import { drawScene } from "./scene-drawing.ts";
import { captionsOf, parseCaption, parseStory, sameFacts, storiesOf, taggedCaption, type Language, type SceneText } from "./scene-grammar.ts";
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
  /** Whether a text states all facts of the scene and no others, in the language of its tag or, without one, in any that the set has. */
  right(index: number, text: string): boolean;
}

export interface SceneOptions {
  /** Default: English. Where there are several, each picture has captions in all of them, with the language's tag before each. */
  readonly languages?: readonly Language[];
  /** Default: one sentence. */
  readonly text?: SceneText;
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

/** The embedded data set, drawn when asked for. @throws InputError if the preprocessing gives pictures of any shape, or there is no language. */
export function sceneSource(seed: number, counts: SceneCounts, preprocessing: Preprocessing, { languages = ["en"], text = "caption" }: SceneOptions = {}): SceneSource {
  requireSquare(preprocessing, "sceneSource");
  if (languages.length === 0) throw new InputError("sceneSource: there must be at least 1 language; got 0", "leave the option out for English");
  const set = (split: SceneSplit): SceneSet => sceneSet(seed, split, counts[split], preprocessing.size, { languages, text });
  return { name: `scenes (seed ${seed})`, train: set("train"), validation: set("validation"), test: set("test") };
}

function sceneSet(seed: number, split: SceneSplit, length: number, size: number, { languages, text }: Required<SceneOptions>): SceneSet {
  const scene = cached((index) => sceneAt(seed, split, index), MAX_KEPT_SCENES);
  const draw = (index: number, side: number): Image => ({ width: side, height: side, data: new Uint8Array(drawScene(scene(index), side).buffer) });
  const fitted = cached(async (index) => draw(index, size), Math.floor(MAX_KEPT_BYTES / (size * size * 3)));
  const [write, read] = text === "story" ? [storiesOf, parseStory] : [captionsOf, parseCaption];
  return {
    length,
    scene,
    name: (index) => `${split} scene ${index}`,
    captions: (index) => {
      if (languages.length === 1) return write(scene(index), languages[0]);
      return languages.flatMap((language) => write(scene(index), language).map((said) => taggedCaption(said, language)));
    },
    right: (index, said) => {
      const { tag, rest } = splitTag(said);
      return languages.some((language) => {
        const facts = tag === undefined || tag === tagOf(language) ? read(rest, language) : null;
        return facts !== null && sameFacts(facts, scene(index));
      });
    },
    fitted,
    shown: async (index, side) => draw(index, side),
  };
}

/**
 * The pictures of a folder. Each is decoded once, here, so that what cannot be is left out, with a warning of the data set,
 * before anything is counted on it. At the model's size the first 256 MiB are kept; the others are decoded anew whenever
 * they are asked for, so that a folder may be of any size.
 *
 * No note of this pass is kept on disk: it takes as long as an epoch's reading does, and what it decodes serves the first one;
 * a note would have to be thrown away with every change of a picture or of the decoder.
 * @param everything Train on all pictures, and validate and test on the same ones: for folders too small to hold any back.
 * @param keptBytes Of fitted pictures in memory. Default 256 MiB.
 * @throws InputError if nothing is left to train on, or the preprocessing gives pictures of any shape.
 */
export async function folderSource(
  dataset: CaptionDataset,
  preprocessing: Preprocessing,
  everything: boolean,
  onProgress?: (done: number, total: number) => void,
  keptBytes = MAX_KEPT_BYTES,
): Promise<PictureSource> {
  requireSquare(preprocessing, "folderSource");
  const most = Math.floor(keptBytes / (preprocessing.size ** 2 * 3));
  const kept = new Map<string, Image>();
  const decodable = new Set<string>();
  for await (const { example, image } of dataset.decoded()) {
    decodable.add(example.image);
    if (kept.size < most) kept.set(example.image, fit(image, preprocessing));
    onProgress?.(decodable.size, dataset.examples.length);
  }
  onProgress?.(dataset.examples.length, dataset.examples.length); // with those left out
  const set = (examples: readonly DatasetExample[]): PictureSet => {
    const sound = examples.filter(({ image }) => decodable.has(image));
    return {
      length: sound.length,
      name: (index) => sound[index].image,
      captions: (index) => sound[index].captions,
      fitted: async (index) => kept.get(sound[index].image) ?? fit(await dataset.load(sound[index]), preprocessing),
      shown: async (index, size) => within(await dataset.load(sound[index]), size),
    };
  };
  const train = set(everything ? dataset.examples : dataset.split("train"));
  if (train.length === 0) throw new InputError(`${dataset.source}: no picture is left to train on`, "mark some as train, or train on all with --hold-out 0");
  const [val, held] = everything ? [train, train] : [set(dataset.split("val")), set(dataset.split("test"))];
  const firstOf = (...sets: readonly PictureSet[]): PictureSet => sets.find(({ length }) => length > 0) ?? train;
  // Where one of them is empty, the other serves for both: COCO's test pictures have no captions.
  const [validation, test] = [firstOf(val, held), firstOf(held, val)];
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
