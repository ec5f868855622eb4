import { zeros, type Tensor } from "../autograd/tensor.ts";
import { concat, reshape, slice } from "../autograd/ops/index.ts";
import { RecurrentDecoder, type DecoderOutputs, type DecoderState, type RecurrentDecoderConfig } from "../models/lstm.ts";
import { attentionOptions, type AttentionChoice } from "../models/region-attention.ts";
import { ResNet, type ResNetConfig } from "../models/resnet.ts";
import { Linear, type Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { BatchNorm1d } from "../nn/norm.ts";
import type { CaptionModel } from "./caption-model.ts";
import { recurrentLoss, recurrentText, regionsOf } from "./recurrent-text.ts";
import type { TextModel } from "./text-model.ts";

/** The system `encdec`: a ResNet's summary of the picture stands before the words of a recurrent decoder. */
export interface EncDecConfig {
  readonly encoder: ResNetConfig;
  /** The last feature map is averaged over grid × grid regions. Default 1, as published, which forgets where things are. */
  readonly grid?: number;
  /** How the decoder looks at the regions again before each word; null, as published and by default, if it doesn't. */
  readonly attention?: AttentionChoice | null;
  readonly decoder: Omit<RecurrentDecoderConfig, "attention">;
}

const MOMENTUM = 0.01; // of the summary's batch norm

/** Pictures [B, 3, H, W] and words → logits, loss or texts. Fields as in the published checkpoints. */
export class EncDec extends Module implements CaptionModel {
  readonly body: ResNet;
  readonly linear: Linear;
  readonly bn: BatchNorm1d;
  readonly decoder: RecurrentDecoder;
  private readonly hidden: number;
  private readonly grid: number;
  private readonly coverage: number;

  constructor(builder: Builder, { encoder, grid = 1, attention = null, decoder }: EncDecConfig) {
    super();
    this.body = new ResNet(builder, encoder);
    const { channels } = this.body;
    const regions = attention && { ...attentionOptions(attention), regions: grid ** 2, channels };
    this.linear = new Linear(builder, channels * grid ** 2, decoder.embedding);
    this.bn = new BatchNorm1d(builder, decoder.embedding, { momentum: MOMENTUM });
    this.decoder = new RecurrentDecoder(builder, { ...decoder, attention: regions });
    this.hidden = decoder.hidden;
    this.grid = grid;
    this.coverage = regions?.coverage ?? 0;
  }

  get vision(): ResNet {
    return this.body;
  }

  /** → [B, C·grid²]. */
  see(pictures: Tensor): readonly Tensor[] {
    return [this.body.pooled(pictures, this.grid)];
  }

  logits(seen: readonly Tensor[], words: Tensor): Tensor {
    return this.decode(seen, words).logits;
  }

  loss(seen: readonly Tensor[], words: Tensor, next: Tensor): Tensor {
    return recurrentLoss(this.decode(seen, words), next, this.coverage);
  }

  /** What the decoder makes of given words, and where it looks. */
  decode(seen: readonly Tensor[], words: Tensor): DecoderOutputs {
    return this.decoder.continue(this.sequence(seen, words), this.blank(seen, words));
  }

  text(): TextModel {
    return recurrentText(this.decoder, (...inputs) => {
      const said = inputs.at(-1)!;
      return { x: this.sequence(inputs, said), state: this.blank(inputs, said), said };
    });
  }

  /** The picture as a word's embedding, in the place of the start word: [B, T, embedding]. */
  private sequence([pooled]: readonly Tensor[], words: Tensor): Tensor {
    const [batch, length] = words.shape;
    const picture = reshape(this.bn.forward(this.linear.forward(pooled)), [batch, 1, -1]);
    return length === 1 ? picture : concat([picture, this.decoder.embedding.forward(slice(words, 1, 1, length))], 1);
  }

  /** The state before anything is said. */
  private blank([pooled]: readonly Tensor[], words: Tensor): DecoderState {
    return this.decoder.start(zeros(words.device, [words.shape[0], this.hidden]), this.decoder.attention && regionsOf(pooled, this.grid ** 2));
  }
}
