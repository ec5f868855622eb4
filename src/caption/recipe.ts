import type { ResNetConfig } from "../models/resnet.ts";

/** All that decides a training run, beside the pictures: kept in the checkpoint, so that a run can be repeated. */
export interface Recipe {
  /** Decides initial weights, order of the pictures and choice of their captions. */
  readonly seed: number;
  /** Side of the pictures that the model sees, pixels. */
  readonly size: number;
  readonly backbone: ResNetConfig;
  /** The last feature map is averaged over grid × grid regions. */
  readonly grid: number;
  readonly embedding: number;
  readonly hidden: number;
  readonly batchSize: number;
  readonly epochs: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Share of the steps over which the learning rate rises from 0; then it falls to 0 along a cosine. */
  readonly warmup: number;
  /** Greatest norm of all gradients together. */
  readonly clipNorm: number;
  /** Words that occur less often are unknown. */
  readonly minFrequency: number;
  /** Longest caption that is learned, in words. */
  readonly maxWords: number;
  /** Times that the run is validated, evenly spread. */
  readonly validations: number;
}
