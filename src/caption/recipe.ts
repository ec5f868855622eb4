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
  /** Whether the decoder looks at the regions again before each word. */
  readonly attention: boolean;
  readonly batchSize: number;
  readonly epochs: number;
  /** Greatest learning rate of AdamW. */
  readonly learningRate: number;
  /** Decay rates of AdamW's running means. */
  readonly betas: readonly [number, number];
  /** Greatest learning rate of Muon, which then trains all convolutions; 0 leaves them to AdamW. On larger matrices its products would cost more than they save at such batch sizes. */
  readonly muonRate: number;
  readonly weightDecay: number;
  /** Share of the steps over which the learning rate rises from 0; then it falls to 0 along a cosine. */
  readonly warmup: number;
  /** Greatest norm of all gradients of AdamW together. */
  readonly clipNorm: number;
  /** Share of the steps at the beginning that use the first caption of each picture alone; then one is drawn at random. One wording first makes the picture's part easier to find. */
  readonly firstCaption: number;
  /** Words that occur less often are unknown. */
  readonly minFrequency: number;
  /** Longest caption that is learned, in words. */
  readonly maxWords: number;
  /** Times that the run is validated, evenly spread. */
  readonly validations: number;
}
