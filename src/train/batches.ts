import type { HostInput } from "../core/host-tensor.ts";
import { Generator, threefry } from "../core/rng.ts";
import type { PictureSet } from "../data/pictures.ts";
import { preprocess, type Preprocessing } from "../data/preprocess.ts";
import { PAD, type Vocabulary } from "../data/vocabulary.ts";

/** One training step's inputs. */
export interface Batch {
  /** [B, 3, size, size] f32 */
  readonly pictures: HostInput;
  /** The words that the decoder reads, from the start word on: [B, T] i32. */
  readonly words: HostInput;
  /** The words that it should say: [B, T] i32, padded. */
  readonly next: HostInput;
}

export interface BatchOptions {
  readonly preprocessing: Preprocessing;
  readonly vocabulary: Vocabulary;
  readonly batchSize: number;
  /** T: words a caption, the end word included. */
  readonly length: number;
  /** Epochs at the beginning, whole or not, that use the first caption of each picture; after them one is drawn. */
  readonly firstCaptionEpochs: number;
  readonly seed: number;
}

const ORDER_STREAM = 0x0bd0;
const CAPTION_STREAM = 0xca97;

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

  /** The batch of a step counted from 0, with one caption a picture. What does not fill a batch is left out of the epoch. */
  async at(step: number): Promise<Batch> {
    const { batchSize, seed } = this.options;
    const epoch = Math.floor(step / this.perEpoch);
    const first = (step % this.perEpoch) * batchSize;
    const indices = this.orderOf(epoch).slice(first, first + batchSize);
    const captions = indices.map((index) => {
      const choices = this.set.captions(index);
      return choices[step < this.firstCaptionSteps ? 0 : threefry(seed, CAPTION_STREAM, index, epoch)[0] % choices.length];
    });
    return this.assemble(indices, captions);
  }

  /**
   * Given pictures, each with the same one of its captions at every call: the first, or one after the other of all
   * wordings.
   */
  async of(indices: readonly number[], wordings: "first" | "all"): Promise<Batch> {
    const choice = (index: number, of: number): number => (wordings === "first" ? 0 : index % of);
    return this.assemble(indices, indices.map((index) => this.set.captions(index)[choice(index, this.set.captions(index).length)]));
  }

  private orderOf(epoch: number): number[] {
    if (this.order.epoch !== epoch) {
      const indices = Array.from({ length: this.set.length }, (_, i) => i);
      this.order = { epoch, indices: new Generator(this.options.seed, ORDER_STREAM + epoch).shuffle(indices) };
    }
    return this.order.indices;
  }

  private async assemble(indices: readonly number[], captions: readonly string[]): Promise<Batch> {
    const { vocabulary, length } = this.options;
    const words = new Int32Array(indices.length * length).fill(PAD);
    const next = new Int32Array(indices.length * length).fill(PAD);
    captions.forEach((caption, row) => {
      const ids = vocabulary.encode(caption, length + 1);
      words.set(ids.slice(0, -1), row * length);
      next.set(ids.slice(1), row * length);
    });
    const shape = [indices.length, length];
    return { pictures: await pictureBatch(this.set, indices, this.options.preprocessing), words: { shape, data: words }, next: { shape, data: next } };
  }
}

/** Normalised pictures, one after the other: [B, 3, size, size] f32. */
export async function pictureBatch(set: PictureSet, indices: readonly number[], preprocessing: Preprocessing): Promise<HostInput> {
  const { size } = preprocessing;
  const fitted: Preprocessing = { size, resize: "squash", filter: preprocessing.filter, mean: preprocessing.mean, std: preprocessing.std };
  const data = new Float32Array(indices.length * 3 * size * size);
  for (const [row, index] of indices.entries()) data.set(preprocess(await set.fitted(index), fitted), row * 3 * size * size);
  return { shape: [indices.length, 3, size, size], data };
}
