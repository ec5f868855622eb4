import type { HostInput } from "../core/host-tensor.ts";
import { Generator, threefry } from "../core/rng.ts";
import type { Augmentation } from "../data/augmentation.ts";
import type { Image } from "../data/image.ts";
import type { PictureSet } from "../data/pictures.ts";
import { preprocess, type Preprocessing } from "../data/preprocess.ts";
import type { TextCodec } from "../data/text-codec.ts";

/** One training step's inputs. */
export interface Batch {
  /** Pictures [B, 3, size, size] f32, or what the vision network made of them. */
  readonly seen: readonly HostInput[];
  /** The words that the decoder reads, from the start word on where it is there: [B, T] i32. */
  readonly words: HostInput;
  /** The words that it should say: [B, T] i32, {@link IGNORED} where no loss is asked for. */
  readonly next: HostInput;
}

/** What a vision network sees, or what it has made of it, for some pictures of a set; `epoch` varies the augmentation. */
export type Look = (indices: readonly number[], epoch: number) => Promise<readonly HostInput[]>;

/** How captions become words and next words. */
export interface TextOptions {
  readonly codec: TextCodec;
  /** T: words a caption, the end word included. */
  readonly length: number;
  /** Whether the end word is asked for. */
  readonly trainsEnd: boolean;
  /** Whether pads are asked for, as if each were an end word. */
  readonly trainsPads: boolean;
  /** Whether the first word is asked for, as what follows the start word; otherwise texts begin with it. */
  readonly trainsFirst: boolean;
}

export interface BatchOptions {
  readonly look: Look;
  readonly text: TextOptions;
  readonly batchSize: number;
  /** Epochs at the beginning, whole or not, that use the first caption of each picture; after them one is drawn. */
  readonly firstCaptionEpochs: number;
  readonly seed: number;
}

const ORDER_STREAM = 0x0bd0;
const CAPTION_STREAM = 0xca97;

/** Of positions that no loss is asked for; the same as in `src/models`. */
const IGNORED = -100;

/**
 * Batches of a picture set, in an order that is new in each epoch. A batch depends on its number and the seed alone,
 * so a resumed run needs no other state to continue with the same batches.
 */
export class Batches {
  readonly perEpoch: number;
  private readonly set: PictureSet;
  private readonly firstCaptionSteps: number;
  private readonly options: BatchOptions;
  private order: { epoch: number; indices: number[] } = { epoch: -1, indices: [] };

  constructor(set: PictureSet, options: BatchOptions) {
    this.set = set;
    this.options = { ...options, batchSize: Math.min(options.batchSize, set.length) };
    this.perEpoch = Math.floor(set.length / this.options.batchSize);
    this.firstCaptionSteps = Math.round(options.firstCaptionEpochs * this.perEpoch);
  }

  get batchSize(): number {
    return this.options.batchSize;
  }

  /** The pictures of a step counted from 0. What does not fill a batch is left out of the epoch. */
  indicesAt(step: number): readonly number[] {
    const { batchSize } = this.options;
    const first = (step % this.perEpoch) * batchSize;
    return this.orderOf(Math.floor(step / this.perEpoch)).slice(first, first + batchSize);
  }

  /** The batch of a step counted from 0, with one caption a picture. */
  async at(step: number): Promise<Batch> {
    const epoch = Math.floor(step / this.perEpoch);
    const indices = this.indicesAt(step);
    const captions = indices.map((index) => {
      const choices = this.set.captions(index);
      return choices[step < this.firstCaptionSteps ? 0 : threefry(this.options.seed, CAPTION_STREAM, index, epoch)[0] % choices.length];
    });
    return this.assemble(indices, captions, epoch);
  }

  /**
   * Given pictures, each with the same one of its captions at every call: the first, or one after the other of all
   * wordings.
   */
  async of(indices: readonly number[], wordings: "first" | "all"): Promise<Batch> {
    const choice = (index: number, of: number): number => (wordings === "first" ? 0 : index % of);
    return this.assemble(indices, indices.map((index) => this.set.captions(index)[choice(index, this.set.captions(index).length)]), 0);
  }

  private orderOf(epoch: number): number[] {
    if (this.order.epoch !== epoch) {
      const indices = Array.from({ length: this.set.length }, (_, i) => i);
      this.order = { epoch, indices: new Generator(this.options.seed, ORDER_STREAM + epoch).shuffle(indices) };
    }
    return this.order.indices;
  }

  private async assemble(indices: readonly number[], captions: readonly string[], epoch: number): Promise<Batch> {
    return { seen: await this.options.look(indices, epoch), ...textBatch(captions.map((caption) => this.options.text.codec.encode(caption)), this.options.text) };
  }
}

/** Words and next words of texts: [B, T] i32 each. Texts longer than T − 1 words are cut; the end word then counts as theirs. */
export function textBatch(texts: readonly (readonly number[])[], { codec, length, trainsEnd, trainsPads, trainsFirst }: TextOptions): Pick<Batch, "words" | "next"> {
  const words = new Int32Array(texts.length * length).fill(codec.pad);
  const next = new Int32Array(texts.length * length).fill(trainsPads ? codec.end : IGNORED);
  texts.forEach((text, row) => {
    const said = text.slice(0, length - 1);
    const asked = trainsEnd || trainsPads ? [...said, codec.end] : said;
    words.set(trainsFirst ? [codec.start, ...said] : said, row * length);
    next.set(trainsFirst ? asked : asked.slice(1), row * length);
  });
  const shape = [texts.length, length];
  return { words: { shape, data: words }, next: { shape, data: next } };
}

/** Normalised pictures, one after the other: [B, 3, size, size] f32. */
export async function pictureBatch(set: PictureSet, indices: readonly number[], preprocessing: Preprocessing, change: (image: Image, index: number) => Image = (image) => image): Promise<HostInput> {
  const { size } = preprocessing;
  const fitted: Preprocessing = { size, resize: "squash", filter: preprocessing.filter, mean: preprocessing.mean, std: preprocessing.std };
  const data = new Float32Array(indices.length * 3 * size * size);
  for (const [row, index] of indices.entries()) data.set(preprocess(change(await set.fitted(index), index), fitted), row * 3 * size * size);
  return { shape: [indices.length, 3, size, size], data };
}

/** Looks at the pictures of a set themselves. @param augmentation Changes that depend on seed, epoch and picture; null for none. */
export function lookAtPictures(set: PictureSet, preprocessing: Preprocessing, augmentation: Augmentation | null = null, seed = 0): Look {
  if (augmentation === null) return async (indices) => [await pictureBatch(set, indices, preprocessing)];
  return async (indices, epoch) => {
    const { augment } = await import("../data/augment.ts");
    return [await pictureBatch(set, indices, preprocessing, (image, index) => augment(image, augmentation, { seed, epoch, index }))];
  };
}
